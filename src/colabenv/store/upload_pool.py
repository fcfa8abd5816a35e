"""Packing and sending side by side: few parcels at once, so that neither memory nor the disk fills up."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from colabenv.errors import ModifiedPackageError, StoreError
from colabenv.store.backends.base import StoreBackend
from colabenv.store.manifest import Layer
from colabenv.store.pack import PackedLayer

#: At once on their way. Most of the time of a small one is spent waiting for the store.
_WORKERS = 6
#: At once being packed, and bytes on disk from which on a distribution keeps two processors busy by itself. Two large
#: ones at once would take twice the memory and no less time.
_PACKING = 2
_LARGE = 16 << 20
#: Bytes, unpacked, that may be on their way at once; a larger one goes alone.
_ROOM = 1 << 30


@dataclass(frozen=True)
class UploadedLayer:
    """What became of one distribution.

    Attributes:
        name: of the distribution.
        layer: what was sent, or None.
        refusal: why it cannot be kept, or "".
    """

    name: str
    layer: Layer | None
    refusal: str = ""


class UploadPool:
    """Workers that each pack a distribution, send it, and remove the parcel.

    They are daemons: whoever is interrupted goes at once, and an upload that was cut off is no object.

    Args:
        remote: where to.
        tag: of Python and platform.
        folder: for parcels.
        packed: packs a distribution.
    """

    def __init__(
        self, remote: StoreBackend, tag: str, folder: Path, packed: Callable[[str], PackedLayer]
    ) -> None:
        self._remote = remote
        self._tag = tag
        self._folder = folder
        self._packed = packed
        self._packing = threading.Semaphore(_PACKING)
        self._large = threading.Lock()
        self._space = threading.Condition()
        self._used = 0
        self._stopped = threading.Event()

    def run(self, wanted: Sequence[tuple[str, int]]) -> Iterator[UploadedLayer]:
        """Send them.

        Args:
            wanted: names and their bytes on disk, in order.

        Raises:
            ChangedError: one is not what was installed.
            StoreError: the store refused one, or is gone.
            DiskError: there is no room.
        """
        waiting: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        results: queue.SimpleQueue[UploadedLayer | BaseException] = queue.SimpleQueue()
        for one in wanted:
            waiting.put(one)
        for _ in range(min(_WORKERS, len(wanted))):
            threading.Thread(target=self._work, args=(waiting, results), daemon=True).start()
        try:
            for _ in wanted:
                done = results.get()
                if isinstance(done, BaseException):
                    raise done
                yield done
        finally:
            self._stopped.set()

    def _work(
        self,
        waiting: queue.SimpleQueue[tuple[str, int]],
        results: queue.SimpleQueue[UploadedLayer | BaseException],
    ) -> None:
        while not self._stopped.is_set():
            try:
                name, size = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                with self._room(size):
                    results.put(self._one(name, size))
            except BaseException as error:  # noqa: BLE001 - whatever it is, the thread that waits must learn of it
                results.put(error)
                return

    def _one(self, name: str, size: int) -> UploadedLayer:
        try:
            with self._large if size >= _LARGE else contextlib.nullcontext(), self._packing:
                if self._stopped.is_set():
                    return UploadedLayer(name, None, "stopped")
                parcel = self._packed(name)
        except ModifiedPackageError:
            raise
        except StoreError as error:
            return UploadedLayer(name, None, error.message)
        try:
            if not self._stopped.is_set():
                self._remote.upload(parcel.layer.object_name(self._tag), parcel.file)
        finally:
            with contextlib.suppress(OSError):
                parcel.file.unlink()
        return UploadedLayer(name, parcel.layer)

    @contextlib.contextmanager
    def _room(self, size: int) -> Iterator[None]:
        """Wait until there is room for so many bytes."""
        with self._space:
            self._space.wait_for(lambda: not self._used or self._used + size <= _ROOM)
            self._used += size
        try:
            yield
        finally:
            with self._space:
                self._used -= size
                self._space.notify_all()
