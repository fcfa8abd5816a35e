"""Stores that only fsspec knows: which there are, what is shown of them, and what their file systems' errors become."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from colabenv.errors import ColabenvError, StoreError, UsageError
from colabenv.store.anywhere import _seconds
from colabenv.store.backends.base import open_remote


def test_a_place_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="cannot be at a nonsense:// address"):
        open_remote("nonsense://x/y", {})
    with pytest.raises(UsageError, match="one place"):
        open_remote("memory://x::memory://y", {})


def test_what_is_missing_is_named() -> None:
    with pytest.raises(StoreError, match="need a package") as caught:
        open_remote("dropbox://x/y", {})
    assert "dropbox" in caught.value.hint.lower()


def test_without_fsspec(tmp_path: Path) -> None:
    """In a Python of its own: a module of that name that cannot be imported stands before the real one."""
    (tmp_path / "fsspec.py").write_text("raise ImportError")
    code = "from colabenv.store.backends.base import open_remote; open_remote('memory://x/y', {})"
    environ = {"PYTHONPATH": f"{tmp_path}:{':'.join(filter(None, sys.path))}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
    )
    assert "Stores at memory:// need a package that is not installed here" in done.stderr


def test_no_password_is_shown() -> None:
    store = open_remote("memory://user:hush-hush@box/f", {})
    with pytest.raises(ColabenvError) as absent:
        store.read("none")
    with pytest.raises(ColabenvError) as refused:
        open_remote("ftp://user:hush-hush@127.0.0.1:1/f", {})
    said = [store.url, repr(store), *(f"{one.value.message} {one.value.hint}" for one in (absent, refused))]
    assert "hush" not in "".join(said)
    assert "ftp://127.0.0.1:1/f" in said[-1]


@pytest.mark.parametrize(
    "about",
    [
        {"mtime": 1_700_000_000},
        {"LastModified": datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc)},
        {"last_modified": datetime(2023, 11, 14, 22, 13, 20)},
        {"updated": "2023-11-14T22:13:20Z"},
        {"modify": "20231114221320.123"},
        {"mtime": None, "created": 1_700_000_000.0},
    ],
)
def test_when_a_file_was_changed(about: dict[str, object]) -> None:
    assert _seconds(about) == pytest.approx(1_700_000_000, abs=1)


def test_nothing_is_old_for_want_of_a_time() -> None:
    for about in ({}, {"mtime": "yesterday"}):
        assert _seconds(about) > 1_750_000_000
