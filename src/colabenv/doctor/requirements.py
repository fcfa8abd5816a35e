"""What installed distributions require of each other, evaluated for their interpreter."""

from __future__ import annotations

import functools
import operator
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from colabenv.doctor.distributions import (
    TENSORFLOW_BUILDS,
    allows,
    installed_tensorflow,
    parse_requirement,
    visible_distributions,
)
from colabenv.doctor.model import Distribution, Facts
from colabenv.frameworks.facts import TensorFlowRelease, load_table

#: Frameworks that fixes keep: what does not fit them is changed instead.
ANCHORS = (*TENSORFLOW_BUILDS, "torch", "jax", "jaxlib")
# Distributions with the same modules: one satisfies a requirement for another.
_SAME_MODULES = (
    TENSORFLOW_BUILDS,
    ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    ("psycopg2", "psycopg2-binary"),
    ("onnxruntime", "onnxruntime-gpu"),
    ("ray", "ray-cpp"),
)
_ALTERNATIVES = {name: [each for each in names if each != name] for names in _SAME_MODULES for name in names}
# Declared but optional: IPython 7's completer asks whether jedi is installed. Colab ships it without.
_OPTIONAL = {("ipython", "jedi")}
_EXTRA_MARKER = re.compile(r"""\bextra\s*==\s*["'][^"']""")
# dpkg manages the requirements of Debian's packages, and their metadata does not know how Debian splits packages.
_DEBIAN_FOLDER = "/usr/lib/python3/dist-packages"


@dataclass(frozen=True)
class Dependency:
    """One requirement of an installed distribution."""

    dependent: Distribution  #: the distribution that requires it
    name: str  #: normalized name of what it requires
    line: str  #: of the metadata
    specifier: SpecifierSet
    installed: Distribution | None
    reason: str = ""  #: how it is known if no metadata declares it

    @property
    def key(self) -> str:
        """The form of `Finding.covers`."""
        return f"{self.dependent.name}>{self.name}"

    @functools.cached_property
    def is_met(self) -> bool:
        """Whether the installed version is accepted. An invalid version is not."""
        return self.installed is not None and allows(self.specifier, self.installed.version)

    @property
    def evidence(self) -> str:
        """The line that shows it."""
        verb = f"needs {self.line}: {self.reason}" if self.reason else f"requires {self.line}"
        return f"{self.dependent} {verb}"


@functools.lru_cache(maxsize=4)
def dependencies(facts: Facts) -> tuple[Dependency, ...]:
    """Every requirement that applies to this interpreter, without extras. Cached, since nearly every check asks."""
    by_name = {each.name: each for each in visible_distributions(facts)}
    every = (need for each in by_name.values() for need in _dependencies_of(each, by_name, facts))
    return tuple(need for need in every if need.is_met or not _ships_in_colab(need, facts))


def _ships_in_colab(need: Dependency, facts: Facts) -> bool:
    """Whether a Colab runtime ships both as they are installed: Google has tested them together."""
    installed = need.installed.public_version if need.installed else None
    return any(
        runtime.get(need.dependent.name) == need.dependent.public_version
        and runtime.get(need.name) == installed
        for runtime in facts.colab_packages
    )


def _dependencies_of(
    dependent: Distribution, by_name: Mapping[str, Distribution], facts: Facts
) -> Iterator[Dependency]:
    for line in dependent.requires:
        # Most lines belong to extras; parsing them would take most of the time.
        if _EXTRA_MARKER.search(line) and " or " not in line:
            continue
        requirement = parse_requirement(line)
        if not requirement:
            continue
        if requirement.marker and not requirement.marker.evaluate({**facts.markers, "extra": ""}):
            continue
        name = canonicalize_name(requirement.name)
        candidates = (by_name[each] for each in (name, *_ALTERNATIVES.get(name, ())) if each in by_name)
        yield Dependency(dependent, name, line, requirement.specifier, next(candidates, None))


def unmet_dependencies(facts: Facts) -> list[Dependency]:
    """The requirements that are not met and have to be fixed."""
    return [
        need
        for need in dependencies(facts)
        if not need.is_met
        and need.dependent.root != _DEBIAN_FOLDER
        and not (need.installed is None and (need.dependent.name, need.name) in _OPTIONAL)
    ]


def undeclared_dependencies(facts: Facts) -> list[Dependency]:
    """Unmet requirements that only the frameworks' table has, except for setuptools, which has its own check."""
    by_name = {each.name: each for each in visible_distributions(facts)}
    known: list[tuple[Distribution, str, str]] = []
    tensorflow = installed_tensorflow(facts)
    release = tensorflow_release(tensorflow)
    if tensorflow is not None and release is not None:
        reason = f"its metadata does not say so, but TensorFlow {release.line} fails otherwise"
        known += [(tensorflow, text, reason) for text in release.build.repairs]
    for repair in load_table().repairs:
        framework = by_name.get(repair.framework)
        if framework is not None and allows(repair.releases, framework.version):
            known.append((framework, repair.constraint, repair.why))
    unmet = []
    for dependent, text, reason in known:
        requirement = Requirement(text)
        installed = by_name.get(requirement.name)
        need = Dependency(dependent, requirement.name, text, requirement.specifier, installed, reason)
        if installed and need.name != "setuptools" and not need.is_met:
            unmet.append(need)
    return unmet


