"""An environment's kernel as the notebook sees it: one thread owns every socket to it."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any

from colabenv.errors import ColabenvError, MachineError
from colabenv.kernel.spec import PREFIX
from colabenv.notebook import messages
from colabenv.notebook.channels import Bell, Channels
from colabenv.notebook.kernel_process import KernelProcess, start_kernel
from colabenv.notebook.messages import Frames
from colabenv.notebook.page import NotebookPage

_CHECK_INTERVAL = 0.25  # seconds between two checks whether the process still runs
_START_LIMIT = 90.0  # seconds until a kernel must answer
_EVALUATION_LIMIT = 10.0  # seconds for an expression
# ipykernel keeps at most 1000 unsent messages and drops the rest. The thread that owns the socket may change that while
# it is open.
_REMOVE_OUTPUT_LIMIT = (
    "(lambda thread: thread.schedule(lambda: setattr(thread.socket, 'sndhwm', 0)))"
    "(get_ipython().kernel.iopub_thread)"
)
_RESTART = "`%colabenv restart` starts it again; `%colabenv detach` goes back to Colab's own Python."


class KernelEndedError(MachineError):
    """The environment's kernel has ended; with a `return_code`, not because colabenv ended it."""

    return_code: int | None = None


@dataclass
class Request:
    """A forwarded message (from `messages.forwarded_request`) without a complete answer."""

    message: dict[str, Any]
    wants_reply: bool = True  # false for comm messages, which end with the kernel's `idle` alone
    idents: Frames = field(default_factory=list)  # where the page's answers to `input()` come from
    foreground: bool = False  # whether answers from the page go to this request's kernel while it runs
    done: Future[Frames] = field(default_factory=Future)  # the reply's frames; empty if none is wanted
    reply: Frames | None = None
    idle: bool = False
    started: bool = False  # whether the kernel runs the cell, or has run it

    @property
    def msg_id(self) -> str:
        """The id that answers name as their parent."""
        return str(self.message["header"]["msg_id"])


