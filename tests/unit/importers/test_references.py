"""The profile that a reference names: a path, an address, a notebook."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from colabenv.errors import ColabenvError, NetworkError, UsageError
from colabenv.importers.notebook_profile import draft_profile, read_evidence
from colabenv.importers.notebook_source import CellProfile, NotebookSource
from colabenv.importers.references import find_profile
from colabenv.lock.lockfile import Header, Lock, Pin, format_lock
from colabenv.profile.load import load
from colabenv.system.progress import Card, SilentProgress
from colabenv.system.workspace import Workspace

Cell = tuple[str, dict[str, Any]]
SITE = "https://example.test"
PROFILE = "name: course\npackages: [six]\n"
LOCK = format_lock(
    Lock(Header("course", "0" * 64, "3.11", "cpu", "plain", ""), (Pin("six", "1.16.0", ("sha256:00",)),))
)


def notebook(*cells: Cell | str, **metadata: Any) -> str:
    """A notebook of code cells, each a source or a source with metadata."""
    pairs = [(cell, {}) if isinstance(cell, str) else cell for cell in cells]
    return json.dumps(
        {
            "cells": [
                {
                    "cell_type": "code",
                    "metadata": meta,
                    "source": source,
                    "outputs": [],
                    "execution_count": None,
                }
                for source, meta in pairs
            ],
            "metadata": metadata,
            "nbformat": 4,
            "nbformat_minor": 4,
        }
    )


class RecordedProgress(SilentProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.cards: list[Card] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def card(self, card: Card) -> None:
        self.cards.append(card)


class Desk:
    """A working folder, files on the web, and what a command shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.web: dict[str, str] = {}
        self.fetched: list[str] = []
        self.progress = RecordedProgress()
        self.environ = {"HOME": str(folder / "home")}

    def fetch(self, url: str, digest: str) -> bytes:
        del digest
        self.fetched.append(url)
        return self.web[url].encode()

    def find(self, reference: str | None, **options: Any) -> str:
        workspace = Workspace(self.environ, self.progress)
        return find_profile(reference, workspace, self.fetch, **options).reference

    def error(self, reference: str | None, **options: Any) -> ColabenvError:
        with pytest.raises(ColabenvError) as caught:
            self.find(reference, **options)
        return caught.value


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    before = Path.cwd()
    folder = tmp_path / "work"
    folder.mkdir()
    os.chdir(folder)
    yield Desk(folder)
    os.chdir(before)


def test_paths_and_builtin_profiles_are_taken_as_they_are(desk: Desk) -> None:
    for reference in ("profile.yaml", "builtin:tf-2.15"):
        assert desk.find(reference) == reference
    assert not desk.progress.notes


def test_notebook_gets_a_profile_which_is_then_used(desk: Desk) -> None:
    Path("sub").mkdir()
    Path("sub/lesson.ipynb").write_text(notebook("import six, pandas"))
    assert desk.find("sub/lesson.ipynb") == "lesson.yaml"
    assert "pandas" in Path("lesson.yaml").read_text()
    (card,) = desk.progress.cards
    assert "lesson.yaml" in card.title
    assert dict(card.rows)["packages"] == "six, pandas"

    Path("lesson.yaml").write_text("name: mine\n")
    assert desk.find("sub/lesson.ipynb") == "lesson.yaml"
    assert Path("lesson.yaml").read_text() == "name: mine\n"
    assert desk.progress.notes == ["Using lesson.yaml. To start from the notebook again, remove this file."]

    Path("lesson.yaml").rename("sub/lesson.yaml")
    assert desk.find("sub/lesson.ipynb") == "sub/lesson.yaml"


def test_draft_is_not_written_if_nothing_may_be(desk: Desk) -> None:
    Path("lesson.ipynb").write_text(notebook("import six"))
    workspace = Workspace(desk.environ, desk.progress)
    found = find_profile("lesson.ipynb", workspace, desk.fetch, write=False)
    assert found.reference == "lesson.yaml"
    assert "six" in found.drafts[desk.folder / "lesson.yaml"]
    assert [path.name for path in desk.folder.iterdir()] == ["lesson.ipynb"]


def test_addresses_of_profiles_get_the_digest_of_their_content(desk: Desk) -> None:
    digest = hashlib.sha256(PROFILE.encode()).hexdigest()
    desk.web = {f"{SITE}/course.yaml": PROFILE, "https://raw.githubusercontent.com/o/r/HEAD/p": PROFILE}
    assert desk.find(f"{SITE}/course.yaml") == f"{SITE}/course.yaml#sha256={digest}"
    assert desk.find("gh:o/r/p") == f"https://raw.githubusercontent.com/o/r/HEAD/p#sha256={digest}"
    assert isinstance(desk.error(f"{SITE}/course.yaml#sha256={'0' * 64}"), NetworkError)
    assert not list(desk.folder.iterdir())


def test_addresses_of_notebooks_are_known_by_name_or_content(desk: Desk) -> None:
    text = notebook("import six", colab={"name": "From Colab.ipynb"})
    gist = "https://gist.githubusercontent.com/user/0123456789abcdef0123/raw"
    desk.web = {f"{SITE}/a%20b.ipynb": text, gist: text}
    assert desk.find(f"{SITE}/a%20b.ipynb") == "a b.yaml"
    assert desk.find("https://gist.github.com/user/0123456789abcdef0123") == "From Colab.yaml"
    desk.fetched.clear()
    assert desk.find(f"{SITE}/a%20b.ipynb") == "a b.yaml"
    assert not desk.fetched, "a profile that exists needs no download"
    desk.web[f"{SITE}/c.ipynb"] = text
    assert isinstance(desk.error(f"{SITE}/c.ipynb#sha256={'0' * 64}"), NetworkError)


