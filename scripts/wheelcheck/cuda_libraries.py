"""Find which CUDA libraries a TensorFlow release loads, by running its own binaries, and which of them must open."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = Path(__file__).parent / "programs" / "requested_libraries.py"
_IMPORT = "import tensorflow; tensorflow.config.list_physical_devices()"
_REQUEST = re.compile(r"find library=(\S+) ")
_CUDA = re.compile(r"lib(cu(?!rl)|nv|nccl)[A-Za-z_-]*\.so")
#: Seconds that a program may take.
_LIMIT = 900

#: The reason to leave out libraries that no wheel contains.
DRIVER = "comes with NVIDIA's driver"
_DRIVER_LIBRARIES = ("libcuda.so.1", "libnvidia-ml.so.1")
#: Functions of TensorFlow's DsoLoader to why it does not need their libraries on an NVIDIA GPU.
_NOT_NEEDED = {
    "NvInfer": "part of TensorRT, which TensorFlow runs without",
    "NvInferPlugin": "part of TensorRT, which TensorFlow runs without",
    "Nvshmem": "used only with XLA's flag xla_gpu_experimental_enable_nvshmem; not in TensorFlow's own CUDA extra",
}


@dataclass(frozen=True)
class RequestedLibraries:
    """The CUDA libraries that a release requests from the dynamic loader."""

    needed: tuple[str, ...]  #: names of CUDA libraries that must open, sorted
    left_out: dict[str, str]  #: names of the others, to the reason


def find_requested_libraries(prefix: Path, environ: Mapping[str, str], scratch: Path) -> RequestedLibraries:
    """Trace the libraries that the TensorFlow of an environment requests from the dynamic loader.

    Args:
        prefix: the environment's folder.
        environ: environment variables of the programs. They must not include the environment's library path: a
            library that is found is not requested by its other names.
        scratch: an empty folder for the dynamic loader's logs.

    Raises:
        RuntimeError: a program failed; the message ends with its output.
    """
    package = next(prefix.glob("lib/python3*/site-packages/tensorflow"))
    python = prefix / "bin" / "python"
    traced = {**environ, "LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": str(scratch / "requests")}
    alone = scratch / "alone" / package.name
    alone.parent.mkdir()
    alone.symlink_to(package)  # its RUNPATH is relative, so from here it finds no CUDA wheels
    by_binary = json.loads(_run([python, "-I", _PROGRAM, alone], traced).splitlines()[-1])
    if not by_binary:
        raise RuntimeError("No binary of this TensorFlow has the functions that open CUDA libraries.")
    _run([python, "-I", "-c", _IMPORT], {**traced, "LD_DEBUG_OUTPUT": str(scratch / "import")})
    logs = [file.read_text(encoding="utf-8", errors="replace") for file in scratch.glob("import.*")]
    at_import = {name for log in logs for name in _REQUEST.findall(log)}
    return classify_libraries([*by_binary, {name: name for name in at_import}])


def classify_libraries(requests: Iterable[Mapping[str, str]]) -> RequestedLibraries:
    """Separate the libraries that must open from the others.

    Args:
        requests: for each binary, the name of the function that opens a library (or the library's own) to the library.
    """
    needed, left_out = set(), {}
    for opener, library in sorted(item for request in requests for item in request.items()):
        if library in _DRIVER_LIBRARIES:
            left_out[library] = DRIVER
        elif opener in _NOT_NEEDED:
            left_out[library] = _NOT_NEEDED[opener]
        elif _CUDA.match(library):  # the wheels also contain the functions for AMD's libraries
            needed.add(library)
    return RequestedLibraries(tuple(sorted(needed - set(left_out))), dict(sorted(left_out.items())))


def _run(argv: list[str | Path], environ: Mapping[str, str]) -> str:
    words = [str(word) for word in argv]
    done = subprocess.run(
        words,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT,
    )
    if done.returncode:
        raise RuntimeError(
            f"{words[-1][:80]} exited with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}"
        )
    return done.stdout
