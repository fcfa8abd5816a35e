"""The ZeroMQ sockets to one kernel. Everything here belongs to one thread, except `Bell.ring`."""

from __future__ import annotations

import contextlib
import os
import uuid
import weakref
from importlib import import_module
from typing import Any, Literal

from colabenv.notebook.kernel_process import Endpoints
from colabenv.notebook.messages import Frames

Channel = Literal["shell", "iopub", "stdin", "control", "page", "bell"]

# Messages received at once: enough to be fast, few enough that an answer or an interrupt does not wait long.
_BATCH = 500


class Bell:
    """Wakes a thread that waits for sockets; any thread or signal handler may ring it."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        os.set_blocking(self._write_end, False)
        # Closed only with the object, and not at exit: its owner may still ring.
        weakref.finalize(self, _close, self.read_end, self._write_end).atexit = False

    def ring(self) -> None:
        """Wake the thread."""
        with contextlib.suppress(BlockingIOError):  # the pipe is full of rings
            os.write(self._write_end, b"!")

    def clear(self) -> None:
        """Discard all rings so far."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.read_end, 65536)


class Channels:
    """Sockets that drop no messages, even if one side is faster. The bell also ends a wait."""

    def __init__(self, endpoints: Endpoints, bell: Bell) -> None:
        self._zmq: Any = import_module("zmq")  # every notebook has it, but `import colabenv` must not need it
        self._context = self._zmq.Context()
        # Shell and stdin share an identity: a kernel sends its questions to the one that sent the cell.
        self._identity = f"colabenv-{uuid.uuid4().hex}".encode()
        self._sockets: dict[Channel, Any] = {
            "shell": self._connect(self._zmq.DEALER, endpoints.shell),
            "stdin": self._connect(self._zmq.DEALER, endpoints.stdin),
            "control": self._connect(self._zmq.DEALER, endpoints.control),
            "iopub": self._connect(self._zmq.SUB, endpoints.iopub),
        }
        self._sockets["iopub"].setsockopt(self._zmq.SUBSCRIBE, b"")
        self._poller = self._zmq.Poller()
        self._names: dict[Any, Channel] = {}
        self._watch(bell.read_end, "bell")
        for name, socket in self._sockets.items():
            self._watch(socket, name)

    def _connect(self, kind: int, address: str) -> Any:
        socket = self._context.socket(kind)
        socket.linger = 0
        socket.sndhwm = socket.rcvhwm = 0
        socket.identity = self._identity
        socket.connect(address)
        return socket

    def _watch(self, source: Any, name: Channel) -> None:
        self._names[source] = name
        self._poller.register(source, self._zmq.POLLIN)

    def borrow(self, socket: Any) -> None:
        """Also watch the socket on which the page answers, as the channel `page`."""
        self._sockets["page"] = socket
        self._watch(socket, "page")

    def give_back(self) -> None:
        """Stop watching the page's socket."""
        socket = self._sockets.pop("page")
        del self._names[socket]
        self._poller.unregister(socket)

    def wait(self, seconds: float) -> set[Channel]:
        """The channels that have something to read; empty after `seconds`."""
        return {self._names[source] for source, _ in self._poller.poll(seconds * 1000)}

    def receive(self, channel: Channel, *, wait: float = 0) -> list[Frames]:
        """A batch of messages; `wait` is the number of seconds to wait for the first one."""
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
        """Close the sockets; the last message on `control` has half a second to be sent."""
        self._sockets["control"].linger = 500
        for socket in list(self._sockets.values()):
            socket.close()
        self._context.term()


def _close(*ends: int) -> None:
    for end in ends:
        os.close(end)
