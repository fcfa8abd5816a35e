"""Layers on their way: whole, in parts, damaged, unreadable, given up, and asked for again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from colabenv.errors import DiskError
from colabenv.store.download import DownloadPool, LayerDownload
from colabenv.store.manifest import Layer
from support.memory_store import TAG, MemoryStore, make_chunk, make_layer, make_package_layer

SITE = "lib/python3.11/site-packages"


def stored(*layers: tuple[Layer, bytes]) -> MemoryStore:
    return MemoryStore({layer.object_name(TAG): data for layer, data in layers})


def settle(stream: DownloadPool, arrivals: Sequence[LayerDownload]) -> None:
    until(lambda: stream.settled(arrivals, 0.05))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_everything_comes(tmp_path: Path) -> None:
    layers = [
        make_package_layer(f"p{number}", "1.0", f"{number:064x}", parts=number + 1) for number in range(20)
    ]
    stream = DownloadPool(stored(*layers), TAG)
    arrivals = stream.add([layer for layer, _ in layers], tmp_path)
    settle(stream, arrivals)
    assert all(arrival.whole for arrival in arrivals)
    assert stream.left()[:2] == (0, 0)
    assert stream.pace.bytes == sum(len(data) for _, data in layers)
    # The largest first, since it takes longest.
    assert [arrival.layer.name for arrival in arrivals][:2] == ["p19", "p18"]
    for arrival in arrivals:
        arrival.tree.finish("/prefix")
        found = sorted(path.name for path in (arrival.tree.folder / SITE).glob("*.py"))
        assert len(found) == len(arrival.layer.chunks)
    stream.stop()


def test_a_damaged_layer_takes_none_along(tmp_path: Path) -> None:
    good, bad = (
        make_package_layer("good", "1.0", "a" * 64),
        make_package_layer("bad", "1.0", "b" * 64, parts=3, size=1000),
    )
    remote = stored(good, bad)
    name = bad[0].object_name(TAG)
    remote.objects[name] = remote.objects[name][:-1] + bytes([remote.objects[name][-1] ^ 1])
    stream = DownloadPool(remote, TAG)
    arrivals = {one.layer.name: one for one in stream.add([good[0], bad[0]], tmp_path)}
    settle(stream, list(arrivals.values()))
    assert arrivals["good"].whole
    assert arrivals["bad"].damaged
    assert "not those that were pushed" in arrivals["bad"].trouble
    # Asking again does not help, and is not done.
    remote.reads.clear()
    stream.again()
    settle(stream, list(arrivals.values()))
    assert name not in remote.reads
    stream.stop()


def test_a_read_that_fails_once_is_repeated(tmp_path: Path) -> None:
    layer, data = make_package_layer("p", "1.0", "a" * 64)
    remote = stored((layer, data))
    remote.broken = {"layers/": 1}
    stream = DownloadPool(remote, TAG)
    (arrival,) = stream.add([layer], tmp_path)
    settle(stream, [arrival])
    assert arrival.whole
    stream.stop()


def test_what_could_not_be_read_may_be_asked_for_again(tmp_path: Path) -> None:
    layer, data = make_package_layer("p", "1.0", "a" * 64, parts=2)
    remote = stored((layer, data))
    remote.broken = {"layers/": 1000}
    stream = DownloadPool(remote, TAG)
    (arrival,) = stream.add([layer], tmp_path)
    settle(stream, [arrival])
    assert "could not be asked" in arrival.trouble
    assert not arrival.damaged
    remote.broken = {}
    stream.again()
    settle(stream, [arrival])
    assert arrival.whole
    stream.stop()


def test_an_object_that_vanished(tmp_path: Path) -> None:
    layer, _ = make_package_layer("p", "1.0", "a" * 64)
    stream = DownloadPool(MemoryStore(), TAG)
    (arrival,) = stream.add([layer], tmp_path)
    settle(stream, [arrival])
    assert "has no layers/" in arrival.trouble
    stream.stop()


class Clumsy(MemoryStore):
    """A store whose library raises errors of its own."""

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        raise RuntimeError(f"{type(name).__name__}, {type(start).__name__}, {length and 'some'}")


def test_errors_of_a_stores_library_are_no_traceback(tmp_path: Path) -> None:
    layer, _ = make_package_layer("p", "1.0", "a" * 64)
    stream = DownloadPool(Clumsy(), TAG)
    (arrival,) = stream.add([layer], tmp_path)
    settle(stream, [arrival])
    assert arrival.trouble == "RuntimeError: str, int, some"
    stream.stop()


def test_it_stands_still_at_once_and_goes_on_where_it_was(tmp_path: Path) -> None:
    first, second = (
        make_package_layer("first", "1.0", "a" * 64, size=5000),
        make_package_layer("second", "1.0", "b" * 64),
    )
    remote = stored(first, second)
    remote.waiting = second[0].object_name(TAG)
    stream = DownloadPool(remote, TAG)
    arrivals = {one.layer.name: one for one in stream.add([first[0], second[0]], tmp_path)}
    until(lambda: arrivals["first"].whole)
    before = time.monotonic()
    stream.stop()
    assert time.monotonic() - before < 5
    assert stream.settled(list(arrivals.values()), 0)
    assert arrivals["second"].pending == {0}
    assert stream.left()[0] == second[0].bytes
    # What a stopped read brings home is not written any more.
    remote.waiting = ""
    remote.let_go.set()
    assert not any(arrivals["second"].tree.folder.rglob("*.py"))
    stream.again()
    settle(stream, list(arrivals.values()))
    assert arrivals["second"].whole
    stream.stop()


def test_what_is_added_later_comes_first(tmp_path: Path) -> None:
    many = [make_package_layer(f"p{number}", "1.0", f"{number:064x}") for number in range(40)]
    late = make_package_layer("python", "cpython", "f" * 64)
    remote = stored(*many, late)
    remote.delay = 0.005
    stream = DownloadPool(remote, TAG)
    early = stream.add([layer for layer, _ in many], tmp_path)
    (arrival,) = stream.add([late[0]], tmp_path)
    settle(stream, [arrival])
    assert arrival.whole
    assert any(one.pending for one in early)
    settle(stream, early)
    assert len({one.tree.folder for one in [*early, arrival]}) == 41
    stream.stop()


def test_a_disk_that_cannot_be_written_ends_it(tmp_path: Path) -> None:
    layer, data = make_package_layer("p", "1.0", "a" * 64)
    place = tmp_path / "0"
    place.symlink_to("/proc/1/nowhere")
    stream = DownloadPool(stored((layer, data)), TAG)
    arrivals = stream.add([layer], tmp_path)
    with pytest.raises(DiskError):
        settle(stream, arrivals)
    stream.stop()


def test_a_file_that_lies_in_no_folder(tmp_path: Path) -> None:
    # A managed Python has some; no folder of the layer need be there before them.
    layer, data = make_layer("python", "cpython-3.11.9", "", [make_chunk({"BUILD": b"20240101"})], 1)
    stream = DownloadPool(stored((layer, data)), TAG)
    (arrival,) = stream.add([layer], tmp_path / "new", interpreter=True)
    settle(stream, [arrival])
    assert arrival.whole
    assert (arrival.tree.folder / "BUILD").read_text() == "20240101"
    stream.stop()


def test_nothing_is_written_any_more_once_a_damaged_layer_is_settled(tmp_path: Path) -> None:
    layer, data = make_package_layer("p", "1.0", "a" * 64, parts=200, size=20_000)
    remote = stored((layer, data))
    middle = len(data) // 2
    name = layer.object_name(TAG)
    remote.objects[name] = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    for attempt in range(5):
        stream = DownloadPool(remote, TAG)
        (arrival,) = stream.add([layer], tmp_path / str(attempt))
        settle(stream, [arrival])
        assert arrival.damaged
        shutil.rmtree(tmp_path / str(attempt))
        time.sleep(0.02)
        assert not (tmp_path / str(attempt)).exists()
        stream.stop()
