"""Sent to a kernel that has not imported TensorFlow: open CUDA libraries, and find what XLA compiles with.

`question` (`names`: libraries to open) and `answer_file` are set before this text; the answer is written as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def answer(names: list[str]) -> dict[str, Any]:
    """What was found; judged by wheelproof.proof."""
    found: dict[str, Any] = {"opened": {name: opened(name) for name in names}}
    wheels = sorted(Path(sys.prefix).glob("lib/python*/site-packages/nvidia/*/lib/*.so*"))
    found["wheel_libraries"] = len(wheels)
    tried = {str(path.relative_to(sys.prefix)): opened(str(path)) for path in wheels}
    found["wheel_troubles"] = {name: said["error"] for name, said in tried.items() if "error" in said}
    found["ptxas"] = ptxas()
    found["libdevice"] = libdevice(os.environ.get("XLA_FLAGS", ""))
    found["compiled"] = compiled()
    found["prefix"] = sys.prefix
    found["library_path"] = os.environ.get("LD_LIBRARY_PATH", "")
    return found


def opened(name: str) -> dict[str, str]:
    """Where the dynamic loader found a library, or why it did not."""
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return {"error": str(error)}
    mapped = {
        line.split(maxsplit=5)[5] for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line
    }
    wanted = os.path.basename(name)  # noqa: PTH119 - a name, not a path
    places = sorted(path for path in mapped if os.path.basename(path) == wanted)  # noqa: PTH119
    return {"path": places[0]} if places else {"path": "under another name"}


def ptxas() -> dict[str, str]:
    """The assembler of PTX on PATH, and what it says of itself."""
    path = shutil.which("ptxas")
    if path is None:
        return {}
    said = subprocess.run([path, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode()
    release = re.search(r"release ([\d.]+)", said)
    return {"path": path, "release": release.group(1) if release else said}


def libdevice(flags: str) -> str:
    """The file with NVIDIA's mathematics for XLA, where XLA_FLAGS sends XLA; "" where it is not there."""
    folder = re.search(r"--xla_gpu_cuda_data_dir=(\S+)", flags)
    file = Path(folder.group(1) if folder else "", "nvvm", "libdevice", "libdevice.10.bc")
    return str(file) if file.is_file() and file.stat().st_size else ""


def compiled() -> float:
    """A sum, compiled by XLA for the CPU: XLA ends the process over an XLA_FLAGS that it cannot read."""
    import tensorflow  # noqa: PLC0415 - only now: before, the libraries must open without its help

    double = tensorflow.function(lambda values: tensorflow.reduce_sum(values * 2.0), jit_compile=True)
    return float(double(tensorflow.constant([1.0, 2.0, 3.0])))


Path(answer_file).write_text(json.dumps(answer(question["names"])), encoding="utf-8")  # type: ignore[name-defined] # noqa: F821
