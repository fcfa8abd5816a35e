"""The contents of a store, and the removal of what nobody uses, which is safe while others push.

The order makes removal safe. A push records what it relies on, reads which layers exist, writes its manifest, and
removes the record. Removal first deletes expired manifests, then reads the records, and the manifests after them: a
push that relies on a layer appears in one of them, and a push that begins later no longer finds the layer named and
uploads it again. Recent objects are always kept. Removal lists the store again every few seconds, and a push during a
removal waits that long before it checks that all its objects exist. On Google Drive, whose listings may be minutes old,
two machines may still miss each other; a restore then installs what is missing.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from colabenv.errors import NotInStoreError, StoreError
from colabenv.store.backends.base import StoreBackend, StoredObject
from colabenv.store.inventory import (
    FRESH_SECONDS,
    LAYERS,
    MANIFESTS,
    PUSHING,
    PYTHONS,
    REMOVING,
    USED,
    ManifestEntry,
    map_concurrently,
    read_manifests,
    usage_name,
)
from colabenv.store.manifest import Manifest

DAY = 86_400.0


@dataclass(frozen=True)
class StoredEnvironment:
    """An environment in a store: its manifest, the name of that object, and the bytes of all its objects.

    `shared` are the bytes that others need too; `made` and `used` (last push or restore) are epoch seconds.
    """

    manifest: Manifest
    name: str
    bytes: int
    shared: int
    made: float
    used: float


@dataclass(frozen=True)
class StoreContents:
    """Environments, the most recently used first; layers, all bytes, and damaged manifests with the reason.

    `loose` are the bytes of layers that no manifest names.
    """

    environments: tuple[StoredEnvironment, ...]
    layers: int
    bytes: int
    loose: int
    damaged: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RemovedObject:
    """An object that was removed, and why."""

    name: str
    bytes: int
    why: str


def read_contents(backend: StoreBackend) -> StoreContents:
    """What a store contains; raises `StoreError` if it cannot be listed, such as a web server."""
    entries = backend.entries("")
    manifests = read_manifests(backend, _select_below(entries, MANIFESTS))
    pythons = read_manifests(backend, _select_below(entries, PYTHONS))
    sizes = {entry.name: entry.bytes for entry in _select_below(entries, LAYERS)}
    used = {entry.name: entry.modified for entry in _select_below(entries, USED)}
    owners: dict[str, int] = {}
    for entry in manifests:
        for name in entry.manifest.objects() if entry.manifest else ():
            owners[name] = owners.get(name, 0) + 1
    environments = []
    for entry in manifests:
        if entry.manifest:
            objects = {name: sizes.get(name, 0) for name in entry.manifest.objects()}
            environments.append(
                StoredEnvironment(
                    manifest=entry.manifest,
                    name=entry.entry.name,
                    bytes=sum(objects.values()),
                    shared=sum(size for name, size in objects.items() if owners[name] > 1),
                    made=entry.entry.modified,
                    used=max(entry.entry.modified, used.get(usage_name(entry.entry.name), 0.0)),
                )
            )
    required = {*owners, *_named_objects(pythons)}
    return StoreContents(
        environments=tuple(sorted(environments, key=lambda stored: (-stored.used, stored.name))),
        layers=len(sizes),
        bytes=sum(entry.bytes for entry in entries),
        loose=sum(size for name, size in sizes.items() if name not in required),
        damaged=tuple((entry.entry.name, entry.problem) for entry in manifests if not entry.manifest),
    )


def collect_garbage(
    backend: StoreBackend,
    keep_days: float,
    *,
    dry_run: bool = False,
    on_removed: Callable[[RemovedObject], None] = lambda _: None,
    wall: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[RemovedObject, ...]:
    """Remove manifests that nobody has used for `keep_days`, and layers that no manifest names.

    Others may push meanwhile; see the module's docstring. `on_removed` is called with each object; `wall` returns the
    time if the store's own clock is unknown. Raises `StoreError` if the store cannot be listed or written to.
    """
    if dry_run:
        return _Removal(backend, wall(), keep_days, None, on_removed, clock).run()
    if not backend.writable:
        raise StoreError(
            f"The store {backend.url} cannot be written to, so nothing can be removed.",
            hint="Use credentials that can write, and the URL of the folder or bucket itself.",
        )
    mark = f"{REMOVING}{secrets.token_hex(8)}.json"
    backend.write(mark, b"{}")
    try:
        # The age of the new object gives the store's time, even if this machine's clock is wrong.
        now = next((entry.modified for entry in backend.entries(PUSHING) if entry.name == mark), wall())
        return _Removal(backend, now, keep_days, mark, on_removed, clock).run()
    finally:
        with contextlib.suppress(StoreError):
            backend.delete(mark)


@dataclass(frozen=True)
class _RequiredObjects:
    """What must be kept, as of `seen`."""

    seen: float
    objects: frozenset[str]
    wheels: frozenset[str]
    pythons: frozenset[str]
    tags: frozenset[str]
    entries: dict[str, StoredObject]

    def includes(self, name: str) -> bool:
        """Whether a manifest or a running push relies on a layer's object."""
        tag, _, file = name.removeprefix(LAYERS).partition("/")
        content = file.rpartition("-")[0]
        pushed = content in self.wheels or content.removeprefix("python-") in self.pythons
        return pushed or name in self.objects or tag in self.tags


