"""Downloading layers: complete, damaged, unreadable, stopped and restarted."""

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
from support.patience import until

SITE = "lib/python3.11/site-packages"


def stored(*layers: tuple[Layer, bytes]) -> MemoryStore:
    return MemoryStore({layer.object_name(TAG): data for layer, data in layers})


def settle(pool: DownloadPool, downloads: Sequence[LayerDownload]) -> None:
    until(lambda: pool.wait(downloads, 0.05), "the downloads end")


def test_all_layers_are_downloaded(tmp_path: Path) -> None:
    layers = [
        make_package_layer(f"p{number}", "1.0", f"{number:064x}", parts=number + 1) for number in range(20)
    ]
    pool = DownloadPool(stored(*layers), TAG)
    downloads = pool.add([layer for layer, _ in layers], tmp_path)
    settle(pool, downloads)
    assert all(download.complete for download in downloads)
    assert pool.remaining()[:2] == (0, 0)
    assert pool.throughput.bytes == sum(len(data) for _, data in layers)
    # The largest first, since it takes longest.
    assert [download.layer.name for download in downloads][:2] == ["p19", "p18"]
    for download in downloads:
        download.tree.finish("/prefix")
        modules = sorted(path.name for path in (download.tree.folder / SITE).glob("*.py"))
        assert len(modules) == len(download.layer.chunks)
    pool.stop()


def test_a_damaged_layer_does_not_affect_others(tmp_path: Path) -> None:
    good, bad = (
        make_package_layer("good", "1.0", "a" * 64),
        make_package_layer("bad", "1.0", "b" * 64, parts=3, size=1000),
    )
    store = stored(good, bad)
    name = bad[0].object_name(TAG)
    store.objects[name] = store.objects[name][:-1] + bytes([store.objects[name][-1] ^ 1])
    pool = DownloadPool(store, TAG)
    downloads = {download.layer.name: download for download in pool.add([good[0], bad[0]], tmp_path)}
    settle(pool, list(downloads.values()))
    assert downloads["good"].complete
    assert downloads["bad"].damaged
    assert "not those that were pushed" in downloads["bad"].problem
    # Asking again does not help, and is not done.
    store.reads.clear()
    pool.restart()
    settle(pool, list(downloads.values()))
    assert name not in store.reads
    pool.stop()


def test_a_failed_read_is_repeated(tmp_path: Path) -> None:
    layer, data = make_package_layer("p", "1.0", "a" * 64)
    store = stored((layer, data))
    store.broken = {"layers/": 1}
    pool = DownloadPool(store, TAG)
    (download,) = pool.add([layer], tmp_path)
    settle(pool, [download])
    assert download.complete
    pool.stop()


def test_restart_downloads_what_failed(tmp_path: Path) -> None:
    layer, data = make_package_layer("p", "1.0", "a" * 64, parts=2)
    store = stored((layer, data))
    store.broken = {"layers/": 1000}
    pool = DownloadPool(store, TAG)
    (download,) = pool.add([layer], tmp_path)
    settle(pool, [download])
    assert "could not be asked" in download.problem
    assert not download.damaged
    store.broken = {}
    pool.restart()
    settle(pool, [download])
    assert download.complete
    pool.stop()


def test_a_missing_object_fails(tmp_path: Path) -> None:
    layer, _ = make_package_layer("p", "1.0", "a" * 64)
    pool = DownloadPool(MemoryStore(), TAG)
    (download,) = pool.add([layer], tmp_path)
    settle(pool, [download])
    assert "has no layers/" in download.problem
    pool.stop()


class Clumsy(MemoryStore):
    """A store whose library raises errors of its own."""

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        raise RuntimeError(f"{type(name).__name__}, {type(start).__name__}, {length and 'some'}")


def test_exceptions_of_a_library_become_problems(tmp_path: Path) -> None:
    layer, _ = make_package_layer("p", "1.0", "a" * 64)
    pool = DownloadPool(Clumsy(), TAG)
    (download,) = pool.add([layer], tmp_path)
    settle(pool, [download])
    assert download.problem == "RuntimeError: str, int, some"
    pool.stop()


def test_stop_and_restart(tmp_path: Path) -> None:
    first, second = (
        make_package_layer("first", "1.0", "a" * 64, size=5000),
        make_package_layer("second", "1.0", "b" * 64),
    )
    store = stored(first, second)
    store.waiting = second[0].object_name(TAG)
    pool = DownloadPool(store, TAG)
    downloads = {download.layer.name: download for download in pool.add([first[0], second[0]], tmp_path)}
    until(lambda: downloads["first"].complete, "the first layer is complete")
    before = time.monotonic()
    pool.stop()
    assert time.monotonic() - before < 30, "it waited for the read, which takes 60 seconds"
    assert pool.wait(list(downloads.values()), 0)
    assert downloads["second"].pending == {0}
    assert pool.remaining()[0] == second[0].bytes
    # What a stopped read brings home is not written any more.
    store.waiting = ""
    store.let_go.set()
    assert not any(downloads["second"].tree.folder.rglob("*.py"))
    pool.restart()
    settle(pool, list(downloads.values()))
    assert downloads["second"].complete
    pool.stop()


def test_layers_that_are_added_later_come_first(tmp_path: Path) -> None:
    many = [make_package_layer(f"p{number}", "1.0", f"{number:064x}") for number in range(40)]
    late = make_package_layer("python", "cpython", "f" * 64)
    store = stored(*many, late)
    store.delay = 0.005
    pool = DownloadPool(store, TAG)
    early = pool.add([layer for layer, _ in many], tmp_path)
    (download,) = pool.add([late[0]], tmp_path)
    settle(pool, [download])
    assert download.complete
    assert any(other.pending for other in early)
    settle(pool, early)
    assert len({each.tree.folder for each in [*early, download]}) == 41
    pool.stop()


def test_an_unwritable_disk_is_a_disk_error(tmp_path: Path) -> None:
    layer, data = make_package_layer("p", "1.0", "a" * 64)
    place = tmp_path / "0"
    place.symlink_to("/proc/1/nowhere")
    pool = DownloadPool(stored((layer, data)), TAG)
    downloads = pool.add([layer], tmp_path)
    with pytest.raises(DiskError):
        settle(pool, downloads)
    pool.stop()


def test_a_file_at_the_top_of_a_layer(tmp_path: Path) -> None:
    # A managed Python has some; no folder of the layer need be there before them.
    layer, data = make_layer("python", "cpython-3.11.9", "", [make_chunk({"BUILD": b"20240101"})], 1)
    pool = DownloadPool(stored((layer, data)), TAG)
    (download,) = pool.add([layer], tmp_path / "new", interpreter=True)
    settle(pool, [download])
    assert download.complete
    assert (download.tree.folder / "BUILD").read_text() == "20240101"
    pool.stop()


def test_a_damaged_layer_is_not_written_any_more(tmp_path: Path) -> None:
    layer, data = make_package_layer("p", "1.0", "a" * 64, parts=200, size=20_000)
    store = stored((layer, data))
    middle = len(data) // 2
    name = layer.object_name(TAG)
    store.objects[name] = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    for attempt in range(5):
        pool = DownloadPool(store, TAG)
        (download,) = pool.add([layer], tmp_path / str(attempt))
        settle(pool, [download])
        assert download.damaged
        shutil.rmtree(tmp_path / str(attempt))
        time.sleep(0.02)
        assert not (tmp_path / str(attempt)).exists()
        pool.stop()
