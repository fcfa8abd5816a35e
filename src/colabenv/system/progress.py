"""How a stage says how far it is. `report` shows it; nobody else prints."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Takes what stages say while they work."""

    def stage(self, title: str) -> None:
        """A stage begins; `title` is a short phrase such as "installing"."""

    def update(self, text: str) -> None:
        """How far the stage is, such as "116 of 131 packages, 301 of 612 MB"."""

    def note(self, text: str) -> None:
        """Something the person should know, one sentence; it stays on the screen."""


class SilentProgress:
    """Progress for nobody."""

    def stage(self, title: str) -> None:
        """Drop it."""

    def update(self, text: str) -> None:
        """Drop it."""

    def note(self, text: str) -> None:
        """Drop it."""
