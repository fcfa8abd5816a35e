"""How stages report progress. Only `output` prints it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives what stages report while they work."""

    def stage(self, title: str) -> None:
        """A stage begins; `title` is a short phrase such as "installing"."""

    def update(self, text: str) -> None:
        """How far the stage is, such as "116 of 131 packages, 301 of 612 MB"."""

    def note(self, text: str) -> None:
        """Something the user should know, one sentence; it stays on the screen."""


class SilentProgress:
    """Discards progress."""

    def stage(self, title: str) -> None:
        """Discard it."""

    def update(self, text: str) -> None:
        """Discard it."""

    def note(self, text: str) -> None:
        """Discard it."""
