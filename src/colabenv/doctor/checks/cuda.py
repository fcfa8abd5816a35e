"""CUDA: whose libraries are on disk, which of them are found, and what the GPU can run. Pure."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from colabenv.doctor.checks.interference import BUILDS, is_library, wanted
from colabenv.doctor.checks.registry import rule
from colabenv.doctor.checks.whole import anew, blamed, listed
from colabenv.doctor.model import Distribution, Facts, Finding, Overlap, Step
from colabenv.doctor.needs import needs, visible
from colabenv.errors import UnsatisfiableError
from colabenv.host.probe import Gpu
from colabenv.lock.model import normalised
from colabenv.stack import refusals
from colabenv.stack.facts import Release, table

#: NVIDIA's wheels by the library they carry; their names end in -cu11, -cu12 or, from CUDA 13 on, in nothing.
WHEELS = {
    "libcudart": "nvidia-cuda-runtime",
    "libcublas": "nvidia-cublas",
    "libcublasLt": "nvidia-cublas",
    "libcufft": "nvidia-cufft",
    "libcurand": "nvidia-curand",
    "libcusolver": "nvidia-cusolver",
    "libcusparse": "nvidia-cusparse",
    "libcudnn": "nvidia-cudnn",
    "libcupti": "nvidia-cuda-cupti",
    "libnccl": "nvidia-nccl",
    "libnvrtc": "nvidia-cuda-nvrtc",
    "libnvJitLink": "nvidia-nvjitlink",
}
#: The libraries that TensorFlow opens before it registers a GPU, as the releases of CUDA name them.
_OPENED = {
    "11": (
        "libcudart.so.11.0",
        "libcublas.so.11",
        "libcublasLt.so.11",
        "libcufft.so.10",
        "libcusolver.so.11",
        "libcusparse.so.11",
    ),
    "12": (
        "libcudart.so.12",
        "libcublas.so.12",
        "libcublasLt.so.12",
        "libcufft.so.11",
        "libcusolver.so.11",
        "libcusparse.so.12",
    ),
}
_NO_DLOPEN = "Cannot dlopen some GPU libraries"
_NAMED = re.compile(
    r"Could not load dynamic library '([^']+)'|(lib[\w+-]+\.so[.\d]*): cannot open shared object file"
)
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
            explains=_gpu_complaints(facts),
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
    found = next((one for one in visible(facts) if one.name in BUILDS and "tensorflow" in one.modules), None)
    if found is None or "cpu" in found.name:
        return None
    public = found.version.partition("+")[0]
    exact = [one for one in table().releases if one.version == public]
    line = ".".join(public.split(".")[:2])
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
        explains=_gpu_complaints(facts),
    )


def _major(one: Distribution) -> int:
    try:
        return Version(one.version).major
    except InvalidVersion:
        return 0


def _gpu_line(facts: Facts) -> str:
    return "GPU: " + "; ".join(
        f"{name}, driver {driver}, compute capability {capability}" for name, driver, capability in facts.gpus
    )


def _gpu_complaints(facts: Facts) -> tuple[str, ...]:
    return tuple(
        one.source for one in facts.complaints if one.here and re.search(r"lib(cu|nv|nccl)\w*\.so", one.text)
    )


@rule(
    "CE214",
    "The machine's CUDA comes before that of the wheels",
    "The loader looks into the folders of `LD_LIBRARY_PATH` before those that a wheel names. A CUDA of the "
    "machine there, of another version, is loaded in place of the wheels' libraries: `Loaded runtime CuDNN "
    "library: 9.1.0 but source was compiled with: 9.3.0`, `undefined symbol`. A library that has the size or "
    "the version of the wheel's is no finding. The folders are taken off the variable; those with the driver "
    "alone stay. It counts for programs that are started after that: a running process has read it already.",
)
def machine_first(facts: Facts) -> Iterator[Finding]:
    """At most one finding."""
    own = {name: (one, path) for one in visible(facts) for name, path in one.libraries}
    wheel_folders = {posixpath.dirname(path) for _, path in own.values()}
    evidence, folders, seen = [], [], set()
    for name, path in facts.system_libraries:
        folder = posixpath.dirname(path)
        if name in seen or name not in own:
            continue
        seen.add(name)
        one, wheel = own[name]
        if posixpath.normpath(folder) in wheel_folders or _same_library(facts, path, wheel, one):
            continue
        folders.append(folder)
        evidence.append(f"{name} is loaded from {path}, before {wheel} of {one.name} {one.version}")
    if not evidence:
        return
    value = facts.environ.get("LD_LIBRARY_PATH", "")
    kept = [one for one in value.split(":") if one and str(PurePosixPath(facts.cwd, one)) not in folders]
    rest = ":".join(kept)
    yield Finding(
        "CE214",
        "LD_LIBRARY_PATH puts the machine's CUDA before that of the installed wheels.",
        (f"LD_LIBRARY_PATH={value}", *evidence[:4]),
        "The frameworks were built for the versions in the wheels.",
        (Step("set", ("LD_LIBRARY_PATH", rest)) if rest else Step("unset", ("LD_LIBRARY_PATH",)),),
        explains=_gpu_complaints(facts),
    )


def _same_library(facts: Facts, path: str, wheel: str, one: Distribution) -> bool:
    """Whether a library of the machine is the one of the wheel, or of the same version by its file's name."""
    real, size = facts.library_files.get(path, ("", -1))
    if size == facts.library_files.get(wheel, ("", -2))[1]:
        return True
    version = real.partition(".so.")[2]
    return "." in version and (one.version + ".").startswith(version + ".")


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
    trouble = _refused(release, gpus) if release is not None and gpus else None
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
    newest = table().torch[-1]
    yield Finding(
        "CE215",
        f"torch {torch.version} has no code for this GPU.",
        (said[0].group(0), _gpu_line(facts)),
        "The GPU is newer or older than those that this release was built for.",
        (Step("install", (f"torch=={newest.version}",)),),
        explains=_no_kernel_complaints(facts),
    )


