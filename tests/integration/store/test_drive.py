"""A store on a mount like Google Drive's: slow, with outdated listings, and sometimes disconnected."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from colabenv.errors import StoreError
from colabenv.store.backends.folder import PARTIAL_FOLDER
from colabenv.store.open import open_store
from support.store.drive import HANG, DriveLike, fuse_unavailable_reason, mount_drive


def test_objects_of_other_machines_can_be_read_before_they_are_listed(drive: tuple[Path, Path]) -> None:
    behind, drive_folder = drive
    store = open_store(str(drive_folder / "store"), {})
    store.write("manifests/a", b"x")
    assert [entry.name for entry in store.entries("manifests/")] == ["manifests/a"]
    (behind / "store" / "manifests" / "b").write_bytes(b"of another machine")
    assert [entry.name for entry in store.entries("manifests/")] == ["manifests/a"]
    assert store.read("manifests/b") == b"of another machine"


def test_removed_objects_are_not_listed(drive: tuple[Path, Path]) -> None:
    behind, drive_folder = drive
    store = open_store(str(drive_folder / "store"), {})
    store.write("a", b"x")
    store.write("b", b"x")
    assert len(store.entries()) == 2
    (behind / "store" / "a").unlink()
    assert [entry.name for entry in store.entries()] == ["b"]


def test_upload_leaves_no_partial_file(drive: tuple[Path, Path], tmp_path: Path) -> None:
    behind, drive_folder = drive
    (tmp_path / "file").write_bytes(b"x" * 5_000_000)
    store = open_store(str(drive_folder / "store"), {})
    store.upload("layers/x", tmp_path / "file")
    assert (behind / "store" / "layers" / "x").stat().st_size == 5_000_000
    assert list((behind / "store" / PARTIAL_FOLDER).iterdir()) == []


@pytest.mark.slow
def test_stalled_mount_times_out_once(tmp_path: Path) -> None:
    if fuse_unavailable_reason():
        pytest.skip(f"cannot mount a drive: {fuse_unavailable_reason()}")
    behind, point = tmp_path / "behind", tmp_path / "point"
    (behind / "MyDrive").mkdir(parents=True)
    point.mkdir()
    with mount_drive(behind, point) as process:
        store = open_store(str(point / "MyDrive"), {})
        store.write("x", b"x")
        (behind / HANG).touch()
        started = time.monotonic()
        for _ in range(20):
            with pytest.raises(StoreError, match="does not respond"):
                store.read("x")
        assert 3.5 < time.monotonic() - started < 60, "each read waited for the timeout of 4 seconds"
        (behind / HANG).unlink()

        # The mount's process ends, as Drive's sometimes does: each call reports it.
        store = open_store(str(point / "MyDrive"), {})
        assert store.read("x") == b"x"
        process.kill()
        process.wait()
        for use in (lambda: store.read("x"), store.entries, lambda: store.write("y", b"y")):
            with pytest.raises(StoreError, match="no longer responds") as caught:
                use()
            assert "drive.mount(" in caught.value.hint
        assert not store.writable
        assert not open_store(str(point / "MyDrive"), {}).writable


def test_fake_drive_is_slow_and_lists_late(tmp_path: Path) -> None:
    plain = open_store(str(tmp_path), {})
    store = DriveLike(plain, delay=0.03, stale=60)
    assert store.entries() == []
    started = time.monotonic()
    store.write("a", b"x")
    assert store.read("a") == b"x"
    assert time.monotonic() - started >= 0.06
    assert store.entries() == []
    assert len(plain.entries()) == 1
