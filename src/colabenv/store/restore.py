"""A restore: begun as early as possible, and beside everything else that `up` does.

What the store has is asked for in the background, and what it has streams in while the Python is looked for. A store
that is slow, gone or damaged costs some seconds and what it says; it never ends an `up`.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from colabenv.errors import ColabenvError, NotInStoreError, RequestError, StoreError
from colabenv.lock.lockfile import Lock
from colabenv.store.backends.base import StoreBackend
from colabenv.store.download import DownloadPool, LayerDownload
from colabenv.store.inventory import usage_name
from colabenv.store.managed_pythons import managed_python_version, parse_python_manifest
from colabenv.store.manifest import (
    MANIFEST_LIMIT,
    Layer,
    Manifest,
    manifest_name,
    parse_manifest,
    python_manifest_name,
    select_layers,
)
from colabenv.store.throughput import RestoreLimits, explain_slowness
from colabenv.system.files import disk_error, locked, remove_tree

#: How folders are called in which layers are unpacked. They are of no use to a later run.
STAGING = ".restoring-"
#: Manifests of other locks that are looked into where there is none of this one.
_OTHERS = 16
#: Seconds after which no further one is looked into.
_OTHERS_LIMIT = 1.5
_LIMITS = RestoreLimits()
#: Seconds before a manifest is asked for again. Whoever waits for it does so no longer for that.
_PAUSES = (0.1, 0.3)
_DAY = 24 * 3600

_T = TypeVar("_T")


@dataclass(frozen=True)
class StoredLayers:
    """What a store has for a lock.

    Attributes:
        layers: by the pin's name.
        interpreter: the managed Python of the lock's own manifest, or None.
        manifests: names of those that were used.
    """

    layers: dict[str, Layer]
    interpreter: Layer | None
    manifests: tuple[str, ...]


class RestoreSession:
    """One restore.

    Args:
        opening: opens the store. Called in the background, since the libraries for it take a while to load.
        log: takes what happened, for the log file.
        limits: how long it is waited for.
    """

    def __init__(
        self, opening: Callable[[], StoreBackend], log: Callable[[str], None], limits: RestoreLimits = _LIMITS
    ) -> None:
        self.trouble = ""
        self.notes: list[str] = []
        self.stream: DownloadPool | None = None
        self._log, self._limits, self._clock = log, limits, time.monotonic
        self._began = self._started = self._clock()
        self._closed = threading.Event()
        self._asked = self._insisting = False
        self._lock = threading.Lock()
        self._found: Future[StoredLayers] = Future()
        self._staging: Path | None = None
        self._tag = ""
        self._arrivals: dict[str, LayerDownload] = {}
        self._opened: Future[StoreBackend] = Future()
        _in_background(self._opened, opening)

    @property
    def url(self) -> str:
        """The store as it may be shown; "" where it could not be opened yet."""
        opened = self._opened
        return opened.result().url if opened.done() and opened.exception() is None else ""

    def begin(self, lock: Lock, tag: str, staging: Path, *, fetch: bool = True) -> None:
        """Ask what the store has, and have it streamed in. Returns at once.

        Args:
            lock: what is to be installed.
            tag: of the Python and platform.
            staging: folder in which a folder for the layers is made, on the disk of the environment.
            fetch: whether to go on to the layers at once, and not when `fetch` is called.
        """
        self._began, self._asked = self._clock(), True
        self._staging, self._tag = staging, tag

        def look() -> StoredLayers:
            found = self._look(self._opened.result(), lock, tag)
            self._log(f"store: {len(found.layers)} of {len(lock.pins)} layers in {self.url}\n")
            if fetch:
                self._want(found, tag, staging)
            return found

        _in_background(self._found, look)

    def found(self, *, patient: bool = False) -> StoredLayers | None:
        """What the store has, or None where it did not say in time; `trouble` then says why.

        Args:
            patient: whether there is nothing else to install from.

        Raises:
            RequestError: the store's URL is none.
        """
        return self._answer(self._found, patient=patient)

    def arrivals(self) -> dict[str, LayerDownload]:
        """The layers that were asked for, by the pin's name; `found` has been called."""
        return self._arrivals

    def settled(self, wait: float) -> bool:
        """Wait for a moment; whether all layers have come, or will not come unless `insist` is called.

        Raises:
            DiskError: one could not be written.
        """
        return self.stream is None or self.stream.settled(self._arrivals.values(), wait)

    def insist(self) -> None:
        """Fetch the rest however long it takes: there is nothing else to install from."""
        self.trouble, self._insisting = "", True
        if self._arrivals and self.stream is not None:
            self.stream.again()
        else:
            self.found(patient=True)
            self.fetch()

    def fetch(self) -> None:
        """Begin to fetch the layers, unless that was done or is of no use."""
        done = self._found.done() and self._found.exception() is None
        if done and self._staging is not None and not self._arrivals:
            self._want(self._found.result(), self._tag, self._staging)

    def python(self, wanted: str, tag: str, pythons: Path, *, patient: bool = False) -> Path | None:
        """Restore a managed Python.

        Args:
            wanted: "3.10", or a full version such as "3.10.13".
            tag: of Python and platform.
            pythons: folder of managed Pythons.
            patient: see `found`.

        Returns:
            Its folder, or None where the store has none that fits, or is too slow.

        Raises:
            RequestError: the store's URL is none.
            DiskError: it could not be written.
        """
        if patient:
            self.trouble, self._insisting = "", True
        layer = None if self.trouble else self._interpreter(wanted, tag, patient=patient)
        if layer is None or (pythons / layer.version).exists():
            return None
        with locked(pythons / ".restoring.lock", lambda: None):
            remove_staging(pythons)
            staging = pythons / f"{STAGING}{secrets.token_hex(4)}"
            try:
                return self._restore_python(layer, tag, staging, pythons / layer.version)
            except StoreError as error:
                self._log(f"store: {error.message}\n")
                self.notes.append(f"The store's Python was not used: {error.message}")
                return None
            finally:
                remove_tree(staging)

    def give_up(self, why: str) -> None:
        """Take nothing further from the store."""
        self.trouble = self.trouble or why
        self._log(f"store: given up, {why}\n")
        if self.stream is not None:
            self.stream.stop()

    def close(self) -> None:
        """End: nothing is written any more, and what was not used is removed."""
        with self._lock:
            self._closed.set()
            if self.stream is not None:
                self.stream.stop()
        if self._staging is not None:
            with contextlib.suppress(ColabenvError):  # a later run removes it
                remove_staging(self._staging)

    def used(self, now: float) -> None:
        """Tell the store that what was taken is in use, at most once a day; in the background, and nobody waits for it.

        Args:
            now: seconds since the epoch.
        """
        if self._found.done() and self._found.exception() is None:
            found = self._found.result()
            _in_background(Future(), lambda: _touch(self._opened.result(), found.manifests, now))

    def _answer(self, question: Future[_T], *, patient: bool) -> _T | None:
        """What the store said, or None, and then `trouble` says why."""
        limit = max(self._started + self._limits.answer, self._began + self._limits.later) - self._clock()
        try:
            return question.result(self._limits.patient if patient else max(0.0, limit))
        except Late:
            self.trouble = f"it did not answer within {self._clock() - self._began:.1f} s"
        except RequestError:
            raise
        except ColabenvError as error:
            self.trouble = error.message
        except Exception as error:  # noqa: BLE001 - whatever a store's library raises, the index is still there
            self.trouble = f"{type(error).__name__}: {error}"
        self._log(f"store: {self.trouble}\n")
        return None

    def _look(self, remote: StoreBackend, lock: Lock, tag: str) -> StoredLayers:
        """What the lock's own manifest has, else what those of other locks have."""
        own = manifest_name(lock.pins_digest, tag)
        manifests = {}
        manifest = self._manifest(remote, own, tag)
        if manifest is not None and manifest.lock == lock.pins_digest:
            manifests[own] = manifest
        else:
            if manifest is not None:
                self.notes.append(f"{own} in the store is of another lock, and was not used.")
            manifests = self._others(remote, lock, tag, own)
        layers = select_layers(manifests.values(), lock, tag)
        used = tuple(
            name
            for name, one in manifests.items()
            if any(layers.get(layer.name) == layer for layer in one.layers)
        )
        interpreter = manifests[own].interpreter if own in manifests else None
        return StoredLayers(layers, interpreter, used)

    def _others(self, remote: StoreBackend, lock: Lock, tag: str, own: str) -> dict[str, Manifest]:
        """Manifests of other locks, the newest first, until they have all, or have taken too long."""
        found: dict[str, Manifest] = {}
        started = self._clock()
        try:
            entries = remote.entries(f"manifests/{tag}/")
        except StoreError as error:  # a plain web server lists nothing
            self._log(f"store: {error.message}\n")
            return found
        entries.sort(key=lambda entry: -entry.modified)
        for entry in [one for one in entries if one.name != own][:_OTHERS]:
            manifest = self._manifest(remote, entry.name, tag)
            if manifest is not None:
                found[entry.name] = manifest
            whole = len(select_layers(found.values(), lock, tag)) == len(lock.pins)
            if whole or self._clock() - started > _OTHERS_LIMIT:
                break
        return found

    def _manifest(self, remote: StoreBackend, name: str, tag: str) -> Manifest | None:
        """A manifest that can be read and is of the tag, or None."""
        try:
            data = _read(remote, name)
        except NotInStoreError:
            return None
        try:
            manifest = parse_manifest(data, name)
        except StoreError as error:
            self.notes.append(error.message)
            return None
        return manifest if manifest.tag == tag else None

    def _want(self, found: StoredLayers, tag: str, staging: Path) -> None:
        """Begin to fetch what was found."""
        with contextlib.suppress(ColabenvError):
            remove_staging(staging)
        folder = staging / f"{STAGING}{secrets.token_hex(4)}"
        with self._lock:
            if self._closed.is_set() or self.trouble or self._arrivals:
                return
            stream = self._stream(self._opened.result(), tag)
            layers = {name: layer for name, layer in found.layers.items() if layer.chunks}
            added = {arrival.layer.name: arrival for arrival in stream.add(layers.values(), folder)}
            self._arrivals = added

    def _stream(self, remote: StoreBackend, tag: str) -> DownloadPool:
        """The stream, which is watched from its beginning on."""
        if self.stream is None:
            self.stream = DownloadPool(remote, tag)
            threading.Thread(target=self._watch, args=(self.stream,), name="store-watch", daemon=True).start()
        return self.stream

    def _watch(self, stream: DownloadPool) -> None:
        while not self._closed.wait(self._limits.look):
            fetch, partial, whole = stream.left()
            why = explain_slowness(
                stream.pace,
                self._limits,
                elapsed=self._clock() - self._began,
                left_bytes=fetch,
                left_unpacked=partial,
                all_unpacked=whole,
            )
            if why and not self._insisting:
                self.give_up(why)
                return

    def _interpreter(self, wanted: str, tag: str, *, patient: bool) -> Layer | None:
        """The managed Python to restore: that of the lock's own manifest, else the tag's newest."""
        if self._asked:
            found = self._answer(self._found, patient=patient)
            own = found.interpreter if found else None
            if own is not None and _fits(own, wanted):
                return own
        question: Future[Layer | None] = Future()
        _in_background(question, lambda: self._newest_python(self._opened.result(), tag))
        newest = self._answer(question, patient=patient)
        return newest if newest is not None and _fits(newest, wanted) else None

    def _newest_python(self, remote: StoreBackend, tag: str) -> Layer | None:
        name = python_manifest_name(tag)
        try:
            return parse_python_manifest(remote.read(name, 0, MANIFEST_LIMIT + 1), tag, name)
        except NotInStoreError:
            return None

    def _restore_python(self, layer: Layer, tag: str, staging: Path, final: Path) -> Path | None:
        with self._lock:
            stream = self._stream(self._opened.result(), tag)
            arrivals = stream.add([layer], staging, interpreter=True)
        while not stream.settled(arrivals, 1.0):
            pass
        (arrival,) = arrivals
        if not arrival.whole:
            self._log(f"store: {layer.version}: {arrival.trouble or self.trouble}\n")
            if arrival.damaged:
                self.notes.append(f"The store's Python was not used: {arrival.trouble}")
            return None
        arrival.tree.finish(str(final))
        try:
            arrival.tree.folder.rename(final)
        except OSError as error:
            raise disk_error(error, final) from error
        return final


