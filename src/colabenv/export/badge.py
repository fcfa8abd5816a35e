"""The "Open in Colab" badge of a notebook, and where on GitHub the notebook lies, as its clone says.

The form of the address is that of Colab's own notebook on GitHub ("Using Google Colab with GitHub").
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from colabenv.errors import UsageError

_COLAB: Final = "https://colab.research.google.com"
_OWNER: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REPO: Final = r"(?!\.{1,2}$)[\w.-]+"
# git-check-ref-format(1), as far as it tells a name from something else
_REF: Final = r"(?![-/])[^\s:~^?*\[\\@]+"
_GIVEN: Final = re.compile(rf"({_OWNER})/([\w.-]+)(?:@({_REF}))?(?::(.*))?", re.ASCII)
_URLS: Final = (
    re.compile(
        rf"(?:https?|ssh|git)://(?:[^/@]*@)?(?:www\.)?github\.com(?::\d+)?/({_OWNER})/({_REPO})/?", re.I
    ),
    re.compile(rf"(?:[^/@:]+@)?github\.com:/?({_OWNER})/({_REPO})/?", re.I),
)


@dataclass(frozen=True)
class GitHubPlace:
    """A folder of a repository on GitHub.

    Attributes:
        owner: of the repository.
        repository: its name.
        ref: branch, tag or commit.
        folder: path in it with `/`, "" for its root.
    """

    owner: str
    repository: str
    ref: str
    folder: str

    def url(self, file: str) -> str:
        """The address that opens a notebook of this folder on Colab."""
        path = f"{self.folder}/{file}" if self.folder else file
        return f"{_COLAB}/github/{self.owner}/{self.repository}/blob/{quote(self.ref)}/{quote(path)}"


def badge(url: str) -> str:
    """The badge in Markdown."""
    return f"[![Open In Colab]({_COLAB}/assets/colab-badge.svg)]({url})"


def parse(text: str) -> GitHubPlace:
    """Read `OWNER/REPO[@REF][:FOLDER]`; the ref is `main` and the folder the root where they are left out.

    Raises:
        UsageError: it has another form.
    """
    found = _GIVEN.fullmatch(text)
    folder = (found[4] or "").strip("/") if found else ""
    if found is None or found[2] in {".", ".."} or {".", ".."} & set(folder.split("/")) or "\\" in folder:
        raise UsageError(
            f"--github {text} is not the place of a notebook on GitHub.",
            hint="It has the form OWNER/REPO, OWNER/REPO@BRANCH or OWNER/REPO@BRANCH:FOLDER.",
        )
    return GitHubPlace(found[1], found[2].removesuffix(".git"), found[3] or "main", folder)


def detect(folder: Path) -> GitHubPlace | str:
    """Where on GitHub a folder lies, read from its clone's files; no program is started.

    Args:
        folder: need not exist yet.

    Returns:
        The place, or why it cannot be told.
    """
    folder = Path(os.path.realpath(folder))
    root = next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), None)
    if root is None:
        return f"{folder} is not in a Git clone"
    try:
        git, common = _git_folders(root)
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        settings = _settings((common / "config").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return f"the Git clone {root} cannot be read ({error})"
    branch = head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else ""
    remotes = {
        name: values["url"]
        for (kind, name), values in settings.items()
        if kind == "remote" and "url" in values
    }
    tracked = settings.get(("branch", branch), {})
    url = remotes.get(tracked.get("remote", "origin")) or next(iter(remotes.values()), "")
    if not url:
        return f"the Git clone {root} has no remote"
    found = next((match for pattern in _URLS if (match := pattern.fullmatch(url))), None)
    if found is None:
        return f"the remote of the Git clone {root} is not on GitHub"
    # A branch may be called otherwise where it is pushed to; a detached HEAD holds the commit itself.
    ref = tracked.get("merge", "").removeprefix("refs/heads/") or branch or head
    inside = folder.relative_to(root).as_posix()
    repository = found[2].removesuffix(".git")
    return GitHubPlace(found[1], repository, ref, "" if inside == "." else inside)


def _git_folders(root: Path) -> tuple[Path, Path]:
    """The folder with HEAD and the one with the configuration, which differ in a worktree (gitrepository-layout)."""
    git = root / ".git"
    if git.is_file():  # of a worktree or a submodule: the file says where
        git = root / git.read_text(encoding="utf-8").strip().removeprefix("gitdir: ")
    shared = git / "commondir"
    return git, git / shared.read_text(encoding="utf-8").strip() if shared.is_file() else git


def _settings(text: str) -> dict[tuple[str, str], dict[str, str]]:
    """Sections of a Git configuration by kind and name (git-config(1)); of equal keys the last."""
    sections: dict[tuple[str, str], dict[str, str]] = {}
    for section, key, value in _lines(text):
        sections.setdefault(section, {})[key] = value
    return sections


def _lines(text: str) -> Iterator[tuple[tuple[str, str], str, str]]:
    section = ("", "")
    for line in text.splitlines():
        if header := re.match(r'\s*\[\s*([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]', line):
            section = (header[1].lower(), re.sub(r"\\(.)", r"\1", header[2] or ""))
            line = line[header.end() :]  # noqa: PLW2901 - a setting may follow on the same line
        if setting := re.match(r"\s*([A-Za-z][\w-]*)\s*=\s*(.*?)\s*$", line):
            yield section, setting[1].lower(), setting[2].strip('"')
