"""Downloading and unpacking layers concurrently, with little memory.

Eight threads read, because a request mostly waits. Half of them begin with the largest layer, the others with the
smallest, and on two cores one of each half unpacks at a time: two that write into one file, or that both create
thousands of small files, would wait for each other in the file system (docs/decisions.md). If the store is dropped
half-way, the small layers are complete. Threads that wait for their turn hold at most one chunk each: restoring
TensorFlow took 290 to 380 MB in total.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from colabenv.errors import ColabenvError, StoreError
from colabenv.store.backends.base import StoreBackend
from colabenv.store.manifest import Layer
from colabenv.store.throughput import Throughput
from colabenv.store.unpack import LayerTree

READERS = 8
_REQUEST_BYTES = 4 << 20  # bytes of one request; small enough that a slow store shows within seconds
_TRIES = 4  # how often a chunk is requested before its layer fails


@dataclass
class LayerDownload:
    """A layer that is being downloaded. If it is damaged, another try does not help.

    `pending` has the numbers of the chunks that are not on disk yet, `writing` counts those that are being written, and
    `problem` says why it failed.
    """

    layer: Layer
    tree: LayerTree
    pending: set[int]
    problem: str = ""
    damaged: bool = False
    writing: int = 0

    @property
    def complete(self) -> bool:
        """Whether all of it is on disk and verified."""
        return not self.pending and not self.problem

    def tasks(self) -> Iterator[_Task]:
        """The chunks to download."""
        offset = 0
        for number, chunk in enumerate(self.layer.chunks):
            if number in self.pending:
                yield _Task(self, number, offset)
            offset += chunk.bytes


@dataclass
class _Task:
    """A chunk to download: its number, its offset in the object, and how often reading it failed."""

    download: LayerDownload
    number: int
    offset: int
    failures: int = 0


@dataclass
class _Run:
    """What a set of threads works on until it is stopped."""

    active: bool = True


class DownloadPool:
    """Downloads layers with a tag from a store in the background."""

    def __init__(self, backend: StoreBackend, tag: str) -> None:
        self.throughput = Throughput(READERS)
        self.downloads: list[LayerDownload] = []
        self._backend, self._tag = backend, tag
        self._unpackers = 1 if (os.cpu_count() or 2) <= 2 else 2
        self._state = threading.Condition()
        self._waiting: deque[_Task] = deque()
        self._unpacking = [0, 0]
        self._disk_error: ColabenvError | None = None
        self._run = _Run(active=False)

    def add(self, layers: Iterable[Layer], folder: Path, *, interpreter: bool = False) -> list[LayerDownload]:
        """Download layers from a checked manifest, each into its own folder below `folder`; the largest first."""
        added: list[LayerDownload] = []
        for layer in sorted(layers, key=lambda layer: (-layer.bytes, layer.name)):
            place = folder / str(len(self.downloads) + len(added))
            tree = LayerTree(layer, place, interpreter=interpreter)
            added.append(LayerDownload(layer, tree, set(range(len(layer.chunks)))))
        with self._state:
            self.downloads[:0] = added
            if self._run.active:
                tasks = [task for download in added for task in download.tasks()]
                self._waiting.extendleft(reversed(tasks))
                self._state.notify_all()
            else:
                self._start()
        return added

    def remaining(self) -> tuple[int, int, int]:
        """Bytes to download, bytes of the files of incomplete layers, and of all layers."""
        with self._state:
            incomplete = [
                download for download in self.downloads if download.pending and not download.problem
            ]
            to_download = sum(
                download.layer.chunks[number].bytes for download in incomplete for number in download.pending
            )
            unpacked = sum(download.layer.unpacked for download in incomplete)
            return to_download, unpacked, sum(download.layer.unpacked for download in self.downloads)

    def wait(self, downloads: Iterable[LayerDownload], seconds: float) -> bool:
        """Wait for some seconds; whether each download has ended or the pool has stopped. Raises `DiskError`."""

        def is_over() -> bool:
            have_ended = all(not each.writing and (each.problem or not each.pending) for each in awaited)
            return have_ended or not (self._run.active or any(self._unpacking))

        awaited = list(downloads)
        with self._state:
            self._state.wait_for(lambda: self._disk_error is not None or is_over(), timeout=seconds)
            if self._disk_error is not None:
                raise self._disk_error
            return is_over()

    def stop(self) -> None:
        """Download nothing further. After this returns nothing is written any more; what is complete stays."""
        with self._state:
            self._run.active = False
            self._state.notify_all()
            self._state.wait_for(lambda: not any(self._unpacking))

    def restart(self) -> None:
        """Download what is left, including what failed without being damaged."""
        self.stop()
        with self._state:
            for download in self.downloads:
                if not download.damaged:
                    download.problem = ""
            self._start()

    def _start(self) -> None:
        """Start the threads; the state is locked."""
        self._waiting = deque(
            task for download in self.downloads if not download.problem for task in download.tasks()
        )
        self._run = _Run()
        for number in range(READERS):
            # Daemons, so that a store that does not answer cannot keep the program from ending.
            threading.Thread(target=self._work, args=(self._run, number % 2), daemon=True).start()

    def _work(self, run: _Run, end: int) -> None:
        """Download and unpack from one end of the queue: 0 has the large layers, 1 the small ones."""
        while (task := self._next_task(run, end)) is not None:
            data = self._read_chunk(task, run)
            if data is not None and self._acquire_unpacker(task.download, run, end):
                self._unpack(task, data, end)

    def _next_task(self, run: _Run, end: int) -> _Task | None:
        """The next chunk, or None when the run is over."""
        with self._state:
            while run.active:
                while self._waiting:
                    task = self._waiting.pop() if end else self._waiting.popleft()
                    if not task.download.problem:
                        return task
                self._state.wait()
            return None

    def _read_chunk(self, task: _Task, run: _Run) -> bytes | None:
        """The bytes of a chunk as the store has them, or None if it could not be read."""
        self.throughput.start_waiting()
        try:
            return self._read_pieces(task, run)
        except StoreError as error:
            self._record_failure(task, run, error.message)
        except Exception as error:  # noqa: BLE001 - whatever a store's library raises, the index is still there
            self._record_failure(task, run, f"{type(error).__name__}: {error}")
        finally:
            self.throughput.stop_waiting()
        return None

    def _read_pieces(self, task: _Task, run: _Run) -> bytes:
        """The bytes of a chunk; fewer if the object is truncated."""
        name = task.download.layer.object_name(self._tag)
        left = task.download.layer.chunks[task.number].bytes
        start, pieces = task.offset, []
        while left and run.active and (piece := self._backend.read(name, start, min(left, _REQUEST_BYTES))):
            pieces.append(piece)
            self.throughput.add_bytes(len(piece))
            start, left = start + len(piece), left - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _acquire_unpacker(self, download: LayerDownload, run: _Run, end: int) -> bool:
        """Wait until this thread may unpack; False if its layer does not have to be unpacked."""
        with self._state:
            self._state.wait_for(lambda: not run.active or self._unpacking[end] < self._unpackers)
            if not run.active or download.problem:
                return False
            self._unpacking[end] += 1
            download.writing += 1
            return True

    def _unpack(self, task: _Task, data: bytes, end: int) -> None:
        download, problem, disk_error = task.download, "", None
        try:
            download.tree.unpack(task.number, data)
        except StoreError as error:
            problem = error.message
        except ColabenvError as error:
            disk_error = error
        except Exception as error:  # noqa: BLE001 - an unforeseen hostile layer must not end a thread
            problem = f"{type(error).__name__}: {error}"
        with self._state:
            self._unpacking[end] -= 1
            download.writing -= 1
            if disk_error is not None:
                self._disk_error = disk_error
            elif problem:
                download.problem, download.damaged = download.problem or problem, True
            else:
                download.pending.discard(task.number)
            self._state.notify_all()

    def _record_failure(self, task: _Task, run: _Run, problem: str) -> None:
        with self._state:
            if not run.active:
                return
            task.failures += 1
            if task.failures < _TRIES:
                self._waiting.insert(len(self._waiting) // 2, task)  # later, from either end
            else:
                task.download.problem = task.download.problem or problem
            self._state.notify_all()
