"""CUDA libraries as the loader finds them: the machine's before the wheels', or none at all. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from packaging.requirements import Requirement

from colabenv.doctor.checks.cuda import gpu_complaints, tensorflow
from colabenv.doctor.checks.registry import rule
from colabenv.doctor.model import Distribution, Facts, Finding, Step
from colabenv.doctor.requirements import visible
from colabenv.frameworks.facts import Release

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
        explains=gpu_complaints(facts),
    )


def _same_library(facts: Facts, path: str, wheel: str, one: Distribution) -> bool:
    """Whether a library of the machine is the one of the wheel, or of the same version by its file's name."""
    real, size = facts.library_files.get(path, ("", -1))
    if size == facts.library_files.get(wheel, ("", -2))[1]:
        return True
    version = real.partition(".so.")[2]
    return "." in version and (one.version + ".").startswith(version + ".")


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
    named = [
        one
        for text in said
        for pair in _NAMED.findall(text)
        for one in pair
        if one.partition(".")[0] in WHEELS
    ]
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
