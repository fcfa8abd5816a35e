"""CUDA: whose libraries are on disk, which of them are found, and what the GPU can run. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from colabenv.doctor.checks.interference import BUILDS, is_library, wanted
from colabenv.doctor.checks.registry import rule
from colabenv.doctor.model import Distribution, Facts, Finding, Overlap, Step
from colabenv.doctor.reinstall import anew, as_shipped, blamed, killed, listed
from colabenv.doctor.requirements import needs, visible
from colabenv.errors import UnsatisfiableError
from colabenv.frameworks import refusals
from colabenv.frameworks.facts import Release, table
from colabenv.host.interpreters import minor_version
from colabenv.host.probe import Gpu
from colabenv.lock.lockfile import normalised

_NO_KERNEL = re.compile(
    r"no kernel image is available for execution on the device|CUDA capability (sm_\d+) is not compatible[^\n]*"
)


@rule(
    "CE211",
    "CUDA libraries of two generations wrote over each other",
    "NVIDIA's wheels for different releases of CUDA put their libraries into the same folders, and some have "
    "the same name: cuDNN 8 for CUDA 11 and for CUDA 12, for instance. The one that was installed last is on "
    "disk, for both. The wheel that nothing asks for is removed, and the other one is installed anew. Where "
    "both are asked for, two environments are the way.",
)
def libraries_overwritten(facts: Facts) -> Iterator[Finding]:
    """One finding for each pair of wheels."""
    groups: dict[tuple[str, ...], list[Overlap]] = defaultdict(list)
    for overlap in facts.overlaps:
        if is_library(overlap.path) and len(set(overlap.owners)) > 1:
            groups[overlap.owners].append(overlap)
    for names, found in groups.items():
        owners = [one for one in map(facts.installed, names) if one is not None]
        asked = {one.name: [*wanted(facts, one.name), *_built_with(facts, one.name)] for one in owners}
        kept = max(owners, key=lambda one: (bool(asked[one.name]), one.name))
        others = [one for one in owners if one is not kept]
        both = any(asked[one.name] for one in others)
        yield Finding(
            "CE211",
            f"{' and '.join(f'{one.name} {one.version}' for one in owners)} wrote over each other's libraries.",
            (
                *(
                    f"{one.path}: on disk is that of {', '.join(one.on_disk) or 'none of them'}"
                    for one in found[:3]
                ),
                *(line for lines in asked.values() for line in lines[:2]),
            ),
            "Both put their libraries into one folder, under the same names.",
            (Step("up", ("builtin:quickstart",)),)
            if both
            else (Step("uninstall", tuple(one.name for one in others)), *anew([kept])),
            explains=gpu_complaints(facts),
            gone=() if both else tuple(one.info for one in others),
        )


def _built_with(facts: Facts, wheel: str) -> list[str]:
    """What the installed TensorFlow was built with, if that is of this wheel."""
    release = tensorflow(facts)
    if release is None:
        return []
    pins = [
        line for line in release.cuda_pins or release.extra if normalised(Requirement(line).name) == wheel
    ]
    return [f"tensorflow {release.version} goes with {line}" for line in pins]


def tensorflow(facts: Facts) -> Release | None:
    """The facts of the installed TensorFlow, or of the newest release of its line; None for one without GPU."""
    found = next(iter(_builds(facts)), None)
    if found is None or "cpu" in found.name:
        return None
    public = found.version.partition("+")[0]
    exact = [one for one in table().releases if one.version == public]
    line = minor_version(public)
    return next(iter(exact), None) or next(
        (one for one in reversed(table().releases) if one.line == line), None
    )


@rule(
    "CE212",
    "The CUDA wheels are not those that PyTorch asks for",
    "PyTorch pins every one of NVIDIA's wheels to one version, and TensorFlow's extra `and-cuda` pins others. "
    "What was installed last has its way. PyTorch then fails at import with `libcudnn.so.9: cannot open shared "
    "object file` or `undefined symbol`, or at the first convolution. PyTorch's pins are installed again, "
    "since it cannot be imported without them; TensorFlow goes on without a GPU, or in an environment of its own.",
)
def pins(facts: Facts) -> Iterator[Finding]:
    """One finding for each framework with unmet pins."""
    wrong = defaultdict(list)
    for need in needs(facts):
        if (
            need.dependency.startswith("nvidia-")
            and not need.met
            and not need.dependant.name.startswith("nvidia-")
        ):
            wrong[need.dependant.name].append(need)
    for name, found in wrong.items():
        one = found[0].dependant
        others = [line for need in found for line in _built_with(facts, need.dependency)]
        lines = [f"{need.dependency}{need.specifier}" for need in found]
        yield Finding(
            "CE212",
            f"{name} {one.version} asks for other CUDA wheels than those that are installed.",
            (
                *(
                    f"{name} {one.version} requires {need.line}; "
                    f"{f'{need.found.version} is installed' if need.found else 'it is not installed'}"
                    for need in found[:6]
                ),
                *others[:3],
            ),
            "Another framework, such as tensorflow[and-cuda], was installed later and brought its own."
            if others
            else "They were replaced or removed after it was installed.",
            (Step("install", tuple(lines)),),
            explains=blamed(facts, one.modules or (name,)),
            covers=tuple(need.key for need in found),
        )


@rule(
    "CE213",
    "cuDNN is of another generation than TensorFlow's",
    "TensorFlow opens cuDNN by a name with its generation, `libcudnn.so.8` or `libcudnn.so.9`. Where another "
    "generation is installed, as PyTorch's pins bring it, TensorFlow leaves the GPU alone: `Cannot dlopen some "
    "GPU libraries`. It is a finding on a machine with a GPU only. The wheels for this TensorFlow are "
    "installed; where PyTorch needs the others, two environments are the way.",
)
def cudnn_generation(facts: Facts) -> Iterator[Finding]:
    """At most one finding."""
    release = tensorflow(facts)
    if release is None or release.cudnn is None or not facts.gpus:
        return
    have = [one for one in visible(facts) if re.fullmatch(r"nvidia-cudnn-cu\d+", one.name)]
    right = refusals.generations(release.cudnn)
    if not have or not right or any(_major(one) in right and one.name == release.cudnn.name for one in have):
        return
    if as_shipped(facts, [*have, *_builds(facts)]):
        return
    asked = [line for one in have for line in wanted(facts, one.name)]
    installed = listed([f"{one.name} {one.version}" for one in have])
    yield Finding(
        "CE213",
        f"TensorFlow {release.version} goes with {release.cudnn}, and {installed} is installed.",
        (
            f"tensorflow {release.version} was built with cuDNN {release.build.cudnn}",
            *asked[:3],
            _gpu_line(facts),
        ),
        "Another framework brought its own cuDNN." if asked else "cuDNN was installed apart from TensorFlow.",
        (Step("up", ("builtin:quickstart",)),) if asked else (Step("install", (str(release.cudnn),)),),
        explains=gpu_complaints(facts),
    )


def _builds(facts: Facts) -> list[Distribution]:
    return [one for one in visible(facts) if one.name in BUILDS and "tensorflow" in one.modules]


def _major(one: Distribution) -> int:
    try:
        return Version(one.version).major
    except InvalidVersion:
        return 0


def _gpu_line(facts: Facts) -> str:
    return "GPU: " + "; ".join(
        f"{name}, driver {driver}, compute capability {capability}" for name, driver, capability in facts.gpus
    )


def gpu_complaints(facts: Facts) -> tuple[str, ...]:
    """The sources of the complaints that name a library of CUDA, or of processes that died without a word."""
    return killed(facts) + tuple(
        one.source for one in facts.complaints if one.here and re.search(r"lib(cu|nv|nccl)\w*\.so", one.text)
    )


@rule(
    "CE215",
    "A GPU that this build cannot use",
    "A framework brings compiled code for certain GPUs, and CUDA knows those that existed when it was made. On "
    "an older or a newer GPU it fails at the first operation: `no kernel image is available for execution on "
    "the device`, `CUDA capability sm_120 is not compatible`. A release that knows the GPU is installed.",
)
def no_kernels(facts: Facts) -> Iterator[Finding]:
    """One finding for TensorFlow, one for each complaint of another framework."""
    release = tensorflow(facts)
    gpus = tuple(Gpu(name, driver, capability, 0) for name, driver, capability in facts.gpus)
    is_googles = as_shipped(facts, _builds(facts))
    trouble = _refused(release, gpus) if release is not None and gpus and not is_googles else None
    if release is not None and trouble is not None:
        minor = f"{facts.python[0]}.{facts.python[1]}"
        fitting = [one for one in table().releases if minor in one.pythons and _refused(one, gpus) is None]
        yield Finding(
            "CE215",
            trouble.message,
            (
                _gpu_line(facts),
                f"tensorflow {release.version} has kernels for {', '.join(release.build.kernels)}, "
                f"and PTX for {release.build.ptx}",
            ),
            trouble.hint,
            (Step("install", (f"tensorflow[and-cuda]=={fitting[-1].version}",)),) if fitting else (),
            explains=_no_kernel_complaints(facts),
        )
    torch = facts.installed("torch")
    said = [match for text in facts.said.values() for match in [_NO_KERNEL.search(text)] if match]
    said += [
        match for one in facts.complaints for match in [_NO_KERNEL.search(one.text)] if match and one.here
    ]
    if torch is None or not said or trouble is not None:
        return
    newest = _torch_for(facts)
    yield Finding(
        "CE215",
        f"torch {torch.version} has no code for this GPU.",
        (said[0].group(0), _gpu_line(facts)),
        "The GPU is newer or older than those that this release was built for.",
        (Step("install", (f"torch=={newest}",)),) if newest else (),
        explains=_no_kernel_complaints(facts),
    )


def _torch_for(facts: Facts) -> str:
    """The newest PyTorch for this Python whose CUDA drives the GPUs, or ""."""
    minor = f"{facts.python[0]}.{facts.python[1]}"
    for release in reversed(table().torch):
        cuda = table().cuda_of(release.cuda.get("", ((), ""))[1])
        if cuda is None or minor not in release.pythons or release.version == facts.version("torch"):
            continue
        known = [Version(capability) for _, _, capability in facts.gpus if capability]
        if all(Version(cuda.oldest) <= one <= Version(cuda.newest) for one in known):
            return release.version
    return ""


def _refused(release: Release, gpus: tuple[Gpu, ...]) -> UnsatisfiableError | None:
    try:
        refusals.require_gpu(release, gpus, table())
    except UnsatisfiableError as error:
        return error
    return None


def _no_kernel_complaints(facts: Facts) -> tuple[str, ...]:
    return tuple(one.source for one in facts.complaints if one.here and _NO_KERNEL.search(one.text))
