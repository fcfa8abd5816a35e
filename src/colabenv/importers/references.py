"""The profile that a command is about: a file, `builtin:NAME`, an address, or what belongs to a notebook."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from colabenv.errors import UsageError
from colabenv.host.detect import detect_host_kind
from colabenv.importers.notebook_source import CellProfile, NotebookSource, local_notebook, web_notebook
from colabenv.profile.addresses import is_address, parse_address, require_digest
from colabenv.system.workspace import Workspace

if TYPE_CHECKING:
    from colabenv.importers.relaxation import Relaxation

#: Downloads a URL with the expected SHA-256 in hex, "" for any.
Fetch = Callable[[str, str], bytes]

_OPEN_NOTEBOOK: Final = "Run these two lines in a cell: %load_ext colabenv and %colabenv up"


@dataclass(frozen=True)
class FoundProfile:
    """A profile, as `profile.load` takes it."""

    reference: str  #: a path, `builtin:NAME`, or an address with its digest
    notebook: NotebookSource | None = None  #: the notebook that it belongs to
    #: texts of profiles that were drafted and not written, by real path
    drafts: Mapping[Path, str] = field(default_factory=dict)
    relaxations: tuple[Relaxation, ...] = ()  #: smaller drafts, if it was drafted now


def find_profile(
    reference: str | None,
    workspace: Workspace,
    fetch: Fetch,
    *,
    open_notebook: Callable[[], NotebookSource | CellProfile] | None = None,
    write: bool = True,
) -> FoundProfile:
    """Find the profile that `reference` names. A notebook without one gets a draft in the working folder.

    Args:
        reference: a path or an address of a profile or a notebook, or `builtin:NAME`. None for the open notebook, or
            outside of notebooks, the only profile or notebook in the working folder.
        workspace: for variables and progress.
        fetch: how files are downloaded.
        open_notebook: finds the notebook that the command runs in, or the profile in its cell; None outside of
            notebooks.
        write: whether to write a draft; otherwise it is only returned.

    Raises:
        UsageError: the profile or notebook does not exist, or several notebooks are possible.
        NetworkError: it could not be downloaded.
        ProfileError: the profile in a notebook is not valid.
        DiskError: the draft cannot be written.
    """
    found: NotebookSource | CellProfile | str
    if reference is None and open_notebook is not None:
        found = open_notebook()
    else:
        reference = reference or _find_only_reference(workspace.environ)
        if not is_notebook_path(reference) and not is_address(reference):
            return FoundProfile(reference)
        found = _find_notebook(reference, fetch)
        if isinstance(found, str):
            return FoundProfile(found)
    if isinstance(found, CellProfile):
        from colabenv.importers.cell_profile import save_cell_profile  # noqa: PLC0415 - seldom needed

        path = save_cell_profile(found, write=write)
        return FoundProfile(str(path), drafts={} if write else _draft(path, found.text))
    existing = found.find_written_profile()
    if existing is not None:
        workspace.progress.note(f"Using {existing}. To start from the notebook again, remove this file.")
        return FoundProfile(str(existing), found)
    from colabenv.importers.notebook_profile import create_profile  # noqa: PLC0415 - slow, and seldom needed

    created = create_profile(found, workspace, write=write)
    drafts = _draft(created.path, created.text) if created.text else {}
    return FoundProfile(str(created.path), found, drafts, created.relaxations)


def _draft(path: Path, text: str) -> dict[Path, str]:
    return {Path(os.path.realpath(path)): text}


def _find_notebook(reference: str, fetch: Fetch) -> NotebookSource | str:
    """The notebook at a path or address, or if the address is that of a profile, the address with its digest."""
    if not is_address(reference):
        return local_notebook(reference)
    address = parse_address(reference)
    if not is_notebook_path(address.file_name):
        data = fetch(address.url, address.digest)
        digest = require_digest(address, data)
        from colabenv.importers.sources import looks_like_notebook  # noqa: PLC0415 - seldom needed

        if not looks_like_notebook(data):
            return address.pin(digest)
    return web_notebook(address, fetch)


def is_notebook_path(reference: str) -> bool:
    """Whether a path or address has the form of a notebook's."""
    return reference.partition("#")[0].lower().endswith(".ipynb")


def _find_only_reference(environ: Mapping[str, str]) -> str:
    """`profile.yaml`, or the only notebook, in the working folder; UsageError in a notebook's `!` line."""
    if detect_host_kind(environ) != "terminal":
        raise UsageError(
            "A `!` line cannot read the open notebook.",
            hint=f"{_OPEN_NOTEBOOK}. Or name a profile or a notebook: !python -m colabenv up profile.yaml",
        )
    if Path("profile.yaml").is_file():
        return "profile.yaml"
    notebooks = sorted(str(path) for path in Path().glob("*.ipynb"))
    if len(notebooks) == 1:
        return notebooks[0]
    if notebooks:
        raise UsageError(
            f"There are several notebooks in this folder: {', '.join(notebooks[:8])}.",
            hint=f"Name one: colabenv up {shlex.quote(notebooks[0])}",
        )
    raise UsageError(
        "This folder has neither a profile.yaml nor a notebook.",
        hint="Name a profile or a notebook: colabenv up lesson.ipynb. `colabenv init` writes a profile to start from.",
    )
