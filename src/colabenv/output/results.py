"""What commands return: plain data that `console` shows as text or JSON. Imports only the standard library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any


class Result:
    """What every command returns; the exit code is 0 unless a subclass overrides it."""

    exit_code = 0

    def as_dict(self) -> dict[str, Any]:
        """The result as `--json` prints it."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]

    def lines(self) -> list[str]:
        """The result as text, the outcome first."""
        raise NotImplementedError

    def table(self) -> tuple[list[str], list[list[str]]] | None:
        """Column titles and rows to show above the lines, or None."""
        return None

    def _ipython_display_(self) -> None:
        """Display nothing as the last value of a cell: the console has already shown the result."""


#: The text for steps whose names in `--json` are kept for compatibility.
_STEP_NAMES = {"look": "examine", "prove": "check"}


def format_steps(seconds: Mapping[str, float]) -> str:
    """Steps and their times, without the shortest: "lock 1.2 s, install 8.0 s"."""
    return ", ".join(
        f"{_STEP_NAMES.get(step, step)} {value:.1f} s" for step, value in seconds.items() if value >= 0.05
    )
