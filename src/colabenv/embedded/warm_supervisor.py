"""Supervises a warm process: one that has imported what the profile names and waits to become a kernel.

Standard library only, Python 3.6 syntax. Every environment holds a copy beside the launcher, which runs it in two
processes: the supervisor, in the background, and the warm process, its child, because a kernel may be busy for hours
and the supervisor must answer at any moment. It receives signals from the kernel's forwarder (handover.py). If the
kernel, the forwarder or the supervisor is killed, the others end.
"""

import os
import select
import signal
import socket
import sys
import time

import handover

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

_CHECK_INTERVAL = 2.0  # seconds between two checks that the environment still exists
_PR_SET_PDEATHSIG = 1


def supervise(
    prefix: str,
    modules: "Sequence[str]",
    idle_limit: float,
    start: "Callable[[int], NoReturn]",
    variables: "dict[str, str]",
) -> None:
    """Go to the background, start the warm process and serve its socket; returns in the calling process only.

    `start` becomes the warm process, which imports `modules` and talks over the socket of the given number. It ends
    after `idle_limit` seconds if no kernel takes it.
    """
    listener = handover.open_listener(prefix)
    if os.fork():
        listener.close()
        return
    code = 1
    try:
        _go_to_background(prefix)
        identity = handover.build_identity(prefix, variables)
        _Supervisor(prefix, list(modules), time.monotonic() + idle_limit, listener, identity).run(start)
        code = 0
    finally:
        # No exit handler of the calling process may run twice.
        sys.stderr.flush()
        os._exit(code)


