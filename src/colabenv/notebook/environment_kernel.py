"""The environment's kernel as the notebook sees it: one thread that owns every socket to it."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from colabenv.errors import ColabenvError, MachineError
from colabenv.notebook import messages
from colabenv.notebook.channels import Bell, Channels
from colabenv.notebook.kernel_process import PREFIX, KernelProcess, KernelStarter, start_kernel
from colabenv.notebook.messages import Frames

# How often a thread that waits looks whether the process is still there, in seconds.
_TICK = 0.25
# ipykernel keeps at most 1000 unsent messages and drops the rest. The option may be changed while the
# socket is open, but only by the thread that owns it.
_LOSE_NOTHING = (
    "(lambda thread: thread.schedule(lambda: setattr(thread.socket, 'sndhwm', 0)))"
    "(get_ipython().kernel.iopub_thread)"
)


class Page(Protocol):
    """The notebook's own kernel, as far as another kernel needs it."""

    key: bytes
    scheme: str
    session: str

    def publish(self, batch: list[Frames]) -> None:
        """Send messages to the page, in order; from any thread."""

    def stdin_socket(self) -> Any:
        """The socket on which the page answers. Only the holder of a foreground request may touch it."""

    def pack(self, message: dict[str, Any]) -> Frames:
        """Sign and serialise a request; the frames begin with the delimiter."""

    def new_request(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """A request of our own, with a new header."""


class KernelEndedError(MachineError):
    """The environment's kernel is gone."""


@dataclass
class Request:
    """A message handed on and not yet answered in full.

    Args:
        message: what to send, as `messages.request` makes it.
        wants_reply: false for comm messages, which end with the kernel's `idle` alone.
        idents: where the page's answers to `input()` come from.
        foreground: whether answers from the page go to this request's kernel while it runs.
        done: the reply's frames; empty where none is wanted.
    """

    message: dict[str, Any]
    wants_reply: bool = True
    idents: Frames = field(default_factory=list)
    foreground: bool = False
    done: Future[Frames] = field(default_factory=Future)
    reply: Frames | None = None
    idle: bool = False

    @property
    def msg_id(self) -> str:
        """The id that answers name as their parent."""
        return str(self.message["header"]["msg_id"])


class EnvironmentKernel:
    """A kernel in an environment.

    Args:
        kernel_name: the kernelspec to run.
        page: the notebook's own kernel.
        start: how to start the process.
        patience: seconds until a kernel that does not answer is given up.
    """

    def __init__(
        self, kernel_name: str, page: Page, *, start: KernelStarter = start_kernel, patience: float = 90
    ) -> None:
        self.kernel_name = kernel_name
        self.name = kernel_name.removeprefix(PREFIX)
        self.info: dict[str, Any] = {}
        self.comms: set[str] = set()
        self._page = page
        self._launch = start
        self._patience = patience
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

    # What the notebook's kernel calls

    def start(self) -> None:
        """Start it, or wait until a start under way is through; returns at once where it runs.

        Raises:
            UsageError: if its kernelspec is not there.
            MachineError: if it cannot be started, or does not answer in time.
            KernelEndedError: if it ran and has ended.
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
        """Hand a request on; its future is done when the reply and all output before it went to the page.

        The future ends with `KernelEndedError` if the kernel ends first.
        """
        with self._lock:
            if self._error is None:
                self._queue.append(request)
                self._bell.ring()
                return
        request.done.set_exception(self._error)

    def interrupt(self) -> None:
        """Stop what runs there, or give up a start under way; safe in a signal handler."""
        if not self._ready.is_set():
            self._stopping = True
        elif self._process and self._process.spec.get("interrupt_mode") == "message":
            self._interrupts.append(self._page.new_request("interrupt_request", {}))
        elif self._process:
            self._process.send_signal(signal.SIGINT)
        self._bell.ring()

    def stop(self, grace: float = 3) -> None:
        """End the kernel and wait until it is gone.

        Args:
            grace: seconds it may take to shut down by itself.
        """
        self._grace = grace
        self._stopping = True
        self._bell.ring()
        if self._thread.ident:
            self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether it has started and still runs."""
        return self._ready.is_set() and self._error is None

    @property
    def pid(self) -> int | None:
        """The process id, once there is one."""
        return self._process.pid if self._process else None

    @property
    def spec(self) -> dict[str, Any]:
        """The kernelspec it was started from; empty before."""
        return self._process.spec if self._process else {}

    # What its own thread does

    def _run(self) -> None:
        try:
            self._open()
            self._serve_until_over()
        except ColabenvError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - the thread's boundary: a cell must never wait for ever
            self._fail(MachineError(f"The bridge to '{self.name}' broke: {error!r}.", hint=_RESTART))
        finally:
            self._close()

    def _open(self) -> None:
        self._process = self._launch(self.kernel_name, self._page.key, self._page.scheme, self._page.session)
        self._channels = Channels(self._process.endpoints, self._bell)
        self._shake_hands()
        self._ready.set()

    def _shake_hands(self) -> None:
        """Wait until requests are answered *and* output arrives; a subscription takes a moment."""
        deadline = time.monotonic() + self._patience
        while not self.info:
            self.info = self._ask("kernel_info_request", {}, wait=0.25)
            if time.monotonic() > deadline:
                raise MachineError(
                    f"The kernel of '{self.name}' did not answer within {self._patience:.0f} seconds.",
                    hint=_RESTART,
                    detail=self._process.log_tail() if self._process else "",
                )
        self._pending.clear()
        if self.info.get("implementation") == "ipython":
            silent = {"code": _LOSE_NOTHING, "silent": True, "store_history": False, "allow_stdin": False}
            self._ask("execute_request", silent | {"user_expressions": {}}, wait=5.0)

    def _ask(self, kind: str, content: dict[str, Any], *, wait: float) -> dict[str, Any]:
        """Send a request of our own; the reply's content, or nothing if there is none in time."""
        request = Request(self._page.new_request(kind, content))
        self._send(request)
        until = time.monotonic() + wait
        while time.monotonic() < until:
            self._serve_once(0.05)
            if self._stopping:
                raise MachineError(f"The start of '{self.name}' was stopped.", hint=_RESTART)
            self._raise_if_ended()
            if request.done.done():
                return messages.read_content(request.done.result())
        return {}

    def _serve_until_over(self) -> None:
        while not self._stopping:
            self._serve_once(_TICK)
            self._raise_if_ended()

    def _serve_once(self, timeout: float) -> None:
        """Hand on what there is in each direction, output before anything that may follow it."""
        ready = self._channels.wait(timeout)
        if "bell" in ready:
            self._bell.hush()
            self._take_requests()
        if "control" in ready:
            self._channels.receive("control")
        if ready & {"iopub", "stdin", "shell"}:
            self._pass_output()
        if "shell" in ready:
            self._take_replies()
        if "stdin" in ready:
            self._pass_questions()
        if "page" in ready and self._foreground:
            self._pass_answers()

    def _raise_if_ended(self) -> None:
        code = self._process.code() if self._process else None
        if code is None:
            return
        self._pass_output(wait=0.1)
        self._take_replies()
        log = self._process.log_tail() if self._process and not self._ready.is_set() else ""
        message = f"The kernel of environment '{self.name}' is gone: {messages.describe_exit(code)}."
        raise KernelEndedError(message, hint=_RESTART, detail=log)

    def _take_requests(self) -> None:
        while self._interrupts:
            self._channels.send("control", self._page.pack(self._interrupts.popleft()))
        while self._queue:
            self._send(self._queue.popleft())

    def _send(self, request: Request) -> None:
        self._pending[request.msg_id] = request
        if request.foreground:
            self._foreground = request
            self._channels.borrow(self._page.stdin_socket())
            self._channels.receive("page")  # answers to a question of before are nobody's
        self._channels.send("shell", self._page.pack(request.message))

    def _pass_output(self, wait: float = 0) -> None:
        """Everything on iopub goes to the page; `wait` seconds of silence end a last look."""
        while batch := self._channels.receive("iopub", wait=wait):
            ended: list[str] = []
            out: list[Frames] = []
            for frames in batch:
                seen = messages.classify_output(frames)
                if seen.forward:
                    out.append(frames)
                if seen.opened:
                    self.comms.add(seen.opened)
                if seen.closed:
                    self.comms.discard(seen.closed)
                if seen.idle_for:
                    ended.append(seen.idle_for)
            if out:
                self._page.publish(out)
            for msg_id in ended:
                self._progress(msg_id, idle=True)
            if not wait:
                return

    def _take_replies(self) -> None:
        for frames in self._channels.receive("shell"):
            _, body = messages.split_frames(frames)
            self._progress(messages.read_parent_id(body), reply=body)

    def _progress(self, msg_id: str, *, reply: Frames | None = None, idle: bool = False) -> None:
        """Note what came for a request, and end it when all has come."""
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

    def _pass_questions(self) -> None:
        """`input()` and `getpass()` there: the page is asked as if the notebook's kernel did."""
        for frames in self._channels.receive("stdin"):
            if self._foreground:
                self._channels.receive("page")  # as ipykernel does: no answer is older than its question
                _, body = messages.split_frames(frames)
                self._page.stdin_socket().send_multipart(messages.join_frames(self._foreground.idents, body))

    def _pass_answers(self) -> None:
        """What the page sends on stdin, whatever it is: google.colab's replies come this way unasked."""
        for frames in self._channels.receive("page"):
            _, body = messages.split_frames(frames)
            self._channels.send("stdin", messages.join_frames([], body))

    def _fail(self, error: ColabenvError) -> None:
        """From here on every request ends with this error."""
        with self._lock:
            self._error = error
            waiting = [*self._pending.values(), *self._queue]
            self._pending.clear()
            self._queue.clear()
        for request in waiting:
            request.done.set_exception(error)
        self._ready.set()

    def _close(self) -> None:
        """Shut the kernel down and give back what this thread holds."""
        if self._error is None:
            self._fail(KernelEndedError(f"The kernel of '{self.name}' was ended.", hint=_RESTART))
        if self._process is None:
            return
        if self._process.code() is None:
            shutdown = self._page.new_request("shutdown_request", {"restart": False})
            self._channels.send("control", self._page.pack(shutdown))
        if self._foreground:
            self._channels.give_back()
        self._process.end(self._grace if self.info else 0)
        self._channels.close()


_RESTART = "`%colabenv restart` starts it again; `%colabenv detach` goes back to Colab's own Python."
