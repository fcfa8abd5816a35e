"""What cannot work, why, and what comes nearest. Pure: each function looks at facts and makes or raises an error."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from colabenv.errors import UnsatisfiableError
from colabenv.stack.facts import Release, Table

if TYPE_CHECKING:
    from colabenv.host.probe import Gpu

_OR_CPU = "Or work without the GPU: --variant cpu, or accelerator: cpu in the profile."


def lines_of(releases: list[Release]) -> str:
    """The minor lines of some releases in words: "2.16 to 2.21", "2.15, 2.17 and 2.18"; "" for none."""
    lines = list(dict.fromkeys(release.line for release in releases))
    if not lines:
        return ""
    first, last = (int(line.split(".")[1]) for line in (lines[0], lines[-1]))
    if len(lines) > 2 and last - first == len(lines) - 1:
        return f"{lines[0]} to {lines[-1]}"
    if len(lines) == 1:
        return lines[0]
    return f"{', '.join(lines[:-1])} and {lines[-1]}"


def no_wheels(release: Release, python: str, table: Table) -> UnsatisfiableError:
    """TensorFlow has no wheels for the profile's Python."""
    minor = ".".join(python.split(".")[:2])
    fitting = [other for other in table.releases if minor in other.pythons]
    others = f"; Python {minor} has TensorFlow {lines_of(fitting)}" if fitting else ""
    newest = release.pythons[-1]
    span = f"{release.pythons[0]} to {newest}" if len(release.pythons) > 1 else newest
    return UnsatisfiableError(
        f"TensorFlow {release.line} has no wheels for Python {python}.",
        hint=f'TensorFlow {release.line} runs on Python {span}: set python: "{newest}"{others}. '
        "Or leave python out, and colabenv picks one that fits.",
    )


def keras_does_not_fit(release: Release, keras: str, fitting: list[Release]) -> UnsatisfiableError:
    """TensorFlow does not take the profile's Keras.

    Args:
        release: the one that the profile would get.
        keras: the profile's specifier.
        fitting: releases that do take that Keras.
    """
    own = release.takes("keras")
    takes = f"takes keras{own}" if own is not None else "has a Keras of its own and takes no other"
    others = f"keras{keras} goes with TensorFlow {lines_of(fitting)}: " if fitting else ""
    change = f'set tensorflow: "{fitting[-1].line}", or l' if fitting else "L"
    return UnsatisfiableError(
        f"TensorFlow {release.line} {takes}, and the profile asks for keras{keras}.",
        hint=f"{others}{change}eave keras out, and the one that fits is installed.",
    )


def require_gpu(release: Release, gpus: tuple[Gpu, ...], table: Table) -> None:
    """Refuse a TensorFlow whose CUDA cannot drive any of the machine's GPUs.

    Raises:
        UnsatisfiableError: why, and which lines can.
    """
    if release.build.gpu_trouble:
        working = [other for other in table.releases if not other.build.gpu_trouble]
        raise UnsatisfiableError(
            f"TensorFlow {release.line} finds no GPU with what can be installed: {release.build.gpu_trouble}.",
            hint=f"TensorFlow {lines_of(working)} can use a GPU: set one of them. {_OR_CPU}",
        )
    troubles = [_trouble(release, gpu, table) for gpu in gpus]
    if troubles and all(troubles):
        working = [other for other in table.releases if _works(other, gpus, table)]
        nearest = f"On this machine the GPU works with TensorFlow {lines_of(working)}. " if working else ""
        raise UnsatisfiableError(troubles[0], hint=f"{nearest}{_OR_CPU}")


def _works(release: Release, gpus: tuple[Gpu, ...], table: Table) -> bool:
    return not release.build.gpu_trouble and not all(_trouble(release, gpu, table) for gpu in gpus)


def _trouble(release: Release, gpu: Gpu, table: Table) -> str:
    """Why a release cannot use a GPU, or ""."""
    cuda = table.cuda.get(release.cuda)
    if cuda is None:
        return ""
    if _older(gpu.driver, cuda.driver):
        return (
            f"The driver of {gpu.name} is {gpu.driver}, and the CUDA {cuda.release} of TensorFlow {release.line} needs "
            f"{cuda.driver} or newer."
        )
    capability = gpu.compute_capability
    if not capability:
        return ""
    what = f"{gpu.name} has compute capability {capability}"
    if Version(capability) > Version(cuda.newest):
        return f"{what}, and the CUDA {cuda.release} of TensorFlow {release.line} drives GPUs up to {cuda.newest} only."
    if runs(release, capability) == "":
        return f"{what}, and TensorFlow {release.line} was built for {release.build.kernels[0]} and newer."
    return ""


def runs(release: Release, capability: str) -> str:
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


def require_one_cudnn(release: Release, lines: tuple[str, ...]) -> None:
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
        if name != own.name or (generations(asked) and not generations(asked) & generations(own)):
            raise UnsatisfiableError(
                f"Two generations of cuDNN at once: TensorFlow {release.line} needs {own}, and the profile asks for "
                f"{asked}. Both put their libraries into one folder, so one of the two breaks.",
                hint=f"Take {asked.name} out of the profile; TensorFlow brings its own. {_OR_CPU}",
            )


def generations(requirement: Requirement) -> set[int]:
    """The major versions that a requirement's pins and lower bounds name."""
    return {
        Version(part.version.replace(".*", "")).major
        for part in requirement.specifier
        if part.operator in {"==", "~=", ">="}
    }


def require_companions(release: Release, tensorflow: str, lines: tuple[str, ...], table: Table) -> None:
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
