"""Rules of this repository that no linter checks: the length of modules, and what must never be committed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MAX_LINES = 500

# Written in pieces, so that this file does not contain what it forbids.
FORBIDDEN = {
    "a package registry's host": ("python" + "hosted", r"pypi" + r"\.o", "npm" + "js", "debian" + r"\.org"),
    "a path of one machine": (r"(?<![\w.])/" + "work/", "/root/" + r"\.pyenv", "/opt/" + "pypi"),
}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Name and content of every file that git tracks, or would track after `git add`."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout, so it is unknown which files belong to the project")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    names = [name for name in done.stdout.split("\0") if (REPOSITORY / name).is_file()]
    return {name: (REPOSITORY / name).read_bytes() for name in names}


def is_too_long(module: str) -> bool:
    return len(module.splitlines()) > MAX_LINES


def find_forbidden(text: str) -> list[str]:
    """Describe the registries and paths that a text names."""
    lowercase = text.lower()  # much faster than re.IGNORECASE
    return [
        f"{kind}: {match[0]}"
        for kind, patterns in FORBIDDEN.items()
        for pattern in patterns
        if (match := re.search(pattern, lowercase))
    ]


def test_modules_are_not_too_long(files: dict[str, bytes]) -> None:
    assert "src/colabenv/errors.py" in files
    assert [name for name in files if name.endswith(".py") and is_too_long(files[name].decode())] == []


def test_no_file_names_a_registry_or_this_machine(files: dict[str, bytes]) -> None:
    forbidden = {name: find_forbidden(data.decode("utf-8", "replace")) for name, data in files.items()}
    assert {name: matches for name, matches in forbidden.items() if matches} == {}


def test_no_file_is_binary(files: dict[str, bytes]) -> None:
    assert [name for name, data in files.items() if b"\0" in data] == []


def test_registries_and_paths_of_one_machine_are_reported() -> None:
    texts = [
        "https://files.python" + "hosted.org/x",
        "index-url = https://PyPI" + ".org/simple",
        "registry.npm" + "js.org",
        "deb http://deb.debian" + ".org",
        "see /" + "work/main",
        'python = "/root/' + '.pyenv/versions/3.11.7/bin/python"',
    ]
    assert [text for text in texts if not find_forbidden(text)] == []


def test_similar_text_is_not_reported() -> None:
    for text in ("the package index", "~/.pyenv/versions", "src/network/x", "/root/.local/share"):
        assert find_forbidden(text) == [], text


def test_module_may_have_500_lines() -> None:
    assert not is_too_long("x = 1\n" * 500)
    assert is_too_long("x = 1\n" * 501)
