"""The page: opens a notebook on a machine, runs its cells and answers what its kernel asks."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import websocket

from support.colab.cell import CellResult
from support.colab.server import Server
from support.patience import PATIENCE

Message = dict[str, Any]
Handler = Callable[[Any], Any]

UPLOAD_BYTES = 100 * 1024


class KernelDiedError(Exception):
    """The kernel could not be started, or does not answer any more."""


class RefusedError(Exception):
    """Raised by a handler: the page answers the kernel's request with this error."""


class Page:
    """A notebook that is open in a browser.

    Args:
        server: the machine's Jupyter server.
        notebook: its file in /content; made where it is not there.
        kernel: the name to write to the notebook's `metadata.kernelspec.name`; None leaves the notebook
            as it is, and makes a new one for `python3`.

    Attributes:
        kernel_name, kernel_id: the kernel that the page is attached to.
        messages: what the page has told the person.
        states: what the server has said about the kernel's life: `restarting`, `dead`.
        requests: type and body of every request from the kernel.
        secrets: what the person keeps with Colab; `denied` are those this notebook may not see.
        uploads: the files that the person picks in a file dialog.
        typed: what the person types when asked, the first entry first.
        handlers: request type to a function from the request's body to the answer's data.
    """

    kernel_name: str
    kernel_id: str

    def __init__(self, server: Server, notebook: str = "Untitled.ipynb", kernel: str | None = None) -> None:
        self.server = server
        self.notebook = notebook
        self.messages: list[str] = []
        self.states: list[str] = []
        self.requests: list[tuple[str, Any]] = []
        self.secrets: dict[str, str] = {}
        self.denied: set[str] = set()
        self.uploads: dict[str, bytes] = {}
        self.typed: deque[str] = deque()
        self.handlers: dict[str, Handler] = {
            "GetSecret": self._secret,
            "request_auth": lambda _: {},
            "cell_javascript_eval": self._javascript,
        }
        self._upload_steps: Iterator[Message] = iter(())
        self._socket: websocket.WebSocket | None = None
        self._client = uuid.uuid4().hex
        self._write_notebook(kernel)
        self._attach()

    # The notebook and its kernel

    def kernelspecs(self) -> dict[str, Any]:
        """The kernels that can be chosen: name to spec, as "Change runtime type" lists them."""
        listed: dict[str, Any] = self.server.call("GET", "kernelspecs")["kernelspecs"]
        return listed

    def reload(self, kernel: str | None = None) -> None:
        """Load the page again, after writing the kernel's name to the notebook where one is given.

        A kernel that runs goes on, unless the notebook names another now.
        """
        self._write_notebook(kernel)
        self._detach()
        self._attach()

    def restart_kernel(self) -> None:
        """Restart session: the same kernel again, without its variables.

        Raises:
            KernelDiedError: it does not come up again.
        """
        self.server.call("POST", f"kernels/{self.kernel_id}/restart")
        self._detach()
        self._connect()

    def type(self, text: str) -> None:
        """Type into the field below a running command; it ends with a line break where Return is meant."""
        self._send("stdin", "input_reply", {"value": text})

    def interrupt(self) -> None:
        """Press the stop button of the running cell. May be called from another thread."""
        self.server.call("POST", f"kernels/{self.kernel_id}/interrupt")

    def shut_down(self) -> None:
        """Disconnect and delete runtime, as far as this notebook goes: end its kernel, close the page."""
        for session in self.server.call("GET", "sessions"):
            if session["path"] == self.notebook:
                self.server.call("DELETE", f"sessions/{session['id']}")
        self.close()

    def close(self) -> None:
        """Close the page. The kernel goes on."""
        self._detach()

    def _write_notebook(self, kernel: str | None) -> None:
        path = f"contents/{self.notebook}"
        try:
            content = self.server.call("GET", path)["content"]
        except HTTPError as error:
            with error:
                if error.code != 404:
                    raise
            content = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
            kernel = kernel or "python3"
        if kernel is not None:
            content["metadata"]["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
            self.server.call("PUT", path, {"type": "notebook", "format": "json", "content": content})

    def _wanted_kernel(self) -> str:
        """The kernel that the notebook names where it is installed, else the default with a message."""
        metadata = self.server.call("GET", f"contents/{self.notebook}")["content"]["metadata"]
        name: str = metadata.get("kernelspec", {}).get("name", "python3")
        if name in self.kernelspecs():
            return name
        self.messages.append(f'Unrecognized runtime "{name}"; defaulting to "python3"')
        return "python3"

    def _attach(self) -> None:
        """Find the notebook's session or make one, and connect to its kernel."""
        wanted = self._wanted_kernel()
        for session in self.server.call("GET", "sessions"):
            if session["path"] == self.notebook and session["kernel"]["name"] != wanted:
                self.server.call("DELETE", f"sessions/{session['id']}")
        body = {"path": self.notebook, "name": self.notebook, "type": "notebook", "kernel": {"name": wanted}}
        kernel = self.server.call("POST", "sessions", body)["kernel"]
        self.kernel_name, self.kernel_id = kernel["name"], kernel["id"]
        self._connect()

    def _detach(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> None:
        """Open the kernel's channels and wait until it answers.

        The server says that it restarts a kernel before it does, and a channel that is opened in between may answer
        once and then lead nowhere. So after a restart the kernel has to answer twice, a while apart, or the
        channels are opened again, as a page does whose connection is lost.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self._socket = self._open_channels()
            if not self._answers(deadline):
                break
            if not self.states:
                return
            time.sleep(1.5)
            if self._answers(min(deadline, time.monotonic() + 10)):
                return
            self._detach()
        raise KernelDiedError(f"{self.kernel_name} did not answer within {PATIENCE:.0f} seconds")

    def _answers(self, deadline: float) -> bool:
        """Whether the kernel answers a question before the deadline."""
        asked = self._send("shell", "kernel_info_request", {})
        for message in self._messages(deadline):
            if self.states[-1:] == ["dead"]:
                raise KernelDiedError(f"{self.kernel_name} was started and died, again and again")
            if message is None:
                continue
            if message["parent_header"].get("msg_id") == asked and message["channel"] == "shell":
                return True
        return False

    def _open_channels(self) -> websocket.WebSocket:
        """Open the kernel's channels.

        The server lets a client in when the kernel has answered it, and tells one that waits nothing of a
        kernel that dies meanwhile: that shows only in the kernel being gone.
        """
        path = f"/api/kernels/{self.kernel_id}/channels?session_id={self._client}"
        address = urlsplit(self.server.url)
        connection = socket.create_connection((address.hostname, address.port or 80))
        with ThreadPoolExecutor(1) as thread:
            opening = thread.submit(
                websocket.create_connection,
                f"ws://{address.netloc}{path}",
                header=[f"Authorization: token {self.server.token}"],
                timeout=PATIENCE,
                socket=connection,
            )
            try:
                while not wait([opening], timeout=0.3).done:
                    self.server.call("GET", f"kernels/{self.kernel_id}")
                return opening.result()
            except (websocket.WebSocketException, OSError) as error:
                connection.shutdown(socket.SHUT_RDWR)  # which ends the thread
                connection.close()
                if isinstance(error, HTTPError):
                    error.close()
                raise KernelDiedError(f"the kernel {self.kernel_name} does not start: {error}") from error

    # Running cells

    def run(
        self, code: str, timeout: float = PATIENCE, on_output: Callable[[CellResult], None] | None = None
    ) -> CellResult:
        """Run a cell and return what came of it.

        Args:
            code: the cell.
            timeout: seconds.
            on_output: called with the result so far whenever something is shown.

        Raises:
            TimeoutError: the cell still runs; the text has what it has shown.
            KernelDiedError: there is no kernel to run it.
        """
        if self._socket is None:
            raise KernelDiedError("the page is closed")
        result = CellResult()
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": True}
        asked = self._send("shell", "execute_request", {**content, "stop_on_error": True})
        lives = len(self.states)
        waiting = {"reply", "idle"}
        for message in self._messages(time.monotonic() + timeout):
            if len(self.states) > lives:
                result.status = "dead"
                return result
            if message is None:
                continue
            if message["header"]["msg_type"] == "colab_request":
                self._answer(message)  # some name the page that they mean and no cell
            if message["parent_header"].get("msg_id") != asked:
                continue
            waiting -= self._take(message, result)
            if not waiting:
                if result.status == "error":
                    self._settle()
                return result
            if on_output is not None and message["channel"] == "iopub" and result.text:
                on_output(result)
        raise TimeoutError(f"still runs after {timeout:.0f} seconds:\n{code}\n{result.screen[-3000:]}")

    def _settle(self) -> None:
        """After an error, wait until the kernel takes the next cell: it may abort one that comes at once.

        `attach.notebook.Notebook.settle` says how that comes about.
        """
        if not self._answers(time.monotonic() + PATIENCE):
            raise TimeoutError("the kernel says nothing after an error")

    def _take(self, message: Message, result: CellResult) -> set[str]:
        """Note one message about the running cell; return which of `reply` and `idle` it is."""
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "execute_reply":
            result.status = content["status"]
            result.execution_count = content.get("execution_count")
            return {"reply"}
        if kind == "status":
            return {"idle"} if content["execution_state"] == "idle" else set()
        if kind == "input_request":
            self._send("stdin", "input_reply", {"value": self._type(content["prompt"])}, message)
            result.take("stream", {"name": "stdout", "text": content["prompt"]})
        else:
            result.take(kind, content)
        return set()

    # What the kernel asks

    def _type(self, prompt: str) -> str:
        if not self.typed:
            raise AssertionError(f"the kernel asks {prompt!r}, and page.typed has no answer")
        return self.typed.popleft()

    def _answer(self, message: Message) -> None:
        """Answer a request, where it wants an answer."""
        metadata = message["metadata"]
        kind, body = metadata["colab_request_type"], message["content"]["request"]
        self.requests.append((kind, body))
        if "colab_msg_id" not in metadata:
            return
        reply = {"type": "colab_reply", "colab_msg_id": metadata["colab_msg_id"]}
        try:
            if kind not in self.handlers:
                raise RefusedError(f"the page knows no request of type {kind}")
            reply["data"] = self.handlers[kind](body)
        except RefusedError as error:
            reply["error"] = str(error)
        self._send("stdin", "input_reply", {"value": reply}, message)

    def _secret(self, body: Any) -> Any:
        key = body["key"]
        access = key in self.secrets and key not in self.denied
        answer: Message = {"exists": key in self.secrets, "access": access}
        return {**answer, "payload": self.secrets[key]} if access else answer

    def _javascript(self, body: Any) -> Any:
        """Run the scripts of a file dialog, the only ones that this page knows."""
        script = body["script"]
        if re.match(r"google\.colab\._files\._uploadFiles\(", script):
            self._upload_steps = self._upload()
        elif not re.match(r"google\.colab\._files\._uploadFilesContinue\(", script):
            raise RefusedError(f"this page runs no such script: {script[:80]}")
        return next(self._upload_steps)

    def _upload(self) -> Iterator[Message]:
        yield {"action": "starting"}
        for name, data in self.uploads.items():
            for start in range(0, max(1, len(data)), UPLOAD_BYTES):
                piece = base64.b64encode(data[start : start + UPLOAD_BYTES]).decode()
                yield {"action": "append", "file": name, "data": piece}
        yield {"action": "complete"}

    # Messages

    def _send(self, channel: str, kind: str, content: Message, parent: Message | None = None) -> str:
        if self._socket is None:
            raise KernelDiedError("the page is closed")
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": kind, "session": self._client, "username": "page"}
        date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        message = {
            "channel": channel,
            "header": {**header, "version": "5.3", "date": date},
            "parent_header": parent["header"] if parent else {},
            "metadata": {},
            "content": content,
        }
        self._socket.send(json.dumps(message))
        return number

    def _messages(self, deadline: float) -> Iterator[Message | None]:
        """Messages from the kernel until the deadline; None for what the server says of its life."""
        while (left := deadline - time.monotonic()) > 0 and self._socket is not None:
            # A short wait each time: the server's pings would begin a long one again for ever.
            self._socket.settimeout(min(left, 1.0))
            with contextlib.suppress(websocket.WebSocketTimeoutException):
                message = decode(self._socket.recv())
                state = message["content"].get("execution_state")
                if state in ("restarting", "autorestarting", "dead"):
                    self.states.append(state)
                    yield None
                else:
                    yield message


def decode(frame: str | bytes) -> Message:
    """A message from the server: JSON, or with buffers a number, offsets, JSON and the buffers."""
    if isinstance(frame, bytes):
        numbers = [int.from_bytes(frame[i : i + 4], "big") for i in range(0, 12, 4)]
        end = numbers[2] if numbers[0] > 1 else len(frame)
        frame = frame[numbers[1] : end].decode()
    message: Message = json.loads(frame)
    return message
