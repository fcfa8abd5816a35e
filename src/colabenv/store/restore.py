"""Restoring packages from a store, from as early as possible and beside everything else that `up` does.

A store that is slow, unavailable or damaged costs some seconds and a note; it never makes `up` fail.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from colabenv.errors import ColabenvError, NotInStoreError, RequestError, StoreError
from colabenv.lock.lockfile import Lock
from colabenv.store.backends.base import StoreBackend
from colabenv.store.download import DownloadPool, LayerDownload
from colabenv.store.inventory import MANIFESTS, usage_name
from colabenv.store.manifest import (
    MANIFEST_LIMIT,
    Layer,
    Manifest,
    managed_python_version,
    manifest_name,
    parse_manifest,
    parse_python_manifest,
    python_manifest_name,
    select_layers,
)
from colabenv.store.throughput import RestoreLimits, explain_slowness
from colabenv.store.timeouts import run_in_background
from colabenv.system.files import disk_error, hold_file_lock, remove_tree

STAGING = ".restoring-"  # Prefix of the folders in which layers are unpacked. Leftovers are never used.
_OTHER_MANIFESTS = 16  # manifests of other locks that are read if there is none of this one
_OTHER_MANIFESTS_SECONDS = 1.5  # seconds after which no further one is read
_LIMITS = RestoreLimits()
_RETRY_PAUSES = (0.1, 0.3)  # pauses before a manifest is requested again; the limits on waiting stay the same
_DAY = 24 * 3600

_T = TypeVar("_T")


@dataclass(frozen=True)
class StoredLayers:
    """What a store has for a lock: layers by the pin's name, the managed Python, and the manifests that were used."""

    layers: dict[str, Layer]
    interpreter: Layer | None
    manifests: tuple[str, ...]


