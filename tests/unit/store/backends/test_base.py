"""From a URL to a store, the names of objects, and a store in a folder."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from colabenv.errors import ColabenvError, NotInStoreError, StoreError, UsageError
from colabenv.store.backends.base import StoreBackend, checked, open_remote
from colabenv.store.backends.folder import LEFT_BEHIND, PARTS, FolderBackend
from colabenv.store.timeouts import call_with_stall_timeout, call_with_timeout


def refused(url: str, environ: dict[str, str] | None = None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        open_remote(url, environ or {})
    return caught.value


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/content/store", "/content/store"),
        ("~/store", "/home/me/store"),
        ("~", "/home/me"),
        ("file:///a%20b", "/a b"),
        ("file://localhost/a", "/a"),
        ("/a/${WEEK}/b", "/a/7/b"),
        ("https://host/folder/", "https://host/folder"),
        ("https://me:hunter2@host:8443/folder", "https://host:8443/folder"),
        ("HTTP://[::1]:80/x", "http://[::1]:80/x"),
        ("gs://course/week 7/", "gs://course/week 7"),
        ("gs://course", "gs://course"),
        ("s3://course/a/b", "s3://course/a/b"),
    ],
)
def test_urls(url: str, shown: str) -> None:
    store = open_remote(url, {"HOME": "/home/me", "WEEK": "7"})
    assert store.url == shown
    assert isinstance(store, StoreBackend)
    assert "hunter2" not in repr(store)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "  ",
            "gopher://host/x",
            "a1://a/b",
            "s3:/bucket",
            "gs:bucket",
            "s3://",
            "gs:///x",
            "s3://a",
            "s3://-x/y",
        ),
        *(
            "https://",
            "https:///x",
            "http://host:99999/x",
            "http://[::1/x",
            "file://host/x",
            "file:x",
            "~other/x",
        ),
        *(
            "gs://bucket/../x",
            "s3://bucket/a//b",
            "a\nb",
            "s3://bucket/a\x00b",
            "https://host/x?sig=1",
            "https://h/#x",
        ),
    ],
)
def test_what_is_no_store(url: str) -> None:
    assert refused(url, {"HOME": "/home/me"}).hint


def test_credentials_in_a_buckets_url_are_not_repeated() -> None:
    error = refused("s3://AKIAKEY:hunter2@bucket/x")
    assert "hunter2" not in str(error.as_dict())
    assert "environment" in error.hint


@pytest.mark.parametrize("environ", [{}, {"TOKEN": ""}, {"TOKEN": "hunter2\n"}])
def test_variables_that_are_not_there(environ: dict[str, str]) -> None:
    error = refused("https://me:${TOKEN}@host/x", environ)
    assert "TOKEN" in error.message
    assert "hunter2" not in str(error.as_dict())
    assert "%env TOKEN=" in error.hint


def test_a_home_that_is_not_set() -> None:
    assert "HOME" in refused("~/x").message


def test_credentials_that_are_named_and_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="GOOGLE_APPLICATION_CREDENTIALS") as caught:
        open_remote("gs://bucket", {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none")})
    assert caught.value.hint


@pytest.mark.parametrize("name", ["a", "layers/cp311-linux_x86_64/0f-1e.layer", ".hidden", "a..b", "ü"])
def test_names(name: str) -> None:
    assert checked(name) == name


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", "..", "a/..", "./a", "a\\b", "a\tb", "ü" * 513, "\udcff"]
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(StoreError, match="is not the name of"):
        checked(name)


def test_prefixes() -> None:
    assert checked("", prefix=True) == ""
    assert checked("a/b/", prefix=True) == "a/b/"
    for prefix in ("a", "/", "../", "a//"):
        with pytest.raises(StoreError):
            checked(prefix, prefix=True)


def test_a_folder_is_made_with_the_first_object(tmp_path: Path) -> None:
    store = FolderBackend(tmp_path / "new" / "store")
    assert store.writable
    assert store.entries() == []
    with pytest.raises(NotInStoreError):
        store.read("x")
    assert list(tmp_path.iterdir()) == []
    store.write("a/b", b"x")
    assert (tmp_path / "new" / "store" / "a" / "b").read_bytes() == b"x"


def test_what_is_being_written_is_in_no_listing(tmp_path: Path) -> None:
    store = FolderBackend(tmp_path)
    store.write("a", b"x")
    (tmp_path / PARTS / "half").write_bytes(b"ha")
    assert [entry.name for entry in store.entries()] == ["a"]
    with pytest.raises(StoreError):
        store.read(f"{PARTS}/half")


def test_what_ended_pushes_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / PARTS).mkdir()
    for name, age in (("old", LEFT_BEHIND + 60), ("new", 60)):
        (tmp_path / PARTS / name).write_bytes(b"half")
        os.utime(tmp_path / PARTS / name, (time.time() - age,) * 2)
    FolderBackend(tmp_path).write("a", b"x")
    assert [path.name for path in (tmp_path / PARTS).iterdir()] == ["new"]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    store = FolderBackend(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(StoreError, match="Could not write a to"):
        store.write("a", b"x")
    assert list((tmp_path / PARTS).iterdir()) == []
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StoreError):
        store.write("file/below", b"x")


def test_a_store_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    store = FolderBackend(tmp_path / "file")
    with pytest.raises(NotInStoreError):
        store.read("x")
    with pytest.raises(StoreError):
        store.write("x", b"x")


def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    # A pipe would be waited on for ever.
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotInStoreError):
        FolderBackend(tmp_path).read("pipe")
    assert FolderBackend(tmp_path).entries() == []


def test_a_drive_that_is_not_mounted_is_told_and_not_made(tmp_path: Path) -> None:
    store = FolderBackend(tmp_path / "drive" / "MyDrive" / "colabenv")
    assert not store.writable
    uses = (lambda: store.read("x"), lambda: store.write("x", b"x"), lambda: store.entries("layers/"))
    for use in uses:
        with pytest.raises(StoreError, match="not mounted") as caught:
            use()
        assert not isinstance(caught.value, NotInStoreError)
        assert f"drive.mount('{tmp_path / 'drive'}'" in caught.value.hint
    assert not (tmp_path / "drive").exists()


def test_waiting() -> None:
    assert call_with_timeout(5, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        call_with_timeout(5, lambda: 1 // 0)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        call_with_timeout(0.05, lambda: time.sleep(0.5))
    assert time.monotonic() - started < 0.4


def test_what_moves_is_waited_for() -> None:
    def work(beat: object) -> str:
        assert callable(beat)
        for _ in range(6):
            time.sleep(0.02)
            beat()
        return "done"

    assert call_with_stall_timeout(0.09, work) == "done"


def test_errors_are_ours() -> None:
    assert issubclass(NotInStoreError, StoreError)
    assert issubclass(StoreError, ColabenvError)
