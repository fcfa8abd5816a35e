"""Looking after a store: what is in it, what of it was used, and removing the rest beside running pushes.

Order is what makes removal safe. A push writes its intent, reads which layers there are, writes its manifest, and takes
the intent away. Removal takes the old manifests away first, then reads intents, and manifests after them: a push that
relies on a layer shows in one of them, and one that begins later finds the layer named no more and sends it anew.
What was sent lately is left alone in any case. All is looked at again every few seconds, and a push that sees the
mark of a removal waits as long before it sees that all its objects are there. On Google Drive, whose listings may be
minutes old, two machines may still miss each other; then a restore installs what is gone.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
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
)
from colabenv.store.manifest import Manifest

DAY = 86_400.0


@dataclass(frozen=True)
class StoredEnvironment:
    """An environment that a store has.

    Attributes:
        manifest: what it consists of.
        name: of the manifest's object.
        bytes: of its objects.
        shared: bytes of those that others need, too.
        made: when its manifest was written, in seconds since the epoch by the store's clock.
        used: when it was last pushed or restored, likewise.
    """

    manifest: Manifest
    name: str
    bytes: int
    shared: int
    made: float
    used: float


@dataclass(frozen=True)
class StoreContents:
    """What a store has.

    Attributes:
        environments: the most recently used first.
        objects: how many layers.
        bytes: of all objects.
        loose: bytes of layers that nothing names.
        damaged: manifests that cannot be read, with the reason each.
    """

    environments: tuple[StoredEnvironment, ...]
    objects: int
    bytes: int
    loose: int
    damaged: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RemovedObject:
    """One object that was removed.

    Attributes:
        name: of the object.
        bytes: of it.
        why: for people.
    """

    name: str
    bytes: int
    why: str


def usage_name(manifest: str) -> str:
    """The object that tells when a manifest was last used, by its own age.

    Args:
        manifest: name of the manifest's object.
    """
    return USED + manifest.removeprefix(MANIFESTS).removesuffix(".json")


def read_contents(remote: StoreBackend) -> StoreContents:
    """What a store has.

    Raises:
        StoreError: it cannot be listed, such as one on the web.
    """
    entries = remote.entries("")
    manifests = read_manifests(remote, _below(entries, MANIFESTS))
    pythons = read_manifests(remote, _below(entries, PYTHONS))
    sizes = {one.name: one.bytes for one in _below(entries, LAYERS)}
    used = {one.name: one.modified for one in _below(entries, USED)}
    owners: dict[str, int] = {}
    for one in manifests:
        for name in one.manifest.objects() if one.manifest else ():
            owners[name] = owners.get(name, 0) + 1
    found = [_environment(one, one.manifest, sizes, owners, used) for one in manifests if one.manifest]
    named = set(owners) | {name for one in pythons if one.manifest for name in one.manifest.objects()}
    return StoreContents(
        environments=tuple(sorted(found, key=lambda one: (-one.used, one.name))),
        objects=len(sizes),
        bytes=sum(one.bytes for one in entries),
        loose=sum(size for name, size in sizes.items() if name not in named),
        damaged=tuple((one.entry.name, one.trouble) for one in manifests if not one.manifest),
    )


def _environment(
    one: ManifestEntry,
    manifest: Manifest,
    sizes: dict[str, int],
    owners: dict[str, int],
    used: dict[str, float],
) -> StoredEnvironment:
    objects = manifest.objects()
    return StoredEnvironment(
        manifest=manifest,
        name=one.entry.name,
        bytes=sum(sizes.get(name, 0) for name in objects),
        shared=sum(sizes.get(name, 0) for name in objects if owners[name] > 1),
        made=one.entry.modified,
        used=max(one.entry.modified, used.get(usage_name(one.entry.name), 0.0)),
    )


def _below(entries: Iterable[StoredObject], prefix: str) -> list[StoredObject]:
    return [one for one in entries if one.name.startswith(prefix)]


def collect_garbage(
    remote: StoreBackend,
    keep_days: float,
    *,
    dry_run: bool = False,
    on_removed: Callable[[RemovedObject], None] = lambda _: None,
    wall: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[RemovedObject, ...]:
    """Remove manifests that nobody has used for some days, and layers that no manifest names.

    Safe beside pushes. See the module for the order.

    Args:
        remote: the store.
        keep_days: how long an environment is kept after its last use.
        dry_run: remove nothing.
        on_removed: told of each.
        wall: this machine's clock, in seconds since the epoch; for stores whose own cannot be told.
        clock: seconds that pass.

    Raises:
        StoreError: the store cannot be listed or written to.
    """
    if dry_run:
        return _Removal(remote, wall(), keep_days, None, on_removed, clock).run()
    if not remote.writable:
        raise StoreError(
            f"The store {remote.url} cannot be written to, so nothing can be removed.",
            hint="Run it with rights to write, by the address of the folder or bucket itself.",
        )
    mark = f"{REMOVING}{secrets.token_hex(8)}.json"
    remote.write(mark, b"{}")
    try:
        # Its own age tells the store's time, whatever this machine's clock says.
        found = [one.modified for one in remote.entries(PUSHING) if one.name == mark]
        return _Removal(remote, found[0] if found else wall(), keep_days, mark, on_removed, clock).run()
    finally:
        with contextlib.suppress(StoreError):
            remote.delete(mark)


@dataclass(frozen=True)
class _Named:
    """What must stay, as it was at `seen`."""

    seen: float
    objects: frozenset[str]
    wheels: frozenset[str]
    pythons: frozenset[str]
    tags: frozenset[str]
    entries: dict[str, StoredObject]

    def keeps(self, name: str) -> bool:
        """Whether somebody relies on an object."""
        tag, _, file = name.removeprefix(LAYERS).partition("/")
        kept = file.rpartition("-")[0]
        return (
            name in self.objects
            or kept in self.wheels
            or kept.removeprefix("python-") in self.pythons
            or tag in self.tags
        )


class _Removal:
    def __init__(
        self,
        remote: StoreBackend,
        now: float,
        keep_days: float,
        mark: str | None,
        on_removed: Callable[[RemovedObject], None],
        clock: Callable[[], float],
    ) -> None:
        self._remote = remote
        self._now = now
        self._keep = keep_days * DAY
        self._mark = mark
        self._clock = clock
        self._told = on_removed
        self._done: list[RemovedObject] = []
        self._gone: set[str] = set()
        self._known: dict[StoredObject, ManifestEntry] = {}

    def run(self) -> tuple[RemovedObject, ...]:
        entries = self._remote.entries("")
        self._manifests(entries)
        self._pushing(_below(entries, PUSHING))
        self._layers()
        return tuple(self._done)

    def _manifests(self, entries: list[StoredObject]) -> None:
        """First what names layers, so that no push that begins now relies on it."""
        alive: set[str] = set()
        seen, used, now = 0.0, dict[str, float](), dict[str, StoredObject]()
        for one in self._held(_below(entries, MANIFESTS)):
            if not now or self._clock() - seen > FRESH_SECONDS:
                # Whatever was used or pushed meanwhile shows now.
                seen = self._clock()
                used = {entry.name: entry.modified for entry in self._remote.entries(USED)}
                now = {entry.name: entry for entry in self._remote.entries(MANIFESTS)}
            if one.entry.name in now and not self._expired(one, now[one.entry.name], used):
                alive.add(one.entry.name)
        tags = {name.split("/")[1] for name in alive}
        for entry in _below(entries, PYTHONS):
            if PurePosixPath(entry.name).stem not in tags and self._old(entry.modified, self._keep):
                self._remove(entry, "names a Python that no environment needs")
        notes = {usage_name(name) for name in alive}
        for entry in _below(entries, USED):
            if entry.name not in notes and self._old(entry.modified, DAY):
                self._remove(entry, "a note about an environment that is gone")

    def _expired(self, one: ManifestEntry, entry: StoredObject, used: Mapping[str, float]) -> bool:
        """Remove a manifest if it is time; whether it was."""
        last = max(entry.modified, used.get(usage_name(entry.name), 0.0))
        if one.manifest is None and not one.foreign and self._old(entry.modified, DAY):
            self._remove(entry, "a manifest that cannot be read")
            return True
        if not self._old(last, self._keep):
            return False
        title = f"{one.manifest.profile} ({one.manifest.variant})" if one.manifest else "an environment"
        self._remove(entry, f"{title}, last used {(self._now - last) / DAY:.0f} days ago")
        return True

    def _pushing(self, entries: list[StoredObject]) -> None:
        for entry in entries:
            if entry.name != self._mark and self._old(entry.modified, DAY):
                self._remove(entry, "left by a push that was interrupted")

    def _layers(self) -> None:
        named = self._look()
        for name in sorted(named.entries):
            if self._clock() - named.seen > FRESH_SECONDS:
                named = self._look()
            # Looked at again: it may have been sent anew, or somebody may rely on it by now.
            entry = named.entries.get(name)
            if entry is not None and not named.keeps(name) and self._old(entry.modified, DAY):
                self._remove(entry, "a layer that no environment needs")

    def _look(self) -> _Named:
        """What layers there are, what the remaining manifests name, and what running pushes rely on."""
        seen = self._clock()
        # Before the manifests: a push that ends between the two has its manifest read.
        bodies = self._intents()
        entries = {one.name: one for one in self._remote.entries(LAYERS)}
        naming = [*self._remote.entries(MANIFESTS), *self._remote.entries(PYTHONS)]
        naming = [one for one in naming if one.name not in self._gone]
        manifests = self._held(naming)
        return _Named(
            seen=seen,
            objects=frozenset(_objects(manifests)),
            wheels=frozenset(wheel for body in bodies for wheel in body[0]),
            pythons=frozenset(body[1] for body in bodies),
            # What another version of colabenv has written may name any layer of its tag.
            tags=frozenset(_tag(one.entry.name) for one in manifests if one.foreign),
            entries=entries,
        )

    def _held(self, entries: list[StoredObject]) -> list[ManifestEntry]:
        """The manifests; each is read once, while it stays as it is."""
        new = [one for one in entries if one not in self._known]
        self._known.update((one.entry, one) for one in read_manifests(self._remote, new))
        return [self._known[one] for one in entries if one in self._known]

    def _intents(self) -> list[tuple[list[str], str]]:
        intents = [one for one in self._remote.entries(PUSHING) if not self._old(one.modified, DAY)]
        return [one for one in map_concurrently(self._intent, intents) if one is not None]

    def _intent(self, entry: StoredObject) -> tuple[list[str], str] | None:
        """The wheels and the Python that a push relies on."""
        try:
            body = json.loads(self._remote.read(entry.name, 0, 1 << 20))
            return [str(one) for one in body["wheels"]], str(body["python"])
        except (NotInStoreError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _old(self, modified: float, than: float) -> bool:
        return self._now - modified > than

    def _remove(self, entry: StoredObject, why: str) -> None:
        if self._mark is not None:
            self._remote.delete(entry.name)
        self._gone.add(entry.name)
        removed = RemovedObject(entry.name, entry.bytes, why)
        self._done.append(removed)
        self._told(removed)


def _tag(name: str) -> str:
    """The tag that a manifest or the name of a Python is for."""
    parts = name.split("/")
    return parts[1].removesuffix(".json")


def _objects(manifests: Iterable[ManifestEntry]) -> Iterator[str]:
    for one in manifests:
        if one.manifest is not None:
            yield from one.manifest.objects()
