"""The house's rules that no linter knows: the size of modules, and what must never be committed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LONGEST = 500

# Written in pieces, so that this file does not hold what it forbids.
FORBIDDEN = {
    "a package registry's host": ("python" + "hosted", r"pypi" + r"\.o", "npm" + "js", "debian" + r"\.org"),
    "a path of one machine": (r"(?<![\w.])/" + "work/", "/root/" + r"\.pyenv", "/opt/" + "pypi"),
}


def committed() -> list[Path]:
    """Every file that git tracks, or would on the next `git add`."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout, so nothing tells which files belong to the project")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    paths = (REPOSITORY / name for name in done.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def too_long(text: str) -> bool:
    """Whether a module has more lines than one can keep in mind."""
    return len(text.splitlines()) > LONGEST


def forbidden(text: str) -> list[str]:
    """What of the forbidden the text holds."""
    small = text.lower()  # looked through far quicker than with re.IGNORECASE
    return [
        f"{what}: {found[0]}"
        for what, patterns in FORBIDDEN.items()
        for pattern in patterns
        if (found := re.search(pattern, small))
    ]


def test_modules_are_not_too_long() -> None:
    modules = [path for path in committed() if path.suffix == ".py"]
    assert REPOSITORY / "src" / "colabenv" / "errors.py" in modules
    assert [str(path.relative_to(REPOSITORY)) for path in modules if too_long(path.read_text())] == []


def test_no_file_names_a_registry_or_this_machine() -> None:
    found = {
        str(path.relative_to(REPOSITORY)): forbidden(path.read_text(encoding="utf-8", errors="replace"))
        for path in committed()
    }
    assert {name: what for name, what in found.items() if what} == {}


def test_no_file_is_binary() -> None:
    assert [str(path.relative_to(REPOSITORY)) for path in committed() if b"\0" in path.read_bytes()] == []


@pytest.mark.parametrize(
    "text",
    [
        "https://files.python" + "hosted.org/x",
        "index-url = https://PyPI" + ".org/simple",
        "registry.npm" + "js.org",
        "deb http://deb.debian" + ".org",
        "see /" + "work/main",
        'python = "/root/' + '.pyenv/versions/3.11.7/bin/python"',
    ],
)
def test_violations_are_reported(text: str) -> None:
    assert forbidden(text) != []


@pytest.mark.parametrize(
    "text", ["the package index", "~/.pyenv/versions", "src/network/x", "/root/.local/share"]
)
def test_valid_text_passes(text: str) -> None:
    assert forbidden(text) == []


def test_a_long_module_is_reported() -> None:
    assert too_long("x = 1\n" * 501)
    assert not too_long("x = 1\n" * 500)
