"""What cannot work, why, and what comes nearest. Pure: each function looks at facts and makes or raises an error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from colabenv.errors import UnsatisfiableError
from colabenv.frameworks.combinations import FrameworkRelease
from colabenv.frameworks.facts import TITLES, Cuda, Table, TensorFlowRelease, TorchOrJaxRelease
from colabenv.host.interpreters import minor_version

if TYPE_CHECKING:
    from colabenv.host.probe import Gpu

_OR_CPU = "Or work without the GPU: --variant cpu, or accelerator: cpu in the profile."


def format_lines(releases: Iterable[TensorFlowRelease | TorchOrJaxRelease | FrameworkRelease]) -> str:
    """The minor lines of some releases in words: "2.16 to 2.21", "2.7 to 2.12, 2.14 and 2.15"; "" for none."""
    lines = list(dict.fromkeys(release.line for release in releases))
    runs: list[list[str]] = []
    for line in lines:
        if runs and _minor(line) == _minor(runs[-1][-1]) + 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    parts = [part for run in runs for part in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else run)]
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1] if parts else ""]))


def _minor(line: str) -> int:
    return int(line.split(".")[1])


def explain_missing_wheels(
    framework: str,
    release: TensorFlowRelease | TorchOrJaxRelease,
    python: str,
    known: Sequence[TensorFlowRelease | TorchOrJaxRelease],
) -> UnsatisfiableError:
    """A framework has no wheels for the profile's Python.

    Args:
        framework: "tensorflow", "torch" or "jax".
        release: the one that the profile would get.
        python: the profile's.
        known: all releases of that framework.
    """
    title = TITLES[framework]
    minor = minor_version(python)
    fitting = [other for other in known if minor in other.pythons]
    others = f"; Python {minor} has {title} {format_lines(fitting)}" if fitting else ""
    return UnsatisfiableError(
        f"{title} {release.line} has no wheels for Python {python}.",
        hint=f"{title} {release.line} runs on Python {format_span(release.pythons)}: set python: "
        f'"{release.pythons[-1]}"{others}. Or leave python out, and colabenv picks one that fits.',
    )


def explain_unknown_release(lines: Iterable[str], table: Table) -> str:
    """What to say of an exact TensorFlow among requirements that the table does not know, or "".

    Only a hint, for when nothing was found: a release may be newer than the table, or have been withdrawn.
    """
    known = [Version(release.version) for release in table.releases]
    for line in lines:
        wanted = Requirement(line)
        pinned = re.fullmatch(r"==\s*(\d+\.\d+)[\d.]*", str(wanted.specifier))
        if wanted.name != "tensorflow" or pinned is None or any(one in wanted.specifier for one in known):
            continue
        near = [str(one) for one in known if f"{one.major}.{one.minor}" == pinned[1]]
        there = (
            f"of {pinned[1]} there are {', '.join(near)}" if near else f"there are {known[0]} to {known[-1]}"
        )
        return f"No TensorFlow {str(wanted.specifier)[2:]} is known: {there} (package index of {table.read})."
    return ""


def format_span(pythons: Sequence[str]) -> str:
    """Pythons in words: "3.9 to 3.11"."""
    return f"{pythons[0]} to {pythons[-1]}" if len(pythons) > 1 else pythons[0]


def explain_keras_mismatch(
    release: TensorFlowRelease, keras: str, fitting: list[TensorFlowRelease]
) -> UnsatisfiableError:
    """TensorFlow does not take the profile's Keras.

    Args:
        release: the one that the profile would get.
        keras: the profile's specifier.
        fitting: releases that do take that Keras.
    """
    own = release.takes("keras")
    takes = f"takes keras{own}" if own is not None else "has a Keras of its own and takes no other"
    others = f"keras{keras} goes with TensorFlow {format_lines(fitting)}: " if fitting else ""
    change = f'set tensorflow: "{fitting[-1].line}", or l' if fitting else "L"
    return UnsatisfiableError(
        f"TensorFlow {release.line} {takes}, and the profile asks for keras{keras}.",
        hint=f"{others}{change}eave keras out, and the one that fits is installed.",
    )


def require_tensorflow_gpu(release: TensorFlowRelease, gpus: tuple[Gpu, ...], table: Table) -> None:
    """Refuse a TensorFlow whose CUDA cannot drive any of the machine's GPUs.

    Raises:
        UnsatisfiableError: why, and which lines can.
    """
    if release.build.gpu_trouble:
        working = [other for other in table.releases if not other.build.gpu_trouble]
        raise UnsatisfiableError(
            f"TensorFlow {release.line} finds no GPU with what can be installed: {release.build.gpu_trouble}.",
            hint=f"TensorFlow {format_lines(working)} can use a GPU: set one of them. {_OR_CPU}",
        )
    troubles = [_trouble(release, gpu, table) for gpu in gpus]
    if troubles and all(troubles):
        working = [other for other in table.releases if _works(other, gpus, table)]
        nearest = (
            f"On this machine the GPU works with TensorFlow {format_lines(working)}. " if working else ""
        )
        raise UnsatisfiableError(troubles[0], hint=f"{nearest}{_OR_CPU}")


def _works(release: TensorFlowRelease, gpus: tuple[Gpu, ...], table: Table) -> bool:
    return not release.build.gpu_trouble and not all(_trouble(release, gpu, table) for gpu in gpus)


def _trouble(release: TensorFlowRelease, gpu: Gpu, table: Table) -> str:
    """Why a release cannot use a GPU, or ""."""
    title, cuda = f"TensorFlow {release.line}", table.cuda.get(release.cuda)
    if cuda is None:
        return ""
    capability = gpu.compute_capability
    if found := _cuda_trouble(title, cuda, gpu):
        return found
    if capability and classify_kernels(release, capability) == "":
        return (
            f"{gpu.name} has compute capability {capability}, and {title} was built for {release.build.kernels[0]} and "
            "newer."
        )
    return ""


def _cuda_trouble(title: str, cuda: Cuda, gpu: Gpu) -> str:
    """Why a GPU and the CUDA of some framework do not go together, or ""."""
    if _older(gpu.driver, cuda.driver):
        return (
            f"The driver of {gpu.name} is {gpu.driver}, and the CUDA {cuda.release} of {title} needs {cuda.driver} or "
            "newer."
        )
    if not gpu.compute_capability:
        return ""
    what = (
        f"{gpu.name} has compute capability {gpu.compute_capability}, and the CUDA {cuda.release} of {title}"
    )
    if Version(gpu.compute_capability) > Version(cuda.newest):
        return f"{what} drives GPUs up to {cuda.newest} only."
    return ""


def _too_old(title: str, cuda: Cuda, gpu: Gpu) -> str:
    """Why CUDA does not drive a GPU any more, or ""."""
    if not gpu.compute_capability or Version(gpu.compute_capability) >= Version(cuda.oldest):
        return ""
    return (
        f"{gpu.name} has compute capability {gpu.compute_capability}, and the CUDA {cuda.release} of {title} drives "
        f"GPUs from {cuda.oldest} on only."
    )


def require_gpu(
    member: FrameworkRelease, gpus: tuple[Gpu, ...], known: Sequence[FrameworkRelease], table: Table
) -> None:
    """Refuse a PyTorch or JAX whose CUDA cannot drive any of the machine's GPUs.

    Args:
        member: the release that was chosen.
        gpus: the machine's.
        known: all releases of that framework, as installed on a GPU.
        table: the facts.

    Raises:
        UnsatisfiableError: why, and which lines can.
    """

    def troubles(of: FrameworkRelease) -> list[str]:
        cuda = table.cuda_of(of.cuda)
        if cuda is None:
            return []
        return [_cuda_trouble(of.title, cuda, gpu) or _too_old(of.title, cuda, gpu) for gpu in gpus]

    found = troubles(member)
    if found and all(found):
        working = format_lines(other for other in known if other.cuda and not all(troubles(other)))
        title = TITLES[member.framework]
        nearest = f"On this machine the GPU works with {title} {working}. " if working else ""
        raise UnsatisfiableError(found[0], hint=f"{nearest}{_OR_CPU}")


def classify_kernels(release: TensorFlowRelease, capability: str) -> str:
    """How the kernels of a release run on a GPU.

    A compiled kernel runs on GPUs of the same major capability whose minor is not lower; PTX on any not lower (NVIDIA,
    CUDA C++ Programming Guide, binary and PTX compatibility).

    Returns:
        "as they are", "compiled at start" or "" where they do not.
    """
    wanted = Version(capability)
    kernels = [Version(kernel) for kernel in release.build.kernels]
    if any(kernel.major == wanted.major and kernel <= wanted for kernel in kernels):
        return "as they are"
    return "compiled at start" if Version(release.build.ptx) <= wanted else ""


def _older(driver: str, least: str) -> bool:
    try:
        return Version(driver) < Version(least)
    except InvalidVersion:
        return False  # nothing is known, so nothing is refused


def require_one_cudnn(release: TensorFlowRelease, lines: tuple[str, ...]) -> None:
    """Refuse a cuDNN among the profile's packages that is another than TensorFlow's: their files lie in one folder.

    Raises:
        UnsatisfiableError: names both pins.
    """
    own = release.cudnn
    if own is None:
        return
    for asked in map(Requirement, lines):
        name = canonicalize_name(asked.name)
        if not re.fullmatch(r"nvidia-cudnn-cu\d+", name):
            continue
        if name != own.name or (find_majors(asked) and not find_majors(asked) & find_majors(own)):
            raise UnsatisfiableError(
                f"Two generations of cuDNN at once: TensorFlow {release.line} needs {own}, and the profile asks for "
                f"{asked}. Both put their libraries into one folder, so one of the two breaks.",
                hint=f"Take {asked.name} out of the profile; TensorFlow brings its own. {_OR_CPU}",
            )


def find_majors(requirement: Requirement) -> set[int]:
    """The major versions that a requirement's pins and lower bounds name."""
    return {
        Version(part.version.replace(".*", "")).major
        for part in requirement.specifier
        if part.operator in {"==", "~=", ">="}
    }


