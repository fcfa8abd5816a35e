"""Open CUDA libraries and find what XLA compiles with. Runs in a kernel that has not imported TensorFlow.

The sender defines `arguments` (`names`: libraries to open) and `answer_file`, where the answer is written as JSON.
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


def collect(names: list[str]) -> dict[str, Any]:
    """The result that criteria.check_cuda reads."""
    opened = {name: open_library(name) for name in names}
    wheels = sorted(Path(sys.prefix).glob("lib/python*/site-packages/nvidia/*/lib/*.so*"))
    answers = {str(path.relative_to(sys.prefix)): open_library(str(path)) for path in wheels}
    return {
        "opened": opened,
        "wheel_libraries": len(wheels),
        "wheel_errors": {name: answer["error"] for name, answer in answers.items() if "error" in answer},
        "ptxas": find_ptxas(),
        "libdevice": find_libdevice(os.environ.get("XLA_FLAGS", "")),
        "compiled": run_compiled_sum(),
    }


def open_library(name: str) -> dict[str, str]:
    """The "path" at which the dynamic loader found a library, or its "error"."""
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return {"error": str(error)}
    mapped = {
        line.split(maxsplit=5)[5] for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line
    }
    file_name = os.path.basename(name)  # noqa: PTH119 - a name, not a path
    paths = sorted(path for path in mapped if os.path.basename(path) == file_name)  # noqa: PTH119
    return {"path": paths[0]} if paths else {"path": "under another name"}


def find_ptxas() -> dict[str, str]:
    """The path and the release of the PTX assembler on PATH; empty if there is none."""
    path = shutil.which("ptxas")
    if path is None:
        return {}
    output = subprocess.run([path, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode()
    release = re.search(r"release ([\d.]+)", output)
    return {"path": path, "release": release.group(1) if release else output}


def find_libdevice(flags: str) -> str:
    """The path of libdevice, NVIDIA's math functions, in the folder that XLA_FLAGS names; "" if it is missing."""
    folder = re.search(r"--xla_gpu_cuda_data_dir=(\S+)", flags)
    file = Path(folder.group(1) if folder else "", "nvvm", "libdevice", "libdevice.10.bc")
    return str(file) if file.is_file() and file.stat().st_size else ""


def run_compiled_sum() -> float:
    """A sum compiled by XLA for the CPU: XLA aborts the process if it cannot parse XLA_FLAGS."""
    import tensorflow  # noqa: PLC0415 - the libraries above must open without it

    double = tensorflow.function(lambda values: tensorflow.reduce_sum(values * 2.0), jit_compile=True)
    return float(double(tensorflow.constant([1.0, 2.0, 3.0])))


Path(answer_file).write_text(json.dumps(collect(arguments["names"])), encoding="utf-8")  # type: ignore[name-defined] # noqa: F821
