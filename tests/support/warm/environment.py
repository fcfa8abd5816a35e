"""A small environment whose kernels are real, and a server's view of one of them."""

from __future__ import annotations

import json
import os
import queue
import subprocess
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
from colabenv.kernel.spec import kernel_name, kernelspec, launcher_settings
from colabenv.system.process import SystemRunner
from support.attach.stacks import Stack, python_of
from support.patience import PATIENCE, until

NAME, DIGEST = "lesson", "0123456789abcdef"
#: Seconds that the module of these tests takes to import.
SLOW = 0.3
MODULE = f"""
import os, time
time.sleep({SLOW})
PID = os.getpid()
SEEN = os.environ.get("FROM_SERVER")
"""


@dataclass
class Environment:
    """An environment, as `up` leaves it behind.

    Attributes:
        prefix: its folder, below `root/colabenv` as COLABENV_HOME.
        root: a folder of the test's.
    """

    prefix: Path
    root: Path

    @property
    def variables(self) -> dict[str, str]:
        """Those of the Jupyter server, and of colabenv below it."""
        own = {"COLABENV_HOME": str(self.root / "colabenv"), "JUPYTER_DATA_DIR": str(self.root / "jupyter")}
        return {**os.environ, **own}

    @property
    def context(self) -> Context:
        """The machine as commands see it."""
        return Context(self.variables)

    @property
    def site(self) -> Path:
        """Its site-packages."""
        return next(self.prefix.glob("lib/python3.*/site-packages"))

    def preload(self, *modules: str) -> None:
        """Write its settings anew."""
        spec = kernelspec(
            name=NAME,
            display_name="Lesson",
            environment=str(self.prefix),
            digest=DIGEST,
            version="1",
            profile="lesson.yaml",
        )
        told = launcher_settings(variables={}, google_colab="", bytecode="", base_python="", preload=modules)
        register.install_launcher(self.prefix, spec, told, NAME)
        register.register_kernel(NAME, spec, register.find_kernels_folder(self.variables))

    def keep(self, *, unused: float = 900.0, ready: bool = True, **variables: str) -> warm.WarmProcess:
        """Have a warm process made, and wait until it has imported."""
        assert (
            warm.start_warm_process(self.prefix, {**self.variables, **variables}, SystemRunner(), unused)
            == ""
        )
        if ready:
            until(lambda: self.waiting().ready, "all is imported")
        return self.waiting()

    def waiting(self) -> warm.WarmProcess:
        """The warm process, which must be there."""
        found = warm.find_warm_process(self.prefix)
        assert found is not None, self.log()
        return found

    def log(self) -> str:
        """What the warm process said."""
        return (self.prefix / "colabenv" / "warm" / "log").read_text()


def made(stack: Stack, root: Path) -> Environment:
    """An environment with a stack's packages and the module `slowmodule`, which a warm process is to import."""
    python = python_of(stack)
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
    """A kernel of the environment, started as a Jupyter server starts it; it ends with the `with` block.

    Attributes:
        environment: where it runs.
        variables: what the server adds.
        candidate: whether it is the one that the proof starts.
    """

    environment: Environment
    variables: dict[str, str] = field(default_factory=dict)
    candidate: bool = False

    def __enter__(self) -> Kernel:
        return self

    def start(self) -> Kernel:
        """Start it, and wait until it answers."""
        self.launch()
        self.again()
        return self

    def launch(self) -> None:
        """Start it."""
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

    def again(self) -> None:
        """Wait until a kernel that was started or restarted answers."""
        self.client.wait_for_ready(timeout=PATIENCE)

    @property
    def pid(self) -> int:
        """The process that the server knows."""
        number: int = self.manager.provisioner.pid  # type: ignore[union-attr]
        return number

    def exit_code(self) -> int | None:
        """What the server learns of its end, once it has ended."""
        process: Any = self.manager.provisioner.process  # type: ignore[union-attr]
        until(lambda: process.poll() is not None, "the process that the server started has ended")
        code: int | None = process.poll()
        return code

    def send(self, code: str) -> str:
        """Begin a cell; the message's number."""
        return str(self.client.execute(code, store_history=False))

    def ask(self, expression: str) -> Any:
        """The value of an expression, after statements on lines before it; JSON."""
        *before, last = expression.strip().splitlines()
        said = self.run("\n".join([*before, f"import json as _json\nprint('=' + _json.dumps({last}))"]))
        return json.loads(said.rpartition("=")[2])

    def run(self, code: str) -> str:
        """What a cell prints; the name of its exception where it has one."""
        return self.result(self.send(code))

    def result(self, number: str) -> str:
        """What a cell that was begun prints until it ends."""
        said = ""
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f"the cell does not end; it said {said!r}") from None
            if message["parent_header"].get("msg_id") != number:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                said += content["text"]
            elif message["msg_type"] == "error":
                said += content["ename"]
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return said


def gone(*pids: int) -> bool:
    """Wait until processes have ended."""
    return until(lambda: not any(alive(pid) for pid in pids), f"processes have ended: {pids}")


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and whom nobody has asked after yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
