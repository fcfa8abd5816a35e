"""`notebook set` and `notebook new`: the files that they write, and their messages."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import nbformat
import pytest

from colabenv.cli import execute
from colabenv.cli.parser import parse
from colabenv.commands.context import Context
from colabenv.commands.lock import lock
from colabenv.commands.notebook import new_notebook, set_notebook
from colabenv.errors import DiskError, LockError, ProfileError, UsageError
from colabenv.export.notebook_file import HEADER
from colabenv.importers.embedded_profile import find_embedded_profile
from colabenv.importers.sources import MAX_NOTEBOOK
from colabenv.output.console import Console
from colabenv.output.notebook import NotebookResult
from support.fake_machine import FakeMachine

PROFILE = 'name: vision\npython: "3.11"\npackages: [six]\n'
CONTEXT = Context({})
PLAIN = {
    "cells": [{"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [], "source": ["1"]}],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 4,
}


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A folder with a profile, and a notebook in a subfolder."""
    (tmp_path / "lessons").mkdir()
    (tmp_path / "vision.yaml").write_text(PROFILE)
    (tmp_path / "lessons" / "one.ipynb").write_text(json.dumps(PLAIN, indent=1) + "\n")
    return tmp_path


def options(course: Path, **more: str) -> dict[str, Any]:
    return {"profile": str(course / "vision.yaml"), **more}


def first_cell(path: Path) -> list[str]:
    """Validate a notebook and return the lines of its first cell."""
    data = json.loads(path.read_text(encoding="utf-8"))
    nbformat.validate(data)
    return "".join(data["cells"][0]["source"]).splitlines()


def test_path_of_the_profile_is_relative_to_the_notebook(course: Path) -> None:
    notebook = course / "lessons" / "one.ipynb"
    result = set_notebook(CONTEXT, str(notebook), **options(course))
    assert first_cell(notebook) == [
        HEADER,
        "!python -c 'from colabenv import up' 2>/dev/null || python -m pip install -q colabenv",
        "!python -m colabenv up ../vision.yaml",
    ]
    assert (result.action, result.name, result.kernel_name) == ("changed", "vision", "colabenv-vision")
    assert result.profile == "../vision.yaml"
    inode = notebook.stat().st_ino
    assert set_notebook(CONTEXT, str(notebook), **options(course)).action == "unchanged"
    assert notebook.stat().st_ino == inode, "an unchanged notebook is not written again"


def test_kernel_display_name_matches_up(course: Path) -> None:
    def display_name() -> str:
        set_notebook(CONTEXT, str(course / "lessons" / "one.ipynb"), **options(course))
        data = json.loads((course / "lessons" / "one.ipynb").read_text())
        return str(data["metadata"]["kernelspec"]["display_name"])

    assert display_name() == "vision (Python 3.11)"
    (course / "vision.yaml").write_text("name: vision\n")
    assert display_name() == "vision"
    (course / "vision.yaml").write_text("name: vision\nkernel: {display_name: Sehen}\n")
    assert display_name() == "Sehen"


def test_links_and_permissions_are_kept(course: Path) -> None:
    notebook, link = course / "lessons" / "one.ipynb", course / "link.ipynb"
    notebook.chmod(0o640)
    link.symlink_to("lessons/one.ipynb")
    assert set_notebook(CONTEXT, str(link), **options(course)).profile == "vision.yaml"
    assert link.is_symlink()
    assert first_cell(notebook)[-1] == "!python -m colabenv up vision.yaml"
    assert stat.S_IMODE(notebook.stat().st_mode) == 0o640
    assert list(notebook.parent.iterdir()) == [notebook]


def test_special_characters_in_names_are_quoted_for_the_shell(course: Path) -> None:
    (course / "it's ü.yaml").write_text(PROFILE)
    (course / "-x.yaml").write_text(PROFILE)
    notebook = course / "n.ipynb"
    new_notebook(CONTEXT, str(notebook), **options(course, profile=str(course / "it's ü.yaml")))
    command = first_cell(notebook)[-1].removeprefix("!python -m colabenv ")
    result = subprocess.run(["bash", "-c", f"printf '%s|' {command}"], capture_output=True, check=True)
    assert result.stdout.decode() == "up|it's ü.yaml|"
    set_notebook(CONTEXT, str(notebook), **options(course, profile=str(course / "-x.yaml")))
    assert first_cell(notebook)[-1] == "!python -m colabenv up ./-x.yaml"


