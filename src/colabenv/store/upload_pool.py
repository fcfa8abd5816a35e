"""Packing and uploading layers concurrently, with limits that keep memory and disk usage low."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from colabenv.errors import ModifiedPackageError, StoreError
from colabenv.store.backends.base import StoreBackend
from colabenv.store.manifest import Layer
from colabenv.store.pack import PackedLayer

_WORKERS = 6  # concurrent uploads; a small one mostly waits for the store
#: Distributions that are packed at once, but only one of those with more bytes than _LARGE, which keeps two processors
#: busy by itself.
_PACKERS = 2
_LARGE = 16 << 20
#: Bytes of files that may be in flight at once; a larger distribution is uploaded alone.
_IN_FLIGHT_LIMIT = 1 << 30


@dataclass(frozen=True)
class UploadedLayer:
    """A distribution and its layer, or why it cannot be stored."""

    name: str
    layer: Layer | None
    refusal: str = ""


class UploadPool:
    """Workers that pack a distribution, upload it and remove the packed file; daemons, so that Ctrl-C ends at once."""

    def __init__(self, backend: StoreBackend, tag: str, pack: Callable[[str], PackedLayer]) -> None:
        self._backend = backend
        self._tag = tag
        self._pack = pack
        self._packers = threading.Semaphore(_PACKERS)
        self._large = threading.Lock()
        self._space = threading.Condition()
        self._in_flight = 0
        self._stopped = threading.Event()

    def run(self, distributions: Sequence[tuple[str, int]]) -> Iterator[UploadedLayer]:
        """Upload distributions, given by name and bytes on disk, in this order; errors are those of `upload_layers`."""
        pending: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        results: queue.SimpleQueue[UploadedLayer | BaseException] = queue.SimpleQueue()
        for distribution in distributions:
            pending.put(distribution)
        for _ in range(min(_WORKERS, len(distributions))):
            threading.Thread(target=self._work, args=(pending, results), daemon=True).start()
        try:
            for _ in distributions:
                result = results.get()
                if isinstance(result, BaseException):
                    raise result
                yield result
        finally:
            self._stopped.set()

    def _work(
        self,
        pending: queue.SimpleQueue[tuple[str, int]],
        results: queue.SimpleQueue[UploadedLayer | BaseException],
    ) -> None:
        while not self._stopped.is_set():
            try:
                name, size = pending.get_nowait()
            except queue.Empty:
                return
            try:
                with self._reserve(size):
                    results.put(self._upload(name, size))
            except BaseException as error:  # noqa: BLE001 - the thread that called `run` raises it
                results.put(error)
                return

    def _upload(self, name: str, size: int) -> UploadedLayer:
        try:
            with self._large if size >= _LARGE else contextlib.nullcontext(), self._packers:
                if self._stopped.is_set():
                    return UploadedLayer(name, None, "stopped")
                packed = self._pack(name)
        except ModifiedPackageError:
            raise
        except StoreError as error:
            return UploadedLayer(name, None, error.message)
        try:
            if not self._stopped.is_set():
                self._backend.upload(packed.layer.object_name(self._tag), packed.file)
        finally:
            with contextlib.suppress(OSError):
                packed.file.unlink()
        return UploadedLayer(name, packed.layer)

    @contextlib.contextmanager
    def _reserve(self, size: int) -> Iterator[None]:
        """Wait until `size` more bytes may be in flight."""
        with self._space:
            self._space.wait_for(lambda: not self._in_flight or self._in_flight + size <= _IN_FLIGHT_LIMIT)
            self._in_flight += size
        try:
            yield
        finally:
            with self._space:
                self._in_flight -= size
                self._space.notify_all()