class RestoreSession:
    """One restore. `open_backend` is called in the background, because the store's library takes a while to load."""

    def __init__(
        self,
        open_backend: Callable[[], StoreBackend],
        log: Callable[[str], None],
        limits: RestoreLimits = _LIMITS,
    ) -> None:
        self.problem = ""
        self.notes: list[str] = []
        self.pool: DownloadPool | None = None
        self._log, self._limits, self._clock = log, limits, time.monotonic
        self._asked_at = self._started = self._clock()
        self._closed = threading.Event()
        self._asked = self._keep_waiting = False
        self._lock = threading.Lock()
        self._stored: Future[StoredLayers] = Future()
        self._staging: Path | None = None
        self._tag = ""
        self._downloads: dict[str, LayerDownload] = {}
        self._backend: Future[StoreBackend] = Future()
        run_in_background(self._backend, open_backend)

    @property
    def url(self) -> str:
        """The store's URL without credentials; "" while it is not open."""
        return self._backend.result().url if _is_successful(self._backend) else ""

    def begin(self, lock: Lock, tag: str, staging: Path, *, fetch: bool = True) -> None:
        """Ask in the background what the store has for a lock, and with `fetch` download it below `staging`."""
        self._asked_at, self._asked = self._clock(), True
        self._staging, self._tag = staging, tag

        def find() -> StoredLayers:
            stored = self._find_layers(self._backend.result(), lock, tag)
            self._log(f"store: {len(stored.layers)} of {len(lock.pins)} layers in {self.url}\n")
            if fetch:
                self._start_downloads(stored, tag, staging)
            return stored

        run_in_background(self._stored, find)

    def stored_layers(self, *, last_resort: bool = False) -> StoredLayers | None:
        """What the store has, or None if it did not answer in time; `problem` then says why.

        With `last_resort`, when there is nothing else to install from, it has more time. Raises `RequestError` if the
        URL is invalid.
        """
        return self._wait_for(self._stored, last_resort=last_resort)

    def downloads(self) -> dict[str, LayerDownload]:
        """The layers that are being downloaded, by the pin's name. Call `stored_layers` first."""
        return self._downloads

    def wait(self, seconds: float) -> bool:
        """Wait for some seconds; whether all layers are complete, or need `wait_longer`. Raises `DiskError`."""
        return self.pool is None or self.pool.wait(self._downloads.values(), seconds)

    def wait_longer(self) -> None:
        """Download the rest however long it takes, because there is nothing else to install from."""
        self.problem, self._keep_waiting = "", True
        if self._downloads and self.pool is not None:
            self.pool.restart()
        else:
            self.stored_layers(last_resort=True)
            self.fetch()

    def fetch(self) -> None:
        """Start to download the layers, unless it has started or they are not known."""
        if _is_successful(self._stored) and self._staging is not None and not self._downloads:
            self._start_downloads(self._stored.result(), self._tag, self._staging)

    def restore_python(
        self, wanted: str, tag: str, pythons: Path, *, last_resort: bool = False
    ) -> Path | None:
        """Restore a managed Python ("3.10" or "3.10.13") into `pythons`; None if the store has none or is too slow.

        Raises `RequestError` if the URL is invalid, and `DiskError`.
        """
        if last_resort:
            self.problem, self._keep_waiting = "", True
        layer = None if self.problem else self._find_python(wanted, tag, last_resort=last_resort)
        if layer is None or (pythons / layer.version).exists():
            return None
        with hold_file_lock(pythons / ".restoring.lock", lambda: None):
            remove_staging(pythons)
            staging = pythons / f"{STAGING}{secrets.token_hex(4)}"
            try:
                return self._download_python(layer, tag, staging, pythons / layer.version)
            except StoreError as error:
                self._log(f"store: {error.message}\n")
                self.notes.append(f"The store's Python was not used: {error.message}")
                return None
            finally:
                remove_tree(staging)

    def give_up(self, why: str) -> None:
        """Download nothing further from the store."""
        self.problem = self.problem or why
        self._log(f"store: given up, {why}\n")
        if self.pool is not None:
            self.pool.stop()

    def close(self) -> None:
        """Stop writing, and remove what was not installed."""
        with self._lock:
            self._closed.set()
            if self.pool is not None:
                self.pool.stop()
        if self._staging is not None:
            with contextlib.suppress(ColabenvError):  # a later run removes it
                remove_staging(self._staging)

    def record_use(self, now: float) -> None:
        """Record in the store that its manifests are in use `now`, at most once a day and in the background."""
        if _is_successful(self._stored):
            manifests = self._stored.result().manifests
            run_in_background(Future(), lambda: _record_use(self._backend.result(), manifests, now))

    def _wait_for(self, answer: Future[_T], *, last_resort: bool) -> _T | None:
        """The store's answer, or None; then `problem` says why."""
        limits = self._limits
        left = max(self._started + limits.answer, self._asked_at + limits.later_answer) - self._clock()
        try:
            return answer.result(limits.last_resort if last_resort else max(0.0, left))
        except FutureTimeoutError:
            self.problem = f"it did not answer within {self._clock() - self._asked_at:.1f} s"
        except RequestError:
            raise
        except ColabenvError as error:
            self.problem = error.message
        except Exception as error:  # noqa: BLE001 - whatever a store's library raises, the index is still there
            self.problem = f"{type(error).__name__}: {error}"
        self._log(f"store: {self.problem}\n")
        return None

    def _find_layers(self, backend: StoreBackend, lock: Lock, tag: str) -> StoredLayers:
        """What the lock's own manifest has, else what those of other locks have."""
        own = manifest_name(lock.pins_digest, tag)
        manifest = self._read_manifest(backend, own, tag)
        if manifest is not None and manifest.lock != lock.pins_digest:
            self.notes.append(f"{own} in the store belongs to another lock and was not used.")
            manifest = None
        interpreter = manifest.interpreter if manifest else None
        manifests = {own: manifest} if manifest else self._read_other_manifests(backend, lock, tag, own)
        layers = select_layers(manifests.values(), lock, tag)
        used = tuple(
            name
            for name, manifest in manifests.items()
            if any(layers.get(layer.name) == layer for layer in manifest.layers)
        )
        return StoredLayers(layers, interpreter, used)

    def _read_other_manifests(
        self, backend: StoreBackend, lock: Lock, tag: str, own: str
    ) -> dict[str, Manifest]:
        """Manifests of other locks, the newest first, until all layers are found or it takes too long."""
        manifests: dict[str, Manifest] = {}
        started = self._clock()
        try:
            entries = backend.entries(f"{MANIFESTS}{tag}/")
        except StoreError as error:  # a web server cannot list
            self._log(f"store: {error.message}\n")
            return manifests
        entries.sort(key=lambda entry: -entry.modified)
        for entry in [entry for entry in entries if entry.name != own][:_OTHER_MANIFESTS]:
            manifest = self._read_manifest(backend, entry.name, tag)
            if manifest is not None:
                manifests[entry.name] = manifest
            complete = len(select_layers(manifests.values(), lock, tag)) == len(lock.pins)
            if complete or self._clock() - started > _OTHER_MANIFESTS_SECONDS:
                break
        return manifests

    def _read_manifest(self, backend: StoreBackend, name: str, tag: str) -> Manifest | None:
        """A manifest that can be read and has the tag, or None."""
        try:
            data = _read_with_retries(backend, name)
        except NotInStoreError:
            return None
        try:
            manifest = parse_manifest(data, name)
        except StoreError as error:
            self.notes.append(error.message)
            return None
        return manifest if manifest.tag == tag else None

    def _start_downloads(self, stored: StoredLayers, tag: str, staging: Path) -> None:
        with contextlib.suppress(ColabenvError):
            remove_staging(staging)
        folder = staging / f"{STAGING}{secrets.token_hex(4)}"
        with self._lock:
            if self._closed.is_set() or self.problem or self._downloads:
                return
            pool = self._open_pool(self._backend.result(), tag)
            layers = [layer for layer in stored.layers.values() if layer.chunks]
            self._downloads = {download.layer.name: download for download in pool.add(layers, folder)}

    def _open_pool(self, backend: StoreBackend, tag: str) -> DownloadPool:
        """The pool, whose rate is watched from the beginning."""
        if self.pool is None:
            self.pool = DownloadPool(backend, tag)
            threading.Thread(target=self._watch, args=(self.pool,), name="store-watch", daemon=True).start()
        return self.pool

    def _watch(self, pool: DownloadPool) -> None:
        while not self._closed.wait(self._limits.interval):
            to_download, incomplete, unpacked = pool.remaining()
            why = explain_slowness(
                pool.throughput,
                self._limits,
                elapsed=self._clock() - self._asked_at,
                left_bytes=to_download,
                left_unpacked=incomplete,
                all_unpacked=unpacked,
            )
            if why and not self._keep_waiting:
                self.give_up(why)
                return

    def _find_python(self, wanted: str, tag: str, *, last_resort: bool) -> Layer | None:
        """The managed Python to restore: that of the lock's own manifest, else the tag's newest."""
        if self._asked:
            stored = self._wait_for(self._stored, last_resort=last_resort)
            own = stored.interpreter if stored else None
            if own is not None and _has_version(own, wanted):
                return own
        answer: Future[Layer | None] = Future()
        run_in_background(answer, lambda: _read_newest_python(self._backend.result(), tag))
        newest = self._wait_for(answer, last_resort=last_resort)
        return newest if newest is not None and _has_version(newest, wanted) else None

    def _download_python(self, layer: Layer, tag: str, staging: Path, final: Path) -> Path | None:
        with self._lock:
            pool = self._open_pool(self._backend.result(), tag)
            (download,) = pool.add([layer], staging, interpreter=True)
        while not pool.wait([download], 1.0):
            pass
        if not download.complete:
            self._log(f"store: {layer.version}: {download.problem or self.problem}\n")
            if download.damaged:
                self.notes.append(f"The store's Python was not used: {download.problem}")
            return None
        download.tree.finish(str(final))
        try:
            download.tree.folder.rename(final)
        except OSError as error:
            raise disk_error(error, final) from error
        return final