def test_names_that_ipython_would_expand_are_refused(course: Path) -> None:
    for name in ("{x}.yaml", "$HOME.yaml"):
        (course / name).write_text(PROFILE)
        with pytest.raises(UsageError, match="line of a notebook cannot contain"):
            new_notebook(CONTEXT, str(course / "n.ipynb"), **options(course, profile=str(course / name)))
    assert not (course / "n.ipynb").exists()


def test_install_option_sets_the_package(course: Path) -> None:
    notebook = course / "n.ipynb"
    new_notebook(CONTEXT, str(notebook), **options(course, install="colabenv>=0.1,<1"))
    assert first_cell(notebook)[1].endswith("|| python -m pip install -q 'colabenv>=0.1,<1'")
    for invalid, message in (
        ("-e .", "pip cannot install"),
        (" ", "pip cannot install"),
        ("a$b", "`!` line"),
    ):
        with pytest.raises(UsageError, match=message):
            set_notebook(CONTEXT, str(notebook), **options(course, install=invalid))
    with pytest.raises(UsageError) as caught:
        set_notebook(CONTEXT, str(notebook), **options(course, install="git+https://me:s3cret@example.org/x"))
    assert "s3cret" not in caught.value.message + caught.value.hint


def test_new_notebook_is_not_written_over_an_existing_one(course: Path) -> None:
    notebook = course / "a" / "b" / "n.ipynb"
    assert new_notebook(CONTEXT, str(notebook), **options(course)).action == "made"
    assert first_cell(notebook)[-1] == "!python -m colabenv up ../../vision.yaml"
    before = notebook.read_bytes()
    with pytest.raises(UsageError, match="already exists") as caught:
        new_notebook(CONTEXT, str(notebook), **options(course))
    assert "colabenv notebook set" in caught.value.hint
    assert notebook.read_bytes() == before
    with pytest.raises(UsageError) as caught:
        new_notebook(CONTEXT, str(course / "n"), **options(course))
    assert caught.value.hint == f"Name it {course / 'n'}.ipynb"


def test_unreadable_notebook_is_refused(course: Path) -> None:
    def usage_error(name: str, content: bytes | None = None) -> UsageError:
        path = course / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UsageError) as caught:
            set_notebook(CONTEXT, str(path), **options(course))
        assert content is None or path.read_bytes() == content
        return caught.value

    assert "File not found" in usage_error("gone.ipynb").message
    assert "is not a file" in usage_error("lessons").message
    assert "byte 2 is not UTF-8" in usage_error("latin.ipynb", b'{"\xe4"}').message
    assert "invalid JSON at line 1" in usage_error("x.ipynb", b"import os").message
    os.truncate(course / "x.ipynb", MAX_NOTEBOOK + 1_000_000)
    assert "201 MB, and the limit is 200 MB" in usage_error("x.ipynb").message
    assert "--clear-output" in usage_error("x.ipynb").hint


def test_invalid_profile_writes_nothing(course: Path) -> None:
    (course / "vision.yaml").write_text("nam: vision\n")
    before = (course / "lessons" / "one.ipynb").read_bytes()
    with pytest.raises(ProfileError):
        set_notebook(CONTEXT, str(course / "lessons" / "one.ipynb"), **options(course))
    with pytest.raises(ProfileError):
        new_notebook(CONTEXT, str(course / "n.ipynb"), **options(course))
    assert (course / "lessons" / "one.ipynb").read_bytes() == before
    assert not (course / "n.ipynb").exists()


def test_output_folder_that_is_a_file_is_an_error(course: Path) -> None:
    with pytest.raises(DiskError) as caught:
        new_notebook(CONTEXT, str(course / "vision.yaml" / "n.ipynb"), **options(course))
    assert "COLABENV_HOME" not in caught.value.hint


