"""A minimal notebook front end: it starts a kernel and runs cells."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from support.attach.stacks import ENVIRONMENT, REPOSITORY, TODAY, Stack, stack_python
from support.timeouts import TIMEOUT

Message = dict[str, Any]
Answer = Callable[[Message], Any]

_RUN = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]


@dataclass
class Cell:
    """The messages of one cell."""

    msg_id: str
    output: list[Message] = field(default_factory=list)
    questions: list[Message] = field(default_factory=list)
    reply: Message = field(default_factory=dict)

    def kinds(self) -> list[str]:
        """The types of the iopub messages, in order."""
        return [message["header"]["msg_type"] for message in self.output]

    def contents(self, kind: str) -> list[Message]:
        """The contents of the iopub messages of one type."""
        return [message["content"] for message in self.output if message["header"]["msg_type"] == kind]

    def text(self, name: str = "stdout") -> str:
        """Everything written to a stream."""
        return "".join(part["text"] for part in self.contents("stream") if part["name"] == name)

    def value(self) -> str:
        """The last line's value as plain text."""
        (result,) = self.contents("execute_result")
        return str(result["data"]["text/plain"])

    @property
    def status(self) -> str:
        """The status of the reply."""
        return str(self.reply["content"]["status"])


class Notebook:
    """A notebook kernel on one of the stacks, with environments to attach to.

    Args:
        stack: the stack of the notebook's kernel.
        folder: where the kernelspecs and the working directory go.
    """

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.folder = folder
        self.register_kernel(
            "outer", [str(stack_python(stack)), *_RUN], {"PYTHONPATH": str(REPOSITORY / "src")}
        )
        self.register_kernel("colabenv-demo", [str(stack_python(ENVIRONMENT)), *_RUN])
        self.register_kernel("colabenv-newer", [str(stack_python(TODAY)), *_RUN])
        (folder / "work").mkdir(exist_ok=True)
        specs = KernelSpecManager(kernel_dirs=[str(folder / "kernels")])
        # Unix sockets, as on Colab: a tcp port may be taken between its choice and its use.
        # In memory, because IPython's history is there too, and each commit to it would wait for the disk.
        self._private = tempfile.mkdtemp(
            prefix="page-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        )
        self.manager = KernelManager(
            kernel_name="outer", kernel_spec_manager=specs, transport="ipc", ip=f"{self._private}/k"
        )
        self.manager.shutdown_wait_time = TIMEOUT
        self.client: BlockingKernelClient
        self.cell = Cell("")

    def register_kernel(self, name: str, argv: list[str], env: dict[str, str] | None = None) -> None:
        """Register a kernel. Kernels of environments do not get the notebook's PYTHONPATH."""
        folder = self.folder / "kernels" / name
        folder.mkdir(parents=True, exist_ok=True)
        data = {"argv": argv, "display_name": name, "language": "python", "env": env or {"PYTHONPATH": ""}}
        (folder / "kernel.json").write_text(json.dumps(data))

    def __enter__(self) -> Notebook:
        env = os.environ | {"JUPYTER_PATH": str(self.folder), "IPYTHONDIR": f"{self._private}/ipython"}
        env.pop("PYTEST_CURRENT_TEST", None)  # ipykernel behaves differently if this is set
        self.manager.start_kernel(env=env, cwd=str(self.folder / "work"))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT)
        iopub: Any = self.client.iopub_channel.socket
        iopub.rcvhwm = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=False)
        shutil.rmtree(self._private, ignore_errors=True)

    def load(self, name: str = "demo") -> Cell:
        """Load the extension and attach."""
        assert self.run("%load_ext colabenv.notebook.magics").status == "ok"
        cell = self.run(f"%colabenv attach {name}")
        assert cell.status == "ok", cell.output
        return cell

    def send(self, kind: str, content: Message, **more: Any) -> str:
        """Send any message on the shell channel."""
        header = more.pop("header", {})
        message = self.client.session.msg(kind, content)
        message["header"].update(header)
        message.update(more)
        channel: Any = self.client.shell_channel
        channel.send(message)
        return str(message["header"]["msg_id"])

    def submit(self, code: str, **fields: Any) -> str:
        """Send a cell and do not wait for it."""
        content = {"silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True}
        return self.send("execute_request", {"code": code, "stop_on_error": True, **content, **fields})

    def run(
        self, code: str, *, answer: Answer | None = None, timeout: float = TIMEOUT, **fields: Any
    ) -> Cell:
        """Run a cell to its end, and after an error wait until the kernel accepts the next cell."""
        cell = self.finish(self.submit(code, **fields), answer=answer, timeout=timeout)
        if cell.status != "ok":
            self.settle()
        return cell

    def finish(self, msg_id: str, *, answer: Answer | None = None, timeout: float = TIMEOUT) -> Cell:
        """Wait for the end of a cell that was sent; `answer` is called with every question and request."""
        self.cell = cell = Cell(msg_id)
        deadline = time.monotonic() + timeout
        while not cell.reply or not self.idle(cell):
            assert time.monotonic() < deadline, f"the cell did not end within {timeout} s: {cell}"
            self._questions(cell, answer)
            self.take_output(cell, answer)
            self._reply(cell)
        return cell

    def idle(self, cell: Cell) -> bool:
        """Whether the kernel has reported the end of the cell."""
        return any(content["execution_state"] == "idle" for content in cell.contents("status"))

    def settle(self) -> None:
        """Wait until the kernel no longer aborts cells because of one that has failed.

        ipykernel 6.17 replies to a failed cell first and stops aborting in the next iteration of its loop. A cell that
        arrives in between is aborted too; this happened to one cell in forty. The kernel answers this request anyway,
        and only after it has stopped aborting.
        """
        self.request("kernel_info_request", {})

    def request(self, kind: str, content: Message, timeout: float = TIMEOUT, **more: Any) -> Message:
        """Send a request and return its reply's content."""
        msg_id = self.send(kind, content, **more)
        return dict(self.finish(msg_id, timeout=timeout).reply["content"])

    def send_and_wait(self, kind: str, content: Message, timeout: float = TIMEOUT, **more: Any) -> Cell:
        """Send a message that has no reply, and wait until the kernel is idle again."""
        cell = Cell(self.send(kind, content, **more), reply={"content": {"status": "none"}})
        deadline = time.monotonic() + timeout
        while not self.idle(cell):
            assert time.monotonic() < deadline, cell
            self.take_output(cell)
        return cell

    def gate(self) -> tuple[Path, str]:
        """A file to create, and code that waits for it and one second more.

        Cells that are sent before the file exists are in the kernel's queue when the code continues.
        """
        file = self.folder / f"gate-{uuid.uuid4().hex}"
        wait = f"import os, time\nwhile not os.path.exists({str(file)!r}): time.sleep(0.01)\ntime.sleep(1)\n"
        return file, wait

    def stream(self) -> Message:
        """The next stream message, whatever cell it belongs to; earlier messages are dropped."""
        while True:
            message: Message = self.client.get_iopub_msg(timeout=TIMEOUT)
            if message["header"]["msg_type"] == "stream":
                return message

    def more_output(self, seconds: float) -> list[Message]:
        """The iopub messages of the next seconds, whatever cell they belong to."""
        messages = []
        deadline = time.monotonic() + seconds
        with contextlib.suppress(queue.Empty):
            while (left := deadline - time.monotonic()) > 0:
                messages.append(self.client.get_iopub_msg(timeout=left))
        return messages

    def take_output(self, cell: Cell, answer: Answer | None = None) -> Cell:
        """Add the iopub messages so far, up to the cell's end; `answer` is called with every request."""
        try:
            while True:
                message = self.client.get_iopub_msg(timeout=0.01)
                # As in Colab's page: a request may name only the session.
                request = message["header"]["msg_type"] == "colab_request"
                if request and answer:
                    self._answer(answer(message), message)
                if message["parent_header"].get("msg_id") != cell.msg_id:
                    continue
                cell.output.append(message)
                if self.idle(Cell("", [message])):
                    return cell
        except queue.Empty:
            return cell

    def _questions(self, cell: Cell, answer: Answer | None) -> None:
        try:
            message = self.client.get_stdin_msg(timeout=0)
        except queue.Empty:
            return
        cell.questions.append(message)
        assert answer, message
        self._answer(answer(message), message)

    def _answer(self, value: Any, parent: Message) -> None:
        message = self.client.session.msg("input_reply", {"value": value}, parent)
        channel: Any = self.client.stdin_channel
        channel.send(message)

    def _reply(self, cell: Cell) -> None:
        try:
            message = self.client.get_shell_msg(timeout=0)
        except queue.Empty:
            return
        if message["parent_header"].get("msg_id") == cell.msg_id:
            cell.reply = message
