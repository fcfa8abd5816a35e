"""Errors for frameworks that cannot work together, with the closest combination that does. Pure.

`explain_…` functions return an error or its text, `require_…` functions raise it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from colabenv.errors import UnsatisfiableError
from colabenv.frameworks import combinations
from colabenv.frameworks.combinations import Clash, FrameworkRelease
from colabenv.frameworks.facts import TITLES, Table, TensorFlowRelease, TorchOrJaxRelease
from colabenv.host.interpreters import minor_version

if TYPE_CHECKING:
    from colabenv.host.probe import Gpu

    AnyRelease: TypeAlias = TensorFlowRelease | TorchOrJaxRelease | FrameworkRelease
    GpuRelease = TypeVar("GpuRelease", TensorFlowRelease, FrameworkRelease)

_OR_CPU = "To run without the GPU, use --variant cpu, or set accelerator: cpu in the profile."
_Candidates = Mapping[str, tuple[FrameworkRelease, ...]]


def format_lines(releases: Iterable[AnyRelease]) -> str:
    """The minor lines of releases: "2.16 to 2.21", "2.7 to 2.12, 2.14 and 2.15"; "" for none."""
    runs: list[list[str]] = []
    for line in dict.fromkeys(release.line for release in releases):
        if runs and _ordinal(line) == _ordinal(runs[-1][-1]) + 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    parts = [part for run in runs for part in ([format_span(run)] if len(run) > 2 else run)]
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1] if parts else ""]))


def format_span(versions: Sequence[str]) -> str:
    """The first and the last version: "3.9 to 3.11"."""
    return f"{versions[0]} to {versions[-1]}" if len(versions) > 1 else versions[0]


def _ordinal(line: str) -> int:
    """The position of a minor line among all; TensorFlow 1.15 is followed by 2.0."""
    major, minor = line.split(".")
    return 16 * int(major) + int(minor)


# Frameworks and Python


def explain_missing_wheels(
    framework: str,
    release: TensorFlowRelease | TorchOrJaxRelease,
    python: str,
    known: Sequence[TensorFlowRelease | TorchOrJaxRelease],
) -> UnsatisfiableError:
    """The error for a framework without wheels for the profile's Python.

    Args:
        framework: "tensorflow", "torch" or "jax".
        release: the release that the profile would get.
        python: the profile's Python.
        known: all known releases of the framework.
    """
    title, minor = TITLES[framework], minor_version(python)
    fitting = format_lines(other for other in known if minor in other.pythons)
    others = f", or choose another release: {title} {fitting} works on Python {minor}" if fitting else ""
    return UnsatisfiableError(
        f"{title} {release.line} has no wheels for Python {python}.",
        hint=f'Set python: "{release.pythons[-1]}" ({title} {release.line} supports Python '
        f"{format_span(release.pythons)}){others}. If you remove python from the profile, colabenv picks one that "
        "works.",
    )


def explain_unknown_release(lines: Iterable[str], table: Table) -> str:
    """The hint if requirements pin a TensorFlow that the table does not have, or "".

    It is only for a failed resolution: such a release may be newer than the table.
    """
    known = [Version(release.version) for release in table.releases]
    for requirement in map(Requirement, lines):
        pinned = re.fullmatch(r"==\s*(\d+\.\d+)[\d.]*", str(requirement.specifier))
        if requirement.name != "tensorflow" or pinned is None:
            continue
        if any(version in requirement.specifier for version in known):
            continue
        same_line = [str(version) for version in known if f"{version.major}.{version.minor}" == pinned[1]]
        existing = (
            f"The releases of {pinned[1]} are {', '.join(same_line)}"
            if same_line
            else f"colabenv knows {known[0]} to {known[-1]}"
        )
        return f"Unknown TensorFlow release: {pinned[0][2:]}. {existing} (as of {table.read})."
    return ""


# Several frameworks


def explain_conflict(
    candidates: _Candidates, variant: str, python: str | None, table: Table
) -> UnsatisfiableError:
    """The error for a profile whose frameworks do not work together.

    Args:
        candidates: the releases of each framework that the profile allows, the preferred one first.
        variant: "cpu" or "gpu".
        python: the profile's minor, or None.
        table: the facts.
    """
    first, second = _find_conflicting_pair(candidates, python)
    clash = combinations.find_clash(first, second, python) or Clash()
    if clash.first:
        message = (
            f"{first.title} and {second.title} do not work together{' on a GPU' if variant == 'gpu' else ''}: "
            f"{first.title} needs {clash.first}, but {second.title} needs {clash.second}."
        )
    else:
        message = (
            f"No Python has wheels for both {first.title} (Python {format_span(first.pythons)}) and "
            f"{second.title} (Python {format_span(second.pythons)})."
        )
    return UnsatisfiableError(message, hint=_suggest_combination(first, second, variant, table))


def _find_conflicting_pair(
    candidates: _Candidates, python: str | None
) -> tuple[FrameworkRelease, FrameworkRelease]:
    """The preferred releases of the first two frameworks of which no candidates work together.

    If every two frameworks have candidates that do, the first two whose preferred releases do not.
    """
    pairs = list(itertools.combinations(candidates.values(), 2))
    for firsts, seconds in pairs:
        if all(combinations.find_clash(first, second, python) for first in firsts for second in seconds):
            return firsts[0], seconds[0]
    preferred = [(firsts[0], seconds[0]) for firsts, seconds in pairs]
    return next((pair for pair in preferred if combinations.find_clash(*pair, python)), preferred[0])


def _suggest_combination(
    first: FrameworkRelease, second: FrameworkRelease, variant: str, table: Table
) -> str:
    hints = []
    for kept, changed in ((first, second), (second, first)):
        fitting = combinations.find_compatible(kept, variant, changed.framework, table)
        if fitting:
            hints.append(f"{kept.title} works with {TITLES[changed.framework]} {format_lines(fitting)}.")
    if not hints and (closest := _find_closest_pair(first, second, variant, table)):
        hints.append(f"The closest combination that works is {closest[0].title} with {closest[1].title}.")
    if variant == "gpu" and _work_on_cpu(first, second, table):
        hints.append("Without the GPU (accelerator: cpu) these two work together.")
    return " ".join(hints) or "Write a separate profile for each of them."


def _find_closest_pair(
    first: FrameworkRelease, second: FrameworkRelease, variant: str, table: Table
) -> tuple[FrameworkRelease, FrameworkRelease] | None:
    """The pair that works together and is the fewest minor lines away."""
    pools = [
        # The newest release of each minor line, in its preferred way to install.
        list({release.line: release for release in reversed(releases)}.values())[::-1]
        for releases in (
            combinations.list_all(release.framework, variant, table) for release in (first, second)
        )
    ]
    positions = [
        sum(Version(other.line) < Version(release.line) for other in pool)
        for pool, release in zip(pools, (first, second), strict=True)
    ]
    indexes = sorted(
        itertools.product(*(range(len(pool)) for pool in pools)),
        key=lambda at: (abs(at[0] - positions[0]) + abs(at[1] - positions[1]), -at[0], -at[1]),
    )
    pairs = ((pools[0][index], pools[1][other]) for index, other in indexes)
    return next((pair for pair in pairs if combinations.find_clash(*pair) is None), None)


def _work_on_cpu(first: FrameworkRelease, second: FrameworkRelease, table: Table) -> bool:
    on_cpu = [
        other
        for release in (first, second)
        for other in combinations.list_all(release.framework, "cpu", table)
        if other.version == release.version
    ]
    return len(on_cpu) == 2 and combinations.find_clash(on_cpu[0], on_cpu[1]) is None


# Keras and its backends


def explain_keras_mismatch(
    release: TensorFlowRelease, keras: str, fitting: Sequence[TensorFlowRelease]
) -> UnsatisfiableError:
    """The error for a TensorFlow that does not accept the profile's Keras.

    Args:
        release: the release that the profile would get.
        keras: the profile's specifier.
        fitting: releases that accept that Keras, oldest first.
    """
    own = release.takes("keras")
    needs = f"needs keras{own}" if own is not None else "includes its own Keras"
    remove = "remove keras and colabenv installs the one that fits."
    hint = remove.capitalize()
    if fitting:
        closest = min(reversed(fitting), key=lambda other: abs(_ordinal(other.line) - _ordinal(release.line)))
        hint = (
            f'Set tensorflow: "{closest.line}" (keras{keras} works with TensorFlow {format_lines(fitting)}), '
            f"or {remove}"
        )
    return UnsatisfiableError(f"{release.title} {needs}, but the profile requests keras{keras}.", hint=hint)


def explain_keras_alone(keras: str) -> UnsatisfiableError:
    """The error for a profile with Keras and without a framework that it can run on."""
    return UnsatisfiableError(
        f"keras{keras} needs a framework to run on, and the profile requests none.",
        hint="Add tensorflow, torch or jax to the stack. Or add backend: jax, and colabenv picks a JAX that fits.",
    )


def explain_ambiguous_backend(keras: str) -> UnsatisfiableError:
    """The error for a profile with Keras, two frameworks and no backend."""
    return UnsatisfiableError(
        f"keras{keras} can run on PyTorch or on JAX, and the profile does not say on which.",
        hint="Add backend: torch or backend: jax to the stack.",
    )


def explain_keras_2_backend(keras: str, backend: str) -> UnsatisfiableError:
    """The error for a profile with Keras 2 and a backend."""
    return UnsatisfiableError(
        f"keras{keras} is Keras 2, which runs only on TensorFlow, but the profile sets backend: {backend}.",
        hint='Set keras: "3", or remove backend from the stack.',
    )


def explain_tensorflow_keras_2(line: str, backend: str) -> UnsatisfiableError:
    """The error for a profile with a backend and a TensorFlow that includes Keras 2."""
    return UnsatisfiableError(
        f"TensorFlow {line} includes Keras 2, which runs only on TensorFlow, but the profile sets backend: {backend}.",
        hint="Use TensorFlow 2.16 or later, which includes Keras 3, or remove backend from the stack.",
    )


def explain_backend_mismatch(
    keras: str, release: TorchOrJaxRelease, wanted: str, reasons: Sequence[str]
) -> UnsatisfiableError:
    """The error for a Keras that does not run on the requested release of its backend.

    Args:
        keras: the release of Keras.
        release: the newest release of the backend that the profile allows.
        wanted: the specifier of the releases that this Keras runs on.
        reasons: what happens on other releases, if known.
    """
    because = f" ({reasons[0]})" if reasons else ""
    return UnsatisfiableError(
        f"Keras {keras} does not run on {TITLES[release.framework]} {release.version}{because}.",
        hint=f"Keras {keras} needs {release.framework}{wanted}: change {release.framework} in the stack, or choose "
        "another Keras.",
    )


# GPUs


def explain_missing_gpu_wheels(release: TorchOrJaxRelease, table: Table) -> UnsatisfiableError:
    """The error for a release without GPU wheels on the package index."""
    first = next(other for other in table.others(release.framework) if other.cuda)
    return UnsatisfiableError(
        f"{TITLES[release.framework]} {release.version} has no GPU wheels on the package index.",
        hint=f'Set {release.framework}: ">={first.version}", or set accelerator: cpu to run without the GPU.',
    )


def require_tensorflow_gpu(release: TensorFlowRelease, gpus: Sequence[Gpu], table: Table) -> None:
    """Check that the CUDA of a TensorFlow works with one of the machine's GPUs.

    Raises:
        UnsatisfiableError: it does not. The hint lists the lines that work.
    """
    working = [other for other in table.releases if not other.build.gpu_trouble]
    if release.build.gpu_trouble:
        raise UnsatisfiableError(
            f"{release.title} cannot use a GPU: {release.build.gpu_trouble}.",
            hint=f"TensorFlow {format_lines(working)} can use a GPU. {_OR_CPU}",
        )
    require_gpu(release, gpus, working, table)


def explain_cpu_only(release: TensorFlowRelease, table: Table) -> str:
    """The sentence for a TensorFlow that can use no GPU, with the nearest release that can; "" for others."""
    if not release.build.gpu_trouble:
        return ""
    working = [other.line for other in table.releases if not other.build.gpu_trouble]
    nearest = min(working, key=lambda line: abs(_ordinal(line) - _ordinal(release.line)), default="")
    return f"{release.title} runs on the CPU only, because {release.build.gpu_trouble}" + (
        f"; the nearest release with GPU support is {nearest}." if nearest else "."
    )


def require_gpu(
    release: GpuRelease, gpus: Sequence[Gpu], alternatives: Iterable[GpuRelease], table: Table
) -> None:
    """Check that the CUDA of a framework works with one of the machine's GPUs.

    Args:
        release: the release to install.
        gpus: the machine's GPUs.
        alternatives: the releases of the framework that can use some GPU.
        table: the facts.

    Raises:
        UnsatisfiableError: it does not. The hint lists the lines that work.
    """

    def find_problems(candidate: GpuRelease) -> list[str]:
        return [_find_gpu_problem(candidate, gpu, table) for gpu in gpus]

    problems = find_problems(release)
    if problems and all(problems):
        working = format_lines(other for other in alternatives if not all(find_problems(other)))
        framework = release.title.split()[0]
        closest = f"{framework} {working} can use the GPU of this machine. " if working else ""
        raise UnsatisfiableError(problems[0], hint=f"{closest}{_OR_CPU}")


def _find_gpu_problem(release: TensorFlowRelease | FrameworkRelease, gpu: Gpu, table: Table) -> str:
    """Why a release cannot use a GPU, or ""."""
    cuda, capability = table.cuda_of(release.cuda), gpu.compute_capability
    if cuda is None:
        return ""
    uses = f"{release.title} uses CUDA {cuda.release}, which"
    if _is_older(gpu.driver, cuda.driver):
        return f"The driver of {gpu.name} is {gpu.driver}, but {uses} needs version {cuda.driver} or newer."
    if not capability:
        return ""
    has = f"{gpu.name} has compute capability {capability}, but"
    if Version(capability) > Version(cuda.newest):
        return f"{has} {uses} supports GPUs up to {cuda.newest} only."
    if isinstance(release, TensorFlowRelease):
        problem = f"{has} {release.title} needs {release.build.kernels[0]} or higher."
        return "" if classify_kernels(release, capability) else problem
    return (
        f"{has} {uses} needs {cuda.oldest} or higher." if Version(capability) < Version(cuda.oldest) else ""
    )


def classify_kernels(release: TensorFlowRelease, capability: str) -> str:
    """How the kernels of a release run on a GPU.

    A compiled kernel runs on GPUs with the same major compute capability and the same or a higher minor; PTX runs on
    all GPUs with the same or a higher capability (NVIDIA, CUDA C++ Programming Guide, binary and PTX compatibility).

    Returns:
        "compiled", "compiled at start", or "" if they do not run.
    """
    wanted = Version(capability)
    kernels = [Version(kernel) for kernel in release.build.kernels]
    if any(kernel.major == wanted.major and kernel <= wanted for kernel in kernels):
        return "compiled"
    return "compiled at start" if Version(release.build.ptx) <= wanted else ""


def _is_older(driver: str, minimum: str) -> bool:
    try:
        return Version(driver) < Version(minimum)
    except InvalidVersion:
        return False  # an unknown driver may be new enough


# The profile's own packages


def require_one_cudnn(release: TensorFlowRelease, lines: Iterable[str]) -> None:
    """Refuse a cuDNN in the profile's packages that differs from TensorFlow's: both install into the same folder.

    Raises:
        UnsatisfiableError: the profile requests another cuDNN.
    """
    own = release.cudnn
    if own is None:
        return
    for requirement in map(Requirement, lines):
        name = canonicalize_name(requirement.name)
        if not re.fullmatch(r"nvidia-cudnn-cu\d+", name):
            continue
        majors = find_majors(requirement)
        if name != own.name or (majors and not majors & find_majors(own)):
            raise UnsatisfiableError(
                f"{release.title} needs {own}, but the profile requests {requirement}. Both versions of cuDNN install "
                "into the same folder, so one of them breaks.",
                hint=f"Remove {requirement.name} from the profile: TensorFlow installs its own. {_OR_CPU}",
            )


def find_majors(requirement: Requirement) -> set[int]:
    """The major versions that a requirement's pins and lower bounds name."""
    return {
        Version(clause.version.removesuffix(".*")).major
        for clause in requirement.specifier
        if clause.operator in {"==", "~=", ">="}
    }


