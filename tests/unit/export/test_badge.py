"""The GitHub folder of a notebook: from the --github option or from its Git clone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from colabenv.errors import UsageError
from colabenv.export.badge import GitHubFolder, detect_github_folder, parse_github_folder, render_badge


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("keras-team/keras-io", GitHubFolder("keras-team", "keras-io", "main", "")),
        ("o/r.js@v1.0", GitHubFolder("o", "r.js", "v1.0", "")),
        ("o/r@feature/x:a/b c", GitHubFolder("o", "r", "feature/x", "a/b c")),
        ("o/r.git:/lessons/", GitHubFolder("o", "r", "main", "lessons")),
    ],
)
def test_parse_github_folder(text: str, folder: GitHubFolder) -> None:
    assert parse_github_folder(text) == folder


@pytest.mark.parametrize(
    "text",
    [
        "o",
        "o/",
        "/r",
        "o/r/s",
        "-o/r",
        "o/r@",
        "o/r@a b",
        "o/..",
        "o/r:../x",
        "o/r:a/./b",
        "https://github.com/o/r",
    ],
)
def test_invalid_github_folder_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Invalid value for --github") as caught:
        parse_github_folder(text)
    assert "OWNER/REPO@BRANCH:FOLDER" in caught.value.hint


def test_badge_url_and_markdown() -> None:
    url = GitHubFolder("o", "r", "feature/x", "lessons").url("1 Ü#?.ipynb")
    assert url == (
        "https://colab.research.google.com/github/o/r/blob/feature/x/lessons/1%20%C3%9C%23%3F.ipynb"
    )
    assert render_badge("URL") == (
        "[![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](URL)"
    )


def git(folder: Path, *arguments: str) -> None:
    """Run git without the user's settings."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    options = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *options, *arguments], cwd=folder, env=env, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with one commit."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "clone"
    (folder / "lessons").mkdir(parents=True)
    git(folder, "init")
    git(folder, "commit", "--allow-empty", "-m", "x")
    return folder


def test_github_folder_of_a_clone(clone: Path) -> None:
    git(clone, "remote", "add", "origin", "https://example.org/o/r")
    for url in (
        "https://github.com/o/r.git",
        "https://github.com/o/r/",
        "https://name:ghp_secret@github.com/o/r",
        "git@github.com:o/r.git",
        "ssh://git@github.com:22/o/r.git",
    ):
        git(clone, "remote", "set-url", "origin", url)
        assert detect_github_folder(clone) == GitHubFolder("o", "r", "main", ""), url
        missing = clone / "lessons" / "not yet"
        assert detect_github_folder(missing) == GitHubFolder("o", "r", "main", "lessons/not yet"), url


def test_upstream_branch_takes_precedence(clone: Path) -> None:
    git(clone, "remote", "add", "origin", "https://github.com/o/r")
    git(clone, "remote", "add", "mine", "https://github.com/me/fork")
    git(clone, "checkout", "-b", "work/1")
    assert detect_github_folder(clone) == GitHubFolder("o", "r", "work/1", "")
    git(clone, "config", "branch.work/1.remote", "mine")
    git(clone, "config", "branch.work/1.merge", "refs/heads/lessons")
    assert detect_github_folder(clone) == GitHubFolder("me", "fork", "lessons", "")


def test_ref_of_a_detached_head_is_its_commit(clone: Path) -> None:
    git(clone, "remote", "add", "upstream", "https://github.com/o/r")
    git(clone, "checkout", "--detach")
    github_folder = detect_github_folder(clone)
    assert isinstance(github_folder, GitHubFolder)
    assert github_folder.ref == (clone / ".git" / "HEAD").read_text().strip()
    assert len(github_folder.ref) == 40


def test_branch_of_a_worktree_is_its_own(clone: Path) -> None:
    git(clone, "remote", "add", "origin", "https://github.com/o/r")
    git(clone, "worktree", "add", "../tree", "-b", "other")
    assert detect_github_folder(clone.parent / "tree") == GitHubFolder("o", "r", "other", "")


def test_reason_for_an_unknown_github_folder(clone: Path, tmp_path: Path) -> None:
    def reason(folder: Path) -> str:
        text = detect_github_folder(folder)
        assert isinstance(text, str)
        return text

    assert "is not in a Git clone" in reason(tmp_path)
    assert "has no remote" in reason(clone)
    git(clone, "remote", "add", "origin", "https://name:secret@gitlab.com/o/r")
    assert "is not on GitHub" in reason(clone)
    assert "secret" not in reason(clone)
    git(clone, "remote", "set-url", "origin", "https://github.com.evil.org/o/r")
    assert "is not on GitHub" in reason(clone)
    (clone / ".git" / "HEAD").unlink()
    assert "cannot read the Git clone" in reason(clone)


def test_handwritten_git_configuration(clone: Path) -> None:
    text = '# [remote "no"]\n[Remote "origin"] URL = "git@github.com:o/r"\n\tbare\n; url = x\n[url "a\\"b"]\nx=1\n'
    (clone / ".git" / "config").write_text(text)
    assert detect_github_folder(clone) == GitHubFolder("o", "r", "main", "")
