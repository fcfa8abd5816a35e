"""Start an environment's kernel from the notebook's kernel, and end it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from colabenv.errors import MachineError, UsageError

PREFIX = "colabenv-"
# A unix socket's path holds 107 bytes; a folder name of ours and "/k-5" need about 40 of them.
_LONGEST_FOLDER = 60


@dataclass(frozen=True)
class Endpoints:
    """Where a kernel listens: one ZeroMQ address per channel."""

    shell: str
    iopub: str
    stdin: str
    control: str


class Process(Protocol):
    """What of `subprocess.Popen` is used; jupyter_client makes it."""

    pid: int

    def poll(self) -> int | None:
        """The return code, or None while it runs."""

    def wait(self) -> int:
        """Wait for the end."""


@dataclass
class KernelProcess:
    """A started kernel.

    Args:
        endpoints: its addresses.
        process: the operating system's process.
        folder: its private folder with the sockets, the connection file and what it wrote to its log.
        spec: the kernelspec it was started from, as plain data.
        manager: jupyter_client's manager, kept only because it deletes the connection file when it is
            forgotten, which may be before the kernel has read it.
    """

    endpoints: Endpoints
    process: Process
    folder: Path
    spec: dict[str, Any]
    manager: Any

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def code(self) -> int | None:
        """The return code, or None while it runs."""
        return self.process.poll()

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel and to what it started, as Jupyter does; none if it has ended."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def log_tail(self, lines: int = 12) -> str:
        """The last lines it wrote outside of Jupyter's channels; empty if there are none."""
        with contextlib.suppress(OSError):
            text = (self.folder / "kernel.log").read_text(errors="replace")
            return "\n".join(text.splitlines()[-lines:])
        return ""

    def end(self, grace: float) -> None:
        """Make sure that it and what it started are gone, and its folder too.

        Args:
            grace: seconds it is given to end by itself.
        """
        deadline = time.monotonic() + grace
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


KernelStarter = Callable[[str, bytes, str, str], KernelProcess]


def find_kernel_name(name: str) -> str:
    """The kernelspec of an environment.

    Args:
        name: the environment's name, or the whole name of any kernelspec.

    Returns:
        The name to start it by.

    Raises:
        UsageError: if there is none; the hint lists those that there are.
    """
    from jupyter_client.kernelspec import KernelSpecManager  # noqa: PLC0415 - keeps the import free

    known = KernelSpecManager().find_kernel_specs()
    for candidate in (PREFIX + name, name):
        if candidate in known:
            return candidate
    ours = ", ".join(sorted(spec.removeprefix(PREFIX) for spec in known if spec.startswith(PREFIX)))
    hint = f"There are: {ours}." if ours else "Build one with `%colabenv up PROFILE`."
    raise UsageError(f"There is no environment '{name}' on this machine.", hint=hint)


def read_kernelspec(kernel_name: str) -> dict[str, Any]:
    """A kernelspec as plain data: argv, env, display name, interrupt mode.

    Raises:
        UsageError: if it is not there, or not any more.
    """
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel  # noqa: PLC0415

    try:
        spec: dict[str, Any] = KernelSpecManager().get_kernel_spec(kernel_name).to_dict()
    except NoSuchKernel:
        message = f"The kernel '{kernel_name}' is not registered on this machine any more."
        raise UsageError(message, hint="Build it again with `%colabenv up PROFILE`.") from None
    return spec


def start_kernel(kernel_name: str, key: bytes, scheme: str, session: str) -> KernelProcess:
    """Start a kernel in the current folder, talking over unix sockets in a folder of its own.

    Must be called in a thread that runs no event loop.

    Args:
        kernel_name: the kernelspec to start.
        key: the key to sign messages with, here always the notebook's own.
        scheme: how messages are signed, such as `hmac-sha256`.
        session: what the kernel's messages name as their session, here always the notebook's own. Only
            environments of colabenv take it: another kernelspec's program may not know the option.

    Raises:
        UsageError: if there is no such kernelspec.
        MachineError: if its program cannot be started.
    """
    spec = read_kernelspec(kernel_name)
    folder = _private_folder()
    options = [f"--Session.session={session}"] if kernel_name.startswith(PREFIX) else []
    try:
        with (folder / "kernel.log").open("wb") as log:
            manager = asyncio.run(_start(kernel_name, key, scheme, folder, log, options))
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        message = f"The kernel '{kernel_name}' could not be started: {error}."
        raise MachineError(message, hint="Build it again with `%colabenv up PROFILE`.") from error
    info = manager.get_connection_info()
    address = {
        channel: f"{info['transport']}://{info['ip']}-{info[channel + '_port']}"
        for channel in ("shell", "iopub", "stdin", "control")
    }
    return KernelProcess(Endpoints(**address), manager.provisioner.process, folder, spec, manager)


async def _start(
    kernel_name: str, key: bytes, scheme: str, folder: Path, log: IO[bytes], options: list[str]
) -> Any:
    """Let jupyter_client start the process; it fills in the spec's placeholders.

    Its asynchronous manager is used because the plain one patches asyncio for the whole process.
    The kernel's own stdout and stderr go to a file: the notebook's kernel shows whatever is written to
    its own, so a line that the environment's kernel publishes would be seen twice.
    """
    from jupyter_client.manager import AsyncKernelManager  # noqa: PLC0415 - keeps the import free

    manager: Any = AsyncKernelManager(kernel_name=kernel_name, transport="ipc", ip=str(folder / "k"))
    manager.connection_file = str(folder / "connection.json")
    manager.session.key = key
    manager.session.signature_scheme = scheme
    if manager.has_trait("transport_encryption"):
        manager.transport_encryption = "disabled"  # the sockets lie in a folder only this user can enter
    await manager.start_kernel(stdout=log, stderr=log, cwd=str(Path.cwd()), extra_arguments=options)
    return manager


def _private_folder() -> Path:
    """A new folder only this user can enter, with a path short enough for a unix socket."""
    parent = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="colabenv-", dir=parent if len(parent) < _LONGEST_FOLDER else "/tmp"))  # noqa: S108