def require_companions(
    release: TensorFlowRelease, tensorflow: str, lines: tuple[str, ...], table: Table
) -> None:
    """Refuse a companion that the profile pins to releases which go with another TensorFlow.

    Args:
        release: of TensorFlow.
        tensorflow: the profile's specifier; where it admits several lines, the resolver finds the one that fits.
        lines: the profile's own requirements.
        table: the facts.

    Raises:
        UnsatisfiableError: names the releases that go with this TensorFlow, and the TensorFlow for that pin.
    """
    allowed = SpecifierSet(tensorflow)
    if len({other.line for other in table.releases if allowed.contains(other.version)}) > 1:
        return
    for asked in map(Requirement, lines):
        pairings = table.companions.get(canonicalize_name(asked.name), ())
        admitted = [p for p in pairings if any(asked.specifier.contains(one) for one in p.releases)]
        if not admitted or any(p.tensorflow.contains(release.version) for p in admitted):
            continue
        fitting = [p.releases[-1] for p in pairings if p.tensorflow.contains(release.version)]
        own = f"With TensorFlow {release.line} goes {asked.name} {fitting[-1]}. " if fitting else ""
        raise UnsatisfiableError(
            f"{asked} goes with tensorflow{admitted[-1].tensorflow}, and the profile asks for TensorFlow "
            f"{release.version}.",
            hint=f"{own}Leave the version of {asked.name} out, and colabenv takes the newest that fits.",
        )
