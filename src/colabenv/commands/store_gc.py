"""`store ls` and `store gc`: what a store has, and giving back what nobody uses."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from colabenv.commands.context import Context
from colabenv.environment.build import find_environments
from colabenv.errors import ColabenvError, UsageError
from colabenv.kernel.lookup import find_environment
from colabenv.output.results import Result
from colabenv.profile.load import load
from colabenv.profile.model import Profile
from colabenv.store.gc import DAY, RemovedObject, StoredEnvironment, collect_garbage, read_contents
from colabenv.store.open import choose_store_url, open_store, require_store_url


@dataclass(frozen=True)
class StoreRow:
    """One environment in a store.

    Attributes:
        name: of the profile it was pushed for.
        variant: "cpu" or "gpu".
        python: full version.
        tag: of Python and platform.
        packages: how many distributions.
        bytes: of its layers, as they are kept.
        shared_bytes: of those that others have, too.
        made: seconds since the epoch.
        used: when it was last pushed or restored, likewise.
        manifest: the object that tells of it.
    """

    name: str
    variant: str
    python: str
    tag: str
    packages: int
    bytes: int
    shared_bytes: int
    made: float
    used: float
    manifest: str


@dataclass(frozen=True)
class StoreLsResult(Result):
    """What a store has.

    Attributes:
        store: its URL, without credentials.
        environments: the most recently used first.
        layers: how many objects they are made of.
        bytes: of all that is there.
        loose_bytes: of layers that no environment needs; `store gc` removes them.
        damaged: manifests that cannot be read, each with the reason.
        now: when this was seen, in seconds since the epoch.
    """

    store: str
    environments: tuple[StoreRow, ...]
    layers: int
    bytes: int
    loose_bytes: int
    damaged: tuple[tuple[str, str], ...]
    now: float

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def table(self) -> tuple[list[str], list[list[str]]] | None:
        """A row an environment."""
        if not self.environments:
            return None
        titles = ["profile", "variant", "Python", "packages", "size", "shared", "made", "last used"]
        rows = [
            [
                *(one.name, one.variant, one.python, str(one.packages)),
                *(size_of(one.bytes), size_of(one.shared_bytes)),
                *(_ago(self.now - one.made), _ago(self.now - one.used)),
            ]
            for one in self.environments
        ]
        return titles, rows

    def lines(self) -> list[str]:
        """The sum, and what is wrong."""
        damaged = [f"  {name} cannot be used: {why}" for name, why in self.damaged]
        if not self.environments:
            first = f"{self.store} has no environments. Keep one there: colabenv store push NAME --store {self.store}"
            return [first, *damaged]
        count = f"{counted(len(self.environments), 'environment')}, {counted(self.layers, 'layer')}"
        lines = [f"{count}, {size_of(self.bytes)} in {self.store}."]
        if self.loose_bytes:
            lines.append(
                f"  {size_of(self.loose_bytes)} belong to no environment; colabenv store gc gives them back."
            )
        return [*lines, *damaged]


@dataclass(frozen=True)
class StoreGcResult(Result):
    """What was removed from a store.

    Attributes:
        store: its URL, without credentials.
        removed: each object; with `dry_run` what would be.
        bytes: of these.
        keep_days: for how long an environment is kept after its last use.
        dry_run: whether nothing was removed.
    """

    store: str
    removed: tuple[RemovedObject, ...]
    bytes: int
    keep_days: float
    dry_run: bool

    def lines(self) -> list[str]:
        """The sum, the environments by name, the rest by number."""
        days = "day" if self.keep_days == 1 else f"{self.keep_days:g} days"
        if not self.removed:
            return [
                f"✓ There is nothing to remove: all in {self.store} was used in the last {days} or is new."
            ]
        rows = [f"  {one.why}" for one in self.removed if one.name.startswith("manifests/")]
        layers = [one for one in self.removed if one.name.startswith("layers/")]
        rest = len(self.removed) - len(layers) - len(rows)
        if layers:
            size = size_of(sum(one.bytes for one in layers))
            rows.append(f"  {counted(len(layers), 'layer')} that no environment needs, {size}")
        if rest:
            rows.append(f"  {counted(rest, 'smaller thing')} that nothing needs")
        if self.dry_run:
            return [f"Would remove from {self.store}:", *rows, "Nothing was removed."]
        return [f"✓ {size_of(self.bytes)} given back in {self.store}.", *rows]


def store_ls(context: Context, *, store: str = "") -> StoreLsResult:
    """What a store has.

    Args:
        context: the machine.
        store: what stands behind `--store`, or "".

    Raises:
        UsageError: no store is named.
        StoreError: it cannot be listed.
    """
    remote = open_store(_named(store, context), context.environ)
    context.progress.stage("Asking the store")
    found = read_contents(remote)
    return StoreLsResult(
        store=remote.url,
        environments=tuple(_row(one) for one in found.environments),
        layers=found.objects,
        bytes=found.bytes,
        loose_bytes=found.loose,
        damaged=found.damaged,
        now=time.time(),
    )


def _row(one: StoredEnvironment) -> StoreRow:
    manifest = one.manifest
    return StoreRow(
        name=manifest.profile,
        variant=manifest.variant,
        python=manifest.python,
        tag=manifest.tag,
        packages=len(manifest.layers),
        bytes=one.bytes,
        shared_bytes=one.shared,
        made=one.made,
        used=one.used,
        manifest=one.name,
    )


def store_gc(context: Context, *, keep_days: float, store: str = "", dry_run: bool = False) -> StoreGcResult:
    """Remove what nobody has used for some days, and layers that nothing needs.

    Args:
        context: the machine.
        keep_days: for how long an environment is kept after its last use.
        store: what stands behind `--store`, or "".
        dry_run: remove nothing.

    Raises:
        UsageError: no store is named, or the days are none.
        StoreError: the store cannot be listed or written to.
    """
    if not 0 <= keep_days < 100_000:
        raise UsageError("--keep-days takes a number of days, such as 30.")
    remote = open_store(_named(store, context), context.environ)
    context.progress.stage("Asking the store")
    gone: list[int] = []

    def tell(one: RemovedObject) -> None:
        gone.append(one.bytes)
        context.progress.update(f"{len(gone)} objects, {size_of(sum(gone))}")

    removed = collect_garbage(remote, keep_days, dry_run=dry_run, on_removed=tell)
    return StoreGcResult(remote.url, removed, sum(one.bytes for one in removed), keep_days, dry_run)


def _named(store: str, context: Context) -> str:
    """The store that is meant: named, or the one that the profile of an environment here names."""
    if choose_store_url(store, None, context.environ) is not None or store:
        return require_store_url(store, None, context.environ)
    return require_store_url(store, _profile_here(context), context.environ)


def _profile_here(context: Context) -> Profile | None:
    """The profile of the only environment there is, or that all agree with; None where they name several stores."""
    found: dict[str, Profile] = {}
    for name in dict.fromkeys(one.stamp.name for one in find_environments(context.home)):
        try:
            profile = load(find_environment(name, context).stamp.profile, context.outside()).profile
        except ColabenvError:  # a profile that is gone or broken names no store
            continue
        if profile.store is not None:
            found[profile.store] = profile
    return next(iter(found.values())) if len(found) == 1 else None


def size_of(count: int) -> str:
    """Bytes for people."""
    if count >= 1e9:
        return f"{count / 1e9:.2f} GB"
    if count >= 1e6:
        return f"{count / 1e6:.1f} MB"
    return f"{count / 1e3:.0f} kB" if count >= 1e3 else f"{count} bytes"


def counted(count: int, what: str) -> str:
    """A number of things: "1 layer", "2 layers"."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _ago(seconds: float) -> str:
    if seconds < 3600:
        return "now" if seconds < 120 else f"{seconds / 60:.0f} min ago"
    if seconds < 2 * DAY:
        return f"{seconds / 3600:.0f} h ago"
    return f"{seconds / DAY:.0f} days ago"