def require_companions(
    release: TensorFlowRelease, tensorflow: str, lines: Iterable[str], table: Table
) -> None:
    """Refuse a companion, such as tensorflow-text, that the profile pins to a release for another TensorFlow.

    Args:
        release: the release of TensorFlow.
        tensorflow: the profile's specifier; if it allows several lines, the resolver finds the one that fits.
        lines: the profile's own requirements.
        table: the facts.

    Raises:
        UnsatisfiableError: the companion needs another TensorFlow. The hint has the release for this one.
    """
    allowed = SpecifierSet(tensorflow)
    if len({other.line for other in table.releases if allowed.contains(other.version)}) > 1:
        return
    for requirement in map(Requirement, lines):
        name = canonicalize_name(requirement.name)
        # TensorFlow declares the range of what it requires itself, such as Keras from 2.6 on.
        pairings = table.companions.get(name, ()) if release.takes(name) is None else ()
        requested = [
            pairing for pairing in pairings if any(map(requirement.specifier.contains, pairing.releases))
        ]
        if not requested or any(pairing.tensorflow.contains(release.version) for pairing in requested):
            continue
        fitting = [
            pairing.releases[-1] for pairing in pairings if pairing.tensorflow.contains(release.version)
        ]
        suggestion = f"Use {requirement.name} {fitting[-1]} with {release.title}. " if fitting else ""
        raise UnsatisfiableError(
            f"{requirement} needs tensorflow{requested[-1].tensorflow}, but the profile requests TensorFlow "
            f"{release.version}.",
            hint=f"{suggestion}If you leave out the version of {requirement.name}, colabenv picks the newest that "
            "fits.",
        )
