"""The notebook's own kernel, as an environment's kernel sees it."""

from __future__ import annotations

import inspect
import uuid
from typing import Any

from colabenv.notebook.messages import Frames, join_frames


class NotebookPage:
    """A live ipykernel (`get_ipython().kernel`), version 6 or 7, and the page behind it."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self.key: bytes = kernel.session.key
        self.scheme: str = kernel.session.signature_scheme
        self.session: str = kernel.session.session

    def remove_output_limit(self) -> None:
        """Let the page's channel hold any number of unsent messages, as Colab's own launcher does.

        The thread that owns the socket sets the option; ZeroMQ applies it to open connections.
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
        """The socket on which the page answers. Only the owner of the foreground request may touch it."""
        return self._kernel.stdin_socket

    def pack(self, message: dict[str, Any]) -> Frames:
        """Sign and serialize a message; the frames start with the delimiter."""
        frames: Frames = self._kernel.session.serialize(message)
        return [*frames, *(bytes(buffer) for buffer in message.get("buffers", []))]

    def new_request(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """A request that is not the page's. Its id is random, because the session's counter is the main thread's."""
        message: dict[str, Any] = self._kernel.session.msg(kind, content)
        message["header"]["msg_id"] = uuid.uuid4().hex
        return message

    def reply(self, stream: Any, idents: Frames, body: Frames) -> None:
        """Answer a request with a signed reply."""
        stream.send_multipart(join_frames(idents, body))

    def reply_new(self, stream: Any, kind: str, content: dict[str, Any], parent: Any, idents: Frames) -> None:
        """Answer a request with a reply that this process makes."""
        self._kernel.session.send(stream, kind, content, parent, ident=idents)

    def show_error(self, content: dict[str, Any], parent: Any) -> None:
        """Show an error in the cell of the request `parent`."""
        fields = {key: value for key, value in content.items() if key != "status"}
        self._publish_new("error", "error", fields, parent)

    def show_text(self, text: str, parent: Any) -> None:
        """Show text in the cell of the request `parent`."""
        self._publish_new("stream.stdout", "stream", {"name": "stdout", "text": text}, parent)

    def end_concurrent_request(self, parent: dict[str, Any]) -> None:
        """Report to the page that a request is done, if the kernel itself may not.

        ipykernel 7.4 accepts a widget's message while it answers another one, and then reports neither busy nor idle
        for it, or idle for the wrong one. The page's widgets send nothing until they get the report.
        """
        if "concurrent" in inspect.signature(self._kernel.dispatch_shell).parameters:
            self._publish_new("status", "status", {"execution_state": "idle"}, parent)

    def _publish_new(self, topic: str, kind: str, content: dict[str, Any], parent: Any) -> None:
        ident = f"kernel.{self._kernel.ident}.{topic}".encode()
        self._kernel.session.send(self._kernel.iopub_socket, kind, content, parent, ident=ident)

    def abort_waiting_cells(self, parent: dict[str, Any]) -> None:
        """Answer `aborted` to all waiting cells, as the kernel itself does when a cell fails."""
        abort = self._kernel._abort_queues
        subshells = bool(inspect.signature(abort).parameters)
        abort(parent["header"].get("subshell_id")) if subshells else abort()

    def comms(self) -> dict[str, Any]:
        """The comms in the notebook's own kernel, by id."""
        manager = getattr(self._kernel, "comm_manager", None)
        return dict(manager.comms) if manager else {}