def unmet_dependencies_on(facts: Facts, name: str) -> list[Dependency]:
    """The unmet requirements for one distribution, declared or not."""
    declared = [need for need in unmet_dependencies(facts) if need.name == name]
    keys = {need.key for need in declared}
    others = [need for need in undeclared_dependencies(facts) if need.name == name and need.key not in keys]
    return [*declared, *others]


def group_by_name(needs: Iterable[Dependency]) -> dict[str, list[Dependency]]:
    """Requirements by the name of the distribution that they are for."""
    groups: dict[str, list[Dependency]] = defaultdict(list)
    for need in needs:
        groups[need.name].append(need)
    return dict(groups)


def tensorflow_release(tensorflow: Distribution | None) -> TensorFlowRelease | None:
    """The facts of an installed TensorFlow: those of its release, else of the last release of its minor line."""
    version = tensorflow.public_version if tensorflow else ""
    releases = load_table().releases
    exact = [release for release in releases if release.version == version]
    line = [release for release in releases if version.startswith(f"{release.line}.")]
    return next(iter((*exact, *reversed(line))), None)


def combined_range(facts: Facts, name: str) -> SpecifierSet:
    """The versions of a distribution that everything installed accepts; the range may be empty."""
    return intersect(need for need in dependencies(facts) if need.name == name)


def undeclared_range(needs: Iterable[Dependency]) -> SpecifierSet:
    """The versions that requirements without metadata accept."""
    return intersect(need for need in needs if need.reason)


def intersect(needs: Iterable[Dependency]) -> SpecifierSet:
    """The versions that all of the requirements accept."""
    return functools.reduce(operator.and_, (need.specifier for need in needs), SpecifierSet())


def is_satisfiable(specifier: SpecifierSet) -> bool:
    """Whether some version can lie in a range. Tries only its bounds and their neighbours."""
    if not len(specifier):
        return True
    bounds = {Version(clause.version.removesuffix(".*")) for clause in specifier}
    candidates = {str(bound) for bound in bounds} | {f"{bound.base_version}.1" for bound in bounds}
    for bound in bounds:
        numbers = [*bound.release, 0, 0][:3]
        candidates.add(".".join(map(str, [*numbers[:2], numbers[2] + 1])))
        for place in range(len(numbers)):
            if numbers[place] > 0:
                below = [*numbers[:place], numbers[place] - 1, *[999] * (2 - place)]
                candidates.add(".".join(map(str, below)))
    return any(allows(specifier, version) for version in candidates)


def simplify(specifier: SpecifierSet) -> SpecifierSet:
    """The same range without redundant bounds: >1.20,>=1.23.5 is >=1.23.5."""
    clauses = []
    for clause in specifier:
        side = clause.operator[0]
        rivals = [other for other in specifier if side in "<>" and other.operator[0] == side]
        if not any(_is_tighter(rival, clause) for rival in rivals):
            clauses.append(clause)
    return SpecifierSet(",".join(map(str, clauses)))


def _is_tighter(clause: Specifier, than: Specifier) -> bool:
    """Whether a bound admits less than another on the same side; of `<2` and `<=2` the first does."""
    version, other = Version(clause.version), Version(than.version)
    if version == other:
        # Of two equal bounds, keep the one whose text is first: <2 before <2.0.0.
        return (len(clause.operator), clause.version) < (len(than.operator), than.version)
    return version > other if clause.operator[0] == ">" else version < other


def requirements_for(facts: Facts, name: str, extra: SpecifierSet | None = None) -> tuple[str, ...]:
    """What to install in one run so that a distribution fits its dependents; `extra` is a range no metadata declares.

    If they disagree, the ranges of the frameworks count, and the dependents that contradict them are named as well, so
    that the installer looks for releases of theirs that fit.
    """
    needs = [need for need in dependencies(facts) if need.name == name]
    combined = extra or SpecifierSet()
    contradicting = []
    for need in sorted(
        needs, key=lambda need: (need.dependent.name not in ANCHORS, not need.dependent.requested)
    ):
        if is_satisfiable(combined & need.specifier):
            combined &= need.specifier
        else:
            contradicting.append(need.dependent.name)
    return (f"{name}{simplify(combined)}", *dict.fromkeys(contradicting))


def requirements_beside(facts: Facts, name: str, anchor: Distribution) -> tuple[str, ...]:
    """What to install so that a distribution fits a framework that stays as it is."""
    combined = combined_range(facts, name)
    requirement = f"{name}{combined}" if is_satisfiable(combined) else name
    return (requirement, f"{anchor.name}=={anchor.version}")