def remove_staging(folder: Path) -> None:
    """Remove what interrupted restores left behind. The caller makes sure that none is running. Raises `DiskError`."""
    for leftover in folder.glob(f"{STAGING}*"):
        remove_tree(leftover)


def _read_with_retries(backend: StoreBackend, name: str, pauses: tuple[float, ...] = _RETRY_PAUSES) -> bytes:
    """Read a manifest. Everything else depends on it, so failed requests are repeated."""
    try:
        return backend.read(name, 0, MANIFEST_LIMIT + 1)
    except StoreError as error:
        if isinstance(error, NotInStoreError) or not pauses:
            raise
    time.sleep(pauses[0])
    return _read_with_retries(backend, name, pauses[1:])


def _read_newest_python(backend: StoreBackend, tag: str) -> Layer | None:
    name = python_manifest_name(tag)
    try:
        return parse_python_manifest(backend.read(name, 0, MANIFEST_LIMIT + 1), tag, name)
    except NotInStoreError:
        return None


def _has_version(python: Layer, wanted: str) -> bool:
    version = managed_python_version(python.version)
    return version == wanted or version.startswith(wanted + ".")


def _record_use(backend: StoreBackend, manifests: tuple[str, ...], now: float) -> None:
    if not backend.writable:
        return
    for manifest in manifests:
        name = usage_name(manifest)
        entries = backend.entries(name.rpartition("/")[0] + "/")
        if not any(entry.name == name and entry.modified >= now - _DAY for entry in entries):
            backend.write(name, str(int(now)).encode())


def _is_successful(future: Future[_T]) -> bool:
    return future.done() and future.exception() is None
