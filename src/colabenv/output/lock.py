"""What `lock` did, as text and as data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from colabenv.lock.lockfile import Lock
from colabenv.lock.service import VersionChange, compare_locks
from colabenv.output.results import Result


@dataclass(frozen=True)
class VariantLock:
    """The lock of one variant."""

    variant: str  #: "cpu" or "gpu"
    state: str  #: "kept", "new" or "changed"
    path: str  #: of the lock
    python: str  #: minor Python
    kernel: str  #: "colab" or "plain"
    packages: int  #: number of pins
    moved: tuple[VersionChange, ...] = ()  #: versions that changed, by name; empty for a new lock
    #: names with the same version and other files, usually because more were uploaded
    rehashed: tuple[str, ...] = ()

    @classmethod
    def compared(cls, old: Lock | None, new: Lock, path: Path) -> VariantLock:
        """The comparison of a lock with the one before it."""
        moved, rehashed = compare_locks(old, new)
        state = "new" if old is None else "kept" if old == new else "changed"
        header = new.header
        return cls(
            header.variant, state, str(path), header.python, header.kernel, len(new.pins), moved, rehashed
        )

    def lines(self) -> list[str]:
        """The lock, then what changed."""
        lines = [f"  {self.variant}  {self.state}, {self.packages} packages: {self.path}"]
        lines += [f"       {change}" for change in self.moved]
        if self.rehashed:
            lines.append(f"       same version, other files: {', '.join(self.rehashed)}")
        return lines


@dataclass(frozen=True)
class LockResult(Result):
    """What `lock` did."""

    name: str  #: of the profile
    checked: bool  #: whether it only compared
    locks: tuple[VariantLock, ...]  #: one for each variant
    notes: tuple[str, ...] = ()  #: why choices were made

    def lines(self) -> list[str]:
        """The outcome, then each lock."""
        variants = " and ".join(lock.variant for lock in self.locks)
        if self.checked:
            first = f"✓ The locks of {self.name} fit the profile ({variants})."
        elif all(lock.state == "kept" for lock in self.locks):
            first = f"✓ {self.name} is locked for {variants}: nothing had to change."
        else:
            first = f"✓ {self.name} is locked for {variants}."
        return [first, *(line for lock in self.locks for line in lock.lines())]
