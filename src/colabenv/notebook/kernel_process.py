"""Starts an environment's kernel from the notebook's kernel, and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from colabenv.errors import MachineError, UsageError
from colabenv.kernel.spec import PREFIX

# A unix socket's path has at most 107 bytes; the name of the private folder and "/k-5" take about 40 of them.
_MAX_FOLDER_LENGTH = 60
_BUILD_AGAIN = "Build it again with `%colabenv up PROFILE`."


@dataclass(frozen=True)
class Endpoints:
    """Where a kernel listens: one ZeroMQ address per channel."""

    shell: str
    iopub: str
    stdin: str
    control: str


@dataclass
class KernelProcess:
    """A started kernel."""

    endpoints: Endpoints
    process: Any  # the `subprocess.Popen` that jupyter_client made
    folder: Path  # a private one, with the sockets, the connection file and the log
    spec: dict[str, Any]
    manager: Any  # kept because it deletes the connection file when it is garbage-collected

    def read_exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        code: int | None = self.process.poll()
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel and the processes that it started, as Jupyter does, unless it has ended."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def read_log_tail(self) -> str:
        """The last lines that it wrote to standard output and standard error."""
        with contextlib.suppress(OSError):
            return "\n".join((self.folder / "kernel.log").read_text(errors="replace").splitlines()[-12:])
        return ""

    def end(self, grace: float) -> None:
        """End the kernel and its processes after at most `grace` seconds to end by itself, and remove its folder."""
        deadline = time.monotonic() + grace
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def find_kernel_name(name: str) -> str:
    """The name of the kernelspec for the name of an environment, or of any kernelspec.

    Raises:
        UsageError: there is none; the hint lists the environments that exist.
    """
    from jupyter_client.kernelspec import KernelSpecManager  # noqa: PLC0415 - keeps `import colabenv` cheap

    known = KernelSpecManager().find_kernel_specs()
    for candidate in (PREFIX + name, name):
        if candidate in known:
            return candidate
    names = ", ".join(sorted(spec.removeprefix(PREFIX) for spec in known if spec.startswith(PREFIX)))
    hint = f"Environments on this machine: {names}." if names else "Build one with `%colabenv up PROFILE`."
    raise UsageError(f"There is no environment '{name}' on this machine.", hint=hint)


def read_kernelspec(kernel_name: str) -> dict[str, Any]:
    """A kernelspec as plain data: argv, env, display name, interrupt mode. Raises `UsageError` if it does not exist."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel  # noqa: PLC0415

    try:
        spec: dict[str, Any] = KernelSpecManager().get_kernel_spec(kernel_name).to_dict()
    except NoSuchKernel:
        message = f"The kernel '{kernel_name}' is no longer registered on this machine."
        raise UsageError(message, hint=_BUILD_AGAIN) from None
    return spec


def start_kernel(kernel_name: str, key: bytes, scheme: str, session: str) -> KernelProcess:
    """Start a kernel in the current folder; it listens on unix sockets in a private folder.

    Must be called in a thread that runs no event loop. `key`, `scheme` (such as `hmac-sha256`) and `session` are those
    of the notebook's messages. Only colabenv's own kernels get the session, because others may not know the option.

    Raises:
        UsageError: there is no such kernelspec.
        MachineError: its program cannot be started.
    """
    spec = read_kernelspec(kernel_name)
    folder = _make_private_folder()
    options = [f"--Session.session={session}"] if kernel_name.startswith(PREFIX) else []
    try:
        with (folder / "kernel.log").open("wb") as log:
            manager = asyncio.run(_start(kernel_name, key, scheme, folder, log, options))
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        message = f"The kernel '{kernel_name}' could not be started: {error}."
        raise MachineError(message, hint=_BUILD_AGAIN) from error
    info = manager.get_connection_info()
    address = {
        channel: f"{info['transport']}://{info['ip']}-{info[channel + '_port']}"
        for channel in ("shell", "iopub", "stdin", "control")
    }
    return KernelProcess(Endpoints(**address), manager.provisioner.process, folder, spec, manager)


async def _start(
    kernel_name: str, key: bytes, scheme: str, folder: Path, log: IO[bytes], options: list[str]
) -> Any:
    """Let jupyter_client start the process and fill in the spec's placeholders.

    `KernelManager` would patch asyncio for the whole process. The kernel's stdout and stderr go to a file, because the
    notebook's kernel shows what is written to its own, and a published line would appear twice.
    """
    from jupyter_client.manager import AsyncKernelManager  # noqa: PLC0415

    manager: Any = AsyncKernelManager(kernel_name=kernel_name, transport="ipc", ip=str(folder / "k"))
    manager.connection_file = str(folder / "connection.json")
    manager.session.key = key
    manager.session.signature_scheme = scheme
    if manager.has_trait("transport_encryption"):
        manager.transport_encryption = "disabled"  # only this user can enter the sockets' folder
    await manager.start_kernel(stdout=log, stderr=log, cwd=str(Path.cwd()), extra_arguments=options)
    # The manager has opened a control socket, which nothing uses here. If it is still open when the notebook's kernel
    # exits, the garbage collector may end its context first, which waits for the socket forever.
    manager.context.destroy(linger=0)
    return manager


def _make_private_folder() -> Path:
    """A new folder that only this user can enter, with a path short enough for a unix socket."""
    parent = tempfile.gettempdir()
    if len(parent) >= _MAX_FOLDER_LENGTH:
        parent = "/tmp"  # noqa: S108
    return Path(tempfile.mkdtemp(prefix="colabenv-", dir=parent))
