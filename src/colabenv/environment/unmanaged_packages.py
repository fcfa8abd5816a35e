"""What the user installed, changed or removed in an environment since it was built from its lock. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from colabenv.environment.distributions import InstalledDistribution
from colabenv.lock.lockfile import Lock, is_same_version

_EXTRA = re.compile(r"extra == ['\"]([^'\"]+)['\"]")


@dataclass(frozen=True)
class ChangedVersion:
    """A distribution whose installed version differs from the `locked` one."""

    installed: InstalledDistribution
    locked: str


@dataclass(frozen=True)
class UnmanagedPackages:
    """The differences between an environment and its lock."""

    #: belong in the profile: the user named them, or nothing else needs them
    added: tuple[InstalledDistribution, ...] = ()
    dependencies: tuple[InstalledDistribution, ...] = ()  #: what only those need; belong in the lock
    changed: tuple[ChangedVersion, ...] = ()  #: installed in a version that is not the locked one
    #: (name, version) of locked distributions that are not installed
    removed: tuple[tuple[str, str], ...] = ()
    #: not installed from an index, so no lock can hold them
    from_urls: tuple[InstalledDistribution, ...] = ()
    url_dependencies: tuple[InstalledDistribution, ...] = ()  #: what only those need
    #: neither named by the user nor needed any more; pip leaves such behind
    unneeded: tuple[InstalledDistribution, ...] = ()

    @property
    def can_be_saved(self) -> bool:
        """Whether a profile or a lock can hold any of it."""
        return bool(self.added or self.dependencies or self.changed)

    @property
    def versions(self) -> dict[str, str]:
        """The installed version, by name, of what was added or changed and can be locked."""
        changed = (change.installed for change in self.changed)
        return {package.name: package.version for package in (*self.added, *self.dependencies, *changed)}


def find_unmanaged(
    installed: Iterable[InstalledDistribution],
    lock: Lock,
    requirements: Iterable[str],
    markers: Mapping[str, str],
) -> UnmanagedPackages:
    """Compare an environment's distributions with the lock that it was built from.

    The profile's `requirements` count for their extras; `markers` are PEP 508 variables of the environment's Python.
    """
    packages = {package.name: package for package in installed}
    locked = {pin.name: pin.version for pin in lock.pins}
    from_urls = {name for name, package in packages.items() if package.url}
    new = packages.keys() - locked.keys() - from_urls
    known = [
        *_without_extras(locked.keys() - from_urls),
        *map(_name_and_extras, map(Requirement, requirements)),
    ]
    added = {name for name in new if packages[name].requested}
    # uv does not record what the user named, so packages that nothing needs count as named.
    needed = _find_dependencies(_direct_dependencies(packages, markers), packages, markers)
    added |= {name for name in new - needed if packages[name].installer != "pip"}
    explained = _find_dependencies([*known, *_without_extras(added)], packages, markers)
    unassigned = new - explained - added
    url_dependencies = unassigned & _find_dependencies(_without_extras(from_urls), packages, markers)
    unassigned -= url_dependencies
    # Packages that came with an extra, or that need each other in a circle, have to be named themselves.
    with_extras = {
        name
        for package in packages.values()
        if unassigned
        for name in _complete_extras(package, packages, markers)
    }
    added |= {name for name in unassigned if packages[name].installer != "pip" or name in with_extras}
    unneeded = unassigned - _find_dependencies(_without_extras(added), packages, markers)

    def select(names: Iterable[str]) -> tuple[InstalledDistribution, ...]:
        return tuple(packages[name] for name in sorted(names))

    return UnmanagedPackages(
        added=select(added),
        dependencies=select(new - added - url_dependencies - unneeded),
        changed=tuple(
            ChangedVersion(package, locked[package.name])
            for package in select(packages.keys() & locked.keys() - from_urls)
            if not is_same_version(package.version, locked[package.name])
        ),
        removed=tuple((name, locked[name]) for name in sorted(locked.keys() - packages.keys())),
        from_urls=select(from_urls),
        url_dependencies=select(url_dependencies),
        unneeded=select(unneeded),
    )


def find_dependents(
    name: str, installed: Iterable[InstalledDistribution], markers: Mapping[str, str]
) -> list[str]:
    """The names of the other installed distributions that require `name`."""
    return [
        package.name
        for package in installed
        if package.name != name
        and any(
            canonicalize_name(requirement.name) == name
            for requirement in _applicable_requirements(package, markers)
        )
    ]


def _applicable_requirements(
    package: InstalledDistribution, markers: Mapping[str, str], extra: str = ""
) -> Iterator[Requirement]:
    """The requirements of a distribution, or of one of its extras, that apply here."""
    variables = {**markers, "extra": extra}
    for requirement in package.requires:
        if requirement.marker is None or requirement.marker.evaluate(variables):
            yield requirement


def _name_and_extras(requirement: Requirement) -> tuple[str, frozenset[str]]:
    return canonicalize_name(requirement.name), frozenset(requirement.extras)


def _without_extras(names: Iterable[str]) -> list[tuple[str, frozenset[str]]]:
    return [(name, frozenset()) for name in names]


def _find_dependencies(
    roots: Iterable[tuple[str, frozenset[str]]],
    packages: Mapping[str, InstalledDistribution],
    markers: Mapping[str, str],
) -> set[str]:
    """The installed distributions among `roots` (name, extras), and all that those need."""
    pending = list(roots)
    seen: set[tuple[str, str]] = set()
    while pending:
        name, extras = pending.pop()
        for extra in {"", *extras}:
            if name in packages and (name, extra) not in seen:
                seen.add((name, extra))
                pending += map(_name_and_extras, _applicable_requirements(packages[name], markers, extra))
    return {name for name, _ in seen}


def _direct_dependencies(
    packages: Mapping[str, InstalledDistribution], markers: Mapping[str, str]
) -> Iterator[tuple[str, frozenset[str]]]:
    """What the distributions require of each other; a distribution may require its own extras."""
    for package in packages.values():
        for requirement in _applicable_requirements(package, markers):
            name, extras = _name_and_extras(requirement)
            if name != package.name:
                yield name, extras


def _complete_extras(
    package: InstalledDistribution, packages: Mapping[str, InstalledDistribution], markers: Mapping[str, str]
) -> Iterator[str]:
    """What those extras of a distribution require that are installed completely; no metadata says which were named."""
    conditional = [requirement for requirement in package.requires if requirement.marker is not None]
    always = {
        canonicalize_name(requirement.name) for requirement in _applicable_requirements(package, markers)
    }
    for extra in sorted(
        {name for requirement in conditional for name in _EXTRA.findall(str(requirement.marker))}
    ):
        names = {
            canonicalize_name(requirement.name)
            for requirement in _applicable_requirements(package, markers, extra)
        } - always
        if names <= packages.keys():
            yield from names
