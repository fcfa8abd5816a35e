"""The ZeroMQ sockets to one kernel. Everything here belongs to one thread, but for ringing the bell."""

from __future__ import annotations

import contextlib
import os
import uuid
import weakref
from importlib import import_module
from typing import Any, Literal

from colabenv.notebook.kernel_process import Endpoints
from colabenv.notebook.messages import Frames

Channel = Literal["shell", "iopub", "stdin", "control"]
Ready = Literal["shell", "iopub", "stdin", "control", "page", "bell"]

# Messages taken in one go: many enough to be cheap, few enough that an answer or a stop gets through.
_BATCH = 500


class Bell:
    """Wakes a thread that waits for sockets; may be rung from any thread and from a signal handler."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        os.set_blocking(self._write_end, False)
        # Not closed before the object goes, nor at exit: whoever holds it may still ring.
        weakref.finalize(self, _close, self.read_end, self._write_end).atexit = False

    def ring(self) -> None:
        """Wake the thread."""
        with contextlib.suppress(BlockingIOError):  # the pipe is full of rings already
            os.write(self._write_end, b"!")

    def hush(self) -> None:
        """Forget every ring so far."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.read_end, 65536)


class Channels:
    """Sockets that drop nothing, whatever the speed of the two sides.

    Args:
        ends: where the kernel listens.
        bell: what else ends a wait.
    """

    def __init__(self, ends: Endpoints, bell: Bell) -> None:
        self._zmq: Any = import_module("zmq")  # there in every notebook, but no need of `import colabenv`
        self._context = self._zmq.Context()
        # Shell and stdin share an identity: a kernel sends its questions to the one that asked it to run.
        self._identity = f"colabenv-{uuid.uuid4().hex}".encode()
        self._sockets: dict[str, Any] = {
            "shell": self._connect(self._zmq.DEALER, ends.shell),
            "stdin": self._connect(self._zmq.DEALER, ends.stdin),
            "control": self._connect(self._zmq.DEALER, ends.control),
            "iopub": self._connect(self._zmq.SUB, ends.iopub),
        }
        self._sockets["iopub"].setsockopt(self._zmq.SUBSCRIBE, b"")
        self._poller = self._zmq.Poller()
        self._names: dict[Any, Ready] = {bell.read_end: "bell"}
        self._poller.register(bell.read_end, self._zmq.POLLIN)
        for name, socket in self._sockets.items():
            self._watch(socket, name)  # type: ignore[arg-type]

    def _connect(self, kind: int, address: str) -> Any:
        socket = self._context.socket(kind)
        socket.linger = 0
        socket.sndhwm = socket.rcvhwm = 0
        socket.identity = self._identity
        socket.connect(address)
        return socket

    def _watch(self, socket: Any, name: Ready) -> None:
        self._names[socket] = name
        self._poller.register(socket, self._zmq.POLLIN)

    def borrow(self, socket: Any) -> None:
        """Watch the socket on which the page answers as well, under the name `page`."""
        self._sockets["page"] = socket
        self._watch(socket, "page")

    def give_back(self) -> None:
        """Leave the page's socket to its owner again."""
        socket = self._sockets.pop("page")
        del self._names[socket]
        self._poller.unregister(socket)

    def wait(self, seconds: float) -> set[Ready]:
        """Which channels have something; empty when the time is over."""
        return {self._names[source] for source, _ in self._poller.poll(seconds * 1000)}

    def receive(self, channel: Ready, *, wait: float = 0) -> list[Frames]:
        """A batch of messages, none if there are none.

        Args:
            channel: where from.
            wait: seconds to wait for the first one.
        """
        socket = self._sockets[channel]
        received: list[Frames] = []
        if wait and not socket.poll(wait * 1000):
            return received
        with contextlib.suppress(self._zmq.Again):
            while len(received) < _BATCH:
                received.append(socket.recv_multipart(self._zmq.NOBLOCK))
        return received

    def send(self, channel: Channel, frames: Frames) -> None:
        """Send a message to the kernel."""
        self._sockets[channel].send_multipart(frames)

    def close(self) -> None:
        """Close the sockets; what was sent on `control` last still gets half a second to leave."""
        self._sockets["control"].linger = 500
        for socket in list(self._sockets.values()):
            socket.close()
        self._context.term()


def _close(*ends: int) -> None:
    for end in ends:
        os.close(end)
