"""Messages as frames."""

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
    ("kind", "content", "decision"),
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
def test_what_becomes_of_output(kind: str, content: dict[str, Any], decision: OutputMessage) -> None:
    assert messages.classify_output(message(kind, content)) == decision


@pytest.mark.parametrize(
    "frames", [[], [b"x"], [b"x", messages.DELIMITER], [messages.DELIMITER, b"s", b"{", b""]]
)
def test_what_is_no_message_is_not_forwarded(frames: Frames) -> None:
    assert messages.classify_output(frames) == OutputMessage(forward=False)


def test_splitting_and_joining_keep_every_frame() -> None:
    frames = message("stream", {})
    idents, body = messages.split_frames(frames)
    assert messages.join_frames(idents, body) == frames
    assert (messages.read_type(body), messages.read_parent_id(body)) == ("stream", "p1")
    assert messages.read_parent_id(messages.split_frames(message("stream", {}, parent=""))[1]) == ""


def test_a_request_keeps_the_pages_header_but_for_the_subshell() -> None:
    page: dict[str, Any] = {
        "header": {"msg_id": "m", "session": "s", "subshell_id": "x"},
        "parent_header": {},
        "metadata": {"cellId": 1},
        "content": {"code": "a", "silent": False},
        "buffers": [b"1"],
    }
    made = messages.forwarded_request(page, {"code": "b"})
    assert made["header"] == {"msg_id": "m", "session": "s"}
    assert made["metadata"] == {"cellId": 1}
    assert made["content"] == {"code": "b", "silent": False}
    assert made["buffers"] == [b"1"]
    assert page["content"]["code"] == "a"


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "exit code 0"), (3, "exit code 3"), (-9, "memory"), (-11, "SIGSEGV"), (-99, "signal 99")],
)
def test_how_a_kernel_ended_in_words(code: int, words: str) -> None:
    assert words in messages.describe_exit(code)
