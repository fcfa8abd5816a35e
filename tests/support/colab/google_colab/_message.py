"""Requests from the kernel to the page, and the page's answers.

A request goes out on the iopub channel as `colab_request`; the answer arrives on the stdin channel as an
`input_reply` whose value is an object of type `colab_reply`.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import IPython
from google.colab import errors

_numbers = itertools.count(1)
_PAUSE_SECONDS = 0.02


class MessageError(errors.Error):  # type: ignore[misc]
    """The page answered with an error."""


def _kernel() -> Any:
    return IPython.get_ipython().kernel


def send_request(kind: str, body: Any, parent: Any = None, expect_reply: bool = True) -> int | None:
    """Send a request to the page; returns its number, or None if no reply is expected.

    Args:
        kind: the type of the request.
        body: the content of the request, as JSON values.
        parent: the message that started the running cell, for requests about its output area.
        expect_reply: whether the page must reply.
    """
    kernel = _kernel()
    metadata = {"colab_request_type": kind}
    number = None
    if expect_reply:
        number = next(_numbers)
        metadata["colab_msg_id"] = number  # type: ignore[assignment]
    if parent is None:  # the request names the session, not the cell
        parent = {"header": {"session": kernel.shell.parent_header["header"]["session"]}}
    kernel.session.send(
        kernel.iopub_socket, "colab_request", content={"request": body}, metadata=metadata, parent=parent
    )
    return number


def _next_value() -> Any:
    """The value of the next message on the stdin channel, or None if there is none."""
    kernel = _kernel()
    _, message = kernel.session.recv(kernel.stdin_socket)
    return None if message is None else message["content"].get("value", "")


def typed_line() -> str | None:
    """What the user has typed for a running command, or None. Drops answers to requests."""
    while True:
        value = _next_value()
        if not isinstance(value, dict):
            return value  # type: ignore[no-any-return]


def read_reply_from_input(number: int | None, timeout_sec: float | None = None) -> Any:
    """Wait for the answer to a request; returns None if it does not arrive in time.

    Raises:
        MessageError: the page answered with an error.
    """
    deadline = None if timeout_sec is None else time.monotonic() + timeout_sec
    while deadline is None or time.monotonic() < deadline:
        value = _next_value()
        if not isinstance(value, dict):
            time.sleep(_PAUSE_SECONDS)
        elif value.get("type") == "colab_reply" and value.get("colab_msg_id") == number:
            if "error" in value:
                raise MessageError(value["error"])
            return value.get("data")
    return None


def blocking_request(kind: str, request: Any = "", timeout_sec: float | None = 5, parent: Any = None) -> Any:
    """Send a request and wait for the answer; returns None if it does not arrive in time."""
    return read_reply_from_input(send_request(kind, request, parent), timeout_sec)
