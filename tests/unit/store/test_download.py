"""Downloading layers: complete, damaged and missing ones, and pools that are stopped and restarted."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from colabenv.errors import DiskError
from colabenv.store.download import DownloadPool, LayerDownload
from colabenv.store.manifest import Layer
from support.memory_store import TAG, MemoryStore, make_chunk, make_layer, make_package_layer
from support.timeouts import wait_until

SITE = "lib/python3.11/site-packages"


def make_store(*layers: tuple[Layer, bytes]) -> MemoryStore:
    """A store with these layers."""
    return MemoryStore({layer.object_name(TAG): data for layer, data in layers})


def wait_for(pool: DownloadPool, downloads: Sequence[LayerDownload]) -> None:
    """Wait until the downloads are complete or have failed."""
    wait_until(lambda: pool.wait(downloads, 0.05), "the downloads end")


def test_all_layers_are_downloaded(tmp_path: Path) -> None:
    layers = [
        make_package_layer(f"p{number}", "1.0", f"{number:064x}", parts=number + 1) for number in range(20)
    ]
    pool = DownloadPool(make_store(*layers), TAG)
    downloads = pool.add([layer for layer, _ in layers], tmp_path)
    wait_for(pool, downloads)
    assert all(download.complete for download in downloads)
    assert pool.remaining()[:2] == (0, 0)
    assert pool.throughput.bytes == sum(len(data) for _, data in layers)
    # The largest layer comes first because it takes longest.
    assert [download.layer.name for download in downloads][:2] == ["p19", "p18"]
    for download in downloads:
        download.tree.finish("/prefix")
        modules = sorted(path.name for path in (download.tree.folder / SITE).glob("*.py"))
        assert len(modules) == len(download.layer.chunks)
    pool.stop()


def test_damaged_layer_does_not_affect_others(tmp_path: Path) -> None:
    good = make_package_layer("good", "1.0", "a" * 64)
    bad = make_package_layer("bad", "1.0", "b" * 64, parts=3, size=1000)
    store = make_store(good, bad)
    name = bad[0].object_name(TAG)
    store.objects[name] = store.objects[name][:-1] + bytes([store.objects[name][-1] ^ 1])
    pool = DownloadPool(store, TAG)
    downloads = {download.layer.name: download for download in pool.add([good[0], bad[0]], tmp_path)}
    wait_for(pool, list(downloads.values()))
    assert downloads["good"].complete
    assert downloads["bad"].damaged
    assert "not those that were pushed" in downloads["bad"].problem
    # Downloading it again would not help, so the pool does not.
    store.reads.clear()
    pool.restart()
    wait_for(pool, list(downloads.values()))
    assert name not in store.reads
    pool.stop()


def test_failed_read_is_retried(tmp_path: Path) -> None:
    layer, data = make_package_layer("p", "1.0", "a" * 64)
    store = make_store((layer, data))
    store.broken = {"layers/": 1}
    pool = DownloadPool(store, TAG)
    (download,) = pool.add([layer], tmp_path)
    wait_for(pool, [download])
    assert download.complete
    pool.stop()


def test_restart_downloads_failed_layers_again(tmp_path: Path) -> None:
    layer, data = make_package_layer("p", "1.0", "a" * 64, parts=2)
    store = make_store((layer, data))
    store.broken = {"layers/": 1000}
    pool = DownloadPool(store, TAG)
    (download,) = pool.add([layer], tmp_path)
    wait_for(pool, [download])
    assert "could not be asked" in download.problem
    assert not download.damaged
    store.broken = {}
    pool.restart()
    wait_for(pool, [download])
    assert download.complete
    pool.stop()


def test_download_of_a_missing_object_fails(tmp_path: Path) -> None:
    layer, _ = make_package_layer("p", "1.0", "a" * 64)
    pool = DownloadPool(MemoryStore(), TAG)
    (download,) = pool.add([layer], tmp_path)
    wait_for(pool, [download])
    assert "has no layers/" in download.problem
    pool.stop()


class RaisingStore(MemoryStore):
    """A store whose library raises exceptions that colabenv does not know."""

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        raise RuntimeError(f"{type(name).__name__}, {type(start).__name__}, {length and 'some'}")


def test_unknown_exception_becomes_the_problem_of_the_download(tmp_path: Path) -> None:
    layer, _ = make_package_layer("p", "1.0", "a" * 64)
    pool = DownloadPool(RaisingStore(), TAG)
    (download,) = pool.add([layer], tmp_path)
    wait_for(pool, [download])
    assert download.problem == "RuntimeError: str, int, some"
    pool.stop()


def test_stopped_pool_can_be_restarted(tmp_path: Path) -> None:
    first = make_package_layer("first", "1.0", "a" * 64, size=5000)
    second = make_package_layer("second", "1.0", "b" * 64)
    store = make_store(first, second)
    store.waiting = second[0].object_name(TAG)
    pool = DownloadPool(store, TAG)
    downloads = {download.layer.name: download for download in pool.add([first[0], second[0]], tmp_path)}
    wait_until(lambda: downloads["first"].complete, "the first layer is complete")
    before = time.monotonic()
    pool.stop()
    assert time.monotonic() - before < 30, "stop() waited for the read, which takes 60 seconds"
    assert pool.wait(list(downloads.values()), 0)
    assert downloads["second"].pending == {0}
    assert pool.remaining()[0] == second[0].bytes
    # The result of a stopped read is not written.
    store.waiting = ""
    store.resume.set()
    assert not any(downloads["second"].tree.folder.rglob("*.py"))
    pool.restart()
    wait_for(pool, list(downloads.values()))
    assert downloads["second"].complete
    pool.stop()


def test_layers_added_later_are_downloaded_first(tmp_path: Path) -> None:
    packages = [make_package_layer(f"p{number}", "1.0", f"{number:064x}") for number in range(40)]
    python = make_package_layer("python", "cpython", "f" * 64)
    store = make_store(*packages, python)
    store.delay = 0.005
    pool = DownloadPool(store, TAG)
    earlier = pool.add([layer for layer, _ in packages], tmp_path)
    (later,) = pool.add([python[0]], tmp_path)
    wait_for(pool, [later])
    assert later.complete
    assert any(download.pending for download in earlier)
    wait_for(pool, earlier)
    assert len({download.tree.folder for download in [*earlier, later]}) == 41
    pool.stop()


def test_unwritable_disk_is_a_disk_error(tmp_path: Path) -> None:
    layer, data = make_package_layer("p", "1.0", "a" * 64)
    (tmp_path / "0").symlink_to("/proc/1/nowhere")
    pool = DownloadPool(make_store((layer, data)), TAG)
    downloads = pool.add([layer], tmp_path)
    with pytest.raises(DiskError):
        wait_for(pool, downloads)
    pool.stop()


def test_layer_may_have_a_file_at_the_top(tmp_path: Path) -> None:
    # A managed Python has such files. No folder of the layer exists when they are written.
    layer, data = make_layer("python", "cpython-3.11.9", "", [make_chunk({"BUILD": b"20240101"})], 1)
    pool = DownloadPool(make_store((layer, data)), TAG)
    (download,) = pool.add([layer], tmp_path / "new", interpreter=True)
    wait_for(pool, [download])
    assert download.complete
    assert (download.tree.folder / "BUILD").read_text() == "20240101"
    pool.stop()


def test_nothing_is_written_after_a_layer_is_found_damaged(tmp_path: Path) -> None:
    layer, data = make_package_layer("p", "1.0", "a" * 64, parts=200, size=20_000)
    store = make_store((layer, data))
    middle = len(data) // 2
    name = layer.object_name(TAG)
    store.objects[name] = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    for attempt in range(5):
        pool = DownloadPool(store, TAG)
        (download,) = pool.add([layer], tmp_path / str(attempt))
        wait_for(pool, [download])
        assert download.damaged
        shutil.rmtree(tmp_path / str(attempt))
        time.sleep(0.02)
        assert not (tmp_path / str(attempt)).exists()
        pool.stop()