def remove_staging(folder: Path) -> None:
    """Remove what restores that were ended have left in a folder; the caller sees to it that none is running.

    Raises:
        DiskError: it could not be removed.
    """
    for left in folder.glob(f"{STAGING}*"):
        remove_tree(left)


def _read(remote: StoreBackend, name: str, pauses: tuple[float, ...] = _PAUSES) -> bytes:
    """A manifest; without it all else is lost, so a server that is merely busy is asked again."""
    try:
        return remote.read(name, 0, MANIFEST_LIMIT + 1)
    except NotInStoreError:
        raise
    except StoreError:
        if not pauses:
            raise
    time.sleep(pauses[0])
    return _read(remote, name, pauses[1:])


def _fits(layer: Layer, wanted: str) -> bool:
    version = managed_python_version(layer.version)
    return version == wanted or version.startswith(wanted + ".")


def _touch(remote: StoreBackend, manifests: tuple[str, ...], now: float) -> None:
    if not remote.writable:
        return
    for name in manifests:
        mark = usage_name(name)
        marked = [entry for entry in remote.entries(mark.rpartition("/")[0] + "/") if entry.name == mark]
        if not marked or marked[0].modified < now - _DAY:
            remote.write(mark, str(int(now)).encode())


def _in_background(answer: Future[_T], work: Callable[[], _T]) -> None:
    """Do something in a thread that never keeps the program from ending."""

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001 - whoever asks for the answer gets it
            answer.set_exception(error)

    threading.Thread(target=run, name="store", daemon=True).start()
