"""CUDA libraries as the loader finds them: the system's before the wheels', or none at all."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from packaging.requirements import Requirement

from colabenv.doctor.checks.cuda import gpu_errors, gpu_tensorflow_release
from colabenv.doctor.checks.registry import rule
from colabenv.doctor.distributions import visible_distributions
from colabenv.doctor.error_reports import sources_of
from colabenv.doctor.model import Distribution, Facts, Finding, Fix
from colabenv.frameworks.facts import TensorFlowRelease

#: NVIDIA's wheels by their library; the names end in -cu11, -cu12 or, from CUDA 13 on, nothing.
LIBRARY_WHEELS = {
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
#: The libraries that TensorFlow loads before it registers a GPU, by the major release of CUDA.
_LOADED = {
    "11": "libcudart.so.11.0 libcublas.so.11 libcublasLt.so.11 libcufft.so.10 libcusolver.so.11 libcusparse.so.11",
    "12": "libcudart.so.12 libcublas.so.12 libcublasLt.so.12 libcufft.so.11 libcusolver.so.11 libcusparse.so.12",
}
_CANNOT_LOAD = "Cannot dlopen some GPU libraries"
_LIBRARY = re.compile(
    r"Could not load dynamic library '([^']+)'|(lib[\w+-]+\.so[.\d]*): cannot open shared object file"
)


@rule("CE214")
def find_system_cuda(facts: Facts) -> Iterator[Finding]:
    """The system's CUDA hides the installed CUDA wheels.

    The loader looks into the folders of `LD_LIBRARY_PATH` before those of the wheels. If they contain another
    version of CUDA, it is loaded instead: `Loaded runtime CuDNN library: 9.1.0 but source was compiled with:
    9.3.0`, `undefined symbol`. The fix removes these folders from the variable, and keeps those that only contain
    the driver. Restart the session afterwards: a running process has already read the variable. A library with the
    size or the version of the wheel's is not reported.
    """
    wheels = {name: (each, path) for each in visible_distributions(facts) for name, path in each.libraries}
    wheel_folders = {posixpath.dirname(path) for _, path in wheels.values()}
    evidence, folders, names = [], [], set()
    for name, path in facts.system_libraries:
        folder = posixpath.dirname(path)
        if name in names or name not in wheels:
            continue
        names.add(name)
        wheel, hidden = wheels[name]
        if posixpath.normpath(folder) in wheel_folders or _is_same_library(facts, path, hidden, wheel):
            continue
        folders.append(folder)
        evidence.append(f"{name} is loaded from {path}, not from {hidden} of {wheel}")
    if not evidence:
        return
    value = facts.environ.get("LD_LIBRARY_PATH", "")
    entries = filter(None, value.split(":"))
    kept = ":".join(entry for entry in entries if str(PurePosixPath(facts.cwd, entry)) not in folders)
    yield Finding(
        "LD_LIBRARY_PATH puts the system's CUDA before the installed CUDA wheels.",
        (f"LD_LIBRARY_PATH={value}", *evidence[:4]),
        "The frameworks were built for the versions in the wheels.",
        (Fix("set", ("LD_LIBRARY_PATH", kept)) if kept else Fix("unset", ("LD_LIBRARY_PATH",)),),
        explains=gpu_errors(facts),
    )


def _is_same_library(facts: Facts, path: str, hidden: str, wheel: Distribution) -> bool:
    """Whether a library of the system is the wheel's, or has the same version according to its file name."""
    real, size = facts.library_files.get(path, ("", -1))
    if size == facts.library_files.get(hidden, ("", -2))[1]:
        return True
    version = real.partition(".so.")[2]
    return "." in version and (wheel.version + ".").startswith(version + ".")


@rule("CE216")
def find_unloadable_libraries(facts: Facts) -> Iterator[Finding]:
    """TensorFlow cannot load the libraries for the GPU.

    TensorFlow logs `Cannot dlopen some GPU libraries` and continues without the GPU; since 2.12 it does not name
    the libraries. The finding names each one, its wheel, and whether that is installed. The fix installs the
    missing wheels. If they are installed but not found, it adds their folders to `LD_LIBRARY_PATH`: TensorFlow up
    to 2.13, 2.16.1 and 2.21.0 do not look for them. A running process has already read the variable; environments
    of colabenv set it from the start.
    """
    texts = [*facts.import_output.values(), *(error.text for error in facts.errors)]
    logs = [text for text in texts if _CANNOT_LOAD in text]
    release = gpu_tensorflow_release(facts)
    if not logs or release is None:
        return
    matches = dict.fromkeys(name for log in logs for groups in _LIBRARY.findall(log) for name in groups)
    library_names = [name for name in matches if name.partition(".")[0] in LIBRARY_WHEELS]
    loaded = library_names or _loaded_libraries(release)
    installed = {name: path for each in visible_distributions(facts) for name, path in each.libraries}
    reachable = {name for name, _ in facts.system_libraries}
    missing = [name for name in loaded if name not in installed and name not in reachable]
    hidden = [name for name in loaded if name in installed and name not in reachable]
    wheels = {name: _wheel_of(name, release) for name in missing}
    requirements = tuple(dict.fromkeys(filter(None, wheels.values())))
    evidence = [f"{name} is in {wheels[name] or 'no wheel'}, which is not installed" for name in missing]
    evidence += [f"{name} is at {installed[name]}, which is not on LD_LIBRARY_PATH" for name in hidden]
    fix = Fix("up", ("builtin:quickstart",))
    if hidden and not missing:
        folders = [posixpath.dirname(path) for path in installed.values()]
        entries = filter(None, facts.environ.get("LD_LIBRARY_PATH", "").split(":"))
        fix = Fix("set", ("LD_LIBRARY_PATH", ":".join(dict.fromkeys([*folders, *entries]))))
    elif requirements:
        fix = Fix("install", requirements)
    yield Finding(
        f"TensorFlow {release.version} sees a GPU but cannot load the libraries for it.",
        (_CANNOT_LOAD, *evidence),
        "Some of the CUDA wheels for this TensorFlow are not installed."
        if missing
        else "They are installed, but this TensorFlow does not look for them there.",
        (fix,),
        explains=sources_of(error for error in facts.errors if _CANNOT_LOAD in error.text),
    )


def _loaded_libraries(release: TensorFlowRelease) -> list[str]:
    cudnn = f"libcudnn.so.{release.build.cudnn.split('.')[0]}"
    return [*_LOADED.get(release.build.cuda.split(".")[0], "").split(), cudnn]


def _wheel_of(library: str, release: TensorFlowRelease) -> str:
    """The requirement for the wheel with a library, for this TensorFlow, or ""."""
    stem = LIBRARY_WHEELS.get(library.partition(".")[0], "")
    lines = release.cuda_pins or release.extra
    return next((line for line in lines if stem and Requirement(line).name.startswith(stem)), "")
