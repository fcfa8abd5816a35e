"""The notebook's own kernel, as an environment's kernel sees it."""

from __future__ import annotations

import inspect
import uuid
from typing import Any

from colabenv.notebook import messages
from colabenv.notebook.messages import Frames


class NotebookPage:
    """A live ipykernel, version 6 or 7, and the page behind it. Implements `session.Page`.

    Args:
        kernel: the kernel instance, `get_ipython().kernel`.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self.key: bytes = kernel.session.key
        self.scheme: str = kernel.session.signature_scheme
        self.session: str = kernel.session.session

    def lose_nothing(self) -> None:
        """Let the page's channel hold any number of unsent messages, as Colab's own launcher does.

        The option is set by the thread that owns the socket; ZeroMQ applies it to open connections.
        """
        thread = self._kernel.iopub_thread
        thread.schedule(lambda: setattr(thread.socket, "sndhwm", 0))

    def publish(self, batch: list[Frames]) -> None:
        """Send messages to the page, in order; from any thread."""
        thread = self._kernel.iopub_thread

        def send() -> None:
            for frames in batch:
                thread.socket.send_multipart(frames)

        thread.schedule(send)

    def stdin_socket(self) -> Any:
        """The socket on which the page answers."""
        return self._kernel.stdin_socket

    def pack(self, message: dict[str, Any]) -> Frames:
        """Sign and serialise a message; the frames begin with the delimiter."""
        frames: Frames = self._kernel.session.serialize(message)
        return [*frames, *(bytes(buffer) for buffer in message.get("buffers", []))]

    def new_request(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """A request of our own. Its id is random: the session's counter belongs to the main thread."""
        message: dict[str, Any] = self._kernel.session.msg(kind, content)
        message["header"]["msg_id"] = uuid.uuid4().hex
        return message

    def reply(self, stream: Any, idents: Frames, body: Frames) -> None:
        """Answer a request with a reply that is serialised and signed already."""
        stream.send_multipart(messages.join_frames(idents, body))

    def reply_new(self, stream: Any, kind: str, content: dict[str, Any], parent: Any, idents: Frames) -> None:
        """Answer a request with a reply of our own."""
        self._kernel.session.send(stream, kind, content, parent, ident=idents)

    def show_error(self, content: dict[str, Any], parent: Any) -> None:
        """Show an error in the cell that `parent` asked for."""
        shown = {key: value for key, value in content.items() if key != "status"}
        topic = f"kernel.{self._kernel.ident}.error".encode()
        self._kernel.session.send(self._kernel.iopub_socket, "error", shown, parent, ident=topic)

    def show_text(self, text: str, parent: Any) -> None:
        """Show text in the cell that `parent` asked for."""
        topic = f"kernel.{self._kernel.ident}.stream.stdout".encode()
        content = {"name": "stdout", "text": text}
        self._kernel.session.send(self._kernel.iopub_socket, "stream", content, parent, ident=topic)

    def end_beside_another(self, parent: dict[str, Any]) -> None:
        """Tell the page that a request is through, where the kernel itself may not.

        ipykernel 7.4 takes a widget's message while another one is being answered, and then says neither busy nor
        idle for it, or idle for the wrong one. The page's widgets send nothing more until they hear it.
        """
        if "concurrent" in inspect.signature(self._kernel.dispatch_shell).parameters:
            topic = f"kernel.{self._kernel.ident}.status".encode()
            idle = {"execution_state": "idle"}
            self._kernel.session.send(self._kernel.iopub_socket, "status", idle, parent, ident=topic)

    def abort_waiting_cells(self, parent: dict[str, Any]) -> None:
        """What the kernel itself does when a cell fails: cells that wait already are answered `aborted`."""
        abort = self._kernel._abort_queues
        subshells = bool(inspect.signature(abort).parameters)
        abort(parent["header"].get("subshell_id")) if subshells else abort()

    def comms(self) -> dict[str, Any]:
        """The comms that live in the notebook's own kernel, by id."""
        manager = getattr(self._kernel, "comm_manager", None)
        return dict(manager.comms) if manager else {}