def _refused(release: Release, gpus: tuple[Gpu, ...]) -> UnsatisfiableError | None:
    try:
        refusals.require_gpu(release, gpus, table())
    except UnsatisfiableError as error:
        return error
    return None


def _no_kernel_complaints(facts: Facts) -> tuple[str, ...]:
    return tuple(one.source for one in facts.complaints if one.here and _NO_KERNEL.search(one.text))


@rule(
    "CE216",
    "TensorFlow found a GPU and not the libraries for it",
    "TensorFlow says `Cannot dlopen some GPU libraries` and goes on without the GPU; since 2.12 it does not "
    "say which. The finding names each library, the wheel that carries it, and whether that is installed. "
    "Missing wheels are installed. Where they are there and not found, their folders go onto "
    "`LD_LIBRARY_PATH`: TensorFlow up to 2.13, 2.16.1 and 2.21.0 do not look for them by themselves. A running "
    "process has read the variable already; an environment of colabenv has it set from the start.",
)
def no_dlopen(facts: Facts) -> Iterator[Finding]:
    """At most one finding."""
    texts = [*facts.said.values(), *(one.text for one in facts.complaints)]
    said = [text for text in texts if _NO_DLOPEN in text]
    release = tensorflow(facts)
    if not said or release is None:
        return
    named = [first or second for text in said for first, second in _NAMED.findall(text)]
    opened = tuple(dict.fromkeys(named)) or _opened(release)
    there = {name: path for one in visible(facts) for name, path in one.libraries}
    reachable = {name for name, _ in facts.system_libraries}
    missing = [name for name in opened if name not in there and name not in reachable]
    hidden = [name for name in opened if name in there and name not in reachable]
    wheels = {name: _wheel_of(name, release) for name in missing}
    evidence = [
        f"{name} is carried by {wheels[name] or 'no wheel'}, which is not installed" for name in missing
    ]
    evidence += [f"{name} is at {there[name]}, and that folder is not on LD_LIBRARY_PATH" for name in hidden]
    steps = (
        [Step("install", tuple(dict.fromkeys(filter(None, wheels.values()))))] if any(wheels.values()) else []
    )
    if hidden and not missing:
        folders = [posixpath.dirname(path) for path in there.values()]
        value = ":".join(
            dict.fromkeys([*folders, *filter(None, facts.environ.get("LD_LIBRARY_PATH", "").split(":"))])
        )
        steps = [Step("set", ("LD_LIBRARY_PATH", value))]
    yield Finding(
        "CE216",
        f"TensorFlow {release.version} sees a GPU and cannot load the libraries for it.",
        (_NO_DLOPEN, *evidence),
        "The CUDA wheels for this TensorFlow are not all there."
        if missing
        else "They are installed, and this TensorFlow does not look where they are.",
        tuple(steps) or (Step("up", ("builtin:quickstart",)),),
        explains=tuple(one.source for one in facts.complaints if _NO_DLOPEN in one.text),
    )


def _opened(release: Release) -> tuple[str, ...]:
    cudnn = f"libcudnn.so.{release.build.cudnn.split('.')[0]}"
    return (*_OPENED.get(release.build.cuda.split(".")[0], ()), cudnn)


def _wheel_of(library: str, release: Release) -> str:
    """The requirement of the wheel that carries a library, for this TensorFlow, or ""."""
    stem = WHEELS.get(library.partition(".")[0], "")
    lines = release.cuda_pins or release.extra
    return next((line for line in lines if stem and Requirement(line).name.startswith(stem)), "")
