"""Jupyter messages between the page and an environment's kernel, as frames. Pure.

No mapping of message ids is needed, because of three choices:

- The environment's kernel has the *same signing key* as the notebook's kernel.
- It has the *same session id*: JupyterLab takes a message of another session for a restarted kernel, and drops the
  widget messages that it has not handled yet.
- A request is forwarded with the page's own header.

So every message of the environment's kernel names the page's request as its parent and has a valid signature. Its
frames are forwarded unchanged, buffers included. Only a short header of each message is parsed.

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
# Messages about the environment's process, not about the notebook's kernel.
_NOT_FOR_THE_PAGE = frozenset({"status", "iopub_welcome", "shutdown_reply"})

Frames = list[bytes]


@dataclass(frozen=True)
class OutputMessage:
    """One iopub message: whether the page gets it, and the id of the request or comm that it starts or ends."""

    forward: bool
    started: str | None = None
    idle_for: str | None = None
    opened: str | None = None
    closed: str | None = None


def split_frames(frames: Frames) -> tuple[Frames, Frames]:
    """Split a message into its routing prefix and its body, which starts with the signature; raises ValueError."""
    index = frames.index(DELIMITER)
    return frames[:index], frames[index + 1 :]


def join_frames(idents: Frames, body: Frames) -> Frames:
    """Join the two parts that `split_frames` returns."""
    return [*idents, DELIMITER, *body]


def read_type(body: Frames) -> str:
    """The `msg_type` of a message."""
    return str(json.loads(body[_HEADER]).get("msg_type", ""))


def read_parent_id(body: Frames) -> str:
    """The id of the request that a message belongs to, or ""."""
    return str(json.loads(body[_PARENT]).get("msg_id", ""))


def read_content(body: Frames) -> dict[str, Any]:
    """The content of a message."""
    content = json.loads(body[_CONTENT])
    return content if isinstance(content, dict) else {}


def classify_output(frames: Frames) -> OutputMessage:
    """Decide what happens to an iopub message of the environment's kernel; an invalid one is not forwarded."""
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
    if kind == "execute_input":
        return OutputMessage(forward=True, started=read_parent_id(body))
    return OutputMessage(forward=kind not in _NOT_FOR_THE_PAGE)


def forwarded_request(message: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """The request to forward: the page's own header, and a content with some fields changed."""
    # Without the id of a subshell, which the other kernel does not have.
    header = {key: value for key, value in message["header"].items() if key != "subshell_id"}
    return {
        "header": header,
        "parent_header": message.get("parent_header") or {},
        "metadata": message.get("metadata") or {},
        "content": {**message["content"], **changed},
        "buffers": message.get("buffers") or [],
    }


def describe_exit(code: int) -> str:
    """A process's return code in words; it is negative for a signal, as with `subprocess.Popen.poll`."""
    if code >= 0:
        return f"it ended with exit code {code}"
    if code == -signal.SIGKILL:
        return "it was killed (SIGKILL), usually because the machine ran out of memory"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"it crashed or was stopped ({name})"