class EnvironmentKernel:
    """A kernel in an environment, for the page of the notebook's own kernel."""

    def __init__(self, kernel_name: str, page: NotebookPage) -> None:
        self.kernel_name = kernel_name
        self.name = kernel_name.removeprefix(PREFIX)
        self.info: dict[str, Any] = {}
        self.comms: set[str] = set()
        #: Whether a cell that it ran contains code that ends its own process.
        self.may_end_itself = False
        self._page = page
        self._process: KernelProcess | None = None
        self._error: ColabenvError | None = None
        self._ready = threading.Event()
        self._stopping = False
        self._grace = 3.0
        self._queue: deque[Request] = deque()
        self._interrupts: deque[dict[str, Any]] = deque()
        self._pending: dict[str, Request] = {}
        self._lock = threading.Lock()
        self._foreground: Request | None = None
        self._bell = Bell()
        self._thread = threading.Thread(target=self._run, name=f"colabenv {self.name}", daemon=True)

    # Called by the notebook's kernel

    def start(self) -> None:
        """Start the kernel, or wait for a start in progress; returns at once if it runs.

        Raises:
            UsageError: its kernelspec does not exist.
            MachineError: it cannot be started, or does not answer in time.
            KernelEndedError: it was running and has ended.
        """
        with self._lock:
            if not self._thread.ident:
                self._thread.start()
        try:
            self._ready.wait()
        except KeyboardInterrupt:
            self._stopping = True
            raise
        if self._error:
            raise self._error

    def submit(self, request: Request) -> None:
        """Forward a request; its future is done when the page has the reply and all output before it.

        If the kernel ends first, the future raises `KernelEndedError`.
        """
        with self._lock:
            if self._error is None:
                self._queue.append(request)
                self._bell.ring()
                return
        request.done.set_exception(self._error)

    def evaluate(self, expression: str) -> str:
        """The `repr` of an expression in an idle kernel, or "" if it fails; raises `MachineError` without an answer."""
        content = {"code": "", "silent": True, "store_history": False, "allow_stdin": False}
        content |= {"user_expressions": {"value": expression}}
        request = Request(self._page.new_request("execute_request", content))
        self.submit(request)
        try:
            reply = messages.read_content(request.done.result(timeout=_EVALUATION_LIMIT))
        except FutureTimeoutError:
            raise MachineError(f"The kernel of '{self.name}' did not answer.", hint=_RESTART) from None
        value = reply.get("user_expressions", {}).get("value", {})
        return str(value.get("data", {}).get("text/plain", ""))

    def interrupt(self) -> None:
        """Interrupt the running code, or cancel a start in progress; safe in a signal handler."""
        if not self._ready.is_set():
            self._stopping = True
        elif self._process and self._process.spec.get("interrupt_mode") == "message":
            self._interrupts.append(self._page.new_request("interrupt_request", {}))
        elif self._process:
            self._process.send_signal(signal.SIGINT)
        self._bell.ring()

    def stop(self, grace: float = 3) -> None:
        """End the kernel and wait for it; it has `grace` seconds to shut down by itself."""
        self._grace = grace
        self._stopping = True
        self._bell.ring()
        if self._thread.ident:
            self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the kernel has started and is still running."""
        return self._ready.is_set() and self._error is None

    @property
    def pid(self) -> int | None:
        """The process id, once there is one."""
        return self._process.process.pid if self._process else None

    @property
    def spec(self) -> dict[str, Any]:
        """The kernelspec that it was started from; empty before the start."""
        return self._process.spec if self._process else {}

    # Run by its own thread

    def _run(self) -> None:
        try:
            self._open()
            while not self._stopping:
                self._serve_once(_CHECK_INTERVAL)
                self._raise_if_ended()
        except ColabenvError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever happens, no cell may wait for ever
            message = f"The connection to the kernel of '{self.name}' failed: {error!r}."
            self._fail(MachineError(message, hint=_RESTART))
        finally:
            self._close()

    def _open(self) -> None:
        """Start the kernel, and wait until it answers requests *and* its output arrives, which needs a subscription."""
        self._process = start_kernel(self.kernel_name, self._page.key, self._page.scheme, self._page.session)
        self._channels = Channels(self._process.endpoints, self._bell)
        deadline = time.monotonic() + _START_LIMIT
        while not self.info:
            self.info = self._ask("kernel_info_request", {}, wait=0.25)
            if time.monotonic() > deadline:
                raise MachineError(
                    f"The kernel of '{self.name}' did not answer within {_START_LIMIT:.0f} seconds.",
                    hint=_RESTART,
                    detail=self._process.read_log_tail(),
                )
        self._pending.clear()
        if self.info.get("implementation") == "ipython":
            content = {"code": _REMOVE_OUTPUT_LIMIT, "silent": True, "store_history": False}
            self._ask("execute_request", content | {"allow_stdin": False, "user_expressions": {}}, wait=5.0)
        self._ready.set()

    def _ask(self, kind: str, content: dict[str, Any], *, wait: float) -> dict[str, Any]:
        """Send a request that is not the page's; returns the reply's content, or {} if none arrives in time."""
        request = Request(self._page.new_request(kind, content))
        self._send(request)
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline:
            self._serve_once(0.05)
            if self._stopping:
                raise MachineError(f"The start of '{self.name}' was interrupted.", hint=_RESTART)
            self._raise_if_ended()
            if request.done.done():
                return messages.read_content(request.done.result())
        return {}

    def _serve_once(self, timeout: float) -> None:
        """Forward the messages that have arrived in each direction, output before the replies that follow it."""
        ready = self._channels.wait(timeout)
        if "bell" in ready:
            self._bell.clear()
            self._forward_requests()
        if "control" in ready:
            self._channels.receive("control")
        if ready & {"iopub", "stdin", "shell"}:
            self._forward_output()
        if "shell" in ready:
            self._take_replies()
        if "stdin" in ready:
            self._forward_questions()
        if "page" in ready and self._foreground:
            self._forward_answers()

    def _raise_if_ended(self) -> None:
        code = self._process.read_exit_code() if self._process else None
        if code is None:
            return
        self._forward_output(wait=0.1)
        self._take_replies()
        log = self._process.read_log_tail() if self._process and not self._ready.is_set() else ""
        message = f"The kernel of environment '{self.name}' is gone: {messages.describe_exit(code)}."
        error = KernelEndedError(message, hint=_RESTART, detail=log)
        error.return_code = code
        raise error

    def _forward_requests(self) -> None:
        while self._interrupts:
            self._channels.send("control", self._page.pack(self._interrupts.popleft()))
        while self._queue:
            self._send(self._queue.popleft())

    def _send(self, request: Request) -> None:
        self._pending[request.msg_id] = request
        if request.foreground:
            self._foreground = request
            self._channels.borrow(self._page.stdin_socket())
            self._channels.receive("page")  # discard late answers to an earlier question
        self._channels.send("shell", self._page.pack(request.message))

    def _forward_output(self, wait: float = 0) -> None:
        """Send a batch of iopub messages to the page; with `wait`, all of them until `wait` seconds of silence."""
        while batch := self._channels.receive("iopub", wait=wait):
            ended: list[str] = []
            output: list[Frames] = []
            for frames in batch:
                message = messages.classify_output(frames)
                if message.forward:
                    output.append(frames)
                self._record(message)
                if message.idle_for:
                    ended.append(message.idle_for)
            if output:
                self._page.publish(output)
            for msg_id in ended:
                self._update_request(msg_id, idle=True)
            if not wait:
                return

    def _record(self, message: messages.OutputMessage) -> None:
        """Record which widgets exist and which cell has started."""
        if message.opened:
            self.comms.add(message.opened)
        if message.closed:
            self.comms.discard(message.closed)
        if message.started in self._pending:
            self._pending[message.started].started = True

    def _take_replies(self) -> None:
        for frames in self._channels.receive("shell"):
            _, body = messages.split_frames(frames)
            self._update_request(messages.read_parent_id(body), reply=body)

    def _update_request(self, msg_id: str, *, reply: Frames | None = None, idle: bool = False) -> None:
        """Record a reply or the end of a request, and complete it once both have arrived."""
        request = self._pending.get(msg_id)
        if request is None:
            return
        request.reply = reply or request.reply
        request.idle = request.idle or idle
        if request.idle and (request.reply is not None or not request.wants_reply):
            del self._pending[msg_id]
            if request is self._foreground:
                self._foreground = None
                self._channels.give_back()
            request.done.set_result(request.reply or [])

    def _forward_questions(self) -> None:
        """Ask the page on behalf of `input()` and `getpass()`, as the notebook's kernel would."""
        for frames in self._channels.receive("stdin"):
            if self._foreground:
                self._channels.receive("page")  # discard answers older than the question, as ipykernel does
                _, body = messages.split_frames(frames)
                self._page.stdin_socket().send_multipart(messages.join_frames(self._foreground.idents, body))

    def _forward_answers(self) -> None:
        """Forward everything that the page sends on stdin: google.colab's replies arrive there without a question."""
        for frames in self._channels.receive("page"):
            _, body = messages.split_frames(frames)
            self._channels.send("stdin", messages.join_frames([], body))

    def _fail(self, error: ColabenvError) -> None:
        """Fail all current and future requests with this error."""
        with self._lock:
            self._error = error
            waiting = [*self._pending.values(), *self._queue]
            self._pending.clear()
            self._queue.clear()
        for request in waiting:
            request.done.set_exception(error)
        self._ready.set()

    def _close(self) -> None:
        if self._error is None:
            self._fail(KernelEndedError(f"The kernel of '{self.name}' was ended.", hint=_RESTART))
        if self._process is None:
            return
        if self._process.read_exit_code() is None:
            shutdown = self._page.new_request("shutdown_request", {"restart": False})
            self._channels.send("control", self._page.pack(shutdown))
        if self._foreground:
            self._channels.give_back()
        self._process.end(self._grace if self.info else 0)
        self._channels.close()
