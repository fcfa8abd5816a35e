"""How stages report progress. Only `output` prints it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Card:
    """A short summary for the user: a title, and rows of a label and a text."""

    title: str
    rows: tuple[tuple[str, str], ...]


class Progress(Protocol):
    """Receives what stages report while they work."""

    def stage(self, title: str) -> None:
        """A stage begins; `title` is a short phrase such as "installing"."""

    def update(self, text: str) -> None:
        """How far the stage is, such as "116 of 131 packages, 301 of 612 MB"."""

    def note(self, text: str) -> None:
        """Something the user should know, one sentence; it stays on the screen."""

    def card(self, card: Card) -> None:
        """A summary of a decision that was made for the user; it stays on the screen."""


class SilentProgress:
    """Discards progress."""

    def stage(self, title: str) -> None:
        """Discard it."""

    def update(self, text: str) -> None:
        """Discard it."""

    def note(self, text: str) -> None:
        """Discard it."""

    def card(self, card: Card) -> None:
        """Discard it."""
