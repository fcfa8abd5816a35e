"""What `store push`, `store ls` and `store gc` return."""

from __future__ import annotations

from dataclasses import dataclass

from colabenv.output.results import Result, format_steps
from colabenv.store.gc import DAY, RemovedObject, StoredEnvironment
from colabenv.store.push import PushReport
from colabenv.system.units import format_bytes, format_count, format_names


@dataclass(frozen=True)
class StorePushResult(PushReport, Result):
    """What was pushed, and the run's notes."""

    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """What was pushed, what of it was new, and what was left out."""
        python = f" and {self.python}" if self.python else ""
        ratio = "" if self.ratio is None else f", {self.ratio:.2f} of the wheels' size"
        sent = [
            *([f"{self.sent} of them"] if self.sent else []),
            *(["the Python"] if self.sent_python else []),
        ]
        new = (
            f"{' and '.join(sent)}, {format_bytes(self.sent_bytes)}"
            if sent
            else "nothing: the store already had everything"
        )
        lines = [
            f"✓ {self.name} is in {self.store}: {format_count(self.packages, 'package')}{python}, "
            f"{format_bytes(self.bytes)}{ratio}.",
            f"  new     {new}",
            f"  took    {sum(self.seconds.values()):.1f} s ({format_steps(self.seconds)})",
        ]
        for reason in sorted(set(self.left_out.values())):
            names = [name for name, why in self.left_out.items() if why == reason]
            lines.append(f"  without {format_names(names)}: {reason}; up installs it from the index")
        return [*lines, f"On another machine: colabenv up {self.profile} --store {self.store}"]


@dataclass(frozen=True)
class StoreRow:
    """One environment in a store. Times are in seconds since the epoch; `used` is the last push or restore."""

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

    @classmethod
    def of(cls, environment: StoredEnvironment) -> StoreRow:
        """The row of an environment."""
        manifest = environment.manifest
        return cls(
            name=manifest.profile,
            variant=manifest.variant,
            python=manifest.python,
            tag=manifest.tag,
            packages=len(manifest.layers),
            bytes=environment.bytes,
            shared_bytes=environment.shared,
            made=environment.made,
            used=environment.used,
            manifest=environment.name,
        )


@dataclass(frozen=True)
class StoreLsResult(Result):
    """What a store has: environments, the most recently used first, the number of layers, and all bytes.

    `loose_bytes` belong to layers that no environment needs, and `damaged` has manifests with the reason.
    """

    store: str
    environments: tuple[StoreRow, ...]
    layers: int
    bytes: int
    loose_bytes: int
    damaged: tuple[tuple[str, str], ...]
    now: float

    def table(self) -> tuple[list[str], list[list[str]]] | None:
        """A row for each environment."""
        if not self.environments:
            return None
        titles = ["profile", "variant", "Python", "packages", "size", "shared", "made", "last used"]
        rows = [
            [
                *(row.name, row.variant, row.python, str(row.packages)),
                *(format_bytes(row.bytes), format_bytes(row.shared_bytes)),
                *(_format_age(self.now - row.made), _format_age(self.now - row.used)),
            ]
            for row in self.environments
        ]
        return titles, rows

    def lines(self) -> list[str]:
        """The totals, and what is damaged."""
        damaged = [f"  {name} cannot be used: {why}" for name, why in self.damaged]
        if not self.environments:
            push = f"colabenv store push NAME --store {self.store}"
            return [f"{self.store} has no environments. Push one with: {push}", *damaged]
        count = f"{format_count(len(self.environments), 'environment')}, {format_count(self.layers, 'layer')}"
        lines = [f"{count}, {format_bytes(self.bytes)} in {self.store}."]
        if self.loose_bytes:
            lines.append(
                f"  {format_bytes(self.loose_bytes)} belong to no environment; colabenv store gc frees them."
            )
        return [*lines, *damaged]


@dataclass(frozen=True)
class StoreGcResult(Result):
    """The objects that were removed from a store, or would be with `dry_run`, and their size."""

    store: str
    removed: tuple[RemovedObject, ...]
    bytes: int
    keep_days: float
    dry_run: bool

    def lines(self) -> list[str]:
        """The total, the environments by name, the rest by number."""
        if not self.removed:
            days = "day" if self.keep_days == 1 else f"{self.keep_days:g} days"
            return [f"✓ Nothing to remove: everything in {self.store} is new or was used in the last {days}."]
        rows = [f"  {removed.why}" for removed in self.removed if removed.name.startswith("manifests/")]
        layers = [removed.bytes for removed in self.removed if removed.name.startswith("layers/")]
        others = len(self.removed) - len(layers) - len(rows)
        if layers:
            rows.append(
                f"  {format_count(len(layers), 'layer')} that no environment needs, {format_bytes(sum(layers))}"
            )
        if others:
            rows.append(f"  {format_count(others, 'small object')} that nothing needs")
        if self.dry_run:
            return [f"Would remove from {self.store}:", *rows, "Nothing was removed."]
        return [f"✓ Freed {format_bytes(self.bytes)} in {self.store}.", *rows]


def _format_age(seconds: float) -> str:
    if seconds < 3600:
        return "now" if seconds < 120 else f"{seconds / 60:.0f} min ago"
    if seconds < 2 * DAY:
        return f"{seconds / 3600:.0f} h ago"
    return f"{seconds / DAY:.0f} days ago"
