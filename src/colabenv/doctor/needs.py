"""What distributions need of each other, evaluated for the interpreter they lie in. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from colabenv.doctor.model import Distribution, Facts
from colabenv.lock.model import normalised


@dataclass(frozen=True)
class Need:
    """One requirement of an installed distribution.

    Attributes:
        dependant: who needs it.
        dependency: normalised name of what is needed.
        line: the line of metadata.
        specifier: the versions that would do.
        found: what is installed, or None.
    """

    dependant: Distribution
    dependency: str
    line: str
    specifier: SpecifierSet
    found: Distribution | None

    @property
    def key(self) -> str:
        """As `Finding.covers` writes it."""
        return f"{self.dependant.name}>{self.dependency}"

    @property
    def met(self) -> bool:
        """Whether what is installed will do. A version that is no PEP 440 version will not."""
        return self.found is not None and admits(self.specifier, self.found.version)


def admits(specifier: SpecifierSet, version: str) -> bool:
    """Whether a version lies in a range; installed pre-releases count, as they do for pip's check."""
    try:
        return specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def visible(facts: Facts) -> Iterator[Distribution]:
    """The distributions that are imported: of each name the first on the path."""
    seen: set[str] = set()
    for one in facts.distributions:
        if one.name not in seen:
            seen.add(one.name)
            yield one


def needs(facts: Facts) -> Iterator[Need]:
    """Every requirement that applies to this interpreter, extras left out."""
    by_name = {one.name: one for one in visible(facts)}
    for one in by_name.values():
        for line in one.requires:
            try:
                wanted = Requirement(line)
            except InvalidRequirement:
                continue
            if wanted.marker is not None and not wanted.marker.evaluate({**facts.markers, "extra": ""}):
                continue
            dependency = normalised(wanted.name)
            yield Need(one, dependency, line, wanted.specifier, by_name.get(dependency))


def common_range(facts: Facts, dependency: str) -> SpecifierSet:
    """What everything installed asks of a distribution, together; it may be impossible to meet."""
    result = SpecifierSet()
    for need in needs(facts):
        if need.dependency == dependency:
            result &= need.specifier
    return result
