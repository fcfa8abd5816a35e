"""What `export` returns."""

from __future__ import annotations

from dataclasses import dataclass

from colabenv.output.results import Result


@dataclass(frozen=True)
class ExportResult(Result):
    """What was exported.

    Attributes:
        packages: number of pins.
        text: content of the file; "" if it was written.
        files: paths that were written.
        use: commands that use them.
        notes: what the format cannot express.
    """

    name: str
    format: str
    variant: str
    packages: int
    text: str
    files: tuple[str, ...]
    use: tuple[str, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """The text if no file was written; else the files, and how to use them."""
        if not self.files:
            return self.text.splitlines()
        first = f"✓ {self.name} ({self.variant}, {self.packages} packages) was written to {' and '.join(self.files)}."
        return [
            first,
            *(f"  {note}" for note in self.notes),
            "To use it:",
            *(f"  {line}" for line in self.use),
        ]