def test_badge_comes_from_the_option_or_the_clone(course: Path) -> None:
    notebook = str(course / "lessons" / "one.ipynb")
    colab = "https://colab.research.google.com/github"
    git = course / ".git"
    git.mkdir()
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "config").write_text('[remote "origin"]\n\turl = https://github.com/o/r.git\n')
    detected = set_notebook(CONTEXT, notebook, **options(course))
    assert detected.url == f"{colab}/o/r/blob/main/lessons/one.ipynb"
    assert detected.lines()[-1] == detected.badge
    selected = set_notebook(CONTEXT, notebook, **options(course, github="a/b@v1:x"))
    assert selected.url == f"{colab}/a/b/blob/v1/x/one.ipynb"
    (git / "config").write_text("")
    unknown = set_notebook(CONTEXT, notebook, **options(course))
    assert (unknown.url, unknown.badge) == ("", "")
    assert "has no remote. Set the repository: --github OWNER/REPO" in unknown.lines()[-1]


def test_embedded_profile_needs_no_other_file(course: Path, tmp_path: Path) -> None:
    context = FakeMachine(tmp_path / "machine")
    notebook = course / "lessons" / "one.ipynb"
    profile = course / "lessons" / "one.yaml"
    with pytest.raises(UsageError, match=r"one\.yaml does not exist"):
        set_notebook(context, str(notebook), embed=True)
    profile.write_text(PROFILE)
    with pytest.raises(LockError, match="no lock that fits") as caught:
        set_notebook(context, str(notebook), embed=True)
    assert "colabenv lock" in caught.value.hint

    lock(context, str(profile))
    result = set_notebook(context, str(notebook), embed=True)
    assert result.embedded
    assert "Nothing has to be uploaded" in result.lines()[1]
    assert first_cell(notebook)[0].startswith("# The environment of this notebook (colabenv): ")
    assert first_cell(notebook)[2:] == ["%load_ext colabenv", "%colabenv up"]
    metadata = json.loads(notebook.read_text())["metadata"]
    assert "kernelspec" not in metadata
    assert set(metadata["colabenv"]["locks"]) == {"cpu", "gpu"}
    assert set_notebook(context, str(notebook), embed=True).action == "unchanged"

    embedded = find_embedded_profile(notebook.read_text(), "one.ipynb")
    assert embedded is not None
    files = embedded.files(Path("one.yaml"))
    assert {path.name: text for path, text in files.items()} == {
        path.name: path.read_text() for path in (course / "lessons").iterdir() if path != notebook
    }

    # Another profile replaces it, and the kernel is named again.
    set_notebook(context, str(notebook), **options(course))
    assert find_embedded_profile(notebook.read_text(), "one.ipynb") is None
    assert first_cell(notebook)[-1] == "!python -m colabenv up ../vision.yaml"
    new = course / "lessons" / "new.ipynb"
    new_notebook(context, str(new), profile=str(profile), embed=True)
    assert find_embedded_profile(new.read_text(), "new.ipynb") == embedded


def test_profile_that_needs_other_files_is_not_embedded(course: Path, tmp_path: Path) -> None:
    context = FakeMachine(tmp_path / "machine")
    (course / "more.txt").write_text("attrs\n")
    (course / "vision.yaml").write_text(PROFILE + "requirements: [more.txt]\n")
    with pytest.raises(UsageError, match=r"more\.txt") as caught:
        set_notebook(context, str(course / "lessons" / "one.ipynb"), embed=True, **options(course))
    assert "`packages`" in caught.value.hint


def run(*arguments: str) -> Any:
    """Run `colabenv notebook` and return its result."""
    return execute(parse(["notebook", *arguments]), Console(StringIO(), StringIO()))


def test_options_of_the_command_line(course: Path) -> None:
    notebook, profile = str(course / "n.ipynb"), str(course / "vision.yaml")
    created = run("new", notebook, "--profile", profile, "--install", "x==1", "--github", "o/r")
    assert isinstance(created, NotebookResult)
    assert created.action == "made"
    assert first_cell(course / "n.ipynb")[1].endswith("pip install -q x==1")
    assert created.url.endswith("/o/r/blob/main/n.ipynb")
    changed = run("set", notebook, "--profile", profile, "--github", "o/r", "--json")
    assert changed == replace(created, action="changed")
    out = StringIO()
    Console(out, as_json=True).result(changed)
    assert json.loads(out.getvalue()) == changed.as_dict()
    assert changed.lines()[0].startswith(f"✓ Updated {notebook}: its kernel is colabenv-vision")