def _go_to_background(prefix: str) -> None:
    """Open a new session with the log as output, in a folder that nobody wants to unmount."""
    os.setsid()
    os.chdir("/")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    log = os.open(os.path.join(handover.socket_folder(prefix), "log"), flags, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    handover.close_handles([log, null])


class _Supervisor:
    """The process in the background."""

    def __init__(
        self,
        prefix: str,
        modules: "list[str]",
        deadline: float,
        listener: socket.socket,
        identity: "dict[str, Any]",
    ) -> None:
        self._modules = modules
        self._listener = listener
        self._path = os.path.join(handover.socket_folder(prefix), handover.SOCKET_NAME)
        self._inode = os.stat(self._path).st_ino
        self._identity = identity
        self._started_at = time.monotonic()
        self._deadline = deadline
        self._ready = False
        self._kernel: socket.socket
        self._child = 0
        self._wakeup = -1
        self._offer = None  # type: tuple[socket.socket, dict[str, Any], list[int]] | None

    def run(self, start: "Callable[[int], NoReturn]") -> None:
        """Serve until the kernel has ended, or no kernel takes the warm process in time."""
        self._spawn(start)
        try:
            forwarder = self._wait_for_offer()
            if forwarder is not None:
                self._relay(forwarder)
        finally:
            self._end_child()

    def _spawn(self, start: "Callable[[int], NoReturn]") -> None:
        import ctypes

        library = ctypes.CDLL(None)
        for number in handover.FORWARDED_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        self._kernel, theirs = socket.socketpair()
        supervisor = os.getpid()
        self._child = os.fork()
        if self._child == 0:
            try:
                library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() == supervisor:
                    # In a new process group without the supervisor, as the server would start it.
                    os.setsid()
                    for number in handover.FORWARDED_SIGNALS:
                        signal.signal(number, signal.SIG_DFL)
                    os.set_inheritable(theirs.fileno(), True)
                    start(theirs.fileno())
            finally:
                os._exit(1)
        theirs.close()
        self._wakeup = handover.open_wakeup_pipe()
        signal.signal(signal.SIGCHLD, handover.ignore_signal)

    def _wait_for_offer(self) -> "socket.socket | None":
        """The connection to the forwarder once the warm process is becoming a kernel; None to end."""
        while self._owns_socket() and (self._offer is not None or time.monotonic() < self._deadline):
            watched = [self._listener, self._kernel, self._wakeup]  # type: list[Any]
            timeout = min(_CHECK_INTERVAL, max(0.0, self._deadline - time.monotonic()))
            if self._offer is not None:
                watched.append(self._offer[0])
                timeout = _CHECK_INTERVAL
            ready, _, _ = select.select(watched, [], [], timeout)
            if self._wakeup in ready and self._has_died():
                return None
            if self._kernel in ready:
                handover.receive_message(self._kernel)
                self._ready = True
            if self._offer is not None and self._offer[0] in ready:
                self._drop_offer()  # the launcher sends nothing more unless it gives up
            if self._listener in ready and not self._answer():
                return None
            if self._ready and self._offer is not None:
                return self._hand_over(*self._offer)
        return None

    def _has_died(self) -> bool:
        """Whether the warm process has ended, for example after a failed import; the log says why."""
        os.read(self._wakeup, 64)
        if os.waitpid(self._child, os.WNOHANG)[0]:
            self._child = 0
        return not self._child

    def _owns_socket(self) -> bool:
        try:
            return os.stat(self._path).st_ino == self._inode
        except OSError:
            return False

    def _answer(self) -> bool:
        """Accept a connection and answer its request; False if it asks for the end."""
        connection, _ = self._listener.accept()
        handles = []  # type: list[int]
        kept = False
        try:
            connection.settimeout(handover.ANSWER_TIMEOUT)
            if handover.read_peer_user(connection) != os.geteuid():
                return True
            message, handles = handover.receive_message(connection)
            if message.get("end"):
                self._end_child()  # before the answer
                return False
            if message.get("ask"):
                handover.send_message(connection, self._describe_state())
                return True
            kept, go_on = self._consider_offer(connection, message, handles)
            return go_on
        except (OSError, EOFError, ValueError, KeyError):
            return True
        finally:
            if not kept:
                connection.close()
                handover.close_handles(handles)

    def _consider_offer(
        self, connection: socket.socket, message: "dict[str, Any]", handles: "list[int]"
    ) -> "tuple[bool, bool]":
        """Whether an offer is kept, and whether to continue to wait for another one."""
        difference = handover.find_difference(self._identity, message["identity"])
        if difference:
            handover.send_message(connection, {"refused": f"it was started with other {difference}"})
            # Another kernel may have the same variables; the rest does not change back.
            return False, difference in ("variables", "place")
        if self._offer is not None or len(handles) != 4:
            handover.send_message(connection, {"refused": "another kernel is taking it"})
            return False, True
        if not self._ready:
            handover.send_message(connection, {"importing": time.monotonic() - self._started_at})
        self._offer = (connection, message, handles)
        return True, True

    def _describe_state(self) -> "dict[str, Any]":
        with open(f"/proc/{self._child}/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        return {
            "ready": self._ready,
            "pids": [os.getpid(), self._child],
            "modules": self._modules,
            "left": self._deadline - time.monotonic(),
            "bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        }

    def _drop_offer(self) -> None:
        if self._offer is not None:
            self._offer[0].close()
            handover.close_handles(self._offer[2])
            self._offer = None

    def _hand_over(
        self, connection: socket.socket, message: "dict[str, Any]", handles: "list[int]"
    ) -> "socket.socket | None":
        """Let the warm process become the offered kernel; from here on nobody else can reach it."""
        self._close_socket()
        try:
            handover.send_message(self._kernel, message, handles)
            handover.send_message(connection, {"accepted": True})
        except OSError:
            return None
        handover.close_handles(handles)
        return connection

    def _close_socket(self) -> None:
        self._listener.close()
        try:
            if self._owns_socket():
                os.unlink(self._path)
        except OSError:
            pass  # the environment was removed

    def _relay(self, forwarder: socket.socket) -> None:
        """Relay messages between the kernel and its forwarder until one of them ends."""
        watched = [forwarder, self._kernel, self._wakeup]  # type: list[Any]
        while True:
            ready, _, _ = select.select(watched, [], [])
            if self._kernel in ready:
                watched.remove(self._kernel)
                self._relay_start(forwarder)
            if forwarder in ready:
                try:
                    message, _ = handover.receive_message(forwarder)
                    os.killpg(self._child, int(message["signal"]))
                except (OSError, EOFError, ValueError, KeyError):
                    return  # it was killed, or starts a cold kernel; `run` ends this one
            if self._wakeup in ready:
                os.read(self._wakeup, 64)
                ended, status = os.waitpid(self._child, os.WNOHANG)
                if ended:
                    self._child = 0
                    handover.send_message(forwarder, {"ended": status})
                    return

    def _relay_start(self, forwarder: socket.socket) -> None:
        try:
            message, _ = handover.receive_message(self._kernel)
            handover.send_message(forwarder, message)
        except (OSError, EOFError, ValueError):
            pass  # SIGCHLD reports the end of the kernel, and its socket that of the forwarder

    def _end_child(self) -> None:
        """Kill the kernel and everything that it started, as a server does."""
        self._close_socket()
        if self._child:
            try:
                os.killpg(self._child, signal.SIGKILL)
            except ProcessLookupError:
                os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
            self._child = 0


class WarmKernel:
    """The warm process's side; `number` is the file descriptor of the socket to the supervisor."""

    def __init__(self, number: int) -> None:
        self._supervisor = socket.socket(socket.AF_UNIX, fileno=number)
        self._supervisor.set_inheritable(False)

    def wait(self) -> None:
        """Report that all imports are done, wait for a kernel's offer and take over what the server gave it."""
        handover.send_message(self._supervisor, {"ready": True})
        try:
            message, handles = handover.receive_message(self._supervisor)
        except (OSError, EOFError):
            os._exit(0)  # no kernel took it
        sys.stdout.flush()
        sys.stderr.flush()
        for target in (0, 1, 2):
            os.dup2(handles[target], target)
        os.fchdir(handles[3])
        os.umask(message["umask"])
        handover.close_handles(handles)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # since CPython 3.7
                stream.reconfigure(line_buffering=stream is sys.stderr or stream.isatty())
        os.environ.clear()
        os.environ.update(message["variables"])
        sys.argv[1:] = message["arguments"]

    def report_start(self) -> None:
        """Report that the kernel listens."""
        handover.send_message(self._supervisor, {"started": True})
        self._supervisor.close()
