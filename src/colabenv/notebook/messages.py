"""Jupyter messages between the page and an environment's kernel, as frames. Pure.

The bridge needs no mapping of message ids, because of three choices:

- the environment's kernel is started with the *same signing key* as the notebook's kernel,
- it is started with the *same session id*, since JupyterLab silently drops a widget's message when one of
  another session arrives before it has handled the first (it takes that for a kernel that was restarted), and
- a request is handed on with the page's own header.

So whatever the environment's kernel sends already names the page's request as its parent and already
carries a signature the page's side accepts: its frames go out byte for byte, buffers included, and a long
stream costs one look at a short header per message.

The wire format is the Jupyter messaging protocol 5.3:
https://jupyter-client.readthedocs.io/en/stable/messaging.html
"""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from typing import Any

DELIMITER = b"<IDS|MSG>"
_HEADER, _PARENT, _CONTENT = 1, 2, 4
# The notebook's kernel has a life of its own: these say something about the other process only.
_NOT_FOR_THE_PAGE = frozenset({"status", "iopub_welcome", "shutdown_reply"})

Frames = list[bytes]


@dataclass(frozen=True)
class OutputMessage:
    """What the bridge has to know about one message from the environment's iopub channel.

    Args:
        forward: whether the page is to see it.
        idle_for: id of the request that this message ends, or None.
        opened: id of a comm that begins with this message, or None.
        closed: id of a comm that ends with this message, or None.
    """

    forward: bool
    idle_for: str | None = None
    opened: str | None = None
    closed: str | None = None


def split_frames(frames: Frames) -> tuple[Frames, Frames]:
    """Part a message into its routing prefix and its body, which begins with the signature.

    Raises:
        ValueError: if it is no Jupyter message.
    """
    at = frames.index(DELIMITER)
    return frames[:at], frames[at + 1 :]


def join_frames(idents: Frames, body: Frames) -> Frames:
    """The opposite of `split_frames`."""
    return [*idents, DELIMITER, *body]


def read_type(body: Frames) -> str:
    """The `msg_type` of a message's body."""
    return str(json.loads(body[_HEADER]).get("msg_type", ""))


def read_parent_id(body: Frames) -> str:
    """The id of the request that this message answers; empty if there is none."""
    return str(json.loads(body[_PARENT]).get("msg_id", ""))


def read_content(body: Frames) -> dict[str, Any]:
    """The content of a message's body."""
    value = json.loads(body[_CONTENT])
    return value if isinstance(value, dict) else {}


def classify_output(frames: Frames) -> OutputMessage:
    """Decide what becomes of one iopub message of the environment's kernel.

    Args:
        frames: the message as received, topic first.

    Returns:
        The decision. What is no Jupyter message is not forwarded.
    """
    try:
        _, body = split_frames(frames)
        kind = read_type(body)
    except (ValueError, IndexError):
        return OutputMessage(forward=False)
    if kind == "status":
        idle = read_content(body).get("execution_state") == "idle"
        return OutputMessage(forward=False, idle_for=read_parent_id(body) if idle else None)
    if kind == "comm_open":
        return OutputMessage(forward=True, opened=read_content(body).get("comm_id"))
    if kind == "comm_close":
        return OutputMessage(forward=True, closed=read_content(body).get("comm_id"))
    return OutputMessage(forward=kind not in _NOT_FOR_THE_PAGE)


def forwarded_request(message: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """The request to hand on: the page's own header, so that answers name it as their parent.

    Args:
        message: a request as the notebook's kernel unpacked it.
        changed: content fields to replace.

    Returns:
        A message for `jupyter_client.session.Session.serialize`, with its buffers. The subshell id is left
        out: subshells of the notebook's kernel do not exist in the other one.
    """
    header = {key: value for key, value in message["header"].items() if key != "subshell_id"}
    return {
        "header": header,
        "parent_header": message.get("parent_header") or {},
        "metadata": message.get("metadata") or {},
        "content": {**message["content"], **changed},
        "buffers": message.get("buffers") or [],
    }


def describe_exit(code: int) -> str:
    """A process's return code in words.

    Args:
        code: as `subprocess.Popen.poll` gives it: negative for a signal.
    """
    if code >= 0:
        return f"it ended by itself with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL":
        return "it was killed (SIGKILL), which mostly means that the machine ran out of memory"
    return f"it crashed or was stopped ({name})"


def build_error_content(name: str, value: str, lines: list[str]) -> dict[str, Any]:
    """The content of an `error` message, and of a reply that says error.

    Args:
        name: the error's class name.
        value: its message in one line.
        lines: what the page shows.
    """
    return {"status": "error", "ename": name, "evalue": value, "traceback": lines}
