"""CUDA wheels: which ones overwrite each other, which versions are installed, and what the GPU can run."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.version import Version

from colabenv.doctor.checks.overlaps import dependents_of, group_overlaps, is_cuda_library, tensorflow_builds
from colabenv.doctor.checks.registry import rule
from colabenv.doctor.distributions import (
    list_some,
    parse_version,
    reinstall,
    ships_in_colab,
    visible_distributions,
)
from colabenv.doctor.error_reports import crashes, errors_mentioning, sources_of
from colabenv.doctor.model import Distribution, ErrorReport, Facts, Finding, Fix
from colabenv.doctor.requirements import Dependency, dependencies, tensorflow_release
from colabenv.errors import UnsatisfiableError
from colabenv.frameworks import conflicts
from colabenv.frameworks.facts import TensorFlowRelease, load_table
from colabenv.host.probe import Gpu

_NO_KERNEL = re.compile(
    r"no kernel image is available for execution on the device|CUDA capability (sm_\d+) is not compatible[^\n]*"
)
#: For frameworks that need different versions of one wheel.
_NEW_ENVIRONMENT = (Fix("up", ("builtin:quickstart",)),)


@rule("CE211")
def find_overwritten_libraries(facts: Facts) -> Iterator[Finding]:
    """CUDA libraries of two releases overwrote each other.

    NVIDIA's wheels for different releases of CUDA put libraries of the same name into the same folder, for example
    cuDNN 8 for CUDA 11 and for CUDA 12. The wheel that was installed last owns the files, and the other one's
    programs load the wrong library. The fix removes the wheel that nothing requires and reinstalls the other one.
    If both are required, use two environments.
    """
    for owners, overlaps in group_overlaps(facts, lambda overlap: is_cuda_library(overlap.path)):
        names = [owner.name for owner in owners]
        required = {name: [*dependents_of(facts, name), *_built_with(facts, name)] for name in names}
        kept = max(owners, key=lambda owner: (bool(required[owner.name]), owner.name))
        others = [owner for owner in owners if owner is not kept]
        both = any(required[owner.name] for owner in others)
        yield Finding(
            f"{' and '.join(map(str, owners))} overwrite each other's libraries.",
            (
                *(
                    f"{overlap.path}: the file on disk is from {', '.join(overlap.on_disk) or 'none of them'}"
                    for overlap in overlaps[:3]
                ),
                *(line for lines in required.values() for line in lines[:2]),
            ),
            "Both put libraries with the same names into one folder.",
            _NEW_ENVIRONMENT
            if both
            else (Fix("uninstall", tuple(owner.name for owner in others)), *reinstall([kept])),
            explains=gpu_errors(facts),
            removes=() if both else tuple(owner.info for owner in others),
        )


def _built_with(facts: Facts, wheel: str) -> list[str]:
    """The version of a wheel that the installed TensorFlow was built with."""
    release = gpu_tensorflow_release(facts)
    if release is None:
        return []
    pins = [line for line in release.cuda_pins or release.extra if Requirement(line).name == wheel]
    return [f"tensorflow {release.version} needs {line}" for line in pins]


def gpu_tensorflow_release(facts: Facts) -> TensorFlowRelease | None:
    """The facts of the installed TensorFlow, or of the newest release of its line; None for a build without GPU."""
    build = next(iter(tensorflow_builds(facts)), None)
    return None if build is None or "cpu" in build.name else tensorflow_release(build)


@rule("CE212")
def find_replaced_cuda_wheels(facts: Facts) -> Iterator[Finding]:
    """PyTorch's CUDA wheels were replaced.

    PyTorch pins the version of each of NVIDIA's wheels, and TensorFlow's extra `and-cuda` pins other versions. The
    last installation wins. PyTorch then fails at import (`libcudnn.so.9: cannot open shared object file`,
    `undefined symbol`) or at the first convolution. The fix installs PyTorch's versions again, because it cannot be
    imported without them. For TensorFlow on the GPU, use a separate environment.
    """
    replaced: dict[Distribution, list[Dependency]] = defaultdict(list)
    for need in dependencies(facts):
        if (
            need.name.startswith("nvidia-")
            and not need.dependent.name.startswith("nvidia-")
            and not need.is_met
        ):
            replaced[need.dependent].append(need)
    for dependent, needs in replaced.items():
        others = [line for need in needs for line in _built_with(facts, need.name)]
        yield Finding(
            f"The installed CUDA wheels are not those that {dependent} requires.",
            (
                *(
                    f"{need.evidence}; installed: {need.installed.version if need.installed else 'none'}"
                    for need in needs[:6]
                ),
                *others[:3],
            ),
            "Another framework, such as tensorflow[and-cuda], was installed later and replaced them."
            if others
            else "They were replaced or removed later.",
            (Fix("install", tuple(f"{need.name}{need.specifier}" for need in needs)),),
            explains=errors_mentioning(facts, dependent.modules or (dependent.name,)),
            covers=tuple(need.key for need in needs),
        )


@rule("CE213")
def find_wrong_cudnn(facts: Facts) -> Iterator[Finding]:
    """TensorFlow needs another major version of cuDNN.

    TensorFlow loads cuDNN by its major version, `libcudnn.so.8` or `libcudnn.so.9`. If another major version is
    installed, for example because PyTorch requires it, TensorFlow ignores the GPU: `Cannot dlopen some GPU
    libraries`. Only reported on a machine with a GPU. The fix installs the cuDNN wheel for this TensorFlow. If
    PyTorch requires the other one, use two environments.
    """
    release = gpu_tensorflow_release(facts)
    if release is None or release.cudnn is None or not facts.gpus:
        return
    installed = [
        each for each in visible_distributions(facts) if re.fullmatch(r"nvidia-cudnn-cu\d+", each.name)
    ]
    majors = conflicts.find_majors(release.cudnn)
    own = parse_version(facts.version(release.cudnn.name))
    if not installed or not majors or (own and own.major in majors):
        return
    if ships_in_colab(facts, [*installed, *tensorflow_builds(facts)]):
        return
    dependents = [line for each in installed for line in dependents_of(facts, each.name)]
    yield Finding(
        f"TensorFlow {release.version} needs {release.cudnn}, but {list_some(installed)} is installed.",
        (
            f"tensorflow {release.version} was built with cuDNN {release.build.cudnn}",
            *dependents[:3],
            _describe_gpus(facts),
        ),
        "Another framework requires its own cuDNN." if dependents else "cuDNN was installed separately.",
        _NEW_ENVIRONMENT if dependents else (Fix("install", (str(release.cudnn),)),),
        explains=gpu_errors(facts),
    )


def _describe_gpus(facts: Facts) -> str:
    described = (
        f"{name}, driver {driver}, compute capability {version}" for name, driver, version in facts.gpus
    )
    return f"GPU: {'; '.join(described)}"


def gpu_errors(facts: Facts) -> tuple[str, ...]:
    """The sources of errors that name a CUDA library, and of crashes."""
    library = re.compile(r"lib(cu|nv|nccl)\w*\.so")
    return (*crashes(facts), *sources_of(error for error in facts.local_errors if library.search(error.text)))


@rule("CE215")
def find_unsupported_gpu(facts: Facts) -> Iterator[Finding]:
    """The GPU is not supported by this build.

    A framework contains compiled code for the GPUs that its release of CUDA knows. On an older or newer GPU, the
    first operation fails: `no kernel image is available for execution on the device`, `CUDA capability sm_120 is
    not compatible`. The fix installs a release that supports the GPU.
    """
    release = gpu_tensorflow_release(facts)
    gpus = tuple(Gpu(name, driver, capability, 0) for name, driver, capability in facts.gpus)
    refusal = None
    if release is not None and gpus and not ships_in_colab(facts, tensorflow_builds(facts)):
        refusal = _refuse(release, gpus)
    errors = [error for error in facts.local_errors if _NO_KERNEL.search(error.text)]
    if release is None or refusal is None:
        yield from _find_unsupported_by_torch(facts, errors)
        return
    installable = [each for each in load_table().releases if facts.python_minor in each.pythons]
    fitting = [each for each in installable if _refuse(each, gpus) is None]
    build = release.build
    yield Finding(
        refusal.message,
        (
            _describe_gpus(facts),
            f"tensorflow {release.version} has kernels for {', '.join(build.kernels)}, and PTX for {build.ptx}",
        ),
        refusal.hint,
        (Fix("install", (f"tensorflow[and-cuda]=={fitting[-1].version}",)),) if fitting else (),
        explains=sources_of(errors),
    )


def _find_unsupported_by_torch(facts: Facts, errors: list[ErrorReport]) -> Iterator[Finding]:
    torch = facts.installed("torch")
    texts = [*facts.import_output.values(), *(error.text for error in errors)]
    match = next(filter(None, map(_NO_KERNEL.search, texts)), None)
    if torch is None or match is None:
        return
    newest = _find_torch(facts)
    yield Finding(
        f"{torch} has no code for this GPU.",
        (match[0], _describe_gpus(facts)),
        "The GPU is newer or older than those that this release was built for.",
        (Fix("install", (f"torch=={newest}",)),) if newest else (),
        explains=sources_of(errors),
    )


def _find_torch(facts: Facts) -> str:
    """The newest PyTorch for this Python whose CUDA supports the GPUs, or ""."""
    capabilities = [Version(capability) for _, _, capability in facts.gpus if capability]
    for release in reversed(load_table().torch):
        cuda = load_table().cuda_of(release.cuda.get("", ((), ""))[1])
        if cuda is None or facts.python_minor not in release.pythons:
            continue
        oldest, newest = Version(cuda.oldest), Version(cuda.newest)
        fits = all(oldest <= capability <= newest for capability in capabilities)
        if fits and release.version != facts.version("torch"):
            return release.version
    return ""


def _refuse(release: TensorFlowRelease, gpus: tuple[Gpu, ...]) -> UnsatisfiableError | None:
    try:
        conflicts.require_tensorflow_gpu(release, gpus, load_table())
    except UnsatisfiableError as error:
        return error
    return None
