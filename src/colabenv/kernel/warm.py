"""Starts, finds and ends the warm process of an environment (embedded/handover.py, embedded/warm_supervisor.py)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from colabenv.embedded import handover
from colabenv.errors import MachineError
from colabenv.system.process import Runner

IDLE_LIMIT = 900.0  # seconds after which a warm process ends if no kernel takes it
_START_LIMIT = 10.0  # seconds until the supervisor has gone to the background; it takes some 30 ms
_END_LIMIT = 3.0  # seconds until a warm process has ended


@dataclass(frozen=True)
class WarmProcess:
    """A process that imports the modules of `kernel.preload` and waits to become a kernel.

    `pids` are the supervisor's and its own, `seconds` are left until it ends unused, and `bytes` is the memory it uses.
    """

    modules: tuple[str, ...]
    ready: bool
    pids: tuple[int, ...]
    seconds: float
    bytes: int


def start_warm_process(
    prefix: Path, environ: Mapping[str, str], runner: Runner, idle_limit: float = IDLE_LIMIT
) -> str:
    """Start a warm process in the background, which outlives colabenv; returns why it did not start, or "".

    It ends after `idle_limit` seconds if no kernel takes it. Its imports continue after this returns.
    """
    argv = [f"{prefix}/bin/python", "-I", "-S", f"{prefix}/colabenv/launcher.py", "--keep", str(idle_limit)]
    try:
        process = runner.run(argv, env=read_server_variables(environ), timeout=_START_LIMIT)
    except MachineError as error:
        return error.message
    if process.returncode == 0:
        return ""
    return (process.errors.strip().splitlines() or [f"exit status {process.returncode}"])[-1]


def find_warm_process(prefix: Path) -> WarmProcess | None:
    """The warm process of an environment, or None."""
    try:
        with handover.connect_to_supervisor(str(prefix)) as connection:
            handover.send_message(connection, {"ask": True})
            state, _ = handover.receive_message(connection)
        return WarmProcess(
            modules=tuple(state["modules"]),
            ready=bool(state["ready"]),
            pids=tuple(state["pids"]),
            seconds=float(state["left"]),
            bytes=int(state["bytes"]),
        )
    except (handover.NoWarmKernelError, OSError, EOFError, ValueError, KeyError, TypeError):
        return None


def end_warm_process(prefix: Path) -> bool:
    """End the warm process of an environment, and wait for its end; False if there was none. A kernel continues."""
    try:
        with handover.connect_to_supervisor(str(prefix), _END_LIMIT) as connection:
            handover.send_message(connection, {"end": True})
            connection.recv(1)
    except (handover.NoWarmKernelError, OSError):
        return False
    return True


def read_server_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that the next kernel is likely to start with.

    In a notebook these are the server's: what a cell sets with `%env` reaches colabenv, but not a new kernel.
    """
    own = dict(environ)
    server = environ.get("JPY_PARENT_PID", "")
    if not server.isdecimal():
        return own
    try:
        raw = Path("/proc", server, "environ").read_bytes()
    except OSError:
        return own
    entries = (os.fsdecode(entry).split("=", 1) for entry in raw.split(b"\0"))
    inherited = {entry[0]: entry[1] for entry in entries if len(entry) == 2 and entry[0]}
    # The number may belong to another program by now, or the server may have overwritten its variables.
    return inherited if inherited.get("HOME") == own.get("HOME") and inherited.get("PATH") else own
