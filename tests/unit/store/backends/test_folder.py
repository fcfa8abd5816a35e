"""A store in a folder."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from colabenv.errors import NotInStoreError, StoreError
from colabenv.store.backends.folder import PARTIAL_FOLDER, PARTIAL_MAX_AGE, FolderBackend


def test_first_write_creates_the_folder(tmp_path: Path) -> None:
    store = FolderBackend(tmp_path / "new" / "store")
    assert store.writable
    assert store.entries() == []
    with pytest.raises(NotInStoreError):
        store.read("x")
    assert list(tmp_path.iterdir()) == []
    store.write("a/b", b"x")
    assert (tmp_path / "new" / "store" / "a" / "b").read_bytes() == b"x"


def test_incomplete_objects_are_not_listed(tmp_path: Path) -> None:
    store = FolderBackend(tmp_path)
    store.write("a", b"x")
    (tmp_path / PARTIAL_FOLDER / "half").write_bytes(b"ha")
    assert [entry.name for entry in store.entries()] == ["a"]
    with pytest.raises(StoreError):
        store.read(f"{PARTIAL_FOLDER}/half")


def test_first_write_removes_old_incomplete_objects(tmp_path: Path) -> None:
    (tmp_path / PARTIAL_FOLDER).mkdir()
    for name, age in (("old", PARTIAL_MAX_AGE + 60), ("new", 60)):
        (tmp_path / PARTIAL_FOLDER / name).write_bytes(b"half")
        os.utime(tmp_path / PARTIAL_FOLDER / name, (time.time() - age,) * 2)
    FolderBackend(tmp_path).write("a", b"x")
    assert [path.name for path in (tmp_path / PARTIAL_FOLDER).iterdir()] == ["new"]


def test_failed_write_changes_nothing(tmp_path: Path) -> None:
    store = FolderBackend(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(StoreError, match="Could not write a to"):
        store.write("a", b"x")
    assert list((tmp_path / PARTIAL_FOLDER).iterdir()) == []
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StoreError):
        store.write("file/below", b"x")


def test_store_that_is_a_file_cannot_be_read_or_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    store = FolderBackend(tmp_path / "file")
    with pytest.raises(NotInStoreError):
        store.read("x")
    with pytest.raises(StoreError):
        store.write("x", b"x")


def test_named_pipes_are_ignored(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotInStoreError):
        FolderBackend(tmp_path).read("pipe")
    assert FolderBackend(tmp_path).entries() == []


def test_unmounted_drive_is_reported_and_not_created(tmp_path: Path) -> None:
    store = FolderBackend(tmp_path / "drive" / "MyDrive" / "colabenv")
    assert not store.writable
    calls = (lambda: store.read("x"), lambda: store.write("x", b"x"), lambda: store.entries("layers/"))
    for call in calls:
        with pytest.raises(StoreError, match="not mounted") as caught:
            call()
        assert not isinstance(caught.value, NotInStoreError)
        assert f"drive.mount('{tmp_path / 'drive'}'" in caught.value.hint
    assert not (tmp_path / "drive").exists()
