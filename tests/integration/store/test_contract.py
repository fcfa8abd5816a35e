"""The contract of all stores: folders, Google Drive's mount, Google Cloud Storage and S3."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from colabenv.errors import NotInStoreError, StoreError
from colabenv.store.backends.base import StoreBackend
from colabenv.store.open import open_store
from support.store.drive import DriveLike, fuse_unavailable_reason, mount_drive
from support.store.servers import gcs_server, s3_server

#: Names that need quoting in URLs, shells or listings.
UNUSUAL_NAMES = (
    "a b.json",
    "sharp#1.json",
    "question?x=1&y=2.json",
    "per%41cent%.json",
    "plus+equals=.json",
    "ünïcödé-日本.json",
    "~tilde'quote\"(1)*.json",
    "very/deep/er/" + "x" * 200,
)
INVALID_NAMES = (
    *("", "/x", "../x", "a/../../x", "a//b", "a/", ".", "a\nb", "a\x00b", "a\\b", "\udc80", "x" * 2000),
)
KINDS = ("folder", "mount", "slow", "gs", "s3")


@pytest.fixture(scope="module", params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreBackend]:
    """One store of each kind, in a folder with an unusual name."""
    folder = tmp_path_factory.mktemp("store")
    if request.param == "folder":
        yield open_store(str(folder / "my store"), {})
    elif request.param == "slow":
        yield DriveLike(open_store(str(folder), {}), delay=0.005, stale=0.0)
    elif request.param == "mount":
        if fuse_unavailable_reason():
            pytest.skip(f"cannot mount a drive: {fuse_unavailable_reason()}")
        for name in ("behind", "point"):
            (folder / name).mkdir()
        with mount_drive(folder / "behind", folder / "point", delay=0.005):
            yield open_store(str(folder / "point" / "my store"), {})
    else:
        with gcs_server() if request.param == "gs" else s3_server() as served:
            yield open_store(f"{served.url}/my store/é", served.environ)


def test_read_returns_what_was_written(store: StoreBackend) -> None:
    store.write("manifests/x.json", b"hello")
    assert store.read("manifests/x.json") == b"hello"
    assert store.writable


def test_ranges_are_read(store: StoreBackend) -> None:
    store.write("parts", b"0123456789")
    assert store.read("parts", 2, 3) == b"234"
    assert store.read("parts", 7) == b"789"
    assert store.read("parts", 7, 100) == b"789"
    assert store.read("parts", 0, 0) == b""
    assert store.read("parts", 10) == b""
    assert store.read("parts", 50, 5) == b""


def test_empty_object(store: StoreBackend) -> None:
    if store.url.startswith("gs:"):
        pytest.skip("gcp-storage-emulator does not support empty objects; Google Cloud Storage does")
    store.write("empty", b"")
    assert store.read("empty") == b""
    assert store.read("empty", 0, 10) == b""


def test_missing_object_is_not_found(store: StoreBackend) -> None:
    with pytest.raises(NotInStoreError, match="no such object"):
        store.read("no/such")
    with pytest.raises(NotInStoreError, match="no such object"):
        store.read("no/such", 5, 10)


def test_folder_is_not_an_object(store: StoreBackend) -> None:
    store.write("above/below", b"x")
    with pytest.raises(NotInStoreError):
        store.read("above")


def test_write_replaces_an_object(store: StoreBackend) -> None:
    store.write("again", b"a longer first")
    store.write("again", b"second")
    assert store.read("again") == b"second"


def test_upload_creates_and_replaces_a_large_object(store: StoreBackend, tmp_path: Path) -> None:
    # Large enough for a multipart upload to S3.
    data = hashlib.shake_128(b"seed").digest(37 << 20)
    (tmp_path / "file").write_bytes(data)
    store.write("layers/t/up.layer", b"old")
    store.upload("layers/t/up.layer", tmp_path / "file")
    assert store.read("layers/t/up.layer") == data
    assert store.read("layers/t/up.layer", 17 << 20, 1 << 20) == data[17 << 20 : 18 << 20]
    (tmp_path / "file").write_bytes(b"short")
    store.upload("layers/t/up.layer", tmp_path / "file")
    assert store.read("layers/t/up.layer") == b"short"


def test_upload_of_a_missing_file_creates_nothing(store: StoreBackend, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        store.upload("from/nothing", tmp_path / "none")
    with pytest.raises(NotInStoreError):
        store.read("from/nothing")


def test_entries_lists_names_sizes_and_times(store: StoreBackend) -> None:
    before = time.time()
    for name in ("list/b/2", "list/a", "list/b/1", "listing"):
        store.write(name, name.encode())
    entries = store.entries("list/")
    assert [(entry.name, entry.bytes) for entry in entries] == [
        ("list/a", 6),
        ("list/b/1", 8),
        ("list/b/2", 8),
    ]
    assert all(before - 5 < entry.modified < time.time() + 5 for entry in entries)
    assert {"list/a", "listing"} <= {entry.name for entry in store.entries()}
    assert store.entries("no/such/") == []


def test_entries_lists_more_than_one_page(store: StoreBackend) -> None:
    # S3 lists a thousand at a time. test_servers.py tests Google's pages, since its emulator is slow with so many.
    names = [f"many/{number:04}" for number in range(1010 if store.url.startswith("s3:") else 30)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.write(name, b"x"), names))
    assert [entry.name for entry in store.entries("many/")] == names


def test_delete_removes_an_object(store: StoreBackend) -> None:
    store.write("gone/x", b"x")
    store.delete("gone/x")
    store.delete("gone/x")
    store.delete("never/was")
    assert store.entries("gone/") == []
    with pytest.raises(NotInStoreError):
        store.read("gone/x")


def test_unusual_names(store: StoreBackend) -> None:
    for name in UNUSUAL_NAMES:
        store.write(f"unusual/{name}", name.encode())
        assert store.read(f"unusual/{name}", 1, 3) == name.encode()[1:4], name
    assert {entry.name for entry in store.entries("unusual/")} == {
        f"unusual/{name}" for name in UNUSUAL_NAMES
    }
    for name in UNUSUAL_NAMES:
        store.delete(f"unusual/{name}")
        assert f"unusual/{name}" not in {entry.name for entry in store.entries("unusual/")}, name


def is_refused(call: Callable[[], object]) -> bool:
    """Whether a call raises the error for invalid names."""
    try:
        call()
    except StoreError as error:
        return "not a valid object name" in str(error)
    return False


def test_invalid_names_are_refused(store: StoreBackend, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for name in INVALID_NAMES:
        for call in (
            partial(store.read, name),
            partial(store.write, name, b"x"),
            partial(store.upload, name, tmp_path / "file"),
            partial(store.delete, name),
        ):
            assert is_refused(call), (call.func.__name__, name)


def test_eight_threads_read_and_write(store: StoreBackend, tmp_path: Path) -> None:
    data = hashlib.shake_128(b"threads").digest(600_000)
    (tmp_path / "file").write_bytes(data)

    def write_and_read(number: int) -> bool:
        store.write(f"threads/{number}", bytes([number]) * 1000)
        store.upload(f"threads/{number}.layer", tmp_path / "file")
        step = 60_000
        parts = b"".join(
            store.read(f"threads/{number}.layer", start, step) for start in range(0, len(data), step)
        )
        return store.read(f"threads/{number}") == bytes([number]) * 1000 and parts == data

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(write_and_read, range(16)))


def test_concurrent_writes_of_a_name_leave_one_whole_object(store: StoreBackend) -> None:
    contents = {bytes([number]) * 100_000 for number in range(8)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: store.write("same/name", data), contents))
    assert store.read("same/name") in contents
    assert [entry.name for entry in store.entries("same/")] == ["same/name"]
