"""What kind of machine this is, from files and variables alone. Cheap enough for every start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def detect_host_kind(environ: Mapping[str, str], colab_mark: Path = Path("/var/colab/hostname")) -> str:
    """The kind of this machine: "colab", "jupyter" (a notebook elsewhere) or "terminal"."""
    if environ.get("COLAB_RELEASE_TAG") or colab_mark.exists():
        return "colab"
    if environ.get("JPY_SESSION_NAME") or environ.get("JPY_PARENT_PID"):
        return "jupyter"
    return "terminal"


def read_gpu_signature() -> str:
    """The GPU as the driver's own files show it, to detect a change without starting a process."""
    try:
        version = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        version = ""
    return f"{version.strip()}|{Path('/dev/nvidia0').exists()}"
