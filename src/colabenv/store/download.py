"""Layers on their way from a store to disk: many connections, both cores, and little memory.

Eight threads read, since a request waits more than it works. Half of them begin with the largest layer, the others with
the smallest, and on two cores one of each unpacks at a time: two that write into one file, or that both make thousands
of small ones, wait for each other in the file system (docs/decisions.md). Where the
store is given up half-way the small layers are whole. The other threads hold what they have read, at most a chunk each,
and read no further, so memory does not grow with the layers: restoring TensorFlow took 290 to 380 MB in all.
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
#: Bytes of one request. Small enough that a slow store shows itself within seconds.
_PIECE = 4 << 20
#: How often a chunk is asked for before its layer is given up.
_TRIES = 4


@dataclass
class LayerDownload:
    """A layer that is wanted.

    Attributes:
        layer: what the manifest says.
        tree: where it goes.
        pending: numbers of the chunks that are not on disk yet.
        trouble: why it will not come, or "".
        damaged: whether the trouble is the layer's own, so that asking again does not help.
        writing: how many of its chunks are being written.
    """

    layer: Layer
    tree: LayerTree
    pending: set[int]
    trouble: str = ""
    damaged: bool = False
    writing: int = 0

    @property
    def whole(self) -> bool:
        """Whether all of it is on disk and was as the manifest says."""
        return not self.pending and not self.trouble

    def tasks(self) -> Iterator[_Task]:
        """What is to be fetched."""
        offset = 0
        for number, chunk in enumerate(self.layer.chunks):
            if number in self.pending:
                yield _Task(self, number, offset)
            offset += chunk.bytes


@dataclass
class _Task:
    """A chunk to fetch: its number, where it begins in the object, and how often it could not be read."""

    arrival: LayerDownload
    number: int
    offset: int
    failed: int = 0


@dataclass
class _Turn:
    """What threads work on together until they are told to stop."""

    active: bool = True


class DownloadPool:
    """Fetches layers in the background.

    Args:
        remote: the store.
        tag: of the layers.
    """

    def __init__(self, remote: StoreBackend, tag: str) -> None:
        self.pace = Throughput(READERS)
        self.arrivals: list[LayerDownload] = []
        self._remote, self._tag = remote, tag
        self._unpackers = 1 if (os.cpu_count() or 2) <= 2 else 2
        self._state = threading.Condition()
        self._waiting: deque[_Task] = deque()
        self._unpacking = [0, 0]
        self._full: ColabenvError | None = None
        self._turn = _Turn(active=False)

    def add(self, layers: Iterable[Layer], folder: Path, *, interpreter: bool = False) -> list[LayerDownload]:
        """Fetch layers, from the largest and from the smallest on, each into a folder of its own.

        Args:
            layers: of a manifest that was checked.
            folder: below which they are unpacked.
            interpreter: whether they are managed Pythons.
        """
        added: list[LayerDownload] = []
        for layer in sorted(layers, key=lambda layer: (-layer.bytes, layer.name)):
            place = folder / str(len(self.arrivals) + len(added))
            tree = LayerTree(layer, place, interpreter=interpreter)
            added.append(LayerDownload(layer, tree, set(range(len(layer.chunks)))))
        with self._state:
            self.arrivals[:0] = added
            if self._turn.active:
                self._waiting.extendleft(reversed([task for one in added for task in one.tasks()]))
                self._state.notify_all()
            else:
                self._start()
        return added

    def left(self) -> tuple[int, int, int]:
        """Bytes still to fetch, bytes of the files of layers that are not whole, and of all layers."""
        with self._state:
            coming = [one for one in self.arrivals if one.pending and not one.trouble]
            fetch = sum(one.layer.chunks[number].bytes for one in coming for number in one.pending)
            partial = sum(one.layer.unpacked for one in coming)
            return fetch, partial, sum(one.layer.unpacked for one in self.arrivals)

    def settled(self, arrivals: Iterable[LayerDownload], wait: float) -> bool:
        """Wait for a moment; whether each of the arrivals has come, or will not come unless `again` is called.

        Args:
            arrivals: what `add` gave.
            wait: seconds at most.

        Raises:
            DiskError: something could not be written.
        """

        def over() -> bool:
            done = all(not one.writing and (one.trouble or not one.pending) for one in wanted)
            return done or not (self._turn.active or any(self._unpacking))

        wanted = list(arrivals)
        with self._state:
            self._state.wait_for(lambda: self._full is not None or over(), timeout=wait)
            if self._full is not None:
                raise self._full
            return over()

    def stop(self) -> None:
        """Fetch no further. When this returns nothing is written any more; what has come stays."""
        with self._state:
            self._turn.active = False
            self._state.notify_all()
            self._state.wait_for(lambda: not any(self._unpacking))

    def again(self) -> None:
        """Fetch what is left, also what could not be read before."""
        self.stop()
        with self._state:
            for arrival in self.arrivals:
                if not arrival.damaged:
                    arrival.trouble = ""
            self._start()

    def _start(self) -> None:
        """Begin a turn; the state is held."""
        self._waiting = deque(task for one in self.arrivals if not one.trouble for task in one.tasks())
        self._turn = _Turn()
        for number in range(READERS):
            # A thread that waits for a store that is gone must not keep the program from ending.
            work = threading.Thread(target=self._work, args=(self._turn, number % 2), daemon=True)
            work.start()

    def _work(self, turn: _Turn, end: int) -> None:
        """Fetch and unpack from one end of what is waiting: 0 has the large layers, 1 the small ones."""
        while (task := self._next(turn, end)) is not None:
            data = self._fetch(task, turn)
            if data is not None and self._may_unpack(task.arrival, turn, end):
                self._unpack(task, data, end)

    def _next(self, turn: _Turn, end: int) -> _Task | None:
        """The next chunk; None when the turn is over."""
        with self._state:
            while turn.active:
                while self._waiting:
                    task = self._waiting.pop() if end else self._waiting.popleft()
                    if not task.arrival.trouble:
                        return task
                self._state.wait()
            return None

    def _fetch(self, task: _Task, turn: _Turn) -> bytes | None:
        """The bytes of a chunk, as the store has them, or None where it could not be read."""
        self.pace.begin()
        try:
            return self._read(task, turn)
        except StoreError as error:
            self._unread(task, turn, error.message)
        except Exception as error:  # noqa: BLE001 - whatever a store's library raises, the index is still there
            self._unread(task, turn, f"{type(error).__name__}: {error}")
        finally:
            self.pace.end()
        return None

    def _read(self, task: _Task, turn: _Turn) -> bytes:
        """Piece by piece; fewer bytes than wanted where the object is cut off."""
        name = task.arrival.layer.object_name(self._tag)
        left = task.arrival.layer.chunks[task.number].bytes
        start, pieces = task.offset, []
        while left and turn.active and (piece := self._remote.read(name, start, min(left, _PIECE))):
            pieces.append(piece)
            self.pace.came(len(piece))
            start, left = start + len(piece), left - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _may_unpack(self, arrival: LayerDownload, turn: _Turn, end: int) -> bool:
        """Wait for one's turn at the processor; whether there still is something to do."""
        with self._state:
            self._state.wait_for(lambda: not turn.active or self._unpacking[end] < self._unpackers)
            if not turn.active or arrival.trouble:
                return False
            self._unpacking[end] += 1
            arrival.writing += 1
            return True

    def _unpack(self, task: _Task, data: bytes, end: int) -> None:
        arrival, trouble, full = task.arrival, "", None
        try:
            arrival.tree.unpack(task.number, data)
        except StoreError as error:
            trouble = error.message
        except ColabenvError as error:
            full = error
        except Exception as error:  # noqa: BLE001 - a hostile layer that nobody thought of must not end a thread
            trouble = f"{type(error).__name__}: {error}"
        with self._state:
            self._unpacking[end] -= 1
            arrival.writing -= 1
            if full is not None:
                self._full = full
            elif trouble:
                arrival.trouble, arrival.damaged = arrival.trouble or trouble, True
            else:
                arrival.pending.discard(task.number)
            self._state.notify_all()

    def _unread(self, task: _Task, turn: _Turn, trouble: str) -> None:
        with self._state:
            if not turn.active:
                return
            task.failed += 1
            if task.failed < _TRIES:
                self._waiting.insert(len(self._waiting) // 2, task)  # not at once, from whichever end
            else:
                task.arrival.trouble = task.arrival.trouble or trouble
            self._state.notify_all()
