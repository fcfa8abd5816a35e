r"""The only module that prints: results as text or JSON, live progress, errors.

A Colab cell and a terminal are both ptys, but a cell understands only `\r`, `\b` and colours. So the live line is
redrawn with `\r` and spaces everywhere, and the cursor never moves up.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from colabenv.errors import ColabenvError
from colabenv.output.results import Result

if TYPE_CHECKING:
    from colabenv.system.progress import Card

#: Lines of an error's detail that are shown without `--verbose`.
_DETAIL_LINES = 30
#: Minimum seconds between two updates of the live line, so that a notebook's output stays small.
_INTERVAL = 0.2
_BOLD, _RED, _GREEN, _DIM, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[2m", "\x1b[0m"


class Console:
    r"""Shows progress and results.

    Args:
        out: where results go; by default standard output.
        err: where progress and errors go; by default standard error, or `out` if both lead to the same place.
        as_json: print results and errors as one JSON document.
        verbose: keep every stage on the screen with its time, and show the details of errors in full.
        live: whether `err` can redraw a line after `\r`; by default, whether it is a terminal.
        display: shows a MIME bundle in the cell of a notebook; None where there is only text.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        err: TextIO | None = None,
        *,
        as_json: bool = False,
        verbose: bool = False,
        live: bool | None = None,
        display: Callable[[dict[str, str]], None] | None = None,
    ) -> None:
        self._out = out or sys.stdout
        self._json = as_json
        self._err = err or _diagnostics_stream(self._out, as_json=as_json)
        self._verbose = verbose
        self._live = self._err.isatty() if live is None else live
        self._colour = self._live and not os.environ.get("NO_COLOR")
        self._display = None if as_json else display
        self._title = ""
        self._drawn_length = 0
        self._last_update = 0.0
        self._started = 0.0

    def stage(self, title: str) -> None:
        """See `Progress.stage`: a live line, or a plain one in a pipe."""
        self._end_stage()
        self._title, self._started, self._last_update = title, time.monotonic(), 0.0
        if self._live:
            self._draw(f"{title} …")
        else:
            self._line(f"{title} …")

    def update(self, text: str) -> None:
        """See `Progress.update`; ignored in a pipe, and within `_INTERVAL` of the last update."""
        now = time.monotonic()
        if self._live and now - self._last_update >= _INTERVAL:
            self._last_update = now
            self._draw(f"{self._title}: {text} ({now - self._started:.0f} s)")

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        self._erase()
        self._line(text)

    def card(self, card: Card) -> None:
        """See `Progress.card`: a table in a notebook, lines elsewhere."""
        from colabenv.output.cards import card_html, card_lines  # noqa: PLC0415 - seldom needed

        self._end_stage()
        lines = card_lines(card)
        if self._display:
            self._display({"text/plain": "\n".join(lines), "text/html": card_html(card)})
            return
        for line in lines:
            self._line(line)

    def ask(self, question: str) -> bool:
        """Ask the user a yes-or-no question; False with `--json`, or if standard input is not a terminal."""
        self._end_stage()
        if self._json or not sys.stdin.isatty():
            return False
        self._write(question + " [y/N] ")
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def result(self, outcome: Result) -> None:
        """Show what a command returned."""
        self._end_stage()
        if self._json:
            self._print(json.dumps(outcome.as_dict(), indent=2))
            return
        table = outcome.table()
        if table is not None:
            self._table(*table)
        for line in outcome.lines():
            self._print(self._paint(line, _GREEN) if line.startswith("✓") else line)

    def error(self, error: ColabenvError) -> None:
        """Show an error: what happened, the evidence, the next step."""
        self._end_stage()
        if self._json:
            self._print(json.dumps(error.as_dict(), indent=2))
            return
        for line in error_lines(error, verbose=self._verbose):
            colour = _RED if line.startswith("✗") else _DIM if line.startswith("  Full log:") else ""
            self._line(self._paint(line, colour))

    def _table(self, titles: list[str], rows: list[list[str]]) -> None:
        from rich.console import Console  # noqa: PLC0415 - 50 ms that an `up` with nothing to do saves
        from rich.table import Table  # noqa: PLC0415

        table = Table(*titles, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*row)
        # Users type the names into other commands, so names are never cut: the table may be wider than the screen.
        needed = sum(max(map(len, column)) + 2 for column in zip(titles, *rows, strict=True))
        width = max(needed, shutil.get_terminal_size((100, 24)).columns)
        Console(
            file=self._out, force_terminal=self._colour, width=width, highlight=False, markup=False
        ).print(table)

    def _end_stage(self) -> None:
        if self._title and self._verbose:
            self._erase()
            self._line(f"{self._title}: {time.monotonic() - self._started:.1f} s")
        self._erase()
        self._title = ""

    def _draw(self, text: str) -> None:
        width = max(20, min(shutil.get_terminal_size((80, 24)).columns, 120) - 1)
        shown = text if len(text) <= width else text[: width - 1] + "…"
        self._write("\r" + shown + " " * max(0, self._drawn_length - len(shown)))
        self._drawn_length = len(shown)

    def _erase(self) -> None:
        if self._drawn_length:
            self._write("\r" + " " * self._drawn_length + "\r")
            self._drawn_length = 0

    def _paint(self, text: str, colour: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._colour and colour else text

    def _line(self, text: str) -> None:
        self._write(text + "\n")

    def _write(self, text: str) -> None:
        _put(self._err, text)

    def _print(self, text: str) -> None:
        _put(self._out, text + "\n")


def error_lines(error: ColabenvError, *, verbose: bool = False) -> list[str]:
    """An error as text: the evidence, what happened, what to do, and where the log is."""
    detail = error.detail.rstrip().splitlines()
    lines = [f"  {line}" for line in (detail if verbose else detail[-_DETAIL_LINES:])]
    lines.append(f"✗ {error.message}")
    lines += [f"  {error.hint}"] if error.hint else []
    return [*lines, f"  Full log: {error.log}"] if error.log else lines


def _diagnostics_stream(out: TextIO, *, as_json: bool) -> TextIO:
    """Standard error, or `out` if both are the same terminal, cell or file: two streams could change the order."""
    try:
        same = os.path.sameopenfile(out.fileno(), sys.stderr.fileno())
    except (OSError, ValueError):  # a stream in memory has no file
        same = True
    return out if same and not as_json else sys.stderr


def _put(stream: TextIO, text: str) -> None:
    """Write and flush; a closed pipe (`… | head`) is not an error."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # Python would write the rest of the buffer, and fail again, when it exits (the signal module's documentation).
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except UnicodeEncodeError:
        stream.write(text.encode("ascii", "replace").decode())
        stream.flush()
