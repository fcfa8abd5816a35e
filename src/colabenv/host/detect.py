"""Marks that tell, from files and variables alone, what kind of machine this is. Cheap enough for every start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def detect_host_kind(environ: Mapping[str, str], colab_mark: Path = Path("/var/colab/hostname")) -> str:
    """Colab, another Jupyter, or a terminal, told by the marks each leaves."""
    if environ.get("COLAB_RELEASE_TAG") or colab_mark.exists():
        return "colab"
    if environ.get("JPY_SESSION_NAME") or environ.get("JPY_PARENT_PID"):
        return "jupyter"
    return "terminal"


def read_gpu_signature() -> str:
    """What tells without starting a process whether the GPU is still the same: the driver's own files."""
    try:
        version = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        version = ""
    return f"{version.strip()}|{Path('/dev/nvidia0').exists()}"
