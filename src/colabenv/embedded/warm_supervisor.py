"""Keeps a process of the environment warm: it has imported what the profile names, and waits to become a kernel.

Standard library only, CPython 3.8 to 3.13. A copy lies in every environment beside the launcher, which runs it in two
places: the keeper itself, in a bare Python that goes to the background, and the warm process, its child. The two are
apart so that somebody is free to act at any moment: a warm process that became a kernel may be busy for hours in one
call of C. The keeper hears signals from the stand-in (handover.py), and the kernel ends with the stand-in and the
other way round, whichever is killed.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time

import handover  # type: ignore[import-not-found,unused-ignore]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

#: Seconds between two looks whether the environment is still there.
_LOOK = 2.0
_PR_SET_PDEATHSIG = 1


def supervise(
    prefix: str,
    modules: Sequence[str],
    unused: float,
    start: Callable[[int], NoReturn],
    variables: dict[str, str],
) -> None:
    """Go to the background, start the warm process and serve its socket; returns in the first process only.

    Args:
        prefix: folder of the environment.
        modules: what is imported, for who asks.
        unused: seconds after which the warm process goes away if no kernel takes it.
        start: becomes the warm process, which talks over the socket of that number.
        variables: of the warm process.
    """
    listener = handover.open_listener(prefix)
    if os.fork():
        listener.close()
        return
    code = 1
    try:
        _to_background(prefix)
        _Supervisor(prefix, list(modules), unused, listener, variables).run(start)
        code = 0
    finally:
        # Nothing of the first process's is to run twice.
        sys.stderr.flush()
        os._exit(code)


def _to_background(prefix: str) -> None:
    """A session of its own, the log as output, and no folder that somebody may want to unmount."""
    os.setsid()
    os.chdir("/")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    log = os.open(os.path.join(handover.socket_folder(prefix), "log"), flags, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    handover.close_handles([log, nothing])


class _Supervisor:
    """The process in the background.

    Args:
        prefix: folder of the environment.
        modules: what is imported.
        unused: seconds after which it goes away if no kernel takes it.
        listener: the socket.
        variables: of the warm process.
    """

    def __init__(
        self,
        prefix: str,
        modules: list[str],
        unused: float,
        listener: socket.socket,
        variables: dict[str, str],
    ) -> None:
        self._prefix = prefix
        self._modules = modules
        self._unused = unused
        self._listener = listener
        self._path = os.path.join(handover.socket_folder(prefix), "s")
        self._own = os.stat(self._path).st_ino
        self._identity = handover.build_identity(prefix, variables)
        self._began = time.monotonic()
        self._ready = False
        self._kernel: socket.socket
        self._child = 0
        self._wakes = -1
        self._offered: tuple[socket.socket, dict[str, Any], list[int]] | None = None

    def run(self, start: Callable[[int], NoReturn]) -> None:
        """Until the kernel has ended, or nobody wants one any more."""
        self._spawn(start)
        try:
            taken = self._wait()
            if taken is not None:
                self._accompany(taken)
        finally:
            self._end_child()

    def _spawn(self, start: Callable[[int], NoReturn]) -> None:
        import ctypes

        library = ctypes.CDLL(None)
        for number in handover.FORWARDED_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        self._kernel, theirs = socket.socketpair()
        keeper = os.getpid()
        self._child = os.fork()
        if self._child == 0:
            try:
                library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() == keeper:
                    # A group of its own, as the server would give it; the keeper is not in it.
                    os.setsid()
                    for number in handover.FORWARDED_SIGNALS:
                        signal.signal(number, signal.SIG_DFL)
                    os.set_inheritable(theirs.fileno(), True)
                    start(theirs.fileno())
            finally:
                os._exit(1)
        theirs.close()
        self._wakes, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _wait(self) -> socket.socket | None:
        """The connection of the stand-in, once the warm process is on its way to be a kernel; None to end."""
        while self._wanted():
            watched: list[Any] = [self._listener, self._kernel, self._wakes]
            look = min(_LOOK, max(0.0, self._left()))
            if self._offered is not None:
                watched.append(self._offered[0])
                look = _LOOK
            ready, _, _ = select.select(watched, [], [], look)
            if self._wakes in ready and self._has_died():
                return None
            if self._kernel in ready:
                handover.receive_message(self._kernel)
                self._ready = True
            if self._offered is not None and self._offered[0] in ready:
                self._drop()  # nothing more is expected of it: it gave up
            if self._listener in ready and not self._hear():
                return None
            if self._ready and self._offered is not None:
                return self._hand_over()
        return None

    def _has_died(self) -> bool:
        """Whether the warm process is gone, as after an import that failed; the log says how."""
        os.read(self._wakes, 64)
        if os.waitpid(self._child, os.WNOHANG)[0]:
            self._child = 0
        return not self._child

    def _wanted(self) -> bool:
        """Whether the environment is there, with this socket in it, and time is left."""
        try:
            there = os.stat(self._path).st_ino == self._own
        except OSError:
            there = False
        return there and (self._left() > 0 or self._offered is not None)

    def _left(self) -> float:
        return self._began + self._unused - time.monotonic()

    def _hear(self) -> bool:
        """Take a connection and what it asks; False where it asks for the end."""
        connection, _ = self._listener.accept()
        handles: list[int] = []
        kept = False
        try:
            connection.settimeout(handover.ANSWER_TIMEOUT)
            if handover.read_peer_user(connection) != os.geteuid():
                return True
            message, handles = handover.receive_message(connection)
            if message.get("end"):
                self._end_child()  # before whoever asked hears of it
                return False
            if message.get("ask"):
                handover.send_message(connection, self._state())
                return True
            kept, go_on = self._consider(connection, message, handles)
            return go_on
        except (OSError, EOFError, ValueError, KeyError):
            return True
        finally:
            if not kept:
                connection.close()
                handover.close_handles(handles)

    def _consider(
        self, connection: socket.socket, message: dict[str, Any], handles: list[int]
    ) -> tuple[bool, bool]:
        """Whether an offer is kept, and whether to go on."""
        other = handover.find_difference(self._identity, message["identity"])
        if other:
            handover.send_message(connection, {"refused": "it was made with other %s" % other})
            # Another kernel may have these variables; the rest comes back no more.
            return False, other in ("variables", "place")
        if self._offered is not None or len(handles) != 4:
            handover.send_message(connection, {"refused": "another kernel is taking it"})
            return False, True
        if not self._ready:
            handover.send_message(connection, {"importing": time.monotonic() - self._began})
        self._offered = (connection, message, handles)
        return True, True

    def _state(self) -> dict[str, Any]:
        with open("/proc/%d/statm" % self._child, encoding="ascii") as file:
            pages = int(file.read().split()[1])
        return {
            "ready": self._ready,
            "pids": [os.getpid(), self._child],
            "modules": self._modules,
            "left": self._left(),
            "bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        }

    def _drop(self) -> None:
        if self._offered is not None:
            self._offered[0].close()
            handover.close_handles(self._offered[2])
            self._offered = None

    def _hand_over(self) -> socket.socket | None:
        """Let the warm process be the kernel that was offered; nobody else can reach it from here on."""
        assert self._offered is not None  # noqa: S101 - the caller's condition
        connection, message, handles = self._offered
        self._withdraw()
        try:
            handover.send_message(self._kernel, message, handles)
            handover.send_message(connection, {"accepted": True})
        except OSError:
            return None
        handover.close_handles(handles)
        return connection

    def _withdraw(self) -> None:
        self._listener.close()
        try:
            if os.stat(self._path).st_ino == self._own:
                os.unlink(self._path)
        except OSError:
            pass  # it went with the environment

    def _accompany(self, stand_in: socket.socket) -> None:
        """Pass on what the two have to say to each other until one of them ends."""
        watched: list[Any] = [stand_in, self._kernel, self._wakes]
        while True:
            ready, _, _ = select.select(watched, [], [])
            if self._kernel in ready:
                watched.remove(self._kernel)
                self._pass_on(stand_in)
            if stand_in in ready:
                try:
                    message, _ = handover.receive_message(stand_in)
                    os.killpg(self._child, int(message["signal"]))
                except (OSError, EOFError, ValueError, KeyError):
                    return  # it was killed, or starts a kernel of its own; ours is ended on the way out
            if self._wakes in ready:
                os.read(self._wakes, 64)
                ended, status = os.waitpid(self._child, os.WNOHANG)
                if ended:
                    self._child = 0
                    handover.send_message(stand_in, {"ended": status})
                    return

    def _pass_on(self, stand_in: socket.socket) -> None:
        try:
            message, _ = handover.receive_message(self._kernel)
            handover.send_message(stand_in, message)
        except (OSError, EOFError, ValueError):
            pass  # its end is told by SIGCHLD, that of the stand-in by its socket

    def _end_child(self) -> None:
        """End the kernel with all that it started, as a server does that kills a kernel."""
        self._withdraw()
        if self._child:
            try:
                os.killpg(self._child, signal.SIGKILL)
            except ProcessLookupError:
                os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
            self._child = 0


class WarmKernel:
    """The warm process's side.

    Args:
        number: of the socket to the keeper.
    """

    def __init__(self, number: int) -> None:
        self._keeper = socket.socket(fileno=number)
        self._keeper.set_inheritable(False)

    def wait(self) -> None:
        """Say that all is imported, and go on as the process that the server started."""
        handover.send_message(self._keeper, {"ready": True})
        try:
            message, handles = handover.receive_message(self._keeper)
        except (OSError, EOFError):
            os._exit(0)  # nobody wanted it
        sys.stdout.flush()
        sys.stderr.flush()
        for handle, target in zip(handles, (0, 1, 2)):  # noqa: B905 - CPython 3.8; the fourth is the folder
            os.dup2(handle, target)
        os.fchdir(handles[3])
        os.umask(message["umask"])
        handover.close_handles(handles)
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=stream is sys.stderr or stream.isatty())  # type: ignore[union-attr]
        os.environ.clear()
        os.environ.update(message["variables"])
        sys.argv[1:] = message["arguments"]

    def started(self) -> None:
        """Say that the kernel listens."""
        handover.send_message(self._keeper, {"started": True})
        self._keeper.close()
