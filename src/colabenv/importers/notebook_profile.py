"""Create the profile of a notebook: the one in its metadata, or a draft from its cells."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from colabenv.frameworks import facts
from colabenv.host.detect import detect_host_kind
from colabenv.importers.draft import Draft, DraftValue, truncate
from colabenv.importers.embedded_profile import find_embedded_profile
from colabenv.importers.inference import infer_profile
from colabenv.importers.notebook import parse_notebook
from colabenv.importers.notebook_source import NotebookSource
from colabenv.importers.profile_file import finish_draft
from colabenv.importers.relaxation import Relaxation, list_relaxations
from colabenv.importers.setup_lines import drop_runs_since
from colabenv.importers.sources import find_local_modules, read_notebook
from colabenv.system.files import write_atomically
from colabenv.system.progress import Card

if TYPE_CHECKING:
    from colabenv.importers.evidence import Evidence
    from colabenv.system.workspace import Workspace

#: How the frameworks of a draft are shown.
TITLES: Final = {
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "torch": "PyTorch",
    "jax": "JAX",
    "backend": "Keras on",
}
#: Packages and requirements that a card lists.
_MAX_LISTED: Final = 12


@dataclass(frozen=True)
class CreatedProfile:
    """A new profile.

    Attributes:
        path: where it is.
        text: its text if it was not written, or "".
        relaxations: smaller drafts, for when no versions satisfy this one.
    """

    path: Path
    text: str
    relaxations: tuple[Relaxation, ...] = ()


def create_profile(source: NotebookSource, workspace: Workspace, *, write: bool) -> CreatedProfile:
    """Create a profile for a notebook, and write it if `write` is true.

    It is the one in the notebook's metadata, with its locks; otherwise, one is drafted and shown.

    Raises:
        UsageError, NetworkError: the notebook cannot be read.
        ProfileError: the profile in its metadata is not valid.
        DiskError: the profile cannot be written.
    """
    workspace.progress.stage(f"Reading {source.file_name}")
    target = source.profile_path
    relaxations: tuple[Relaxation, ...] = ()
    embedded = find_embedded_profile(source.text, source.file_name)
    if embedded is not None:
        files = embedded.files(target)
        if write:
            listed = ", ".join(str(path) for path in files)
            workspace.progress.note(f"Wrote {listed} from the metadata of {source.file_name}.")
    else:
        # The page of the open notebook, where it is not Colab's.
        in_jupyter = source.is_open and detect_host_kind(workspace.environ) != "colab"
        name = source.file_name[: -len(".ipynb")]
        evidence = read_evidence(source)
        draft, text = draft_profile(evidence, name, source.folder, target, in_jupyter=in_jupyter)
        relaxations = list_relaxations(draft, evidence)
        files = {target: text}
        action = f"wrote {target}, a profile for it" if write else "drafted a profile for it"
        workspace.progress.card(Card(f"{source.file_name}: colabenv {action}.", tuple(_card_rows(draft))))
    if not write:
        return CreatedProfile(target, files[target], relaxations)
    for path, text in files.items():
        write_atomically(path, text)
    return CreatedProfile(target, "", relaxations)


def read_evidence(source: NotebookSource) -> Evidence:
    """What a notebook's cells say. Raises UsageError if it is not a Python notebook of nbformat 4."""
    notebook = parse_notebook(source.text, source.file_name)
    if source.is_open:
        yesterday = datetime.datetime.now(tz=datetime.timezone.utc) - datetime.timedelta(days=1)
        notebook = drop_runs_since(notebook, yesterday.isoformat(), platform.python_version())
    return read_notebook(notebook, source.folder)


def draft_profile(
    evidence: Evidence, name: str, folder: Path, target: Path, *, in_jupyter: bool = False
) -> tuple[Draft, str]:
    """Draft a profile from evidence; returns the draft and its text.

    Args:
        evidence: what the source says.
        name: the name of the profile if the source has none.
        folder: the source's folder, whose modules are not packages of the index.
        target: the profile's path, for messages.
        in_jupyter: the notebook is open in Jupyter, whose page shows the widgets of ipywidgets 8 and not those of 7.

    Raises:
        ProfileError: the draft is not a valid profile.
    """
    today = datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()
    local = find_local_modules(folder)
    draft = infer_profile(evidence, name, facts.load_table(), local=local, today=today)
    if in_jupyter:
        why = "drafted in Jupyter, which shows the widgets of a newer ipywidgets than Colab; remove it for Colab"
        draft.google_colab = DraftValue("off", why)
    return draft, finish_draft(draft, target)


def _card_rows(draft: Draft) -> Iterator[tuple[str, str]]:
    """What was chosen and why, what was left out, and what to know."""
    for key, value in draft.stack.items():
        if key in TITLES:
            yield "frameworks", _with_reason(f"{TITLES[key]} {value.text}", value.why)
    if draft.python:
        yield "Python", _with_reason(draft.python.text, draft.python.why)
    if draft.as_of:
        yield "date", _with_reason(draft.as_of.text, draft.as_of.why)
    packages = [value.text for value in draft.packages]
    if packages:
        yield "packages", _list_first(packages)
    for value in draft.left_out[:_MAX_LISTED]:
        yield "left out", _with_reason(truncate(value.text, 100), value.why)
    for note in draft.notes:
        yield "note", note


def _with_reason(text: str, why: str) -> str:
    return f"{text} ({why})" if why else text


def _list_first(texts: list[str]) -> str:
    more = len(texts) - _MAX_LISTED
    return ", ".join(texts[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
