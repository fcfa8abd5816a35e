"""What a store holds at a moment: its manifests, and the objects that they name."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from colabenv.errors import NotInStoreError, StoreError
from colabenv.lock.lockfile import Lock
from colabenv.store.backends.base import StoreBackend, StoredObject
from colabenv.store.manifest import (
    FORMAT,
    MANIFEST_LIMIT,
    Layer,
    Manifest,
    manifest_name,
    parse_manifest,
    select_layers,
)

MANIFESTS, LAYERS, PYTHONS, PUSHING, USED = "manifests/", "layers/", "pythons/", "pushing/", "used/"
#: Begins the name of what says, below PUSHING, that somebody removes things right now.
REMOVING = f"{PUSHING}gc-"
#: Seconds for which whoever removes things takes for true what was seen.
FRESH_SECONDS = 5.0
#: Requests at once. A bucket answers one in some 50 ms, whatever others there are.
CONCURRENT_REQUESTS = 8

_T = TypeVar("_T")
_U = TypeVar("_U")


@dataclass(frozen=True)
class ManifestEntry:
    """A manifest in a store.

    Attributes:
        entry: where it is.
        manifest: what it says, or None where it cannot be read.
        trouble: why it cannot be read, or "".
        foreign: whether another version of colabenv may well be able to read it.
    """

    entry: StoredObject
    manifest: Manifest | None
    trouble: str = ""
    foreign: bool = False


def map_concurrently(work: Callable[[_T], _U], over: Iterable[_T]) -> Iterator[_U]:
    """Do requests some at once; results come in order."""
    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        yield from pool.map(work, over)


def read_manifest(remote: StoreBackend, name: str) -> Manifest | None:
    """A manifest, or None where there is none that can be read.

    Raises:
        StoreError: the store could not be asked.
    """
    try:
        data = remote.read(name, 0, MANIFEST_LIMIT + 1)
    except NotInStoreError:
        return None
    with contextlib.suppress(StoreError):
        return parse_manifest(data, name)
    return None


def read_manifests(remote: StoreBackend, entries: Iterable[StoredObject]) -> list[ManifestEntry]:
    """Manifests with what they say; those that vanished meanwhile are left out.

    Raises:
        StoreError: the store could not be asked.
    """
    return [one for one in map_concurrently(lambda entry: _held(remote, entry), entries) if one is not None]


def _held(remote: StoreBackend, entry: StoredObject) -> ManifestEntry | None:
    try:
        data = remote.read(entry.name, 0, MANIFEST_LIMIT + 1)
    except NotInStoreError:
        return None
    try:
        return ManifestEntry(entry, parse_manifest(data, entry.name))
    except StoreError as error:
        return ManifestEntry(entry, None, error.message, foreign=_foreign(data))


def _foreign(data: bytes) -> bool:
    """Whether these bytes are a manifest of another format."""
    try:
        return bool(json.loads(data)["manifest"]["format"] != FORMAT)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def find_known_layers(
    remote: StoreBackend, tag: str, lock: str, wheels: Mapping[str, str]
) -> dict[str, Layer]:
    """Layers that the store's manifests name for some wheels, by the wheel's sha256.

    The lock's own manifest is asked first, then the newest; no more than it takes to find all.

    Args:
        remote: the store.
        tag: of Python and platform.
        lock: digest of the lock's pins.
        wheels: wanted: name of the distribution by sha256.

    Raises:
        StoreError: the store could not be asked.
    """
    own = manifest_name(lock, tag)
    found: dict[str, Layer] = {}
    first = read_manifest(remote, own)
    _take(found, first, tag, wheels)
    if len(found) == len(wheels):
        return found
    others = [one for one in remote.entries(f"{MANIFESTS}{tag}/") if one.name != own]
    others.sort(key=lambda one: -one.modified)
    for start in range(0, len(others), CONCURRENT_REQUESTS):
        for one in read_manifests(remote, others[start : start + CONCURRENT_REQUESTS]):
            _take(found, one.manifest, tag, wheels)
        if len(found) == len(wheels):
            break
    return found


def _take(found: dict[str, Layer], manifest: Manifest | None, tag: str, wheels: Mapping[str, str]) -> None:
    if manifest is None or manifest.tag != tag:
        return
    for layer in manifest.layers:
        if wheels.get(layer.wheel) == layer.name:
            found.setdefault(layer.wheel, layer)


def find_complete_layers(remote: StoreBackend, lock: Lock, tag: str) -> dict[str, Layer] | None:
    """The layers of a lock by distribution, where the store really has every one of them; else None.

    Raises:
        StoreError: the store could not be asked.
    """
    manifest = read_manifest(remote, manifest_name(lock.pins_digest, tag))
    layers = select_layers([manifest], lock, tag) if manifest is not None else {}
    if len(layers) < len(lock.pins) or len(existing_objects(remote, tag, layers.values())) < len(lock.pins):
        return None
    return layers


def existing_objects(remote: StoreBackend, tag: str, layers: Iterable[Layer]) -> set[str]:
    """Names of those layers' objects that the store really has, with the size that they must have.

    Raises:
        StoreError: the store could not be asked.
    """
    wanted = {layer.object_name(tag): layer.bytes for layer in layers}
    if not wanted:
        return set()
    sizes = {one.name: one.bytes for one in remote.entries(f"{LAYERS}{tag}/")}
    sure = {name for name, size in wanted.items() if sizes.get(name) == size}
    # A listing may be old; the object itself is not.
    doubtful = [(name, size) for name, size in wanted.items() if name not in sure and name not in sizes]
    seen = map_concurrently(lambda one: one[0] if _has(remote, *one) else "", doubtful)
    return sure | {name for name in seen if name}


def _has(remote: StoreBackend, name: str, size: int) -> bool:
    try:
        return len(remote.read(name, max(0, size - 1), 2)) == min(1, size)
    except NotInStoreError:
        return False
