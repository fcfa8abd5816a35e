"""What a store holds: its manifests, and the objects that they name.

Whatever reads the store raises `StoreError` if it is unavailable.
"""

from __future__ import annotations

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
REMOVING = f"{PUSHING}gc-"  # prefix of the object, below PUSHING, that exists while `store gc` runs
FRESH_SECONDS = 5.0  # seconds for which `store gc` relies on a listing
CONCURRENT_REQUESTS = 8  # a bucket answers a request in about 50 ms, however many others there are

_T = TypeVar("_T")
_U = TypeVar("_U")


@dataclass(frozen=True)
class ManifestEntry:
    """A manifest's object and content, or why it cannot be read; another version of colabenv can if `foreign`."""

    entry: StoredObject
    manifest: Manifest | None
    problem: str = ""
    foreign: bool = False


def usage_name(manifest: str) -> str:
    """The object whose age says when an environment was last used; `manifest` is its manifest's object."""
    return USED + manifest.removeprefix(MANIFESTS).removesuffix(".json")


def map_concurrently(work: Callable[[_T], _U], items: Iterable[_T]) -> Iterator[_U]:
    """Like `map`, with several requests at once."""
    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        yield from pool.map(work, items)


def read_manifest(backend: StoreBackend, name: str) -> Manifest | None:
    """A manifest, or None if it does not exist or is damaged."""
    entry = _read_entry(backend, StoredObject(name, 0, 0.0))
    return entry.manifest if entry else None


def read_manifests(backend: StoreBackend, entries: Iterable[StoredObject]) -> list[ManifestEntry]:
    """Manifests with their content, without those that were removed meanwhile."""
    read = map_concurrently(lambda entry: _read_entry(backend, entry), entries)
    return [entry for entry in read if entry is not None]


def _read_entry(backend: StoreBackend, entry: StoredObject) -> ManifestEntry | None:
    try:
        data = backend.read(entry.name, 0, MANIFEST_LIMIT + 1)
    except NotInStoreError:
        return None
    try:
        return ManifestEntry(entry, parse_manifest(data, entry.name))
    except StoreError as error:
        return ManifestEntry(entry, None, error.message, foreign=_has_other_format(data))


def _has_other_format(data: bytes) -> bool:
    try:
        return bool(json.loads(data)["manifest"]["format"] != FORMAT)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def find_known_layers(
    backend: StoreBackend, tag: str, pins_digest: str, wheels: Mapping[str, str]
) -> dict[str, Layer]:
    """The layers of some wheels (names by sha256) that manifests name, by sha256; the lock's own is read first."""
    known: dict[str, Layer] = {}

    def add_layers(manifest: Manifest | None) -> bool:
        for layer in manifest.layers if manifest is not None and manifest.tag == tag else ():
            if wheels.get(layer.wheel) == layer.name:
                known.setdefault(layer.wheel, layer)
        return len(known) == len(wheels)

    own = manifest_name(pins_digest, tag)
    if add_layers(read_manifest(backend, own)):
        return known
    others = [entry for entry in backend.entries(f"{MANIFESTS}{tag}/") if entry.name != own]
    others.sort(key=lambda entry: -entry.modified)
    for start in range(0, len(others), CONCURRENT_REQUESTS):
        batch = read_manifests(backend, others[start : start + CONCURRENT_REQUESTS])
        if any(add_layers(entry.manifest) for entry in batch):
            break
    return known


def find_complete_layers(backend: StoreBackend, lock: Lock, tag: str) -> dict[str, Layer] | None:
    """The layers of a lock by distribution, or None unless the store has every one of them."""
    manifest = read_manifest(backend, manifest_name(lock.pins_digest, tag))
    layers = select_layers([manifest], lock, tag) if manifest is not None else {}
    if len(layers) < len(lock.pins) or len(existing_objects(backend, tag, layers.values())) < len(lock.pins):
        return None
    return layers


def existing_objects(backend: StoreBackend, tag: str, layers: Iterable[Layer]) -> set[str]:
    """The names of those layers' objects that exist and have the right size."""
    sizes = {layer.object_name(tag): layer.bytes for layer in layers}
    if not sizes:
        return set()
    listed = {entry.name: entry.bytes for entry in backend.entries(f"{LAYERS}{tag}/")}
    # A listing may be outdated, so read the last byte of objects that it leaves out.
    unlisted = [name for name in sizes if name not in listed]
    exist = map_concurrently(lambda name: _has_size(backend, name, sizes[name]), unlisted)
    return {name for name, size in sizes.items() if listed.get(name) == size} | {
        name for name, exists in zip(unlisted, exist, strict=True) if exists
    }


def _has_size(backend: StoreBackend, name: str, size: int) -> bool:
    try:
        return len(backend.read(name, max(0, size - 1), 2)) == min(1, size)
    except NotInStoreError:
        return False