@dataclass
class _Removal:
    backend: StoreBackend
    now: float
    keep_days: float
    mark: str | None
    on_removed: Callable[[RemovedObject], None]
    clock: Callable[[], float]
    removed: dict[str, RemovedObject] = field(default_factory=dict)
    manifests: dict[StoredObject, ManifestEntry] = field(default_factory=dict)

    def run(self) -> tuple[RemovedObject, ...]:
        entries = self.backend.entries("")
        self._remove_manifests(entries)
        for entry in _select_below(entries, PUSHING):
            if entry.name != self.mark and self._is_old(entry.modified, DAY):
                self._remove(entry, "left by an interrupted push")
        self._remove_layers()
        return tuple(self.removed.values())

    def _remove_manifests(self, entries: list[StoredObject]) -> None:
        """Remove expired manifests before layers, so that a push that begins now does not rely on those layers."""
        kept: set[str] = set()
        seen, used, current = 0.0, dict[str, float](), dict[str, StoredObject]()
        for manifest in self._read_manifests(_select_below(entries, MANIFESTS)):
            if not current or self.clock() - seen > FRESH_SECONDS:
                # An environment may have been used or pushed meanwhile.
                seen = self.clock()
                used = {entry.name: entry.modified for entry in self.backend.entries(USED)}
                current = {entry.name: entry for entry in self.backend.entries(MANIFESTS)}
            entry = current.get(manifest.entry.name)
            if entry is not None and not self._remove_expired(manifest, entry, used):
                kept.add(entry.name)
        tags = {name.split("/")[1] for name in kept}
        for entry in _select_below(entries, PYTHONS):
            tag = PurePosixPath(entry.name).stem
            if tag not in tags and self._is_old(entry.modified, self.keep_days * DAY):
                self._remove(entry, "the manifest of a Python that no environment needs")
        usage = {usage_name(name) for name in kept}
        for entry in _select_below(entries, USED):
            if entry.name not in usage and self._is_old(entry.modified, DAY):
                self._remove(entry, "the last use of an environment that was removed")

    def _remove_expired(
        self, manifest: ManifestEntry, entry: StoredObject, used: Mapping[str, float]
    ) -> bool:
        """Remove a manifest if it is expired or damaged; returns whether it was removed."""
        last = max(entry.modified, used.get(usage_name(entry.name), 0.0))
        if manifest.manifest is None and not manifest.foreign and self._is_old(entry.modified, DAY):
            self._remove(entry, "a manifest that cannot be read")
            return True
        if not self._is_old(last, self.keep_days * DAY):
            return False
        content = manifest.manifest
        title = f"{content.profile} ({content.variant})" if content else "an environment"
        self._remove(entry, f"{title}, last used {(self.now - last) / DAY:.0f} days ago")
        return True

    def _remove_layers(self) -> None:
        required = self._find_required()
        for name in sorted(required.entries):
            if self.clock() - required.seen > FRESH_SECONDS:
                required = self._find_required()
            # It may have been uploaded again meanwhile, or be required by now.
            entry = required.entries.get(name)
            if entry is not None and not required.includes(name) and self._is_old(entry.modified, DAY):
                self._remove(entry, "a layer that no environment needs")

    def _find_required(self) -> _RequiredObjects:
        """The layers, and which of them the remaining manifests and running pushes rely on."""
        seen = self.clock()
        # Before the manifests, so that the manifest of a push that ends between the two is read.
        records = [entry for entry in self.backend.entries(PUSHING) if not self._is_old(entry.modified, DAY)]
        pushes = [push for push in map_concurrently(self._read_push, records) if push is not None]
        layers = {entry.name: entry for entry in self.backend.entries(LAYERS)}
        manifest_entries = [*self.backend.entries(MANIFESTS), *self.backend.entries(PYTHONS)]
        manifests = self._read_manifests(
            entry for entry in manifest_entries if entry.name not in self.removed
        )
        foreign = (manifest.entry.name for manifest in manifests if manifest.foreign)
        return _RequiredObjects(
            seen=seen,
            objects=frozenset(_named_objects(manifests)),
            wheels=frozenset(wheel for wheels, _ in pushes for wheel in wheels),
            pythons=frozenset(python for _, python in pushes),
            # The manifest of another version of colabenv may name any layer of its tag.
            tags=frozenset(name.split("/")[1].removesuffix(".json") for name in foreign),
            entries=layers,
        )

    def _read_manifests(self, entries: Iterable[StoredObject]) -> list[ManifestEntry]:
        """The manifests; each is read again only if it has changed."""
        entries = list(entries)
        new = [entry for entry in entries if entry not in self.manifests]
        self.manifests.update((manifest.entry, manifest) for manifest in read_manifests(self.backend, new))
        return [self.manifests[entry] for entry in entries if entry in self.manifests]

    def _read_push(self, entry: StoredObject) -> tuple[list[str], str] | None:
        """The wheels and the Python that a running push relies on."""
        try:
            body = json.loads(self.backend.read(entry.name, 0, 1 << 20))
            return [str(wheel) for wheel in body["wheels"]], str(body["python"])
        except (NotInStoreError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _is_old(self, modified: float, seconds: float) -> bool:
        return self.now - modified > seconds

    def _remove(self, entry: StoredObject, why: str) -> None:
        if self.mark is not None:
            self.backend.delete(entry.name)
        self.removed[entry.name] = removed = RemovedObject(entry.name, entry.bytes, why)
        self.on_removed(removed)


def _select_below(entries: Iterable[StoredObject], prefix: str) -> list[StoredObject]:
    return [entry for entry in entries if entry.name.startswith(prefix)]


def _named_objects(manifests: Iterable[ManifestEntry]) -> set[str]:
    return {name for entry in manifests if entry.manifest for name in entry.manifest.objects()}
