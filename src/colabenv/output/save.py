"""What `save` returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from colabenv.environment.save import EnvironmentChanges
from colabenv.environment.unmanaged_packages import find_dependents
from colabenv.lock.lockfile import Lock, is_same_version
from colabenv.output.lock import VariantLock
from colabenv.output.results import Result


@dataclass(frozen=True)
class SaveResult(Result):
    """What was saved."""

    name: str
    dry_run: bool
    profile: str
    files: tuple[str, ...] = ()  #: paths of changed files other than locks
    changes: tuple[str, ...] = ()  #: their changed lines, each with "- " or "+ " before it
    locks: tuple[VariantLock, ...] = ()
    unsaved: tuple[str, ...] = ()  #: what cannot be saved, a sentence each
    differs: tuple[str, ...] = ()  #: differences between the new lock and the environment, a sentence each
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """What changed, what could not be saved, and the next command."""
        lines = [self._summary(), *(f"  {change}" for change in self.changes)]
        lines += [line for lock in self.locks for line in lock.lines()]
        if self.differs:
            lines += ["The new lock differs from this environment:", *(f"  {text}" for text in self.differs)]
        if self.unsaved:
            lines += ["Not saved:", *(f"  {text}" for text in self.unsaved)]
        if self.locks and not self.dry_run:
            lines.append(
                "This environment stays unchanged. To build one from the new lock and switch the kernel to it: "
                f"colabenv up {self.profile}"
            )
        return lines

    def _summary(self) -> str:
        if not self.locks:
            return f"✓ Nothing {'else ' if self.unsaved else ''}to save: {self.name} matches its lock."
        files = " and ".join([*self.files, "its lock" if len(self.locks) == 1 else "its locks"])
        if self.dry_run:
            return f"Would save what you installed in {self.name} to {files}. Nothing was written."
        return f"✓ Saved what you installed in {self.name} to {files}."


def describe_differences(changes: EnvironmentChanges, lock: Lock) -> Iterator[str]:
    """The differences between a new lock and the installed packages that can be locked."""
    packages = changes.packages
    locked = {pin.name: pin.version for pin in lock.pins}
    ignored = {
        package.name for package in (*packages.from_urls, *packages.url_dependencies, *packages.unneeded)
    }
    for package in changes.installed:
        version = locked.pop(package.name, None)
        if package.name in ignored:
            continue
        if version is None:
            yield f"{package.name} {package.version} is installed but not locked, because nothing needs it."
        elif not is_same_version(version, package.version):
            yield (
                f"{package.name} {package.version} is installed, but {version} is locked: the profile's other packages "
                "exclude the installed version."
            )
    for name in sorted(locked.keys() - {name for name, _ in packages.removed} - ignored):
        yield f"{name} {locked[name]} is locked but not installed here: another package needs it."


def describe_unsaved(changes: EnvironmentChanges, lock: Lock | None) -> Iterator[str]:
    """Packages that a profile or lock cannot contain, and removed packages, which `save` leaves in the lock."""
    packages = changes.packages
    for package in packages.from_urls:
        yield (
            f"{package.name} {package.version} was installed from {package.url}, and a lock contains only packages "
            "from an index. Install it again in the new environment."
        )
    if packages.url_dependencies:
        listed = ", ".join(f"{package.name} {package.version}" for package in packages.url_dependencies)
        yield f"{listed}: needed only by packages that are not from an index."
    if packages.unneeded:
        listed = ", ".join(f"{package.name} {package.version}" for package in packages.unneeded)
        yield f"{listed}: not requested by name, and no longer needed by any package."
    requested = {canonicalize_name(Requirement(line).name) for line in changes.loaded.requirement_lines}
    for name, version in packages.removed:
        if lock is not None and lock.version_of(name) is None:
            continue
        users = find_dependents(name, changes.installed, changes.markers)
        reason = "the frameworks or the kernel need it"
        if name in requested:
            reason = "the profile requests it"
        elif users:
            reason = f"{', '.join(users[:3])} {'needs' if len(users) == 1 else 'need'} it"
        yield f"{name} {version} was removed here but stays in the lock: {reason}."
