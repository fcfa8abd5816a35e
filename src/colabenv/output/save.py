"""What `save` returns, and what it says of all that could not be saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from colabenv.environment.distributions import InstalledDistribution
from colabenv.environment.unmanaged_packages import UnmanagedPackages, find_dependents
from colabenv.lock.lockfile import Lock, is_same_version
from colabenv.output.lock import VariantLock
from colabenv.output.results import Result


@dataclass(frozen=True)
class SaveResult(Result):
    """What `save` did.

    Attributes:
        name: of the environment.
        dry_run: whether nothing was written.
        profile: path of the profile.
        files: paths of the files that changed, besides the locks.
        changes: their lines that changed, each with "- " or "+ " before it.
        locks: a variant each.
        unsaved: what cannot be saved and why, a sentence each.
        differs: where the new lock is other than the environment, a sentence each.
        notes: why choices were made.
    """

    name: str
    dry_run: bool
    profile: str
    files: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    locks: tuple[VariantLock, ...] = ()
    unsaved: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """How it went, what changed, what could not be saved, and what comes next."""
        lines = [self._first(), *(f"  {change}" for change in self.changes)]
        lines += [line for one in self.locks for line in one.lines()]
        if self.differs:
            lines += ["The new lock is other than this environment:", *(f"  {one}" for one in self.differs)]
        if self.unsaved:
            lines += ["Not saved:", *(f"  {one}" for one in self.unsaved)]
        if self.locks and not self.dry_run:
            lines.append(
                f"This environment stays as it is. colabenv up {self.profile} builds one from the new lock beside it, "
                "and moves the kernel over."
            )
        return lines

    def _first(self) -> str:
        if not self.locks:
            which = "else " if self.unsaved else ""
            return f"✓ Nothing {which}was installed by hand in {self.name} since it was built."
        what = " and ".join([*self.files, "its lock" if len(self.locks) == 1 else "its locks"])
        if self.dry_run:
            return f"What was installed by hand in {self.name} would go into {what}; nothing was written."
        return f"✓ What was installed by hand in {self.name} is in {what} now."


def differing(found: Sequence[InstalledDistribution], changes: UnmanagedPackages, new: Lock) -> Iterator[str]:
    """Where the new lock is other than what is installed, but for what cannot be locked."""
    locked_versions = {pin.name: pin.version for pin in new.pins}
    aside = {one.name for one in (*changes.from_urls, *changes.url_dependencies, *changes.unneeded)}
    for one in found:
        version = locked_versions.pop(one.name, None)
        if one.name in aside:
            continue
        if version is None:
            yield f"{one.name} {one.version} is installed; the lock has none, because nothing needs it."
        elif not is_same_version(version, one.version):
            yield (
                f"{one.name} {one.version} is installed, {version} is locked: the profile's other packages exclude the "
                "installed one."
            )
    gone = {name for name, _ in changes.removed}
    for name in sorted(set(locked_versions) - gone - aside):
        yield f"{name} {locked_versions[name]} is locked and not installed here: another package needs it."


def unsaved(
    found: Sequence[InstalledDistribution],
    changes: UnmanagedPackages,
    lines: Sequence[str],
    markers: Mapping[str, str],
    new: Lock | None,
) -> Iterator[str]:
    """What a profile or a lock cannot hold, or should not lose unasked."""
    for one in changes.from_urls:
        yield (
            f"{one.name} {one.version} came from {one.url}, and a lock holds only what an index has. Install it "
            "again in the new environment."
        )
    if changes.url_dependencies:
        listed = ", ".join(f"{one.name} {one.version}" for one in changes.url_dependencies)
        yield f"{listed}: only what came from elsewhere needs it."
    if changes.unneeded:
        listed = ", ".join(f"{one.name} {one.version}" for one in changes.unneeded)
        yield f"{listed}: nobody asked for it by name, and nothing here needs it any more."
    named = {canonicalize_name(Requirement(line).name) for line in lines}
    for name, version in changes.removed:
        if new is not None and new.version_of(name) is None:
            continue
        users = find_dependents(name, found, markers)
        why = "the profile asks for it" if name in named else "the profile's stack or kernel asks for it"
        if users and name not in named:
            why = f"{', '.join(users[:3])} needs it" if len(users) == 1 else f"{', '.join(users[:3])} need it"
        yield f"{name} {version} was removed here and stays in the lock: {why}."