def test_profile_in_the_metadata_is_written_with_its_locks(desk: Desk) -> None:
    Path("lesson.ipynb").write_text(
        notebook("import pandas", colabenv={"profile": PROFILE, "locks": {"cpu": LOCK}})
    )
    assert desk.find("lesson.ipynb") == "lesson.yaml"
    assert Path("lesson.yaml").read_text() == PROFILE
    assert Path("course.cpu.lock.txt").read_text() == LOCK
    assert not desk.progress.cards
    assert desk.progress.notes == [
        "Wrote lesson.yaml, course.cpu.lock.txt from the metadata of lesson.ipynb."
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text", "no valid colabenv profile"),
        ({"profile": 1}, "no valid colabenv profile"),
        ({"profile": "name: course\npackges: []\n"}, r"lesson.ipynb \(metadata\), line 2"),
        ({"profile": PROFILE, "locks": {"cpu": "nonsense"}}, "metadata"),
    ],
)
def test_invalid_profile_in_the_metadata_is_an_error(desk: Desk, content: object, message: str) -> None:
    Path("lesson.ipynb").write_text(notebook("import six", colabenv=content))
    with pytest.raises(ColabenvError, match=message) as caught:
        desk.find("lesson.ipynb")
    assert caught.value.hint
    assert [path.name for path in desk.folder.iterdir()] == ["lesson.ipynb"]


def test_lines_that_set_up_colabenv_are_no_evidence(desk: Desk) -> None:
    setup = {
        "pasted": "%pip install -q colabenv\n%load_ext colabenv\n%colabenv up",
        "address": "!pip install git+https://example.test/team/colabenv.git\nimport colabenv\ncolabenv.up()",
        "set": "# The environment\n!python -c 'from colabenv import up' || python -m pip install -q colabenv",
        "body": "%%colabenv up\nname: x\npackages: [numpy]",
        "mixed": "!pip install colabenv",
    }
    for name, source in setup.items():
        cell = (source, {"executionInfo": {"timestamp": 1_700_000_000_000}})
        Path(f"{name}.ipynb").write_text(notebook(cell, "import six"))
        desk.find(f"{name}.ipynb")
        assert desk.progress.cards[-1].rows[-1] == ("packages", "six"), name
        assert "date" not in dict(desk.progress.cards[-1].rows), name
    Path("both.ipynb").write_text(notebook("!pip install colabenv six==1.15.0"))
    desk.find("both.ipynb")
    assert dict(desk.progress.cards[-1].rows)["packages"] == "six==1.15.0"


def test_runs_of_today_are_no_evidence_in_an_open_notebook(desk: Desk) -> None:
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    old = now - datetime.timedelta(days=400)
    cells = [
        ("import six", {"executionInfo": {"timestamp": int(now.timestamp() * 1000)}}),
        ("import attr", {"executionInfo": {"timestamp": int(old.timestamp() * 1000)}}),
    ]
    text = notebook(*cells, language_info={"version": "3.9.7"})
    desk.find(None, open_notebook=lambda: NotebookSource("open.ipynb", lambda: text, is_open=True))
    rows = dict(desk.progress.cards[-1].rows)
    assert rows["date"].startswith(old.date().isoformat())


def test_draft_of_an_open_notebook_fits_the_widgets_of_its_page(desk: Desk) -> None:
    source = NotebookSource("lesson.ipynb", lambda: notebook("import ipywidgets"), is_open=True)
    desk.environ["COLAB_RELEASE_TAG"] = "release-colab_20260801"
    assert load(desk.find(None, open_notebook=lambda: source)).profile.kernel.google_colab == "auto"
    target = desk.folder / "lesson.yaml"
    _, text = draft_profile(read_evidence(source), "lesson", desk.folder, target, in_jupyter=True)
    target.write_text(text)
    assert load(target).profile.kernel.google_colab == "off"


def test_profile_in_a_cell_becomes_a_file_with_the_same_lines(desk: Desk) -> None:
    def find(body: str, **options: bool) -> str:
        return desk.find(None, open_notebook=lambda: CellProfile(body), **options)

    assert find(PROFILE, write=False) == "course.yaml"
    assert not list(desk.folder.iterdir())
    assert find(PROFILE) == "course.yaml"
    assert Path("course.yaml").read_text().splitlines()[1:] == PROFILE.splitlines()
    before = Path("course.yaml").stat().st_mtime_ns
    assert find(PROFILE) == "course.yaml"
    assert Path("course.yaml").stat().st_mtime_ns == before
    assert find(PROFILE + "as_of: 2024-01-01\n") == "course.yaml"
    assert "as_of" in Path("course.yaml").read_text()
    for body, message in {
        "name: course\npackges: []\n": "the cell, line 3",
        "": "the cell",
        "name: [": "the cell",
    }.items():
        with pytest.raises(ColabenvError, match=message):
            find(body)
    Path("course.yaml").write_text(PROFILE)
    with pytest.raises(UsageError, match="no cell wrote it") as caught:
        find(PROFILE)
    assert "%colabenv up course.yaml" in caught.value.hint
    assert Path("course.yaml").read_text() == PROFILE


def test_without_a_reference_the_folder_decides(desk: Desk) -> None:
    assert "neither a profile.yaml nor a notebook" in str(desk.error(None))
    Path("a.ipynb").write_text(notebook("import six"))
    assert desk.find(None) == "a.yaml"
    Path("b.ipynb").write_text(notebook("import six"))
    assert "several notebooks" in str(desk.error(None))
    Path("profile.yaml").write_text(PROFILE)
    assert desk.find(None) == "profile.yaml"
    desk.environ["JPY_PARENT_PID"] = "1"
    error = desk.error(None)
    assert isinstance(error, UsageError)
    assert "%colabenv up" in error.hint
