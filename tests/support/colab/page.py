"""Colab's page: opens a notebook on a machine, runs its cells and answers the requests of its kernel."""

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
from support.timeouts import TIMEOUT

Message = dict[str, Any]
Handler = Callable[[Any], Any]

UPLOAD_BYTES = 100 * 1024


class KernelDiedError(Exception):
    """The kernel did not start, or no longer answers."""


class RefusedError(Exception):
    """Raised by a handler to answer the kernel's request with this error."""


class Page:
    """A notebook that is open in a browser.

    Args:
        server: the machine's Jupyter server.
        notebook: its file in /content; created if it does not exist.
        kernel: the name to write to the notebook's `metadata.kernelspec.name`. None keeps the name in the notebook; a
            new notebook is for `python3`.

    Attributes:
        kernel_name, kernel_id: the kernel that the page is attached to.
        messages: messages that the page has shown to the user.
        states: states of the kernel that the server has reported: `restarting`, `dead`.
        requests: type and body of every request from the kernel.
        secrets: the user's secrets; `denied` are those that this notebook may not read.
        uploads: the files that the user chooses in a file dialog.
        typed: the user's answers to prompts, the first one first.
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
            "get_ipynb": self._read_notebook,
        }
        self._upload_steps: Iterator[Message] = iter(())
        self._socket: websocket.WebSocket | None = None
        self._client = uuid.uuid4().hex
        self._write_notebook(kernel)
        self._attach()

    # The notebook and its kernel

    def kernelspecs(self) -> dict[str, Any]:
        """The available kernels: name to spec, as "Change runtime type" lists them."""
        listed: dict[str, Any] = self.server.call("GET", "kernelspecs")["kernelspecs"]
        return listed

    def reload(self, kernel: str | None = None) -> None:
        """Load the page again; with `kernel`, write its name to the notebook first.

        A running kernel continues, unless the notebook now names another one.
        """
        self._write_notebook(kernel)
        self._detach()
        self._attach()

    def restart_kernel(self) -> None:
        """ "Restart session": restart the kernel, which loses its variables.

        Raises:
            KernelDiedError: the kernel does not start again.
        """
        self.server.call("POST", f"kernels/{self.kernel_id}/restart")
        self._detach()
        self._connect()

    def type(self, text: str) -> None:
        """Type into the field below a running command. A line break stands for the Return key."""
        self._send("stdin", "input_reply", {"value": text})

    def interrupt(self) -> None:
        """Press the stop button of the running cell. May be called from another thread."""
        self.server.call("POST", f"kernels/{self.kernel_id}/interrupt")

    def shut_down(self) -> None:
        """End this notebook's kernel and close the page, like "Disconnect and delete runtime"."""
        for session in self.server.call("GET", "sessions"):
            if session["path"] == self.notebook:
                self.server.call("DELETE", f"sessions/{session['id']}")
        self.close()

    def close(self) -> None:
        """Close the page. The kernel continues."""
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

    def write_cells(self, *sources: str, **metadata: Any) -> None:
        """Replace the notebook's cells by code cells, which do not run, and add to its metadata."""
        path = f"contents/{self.notebook}"
        content = self.server.call("GET", path)["content"]
        content["cells"] = [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": str(number),
                "metadata": {},
                "outputs": [],
                "source": source,
            }
            for number, source in enumerate(sources)
        ]
        content["metadata"].update(metadata)
        self.server.call("PUT", path, {"type": "notebook", "format": "json", "content": content})

    def _read_notebook(self, _body: Any) -> Any:
        """The answer to `get_ipynb`: the notebook, with its file name in the metadata."""
        content = self.server.call("GET", f"contents/{self.notebook}")["content"]
        content["metadata"].setdefault("colab", {})["name"] = self.notebook
        return {"ipynb": content}

    def _wanted_kernel(self) -> str:
        """The kernel that the notebook names, or if it is not installed, the default, with a message."""
        metadata = self.server.call("GET", f"contents/{self.notebook}")["content"]["metadata"]
        name: str = metadata.get("kernelspec", {}).get("name", "python3")
        if name in self.kernelspecs():
            return name
        self.messages.append(f'Unrecognized runtime "{name}"; defaulting to "python3"')
        return "python3"

    def _attach(self) -> None:
        """Find or create the notebook's session, and connect to its kernel."""
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

        The server reports the restart of a kernel before it happens. A channel that is opened in between may answer
        once and then never again. So after a restart, the kernel must answer twice, with a pause in between. If it
        does not, the channels are opened again, as the real page does when it loses the connection.
        """
        deadline = time.monotonic() + TIMEOUT
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
        raise KernelDiedError(f"{self.kernel_name} did not answer within {TIMEOUT:.0f} seconds")

    def _answers(self, deadline: float) -> bool:
        """Whether the kernel answers a request before the deadline."""
        request_id = self._send("shell", "kernel_info_request", {})
        for message in self._messages(deadline):
            if self.states[-1:] == ["dead"]:
                raise KernelDiedError(f"{self.kernel_name} died at every start")
            if message is None:
                continue
            if message["parent_header"].get("msg_id") == request_id and message["channel"] == "shell":
                return True
        return False

    def _open_channels(self) -> websocket.WebSocket:
        """Open the kernel's channels.

        The server accepts a client only after the kernel has answered. It does not tell a waiting client that the
        kernel has died, so this method also checks that the kernel exists.
        """
        path = f"/api/kernels/{self.kernel_id}/channels?session_id={self._client}"
        address = urlsplit(self.server.url)
        connection = socket.create_connection((address.hostname, address.port or 80))
        with ThreadPoolExecutor(1) as thread:
            opening = thread.submit(
                websocket.create_connection,
                f"ws://{address.netloc}{path}",
                header=[f"Authorization: token {self.server.token}"],
                timeout=TIMEOUT,
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
        self, code: str, timeout: float = TIMEOUT, on_output: Callable[[CellResult], None] | None = None
    ) -> CellResult:
        """Run a cell and return its result.

        Args:
            code: the cell.
            timeout: seconds.
            on_output: called with the result so far after each new output.

        Raises:
            TimeoutError: the cell still runs; the message has its output.
            KernelDiedError: there is no kernel to run it.
        """
        if self._socket is None:
            raise KernelDiedError("the page is closed")
        result = CellResult()
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": True}
        request_id = self._send("shell", "execute_request", {**content, "stop_on_error": True})
        states_before = len(self.states)
        missing = {"reply", "idle"}
        for message in self._messages(time.monotonic() + timeout):
            if len(self.states) > states_before:
                result.status = "dead"
                return result
            if message is None:
                continue
            if message["header"]["msg_type"] == "colab_request":
                self._answer(message)  # some requests name the page, not the cell
            if message["parent_header"].get("msg_id") != request_id:
                continue
            missing -= self._take(message, result)
            if not missing:
                if result.status == "error":
                    self._settle()
                return result
            if on_output is not None and message["channel"] == "iopub" and result.text:
                on_output(result)
        raise TimeoutError(f"still runs after {timeout:.0f} seconds:\n{code}\n{result.screen[-3000:]}")

    def _settle(self) -> None:
        """After an error, wait until the kernel accepts the next cell: it may abort a cell that arrives at once.

        See `attach.notebook.Notebook.settle`.
        """
        if not self._answers(time.monotonic() + TIMEOUT):
            raise TimeoutError("the kernel does not answer after an error")

    def _take(self, message: Message, result: CellResult) -> set[str]:
        """Add one message to the result of the running cell; returns "reply" or "idle" if it is one of these."""
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

    # Requests of the kernel

    def _type(self, prompt: str) -> str:
        if not self.typed:
            raise AssertionError(f"the kernel asks {prompt!r}, and page.typed has no answer")
        return self.typed.popleft()

    def _answer(self, message: Message) -> None:
        """Answer a request, if it expects an answer."""
        metadata = message["metadata"]
        kind, body = metadata["colab_request_type"], message["content"]["request"]
        self.requests.append((kind, body))
        if "colab_msg_id" not in metadata:
            return
        reply = {"type": "colab_reply", "colab_msg_id": metadata["colab_msg_id"]}
        try:
            if kind not in self.handlers:
                raise RefusedError(f"unknown request type {kind}")
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
        """Run the scripts of a file dialog, the only ones that this page supports."""
        script = body["script"]
        if re.match(r"google\.colab\._files\._uploadFiles\(", script):
            self._upload_steps = self._upload()
        elif not re.match(r"google\.colab\._files\._uploadFilesContinue\(", script):
            raise RefusedError(f"unknown script: {script[:80]}")
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
        """Messages from the kernel until the deadline; None if the server reports a new state of the kernel."""
        while (left := deadline - time.monotonic()) > 0 and self._socket is not None:
            # Wait only for a short time: each ping of the server restarts the timeout.
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
    """Decode a message of the server: JSON, or if it has buffers, a count, offsets, JSON and the buffers."""
    if isinstance(frame, bytes):
        numbers = [int.from_bytes(frame[i : i + 4], "big") for i in range(0, 12, 4)]
        end = numbers[2] if numbers[0] > 1 else len(frame)
        frame = frame[numbers[1] : end].decode()
    message: Message = json.loads(frame)
    return message
