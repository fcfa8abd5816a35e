"""What `export` returns."""

from __future__ import annotations

from dataclasses import dataclass

from colabenv.output.results import Result


@dataclass(frozen=True)
class ExportResult(Result):
    """An exported lock: either its `text`, or the `files` that were written; `use` are commands that use it."""

    name: str
    format: str
    variant: str
    packages: int
    text: str
    files: tuple[str, ...]
    use: tuple[str, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """The file itself, or which files were written and how to use them."""
        if not self.files:
            return self.text.splitlines()
        summary = (
            f"✓ Wrote {self.name} ({self.variant}, {self.packages} packages) to {' and '.join(self.files)}."
        )
        return [
            summary,
            *(f"  {note}" for note in self.notes),
            "To use it:",
            *(f"  {line}" for line in self.use),
        ]
