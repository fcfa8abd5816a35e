"""What was installed by hand into an environment, told from its metadata and the lock it was built from. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from packaging.requirements import Requirement

from colabenv.environment.distributions import InstalledDistribution, reachable
from colabenv.lock.lockfile import Lock, normalised, same_version

_EXTRA = re.compile(r"extra == ['\"]([^'\"]+)['\"]")


@dataclass(frozen=True)
class Moved:
    """A locked distribution that is installed in another version.

    Attributes:
        now: as it is installed.
        old: the locked version.
    """

    now: InstalledDistribution
    old: str


@dataclass(frozen=True)
class UnmanagedPackages:
    """What is other than the lock says.

    Attributes:
        added: what belongs into the profile: asked for by name, or needed by nothing else.
        along: what came along with those; the lock alone holds it.
        moved: other versions than locked.
        removed: (name, version) of what the lock has and the environment has not.
        foreign: what came from no index; no lock can hold it.
        for_foreign: what only those need.
        orphans: what nobody asked for and nothing needs any more, such as pip leaves behind.
    """

    added: tuple[InstalledDistribution, ...]
    along: tuple[InstalledDistribution, ...]
    moved: tuple[Moved, ...]
    removed: tuple[tuple[str, str], ...]
    foreign: tuple[InstalledDistribution, ...]
    for_foreign: tuple[InstalledDistribution, ...]
    orphans: tuple[InstalledDistribution, ...] = ()

    @property
    def to_save(self) -> bool:
        """Whether there is anything that a profile or a lock can hold."""
        return bool(self.added or self.along or self.moved)

    @property
    def versions(self) -> dict[str, str]:
        """By name, the versions of what was added or moved and can be locked."""
        found = (*self.added, *self.along, *(one.now for one in self.moved))
        return {one.name: one.version for one in found}


def find_unmanaged(
    installed: Iterable[InstalledDistribution],
    lock: Lock,
    lines: Iterable[str],
    environment: Mapping[str, str],
) -> UnmanagedPackages:
    """Compare an environment with its lock.

    Args:
        installed: its distributions.
        lock: what it was built from.
        lines: the profile's requirements, for their extras.
        environment: markers' variables (PEP 508) of its Python.
    """
    present = {one.name: one for one in installed}
    locked = {pin.name: pin.version for pin in lock.pins}
    foreign = {name for name, one in present.items() if one.url}
    new = {name for name in present if name not in locked and name not in foreign}
    roots = [(name, frozenset[str]()) for name in locked if name not in foreign]
    roots += [(normalised(one.name), frozenset(one.extras)) for one in map(Requirement, lines)]
    named = {name for name in new if present[name].by_hand}
    # uv does not tell what was asked for by name, so there it is what nothing needs.
    named |= {name for name in new - _needed(present, environment) if present[name].by != "pip"}
    covered = reachable([*roots, *((name, frozenset()) for name in named)], present, environment)
    left = new - covered - named
    theirs = left & reachable([(name, frozenset()) for name in foreign], present, environment)
    # What came with an extra, or needs each other in a circle, nothing else would bring.
    left -= theirs
    with_extra = {
        name for one in present.values() if left for name in _of_whole_extras(one, present, environment)
    }
    named |= {name for name in left if present[name].by != "pip" or name in with_extra}
    orphans = left - reachable(((name, frozenset()) for name in named), present, environment)
    return UnmanagedPackages(
        added=tuple(present[name] for name in sorted(named)),
        along=tuple(present[name] for name in sorted(new - named - theirs - orphans)),
        moved=tuple(
            Moved(present[name], locked[name])
            for name in sorted(locked)
            if name in present
            and name not in foreign
            and not same_version(present[name].version, locked[name])
        ),
        removed=tuple((name, locked[name]) for name in sorted(locked) if name not in present),
        foreign=tuple(present[name] for name in sorted(foreign)),
        for_foreign=tuple(present[name] for name in sorted(theirs)),
        orphans=tuple(present[name] for name in sorted(orphans)),
    )


def _needed(present: Mapping[str, InstalledDistribution], environment: Mapping[str, str]) -> set[str]:
    """What the installed distributions need of each other, extras that they name included."""

    def needs(name: str, extra: str) -> Iterator[Requirement]:
        here = {**environment, "extra": extra}
        for need in present[name].requires if name in present else ():
            if normalised(need.name) != name and (need.marker is None or need.marker.evaluate(here)):
                yield need

    found = set()
    for one in present:
        for need in needs(one, ""):
            other = normalised(need.name)
            found.add(other)
            found.update(normalised(more.name) for extra in need.extras for more in needs(other, extra))
    return found


def _of_whole_extras(
    one: InstalledDistribution, present: Mapping[str, InstalledDistribution], environment: Mapping[str, str]
) -> Iterator[str]:
    """What the extras of a distribution bring that are there as a whole; no metadata says which were asked for."""
    conditional = [need for need in one.requires if need.marker is not None]
    for extra in sorted({name for need in conditional for name in _EXTRA.findall(str(need.marker))}):
        here = {**environment, "extra": extra}
        without = {**environment, "extra": ""}
        names = {
            normalised(need.name)
            for need in conditional
            if need.marker and need.marker.evaluate(here) and not need.marker.evaluate(without)
        }
        if names <= present.keys():
            yield from names


def needing(
    name: str, installed: Iterable[InstalledDistribution], environment: Mapping[str, str]
) -> list[str]:
    """The installed distributions that name another one as their requirement."""
    here = {**environment, "extra": ""}
    return [
        one.name
        for one in installed
        if any(
            normalised(need.name) == name and (need.marker is None or need.marker.evaluate(here))
            for need in one.requires
        )
    ]
