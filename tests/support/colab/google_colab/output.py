"""JavaScript in the output area of the running cell."""

from __future__ import annotations

from typing import Any

import IPython
from google.colab import _message


def eval_js(script: str, ignore_result: bool = False, timeout_sec: float | None = None) -> Any:
    """Run a script in the page; returns its value, or None at once if the result is ignored."""
    cell = IPython.get_ipython().parent_header
    number = _message.send_request("cell_javascript_eval", {"script": script}, cell)
    return None if ignore_result else _message.read_reply_from_input(number, timeout_sec)
