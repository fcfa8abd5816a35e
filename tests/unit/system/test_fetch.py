"""Downloads of single files: cached by digest, limited in time and size, with a message for every error."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from colabenv.errors import NetworkError
from colabenv.system.fetch import MAX_BYTES, download_file, fetch_file
from support.index_server import Fault, Index

TEXT = b"name: base\n"
DIGEST = hashlib.sha256(TEXT).hexdigest()


@pytest.fixture
def site() -> Iterator[Index]:
    """A web server on loopback with one file."""
    with Index() as index:
        index.add("base-1.0.tar.gz", TEXT)
        yield index


def url(site: Index) -> str:
    return f"{site.site}/files/base-1.0.tar.gz"


def test_file_is_downloaded_once(site: Index, tmp_path: Path) -> None:
    assert fetch_file(url(site), DIGEST, tmp_path / "cache") == TEXT
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [DIGEST]
    site.stop()
    assert fetch_file("http://127.0.0.1:9/gone", DIGEST, tmp_path / "cache") == TEXT


def test_damaged_cache_is_replaced(site: Index, tmp_path: Path) -> None:
    (tmp_path / DIGEST).write_bytes(b"other")
    assert fetch_file(url(site), DIGEST, tmp_path) == TEXT
    assert (tmp_path / DIGEST).read_bytes() == TEXT


def test_file_with_another_digest_is_returned_but_not_cached(site: Index, tmp_path: Path) -> None:
    assert fetch_file(url(site), "0" * 64, tmp_path / "cache") == TEXT
    assert not (tmp_path / "cache").exists()


def test_unwritable_cache_is_ignored(site: Index, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert fetch_file(url(site), DIGEST, tmp_path / "file") == TEXT


@pytest.mark.parametrize(
    "fault",
    [Fault(status=404), Fault(status=500), Fault(drop_after=3)],
    ids=["404", "500", "dropped connection"],
)
def test_failed_download_is_a_network_error(site: Index, fault: Fault) -> None:
    site.faults["base"] = fault
    with pytest.raises(NetworkError, match="could not be downloaded"):
        download_file(url(site))


def test_file_larger_than_one_mebibyte_is_an_error(site: Index) -> None:
    site.add("big-1.0.tar.gz", b"x" * (MAX_BYTES * 3))
    with pytest.raises(NetworkError, match="larger than 1 MiB"):
        download_file(f"{site.site}/files/big-1.0.tar.gz")


def test_slow_download_times_out(site: Index) -> None:
    site.add("slow-1.0.tar.gz", b"x" * 400_000)
    site.faults["slow"] = Fault(bytes_per_second=20_000)
    with pytest.raises(NetworkError, match="within 1 seconds"):
        download_file(f"{site.site}/files/slow-1.0.tar.gz", limit=1.0)


def test_refused_connection_is_a_network_error() -> None:
    with pytest.raises(NetworkError, match="refused"):
        download_file("http://127.0.0.1:9/x")
