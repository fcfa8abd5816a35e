"""Reading and writing Jupyter messages as ZeroMQ frames."""

from __future__ import annotations

import json
from typing import Any

import pytest

from colabenv.notebook import messages
from colabenv.notebook.messages import Frames, OutputMessage


def message(kind: str, content: dict[str, Any], parent: str = "p1") -> Frames:
    header = json.dumps({"msg_id": "m1", "msg_type": kind}).encode()
    parts = [json.dumps({"msg_id": parent} if parent else {}).encode(), b"{}", json.dumps(content).encode()]
    return [b"topic", messages.DELIMITER, b"signature", header, *parts, b"\x00buffer"]


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("stream", {"name": "stdout", "text": "x"}, OutputMessage(forward=True)),
        ("colab_request", {"request": {}}, OutputMessage(forward=True)),
        ("status", {"execution_state": "busy"}, OutputMessage(forward=False)),
        ("status", {"execution_state": "idle"}, OutputMessage(forward=False, idle_for="p1")),
        ("iopub_welcome", {}, OutputMessage(forward=False)),
        ("shutdown_reply", {"restart": False}, OutputMessage(forward=False)),
        ("comm_open", {"comm_id": "c"}, OutputMessage(forward=True, opened="c")),
        ("comm_msg", {"comm_id": "c"}, OutputMessage(forward=True)),
        ("comm_close", {"comm_id": "c"}, OutputMessage(forward=True, closed="c")),
    ],
)
def test_classify_output(kind: str, content: dict[str, Any], expected: OutputMessage) -> None:
    assert messages.classify_output(message(kind, content)) == expected


def test_invalid_messages_are_not_forwarded() -> None:
    invalid: list[Frames] = [[], [b"x"], [b"x", messages.DELIMITER], [messages.DELIMITER, b"s", b"{", b""]]
    for frames in invalid:
        assert messages.classify_output(frames) == OutputMessage(forward=False), frames


def test_split_and_join_keep_every_frame() -> None:
    frames = message("stream", {})
    idents, body = messages.split_frames(frames)
    assert messages.join_frames(idents, body) == frames
    assert (messages.read_type(body), messages.read_parent_id(body)) == ("stream", "p1")
    assert messages.read_parent_id(messages.split_frames(message("stream", {}, parent=""))[1]) == ""


def test_forwarded_request_keeps_the_header_without_the_subshell() -> None:
    original: dict[str, Any] = {
        "header": {"msg_id": "m", "session": "s", "subshell_id": "x"},
        "parent_header": {},
        "metadata": {"cellId": 1},
        "content": {"code": "a", "silent": False},
        "buffers": [b"1"],
    }
    request = messages.forwarded_request(original, {"code": "b"})
    assert request["header"] == {"msg_id": "m", "session": "s"}
    assert request["metadata"] == {"cellId": 1}
    assert request["content"] == {"code": "b", "silent": False}
    assert request["buffers"] == [b"1"]
    assert original["content"]["code"] == "a"


def test_describe_exit() -> None:
    descriptions = {0: "exit code 0", 3: "exit code 3", -9: "memory", -11: "SIGSEGV", -99: "signal 99"}
    for code, description in descriptions.items():
        assert description in messages.describe_exit(code)
