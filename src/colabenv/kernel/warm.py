"""The warm kernel of an environment, from colabenv's side: start one, ask after it, send it away.

What runs in the environment is in handover.py and warm_supervisor.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from colabenv.embedded import handover
from colabenv.errors import MachineError
from colabenv.system.process import Runner

#: Seconds after which a warm process that no kernel took goes away.
UNUSED = 900.0
#: Seconds until the keeper has gone to the background; it takes some 30 ms.
_START_LIMIT = 10.0
#: Seconds for a warm process to be gone, once told.
_END_LIMIT = 3.0


@dataclass(frozen=True)
class WarmProcess:
    """A process that has imported already and waits to be a kernel.

    Attributes:
        modules: what the profile names.
        ready: whether all of it is imported.
        pids: of the keeper and of the process itself.
        seconds: until it goes away unused.
        bytes: memory it holds.
    """

    modules: tuple[str, ...]
    ready: bool
    pids: tuple[int, ...]
    seconds: float
    bytes: int


def start_warm_process(
    prefix: Path, environ: Mapping[str, str], runner: Runner, unused: float = UNUSED
) -> str:
    """Have a process of the environment import what its profile names; does not wait for it.

    Args:
        prefix: folder of the environment.
        environ: what colabenv inherited.
        runner: starts it. It goes to the background by itself, so it outlives colabenv.
        unused: seconds after which one that no kernel took goes away.

    Returns:
        Why there is none; empty where it is on its way.
    """
    argv = [f"{prefix}/bin/python", "-I", "-S", f"{prefix}/colabenv/launcher.py", "--keep", str(unused)]
    try:
        done = runner.run(argv, env=read_server_variables(environ), timeout=_START_LIMIT)
    except MachineError as error:
        return error.message
    said = done.errors.strip().splitlines()
    return "" if done.returncode == 0 else (said[-1] if said else f"exit status {done.returncode}")


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
    """Send the warm process of an environment away and see it gone; False where there was none.

    One that has become a kernel is left alone.
    """
    try:
        with handover.connect_to_supervisor(str(prefix), _END_LIMIT) as connection:
            handover.send_message(connection, {"end": True})
            connection.recv(1)
    except (handover.NoWarmKernelError, OSError):
        return False
    return True


def read_server_variables(environ: Mapping[str, str], proc: Path = Path("/proc")) -> dict[str, str]:
    """The variables that the next kernel will be started with, as far as one can tell.

    Below a notebook's kernel they are those of the server. What a cell set with `%env` reaches colabenv, but no new
    kernel.
    """
    own = dict(environ)
    server = environ.get("JPY_PARENT_PID", "")
    if not server.isdecimal():
        return own
    try:
        raw = (proc / server / "environ").read_bytes()
    except OSError:
        return own
    found = dict(
        os.fsdecode(entry).split("=", 1) for entry in raw.split(b"\0") if b"=" in entry and entry[:1] != b"="
    )
    # Another program may have that number by now, or have overwritten its variables.
    return found if found.get("HOME") == own.get("HOME") and found.get("PATH") else own
