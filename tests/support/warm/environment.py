"""A small environment with real kernels, and a client that starts them like a Jupyter server."""

from __future__ import annotations

import json
import os
import queue
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from colabenv.commands.context import Context
from colabenv.environment.build import Stamp, write_stamp
from colabenv.kernel import register, warm
from colabenv.kernel.spec import kernel_name, kernelspec
from colabenv.system.process import SystemRunner
from support.attach.stacks import Stack, stack_python
from support.timeouts import TIMEOUT, wait_until

NAME, DIGEST = "lesson", "0123456789abcdef"
# Importing it takes until the file `block` beside it is removed.
MODULE = """
import os, time
while os.path.exists(os.path.join(os.path.dirname(__file__), "block")):
    time.sleep(0.01)
PID = os.getpid()
"""


@dataclass
class Environment:
    """An environment as `up` builds it.

    Attributes:
        prefix: its folder, below `root/colabenv`, which is COLABENV_HOME.
        root: a folder of the test.
    """

    prefix: Path
    root: Path

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables of the Jupyter server, and of colabenv in its kernels."""
        own = {"COLABENV_HOME": str(self.root / "colabenv"), "JUPYTER_DATA_DIR": str(self.root / "jupyter")}
        return {**os.environ, **own}

    @property
    def context(self) -> Context:
        """The context for commands."""
        return Context(self.variables)

    @property
    def site(self) -> Path:
        """Its site-packages."""
        return next(self.prefix.glob("lib/python3.*/site-packages"))

    def preload(self, *modules: str) -> None:
        """Configure the modules to preload, and register the kernel."""
        spec = kernelspec(
            name=NAME,
            display_name="Lesson",
            environment=str(self.prefix),
            digest=DIGEST,
            version="1",
            profile="lesson.yaml",
        )
        register.install_launcher(self.prefix, spec, variables={}, preload=modules)
        register.register_kernel(NAME, spec, register.find_kernels_folder(self.variables))

    def start_warm_process(self, *, idle_limit: float = 900.0, ready: bool = True) -> warm.WarmProcess:
        """Start a warm process; by default, wait until its imports are done."""
        assert warm.start_warm_process(self.prefix, self.variables, SystemRunner(), idle_limit) == ""
        if ready:
            wait_until(lambda: self.warm_process().ready, "the end of the imports")
        return self.warm_process()

    def warm_process(self) -> warm.WarmProcess:
        """The warm process, which must exist. Its supervisor may take a while to answer."""
        process = wait_until(lambda: warm.find_warm_process(self.prefix), "an answer of the supervisor")
        assert process is not None
        return process

    @contextmanager
    def held_import(self) -> Iterator[None]:
        """Block the import of `slowmodule` until the end of the block."""
        block = self.site / "block"
        block.touch()
        try:
            yield
        finally:
            block.unlink()

    def server_log(self) -> str:
        """The server's log of the kernels of this environment."""
        return (self.root / "server.log").read_text()

    def log(self) -> str:
        """The log of the warm process."""
        return (self.prefix / "colabenv" / "warm" / "log").read_text()


def make_environment(stack: Stack, root: Path) -> Environment:
    """Create an environment with a stack's packages and the module `slowmodule`, which it preloads."""
    python = stack_python(stack)
    prefix = root / "colabenv" / "envs" / NAME / DIGEST
    subprocess.run([str(python), "-m", "venv", "--without-pip", str(prefix)], check=True)
    environment = Environment(prefix, root)
    packages = next(python.parent.parent.glob("lib/python3.*/site-packages"))
    (environment.site / "stack.pth").write_text(f"{packages}\n")
    (environment.site / "slowmodule.py").write_text(MODULE)
    environment.preload("slowmodule")
    write_stamp(prefix, Stamp(NAME, DIGEST, "3", "cpu", "plain", 0, "uv", 0, "lesson.yaml", "lesson.lock"))
    return environment


@dataclass
class Kernel:
    """A kernel of the environment, started like a Jupyter server does. It ends with the `with` block.

    Attributes:
        environment: its environment.
        variables: environment variables that the server adds.
        candidate: whether it is the candidate kernel, which the check starts.
    """

    environment: Environment
    variables: dict[str, str] = field(default_factory=dict)
    candidate: bool = False

    def __enter__(self) -> Kernel:
        return self

    def start(self) -> Kernel:
        """Start the kernel and wait until it answers."""
        self.launch()
        self.wait_until_ready()
        return self

    def launch(self) -> None:
        """Start the kernel."""
        kernels = register.find_kernels_folder(self.environment.variables)
        if self.candidate:
            kernels = self.environment.prefix / "colabenv" / "kernels"
        specs = KernelSpecManager(kernel_dirs=[str(kernels)], ensure_native_kernel=False)
        self.manager = KernelManager(kernel_name=kernel_name(NAME), kernel_spec_manager=specs)
        self.folder = self.environment.root / "notebooks"
        self.folder.mkdir(exist_ok=True)
        self.log = (self.environment.root / "server.log").open("ab")
        variables = {**self.environment.variables, **self.variables}
        self.manager.start_kernel(stdout=self.log, stderr=self.log, cwd=str(self.folder), env=variables)
        self.client: BlockingKernelClient = self.manager.blocking_client()
        self.client.start_channels()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self.log.close()

    def wait_until_ready(self) -> None:
        """Wait until a started or restarted kernel answers."""
        self.client.wait_for_ready(timeout=TIMEOUT)

    @property
    def pid(self) -> int:
        """The ID of the process that the server started."""
        number: int = self.manager.provisioner.pid  # type: ignore[union-attr]
        return number

    def exit_code(self) -> int | None:
        """Wait until the process that the server started ends; returns its exit code."""
        process: Any = self.manager.provisioner.process  # type: ignore[union-attr]
        wait_until(lambda: process.poll() is not None, "the end of the process that the server started")
        code: int | None = process.poll()
        return code

    def send(self, code: str) -> str:
        """Send a cell; returns the ID of its message."""
        return str(self.client.execute(code, store_history=False))

    def evaluate(self, expression: str) -> Any:
        """Run code whose last line is an expression; returns the value of the expression."""
        *before, last = expression.strip().splitlines()
        output = self.run("\n".join([*before, f"import json as _json\nprint('=' + _json.dumps({last}))"]))
        return json.loads(output.rpartition("=")[2])

    def run(self, code: str) -> str:
        """Run a cell; returns its output and the name of its exception, if any."""
        return self.read_output(self.send(code))

    def read_output(self, msg_id: str, until_text: str = "") -> str:
        """The output of a cell that was sent, until it ends or has printed `until_text`.

        After a failed cell, ipykernel 6.17 aborts the next one if that arrives too early. When it has answered another
        request, it aborts no more.
        """
        output = ""
        failed = False
        while not until_text or until_text not in output:
            try:
                message = self.client.get_iopub_msg(timeout=TIMEOUT)
            except queue.Empty:
                raise AssertionError(f"the cell does not end; its output is {output!r}") from None
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                output += content["text"]
            elif message["msg_type"] == "error":
                output += content["ename"]
                failed = True
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                break
        if failed:
            self.read_output(self.client.kernel_info())
        return output


def wait_for_end(*pids: int) -> bool:
    """Wait until processes have ended."""
    return wait_until(lambda: not any(is_running(pid) for pid in pids), f"the end of processes {pids}")


def is_running(pid: int) -> bool:
    """Whether a process runs. Zombies do not count."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
