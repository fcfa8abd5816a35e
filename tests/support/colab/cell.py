"""The result of a cell, and how the output area shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# Colors and other sequences that start with ESC; the output area has no cursor to move.
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]")


class CellError(NamedTuple):
    """An exception that ended a cell."""

    ename: str
    evalue: str
    traceback: str


@dataclass
class CellResult:
    """The output of a cell, and how it ended.

    Attributes:
        status: `ok`, `error`, `aborted`, or `dead` if its kernel died.
        execution_count: the number beside the cell.
        stdout, stderr: the output, unmodified.
        text: all text that the output area received, in order.
        result: the plain text of the value of the last line, or None.
        displays: every rich output, including the result, as MIME type to data.
        error: the exception, or None.
    """

    status: str = ""
    execution_count: int | None = None
    stdout: str = ""
    stderr: str = ""
    text: str = ""
    result: str | None = None
    displays: list[dict[str, Any]] = field(default_factory=list)
    error: CellError | None = None
    _clear_before_next: bool = False

    @property
    def screen(self) -> str:
        """The text as the output area shows it."""
        return screen(self.text)

    def take(self, kind: str, content: Mapping[str, Any]) -> None:
        """Add the content of an iopub message of the type `kind`."""
        if kind == "clear_output":
            self._clear_before_next = bool(content.get("wait"))
            if not self._clear_before_next:
                self._clear()
            return
        if self._clear_before_next and kind in ("stream", "display_data", "execute_result", "error"):
            self._clear()
        if kind == "stream":
            self._stream(content["name"], content["text"])
        elif kind in ("display_data", "execute_result", "update_display_data"):
            self._display(kind, dict(content["data"]))
        elif kind == "error":
            self.error = CellError(content["ename"], content["evalue"], "\n".join(content["traceback"]))
            self.text += self.error.traceback + "\n"

    def _stream(self, name: str, text: str) -> None:
        if name == "stderr":
            self.stderr += text
        else:
            self.stdout += text
        self.text += text

    def _display(self, kind: str, data: dict[str, Any]) -> None:
        self.displays.append(data)
        plain = data.get("text/plain", "")
        if kind == "execute_result":
            self.result = plain
        self.text += plain + "\n"

    def _clear(self) -> None:
        self.text = ""
        self.displays.clear()
        self._clear_before_next = False


def screen(text: str) -> str:
    r"""The text as the output area shows it: `\r` and `\b` go back and overwrite, colors are removed."""
    lines = []
    for line in ESCAPES.sub("", text).split("\n"):
        shown: list[str] = []
        column = 0
        for character in line:
            if character == "\r":
                column = 0
            elif character == "\b":
                column = max(0, column - 1)
            else:
                shown[column : column + 1] = [character]
                column += 1
        lines.append("".join(shown))
    return "\n".join(lines)
