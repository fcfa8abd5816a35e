"""A notebook to find the profile of: a file, an address, or what is open in the page. Cheap to import."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from colabenv.errors import UsageError
from colabenv.profile.addresses import Address, require_digest

#: Replaces the line `%%colabenv up` in the file of a cell's profile, so that the lines of both have the same numbers.
CELL_HEADER: Final = "# Written by `%%colabenv up` from its cell. Change the cell, not this file."


@dataclass(frozen=True)
class CellProfile:
    """A profile in a cell: the text below the line `%%colabenv up`."""

    body: str

    @property
    def text(self) -> str:
        """The text of the profile's file."""
        return f"{CELL_HEADER}\n{self.body}"


@dataclass
class NotebookSource:
    """A notebook that is a file, an address or open in the page."""

    name: str  #: its file name, such as lesson.ipynb; "" if only its content shows it
    fetch: Callable[[], str]  #: returns its text
    folder: Path = Path()  #: where its files are
    is_open: bool = False  #: it is open in the page, so runs of the last day are the user's own attempts

    @cached_property
    def text(self) -> str:
        """Its text, read once. Raises UsageError or NetworkError."""
        return self.fetch()

    @cached_property
    def file_name(self) -> str:
        """Its file name; where the source has none, what Colab stores in the notebook's metadata."""
        if self.name:
            return self.name
        from colabenv.importers.notebook import parse_notebook_json  # noqa: PLC0415 - seldom needed

        return read_stored_name(parse_notebook_json(self.text.removeprefix("\ufeff"), "The notebook"))

    @property
    def profile_path(self) -> Path:
        """Where its profile is written: in the working folder."""
        return Path(f"{self.file_name[: -len('.ipynb')]}.yaml")

    def find_written_profile(self) -> Path | None:
        """Its profile if it exists, in the working folder or beside the notebook."""
        return next(
            (path for path in (self.profile_path, self.folder / self.profile_path) if path.is_file()), None
        )


def read_stored_name(notebook: dict[str, Any]) -> str:
    """The file name that Colab stores in a notebook's metadata (`colab.name`), otherwise notebook.ipynb."""
    metadata = notebook.get("metadata")
    colab = metadata.get("colab") if isinstance(metadata, dict) else None
    stored = colab.get("name") if isinstance(colab, dict) else None
    name = re.sub(r"[/\x00-\x1f]+", "-", stored).strip() if isinstance(stored, str) else ""
    return f"{name.removesuffix('.ipynb') or 'notebook'}.ipynb"


def local_notebook(path: str) -> NotebookSource:
    """The notebook at a path."""
    file = Path(path)

    def read() -> str:
        from colabenv.importers.sources import MAX_NOTEBOOK, read_source_text  # noqa: PLC0415 - seldom needed

        return read_source_text(file, MAX_NOTEBOOK)

    return NotebookSource(file.name, read, file.parent)


def web_notebook(address: Address, fetch: Callable[[str, str], bytes]) -> NotebookSource:
    """The notebook at an address."""

    def read() -> str:
        data = fetch(address.url, address.digest)
        require_digest(address, data)
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UsageError(f"{address.url} is not a notebook.", hint="Check the address.") from None

    name = address.file_name
    return NotebookSource(name if name.lower().endswith(".ipynb") else "", read)
