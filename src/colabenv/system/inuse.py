"""Which programs run in an environment, by Linux' /proc (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path


def users_of(prefix: Path, proc: Path = Path("/proc")) -> list[int]:
    """Processes whose command line or VIRTUAL_ENV names the environment; other people's count where one may look.

    Args:
        prefix: folder of the environment.
        proc: where the system tells of processes.
    """
    whole = os.fsencode(prefix)
    found = []
    for folder in proc.glob("[0-9]*"):
        if int(folder.name) == os.getpid():
            continue
        command, variables = _read(folder / "cmdline"), _read(folder / "environ")
        runs = any(word == whole or word.startswith(whole + b"/") for word in command.split(b"\0"))
        if runs or b"VIRTUAL_ENV=" + whole in variables.split(b"\0"):
            found.append(int(folder.name))
    return sorted(found)


def _read(path: Path) -> bytes:
    """A file of /proc; nothing where the process is gone or somebody else's."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
