"""Which CUDA libraries a release of TensorFlow loads, asked of its own binaries, and which of them must open."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_ASKED = Path(__file__).parent / "inside" / "asked.py"
_IMPORT = "import tensorflow; tensorflow.config.list_physical_devices()"
_REQUEST = re.compile(r"find library=(\S+) ")
_CUDA = re.compile(r"lib(cu(?!rl)|nv|nccl)[A-Za-z_-]*\.so")
_LIMIT = 900

#: What the driver brings, and no wheel.
DRIVER = "comes with NVIDIA's driver"
_OF_THE_DRIVER = ("libcuda.so.1", "libnvidia-ml.so.1")
#: Functions of TensorFlow's DsoLoader whose libraries are not what it needs on an NVIDIA GPU.
_NOT_NEEDED = {
    "NvInfer": "TensorRT, an extra that TensorFlow goes without",
    "NvInferPlugin": "TensorRT, an extra that TensorFlow goes without",
    "Nvshmem": "only behind XLA's flag xla_gpu_experimental_enable_nvshmem; TensorFlow's own CUDA extra lacks it",
}


@dataclass(frozen=True)
class Asked:
    """What a release asks the dynamic loader for.

    Attributes:
        needed: names of CUDA libraries that must open, in order.
        left_out: names of others to the reason why they need not.
    """

    needed: tuple[str, ...]
    left_out: dict[str, str]


def of_environment(prefix: Path, environ: Mapping[str, str], scratch: Path) -> Asked:
    """Ask the TensorFlow that is installed in an environment.

    Args:
        prefix: the environment's folder.
        environ: what the programs inherit; without the environment's library path, so that its release's names
            are seen and not what happens to be found.
        scratch: an empty folder for the dynamic loader's logs.

    Raises:
        RuntimeError: a program failed, with the end of what it said.
    """
    package = next(prefix.glob("lib/python3*/site-packages/tensorflow"))
    python = prefix / "bin" / "python"
    traced = {**environ, "LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": str(scratch / "asked")}
    alone = scratch / "alone" / package.name
    alone.parent.mkdir()
    alone.symlink_to(package)  # from here its RUNPATH, relative to itself, leads to no CUDA wheels
    by_binary = json.loads(_run([python, "-I", _ASKED, alone], traced).splitlines()[-1])
    if not by_binary:
        raise RuntimeError("No binary of this TensorFlow has the functions that open CUDA libraries.")
    _run([python, "-I", "-c", _IMPORT], {**traced, "LD_DEBUG_OUTPUT": str(scratch / "import")})
    logs = [file.read_text(encoding="utf-8", errors="replace") for file in scratch.glob("import.*")]
    at_import = {name for log in logs for name in _REQUEST.findall(log)}
    return sort_out([*by_binary, {name: name for name in at_import}])


def sort_out(asked: Iterable[Mapping[str, str]]) -> Asked:
    """Tell what must open from what need not.

    Args:
        asked: the name of what opens a library, a function's or its own, to the library's name; for each binary.
    """
    needed, left_out = set(), {}
    for opener, library in sorted(item for each in asked for item in each.items()):
        if library in _OF_THE_DRIVER:
            left_out[library] = DRIVER
        elif opener in _NOT_NEEDED:
            left_out[library] = _NOT_NEEDED[opener]
        elif _CUDA.match(library):  # the functions for AMD's libraries are in these wheels too
            needed.add(library)
    return Asked(tuple(sorted(needed - set(left_out))), dict(sorted(left_out.items())))


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
            f"{words[-1][:80]} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}"
        )
    return done.stdout
