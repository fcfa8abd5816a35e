"""The "Open in Colab" badge of a notebook on GitHub ("Using Google Colab with GitHub" in Colab's notebooks)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from colabenv.errors import UsageError

_COLAB: Final = "https://colab.research.google.com"
_OWNER: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REPO: Final = r"(?!\.{1,2}$)[\w.-]+"
# a subset of git-check-ref-format(1)
_REF: Final = r"(?![-/])[^\s:~^?*\[\\@]+"
_GITHUB_FOLDER: Final = re.compile(rf"({_OWNER})/([\w.-]+)(?:@({_REF}))?(?::(.*))?", re.ASCII)
_URLS: Final = (
    re.compile(
        rf"(?:https?|ssh|git)://(?:[^/@]*@)?(?:www\.)?github\.com(?::\d+)?/({_OWNER})/({_REPO})/?", re.I
    ),
    re.compile(rf"(?:[^/@:]+@)?github\.com:/?({_OWNER})/({_REPO})/?", re.I),
)


@dataclass(frozen=True)
class GitHubFolder:
    """A folder of a repository on GitHub; `ref` is a branch, tag or commit, and `folder` is "" for the root."""

    owner: str
    repository: str
    ref: str
    folder: str

    def url(self, file: str) -> str:
        """The URL that opens a notebook of this folder in Colab."""
        path = f"{self.folder}/{file}" if self.folder else file
        return f"{_COLAB}/github/{self.owner}/{self.repository}/blob/{quote(self.ref)}/{quote(path)}"


def render_badge(url: str) -> str:
    """The badge in Markdown."""
    return f"[![Open In Colab]({_COLAB}/assets/colab-badge.svg)]({url})"


def parse_github_folder(text: str) -> GitHubFolder:
    """Parse `OWNER/REPO[@REF][:FOLDER]`, by default on `main` and in the root; UsageError for another form."""
    match = _GITHUB_FOLDER.fullmatch(text)
    folder = (match[4] or "").strip("/") if match else ""
    if match is None or match[2] in {".", ".."} or {".", ".."} & set(folder.split("/")) or "\\" in folder:
        raise UsageError(
            f"Invalid value for --github: {text}",
            hint="Use the form OWNER/REPO, OWNER/REPO@BRANCH or OWNER/REPO@BRANCH:FOLDER.",
        )
    return GitHubFolder(match[1], match[2].removesuffix(".git"), match[3] or "main", folder)


def detect_github_folder(folder: Path) -> GitHubFolder | str:
    """The GitHub folder of a local folder, which need not exist yet, from its Git clone; or the reason if unknown."""
    folder = Path(os.path.realpath(folder))
    root = next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), None)
    if root is None:
        return f"{folder} is not in a Git clone"
    try:
        git, common = _git_folders(root)
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        settings = _parse_config((common / "config").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return f"cannot read the Git clone {root} ({error})"
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
    match = next(filter(None, (pattern.fullmatch(url) for pattern in _URLS)), None)
    if match is None:
        return f"the remote of the Git clone {root} is not on GitHub"
    # A branch may have another name on the remote; a detached HEAD is the commit itself.
    ref = tracked.get("merge", "").removeprefix("refs/heads/") or branch or head
    subfolder = folder.relative_to(root).as_posix()
    repository = match[2].removesuffix(".git")
    return GitHubFolder(match[1], repository, ref, "" if subfolder == "." else subfolder)


def _git_folders(root: Path) -> tuple[Path, Path]:
    """The folders of HEAD and of the configuration, which differ in a worktree (gitrepository-layout(5))."""
    git = root / ".git"
    if git.is_file():  # a worktree or submodule
        git = root / git.read_text(encoding="utf-8").strip().removeprefix("gitdir: ")
    shared = git / "commondir"
    return git, git / shared.read_text(encoding="utf-8").strip() if shared.is_file() else git


def _parse_config(text: str) -> dict[tuple[str, str], dict[str, str]]:
    """The sections of a Git configuration by kind and name (git-config(1)); the last value of a key counts."""
    sections: dict[tuple[str, str], dict[str, str]] = {}
    section = ("", "")
    for line in text.splitlines():
        if header := re.match(r'\s*\[\s*([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]', line):
            section = (header[1].lower(), re.sub(r"\\(.)", r"\1", header[2] or ""))
            line = line[header.end() :]  # noqa: PLW2901 - a setting may follow on the same line
        if setting := re.match(r"\s*([A-Za-z][\w-]*)\s*=\s*(.*?)\s*$", line):
            sections.setdefault(section, {})[setting[1].lower()] = setting[2].strip('"')
    return sections
