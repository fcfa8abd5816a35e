"""What distributions need of each other, evaluated for the interpreter they lie in. Pure."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from colabenv.doctor.model import Complaint, Distribution, Facts, Step
from colabenv.frameworks.facts import Release, table
from colabenv.host.interpreters import minor_version
from colabenv.lock.lockfile import normalised

#: Distributions that carry the package `tensorflow`.
TENSORFLOWS = (
    "tensorflow",
    "tensorflow-cpu",
    "tf-nightly",
    "tf-nightly-cpu",
    "tensorflow-intel",
    "tensorflow-macos",
)
#: Lines of TensorFlow that a profile called `tf-LINE` ships for.
SHIPPED_LINES = ("2.10", "2.15", "2.18", "2.21")
#: Frameworks that other distributions go by: those are changed, not the framework.
ANCHORS = (*TENSORFLOWS, "torch", "jax", "jaxlib")
# Distributions that carry the same modules, so that one does for the other.
_SAME_MODULES = (
    TENSORFLOWS,
    ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    ("psycopg2", "psycopg2-binary"),
    ("onnxruntime", "onnxruntime-gpu"),
    ("ray", "ray-cpp"),
)
_TWINS = {name: tuple(one for one in names if one != name) for names in _SAME_MODULES for name in names}
# Declared, and done without where it is missing: IPython 7's completer asks whether jedi is there. Colab ships it so.
_DISPENSABLE = {("ipython", "jedi")}
_OF_AN_EXTRA = re.compile(r"""\bextra\s*==\s*["'][^"']""")
# Debian's own packages: what they need is dpkg's matter, and their metadata does not know how Debian splits things.
_OF_DEBIAN = "/usr/lib/python3/dist-packages"


@dataclass(frozen=True)
class Need:
    """One requirement of an installed distribution.

    Attributes:
        dependant: who needs it.
        dependency: normalised name of what is needed.
        line: the line of metadata.
        specifier: the versions that would do.
        found: what is installed, or None.
        known: why it is known, where no metadata says it; else "".
    """

    dependant: Distribution
    dependency: str
    line: str
    specifier: SpecifierSet
    found: Distribution | None
    known: str = ""

    @property
    def key(self) -> str:
        """As `Finding.covers` writes it."""
        return f"{self.dependant.name}>{self.dependency}"

    @functools.cached_property
    def met(self) -> bool:
        """Whether what is installed will do. A version that is no PEP 440 version will not."""
        return self.found is not None and admits(self.specifier, self.found.version)

    @property
    def evidence(self) -> str:
        """The line that shows it."""
        who = f"{self.dependant.name} {self.dependant.version}"
        return f"{who} needs {self.line}: {self.known}" if self.known else f"{who} requires {self.line}"


def admits(specifier: SpecifierSet, version: str) -> bool:
    """Whether a version lies in a range; installed pre-releases count, as they do for pip's check."""
    try:
        return specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def older(version: str, than: str) -> bool:
    """Whether a version comes before another; what is no version does not."""
    try:
        return Version(version) < Version(than)
    except InvalidVersion:
        return False


def visible(facts: Facts) -> Iterator[Distribution]:
    """The distributions that are imported: of each name the first on the path."""
    seen: set[str] = set()
    for one in facts.distributions:
        if one.name not in seen:
            seen.add(one.name)
            yield one


@functools.lru_cache(maxsize=4)
def needs(facts: Facts) -> tuple[Need, ...]:
    """Every requirement that applies to this interpreter, extras left out. Kept, since nearly every check asks."""
    by_name = {one.name: one for one in visible(facts)}
    found = (need for one in by_name.values() for need in _needs_of(one, by_name, facts))
    return tuple(need for need in found if need.met or not _as_shipped(need, facts))


def _needs_of(one: Distribution, by_name: Mapping[str, Distribution], facts: Facts) -> Iterator[Need]:
    for line in one.requires:
        # Most lines are those of extras; parsing them would take most of the time.
        if _OF_AN_EXTRA.search(line) and " or " not in line:
            continue
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            continue
        if wanted.marker is not None and not wanted.marker.evaluate({**facts.markers, "extra": ""}):
            continue
        dependency = normalised(wanted.name)
        twins = (by_name[twin] for twin in _TWINS.get(dependency, ()) if twin in by_name)
        yield Need(one, dependency, line, wanted.specifier, by_name.get(dependency) or next(twins, None))


def _as_shipped(need: Need, facts: Facts) -> bool:
    """Whether a Colab runtime ships the two as they are here: what it ships has been tried together."""
    # Its own builds have a local version (`2.6.0+cu124`), which the lists that are carried leave out.
    version = need.found.version.partition("+")[0] if need.found else None
    of_dependant = need.dependant.version.partition("+")[0]
    return any(
        runtime.get(need.dependant.name) == of_dependant and runtime.get(need.dependency) == version
        for runtime in facts.shipped
    )


def unmet(facts: Facts) -> list[Need]:
    """The requirements that are not met, and that somebody has to do something about."""
    return [
        need
        for need in needs(facts)
        if not need.met
        and need.dependant.root != _OF_DEBIAN
        and not (need.found is None and (need.dependant.name, need.dependency) in _DISPENSABLE)
    ]


def silent(facts: Facts) -> list[Need]:
    """What the stack's table knows and the frameworks' metadata does not say, as far as it is not met.

    setuptools is left out: what lacks `pkg_resources` has a check of its own.
    """
    by_name = {one.name: one for one in visible(facts)}
    known: list[tuple[Distribution, str, str]] = []
    own = tensorflow(facts)
    line = release(own)
    if own is not None and line is not None:
        why = f"no metadata says so, but TensorFlow {line.line} fails otherwise"
        known += [(own, text, why) for text in line.build.repairs]
    for repair in table().repairs:
        other = by_name.get(repair.framework)
        if other is not None and admits(repair.releases, other.version):
            known.append((other, repair.constraint, repair.why))
    found = []
    for dependant, text, why in known:
        wanted = Requirement(text)
        there = by_name.get(wanted.name)
        if there is not None and wanted.name != "setuptools" and not admits(wanted.specifier, there.version):
            found.append(Need(dependant, wanted.name, text, wanted.specifier, there, why))
    return found


def lacking(facts: Facts, dependency: str) -> list[Need]:
    """The unmet needs of one distribution, those that no metadata tells included."""
    told = [need for need in unmet(facts) if need.dependency == dependency]
    keys = {need.key for need in told}
    return [
        *told,
        *(need for need in silent(facts) if need.dependency == dependency and need.key not in keys),
    ]


def by_dependency(lacking: Iterable[Need]) -> dict[str, list[Need]]:
    """Unmet needs by what they are needs of."""
    found: dict[str, list[Need]] = defaultdict(list)
    for need in lacking:
        found[need.dependency].append(need)
    return dict(found)


def tensorflow(facts: Facts) -> Distribution | None:
    """The TensorFlow that is installed, under whichever name."""
    return next((one for one in visible(facts) if one.name in TENSORFLOWS), None)


def release(found: Distribution | None) -> Release | None:
    """What the stack's table knows of an installed TensorFlow: its release, else the last of its minor line."""
    if found is None:
        return None
    exact = [one for one in table().releases if one.version == found.version]
    line = [one for one in table().releases if found.version.startswith(f"{one.line}.")]
    return exact[0] if exact else line[-1] if line else None


def common_range(facts: Facts, dependency: str) -> SpecifierSet:
    """What everything installed asks of a distribution, together; it may be impossible to meet."""
    result = SpecifierSet()
    for need in needs(facts):
        if need.dependency == dependency:
            result &= need.specifier
    return result


def possible(specifier: SpecifierSet) -> bool:
    """Whether some version could lie in a range. Only its borders and their neighbours are tried."""
    if not len(specifier):
        return True
    borders = {Version(one.version.removesuffix(".*")) for one in specifier}
    tried = {str(border) for border in borders} | {f"{border.base_version}.1" for border in borders}
    for border in borders:
        numbers = [*border.release, 0, 0][:3]
        tried.add(".".join(map(str, [*numbers[:2], numbers[2] + 1])))
        for place in range(len(numbers)):
            if numbers[place] > 0:
                tried.add(".".join(map(str, [*numbers[:place], numbers[place] - 1, *[999] * (2 - place)])))
    return any(admits(specifier, version) for version in tried)


def narrowed(specifier: SpecifierSet) -> SpecifierSet:
    """The same range without the borders that others make superfluous: >1.20,>=1.23.5 is >=1.23.5."""
    kept = []
    for one in specifier:
        rivals = [
            other for other in specifier if other.operator[0] == one.operator[0] and other.operator[0] in "<>"
        ]
        tighter = [other for other in rivals if _is_tighter(other, one)]
        if not tighter:
            kept.append(one)
    return SpecifierSet(",".join(map(str, kept)))


def _is_tighter(one: Specifier, than: Specifier) -> bool:
    """Whether one border of a pair on the same side admits less; of `<2` and `<=2` the first does."""
    mine, other = Version(one.version), Version(than.version)
    if mine == other:
        # Of two that say the same the one counts whose text comes first: <2 before <2.0.0.
        return (len(one.operator), one.version) < (len(than.operator), than.version)
    return mine > other if one.operator[0] == ">" else mine < other


def mending(
    facts: Facts, dependency: str, extra: SpecifierSet | None = None, keep: Sequence[str] = ANCHORS
) -> tuple[str, ...]:
    """What to hand to the installer in one run so that a distribution fits those that need it.

    Where all of them agree on a range that is the requirement. Where they do not, the frameworks' ranges count, and
    those that contradict them are named as well, so that the installer looks for releases of theirs that fit.

    Args:
        facts: of the interpreter.
        dependency: what to bring into range.
        extra: a range that no metadata tells.
        keep: names whose needs count first.
    """
    asked = [need for need in needs(facts) if need.dependency == dependency]
    asked.sort(key=lambda need: (need.dependant.name not in keep, not need.dependant.requested))
    chosen = extra or SpecifierSet()
    others = []
    for need in asked:
        if possible(chosen & need.specifier):
            chosen &= need.specifier
        else:
            others.append(need.dependant.name)
    return (f"{dependency}{narrowed(chosen)}", *dict.fromkeys(others))


def moving(
    facts: Facts, dependant: str, anchor: Distribution, extra: SpecifierSet | None = None
) -> tuple[str, ...]:
    """What to hand to the installer so that a distribution fits a framework which stays as it is."""
    asked = common_range(facts, dependant) & (extra or SpecifierSet())
    return (f"{dependant}{asked}" if possible(asked) else dependant, f"{anchor.name}=={anchor.version}")


def names(complaint: Complaint, *modules: str) -> bool:
    """Whether the message of an exception of this interpreter names one of these modules."""
    wanted = "|".join(map(re.escape, modules))
    return complaint.here and bool(re.search(rf"(?<![\w.])(?:{wanted})(?![\w-])", complaint.message))


def environment(name: str, version: str) -> Step:
    """The environment with a framework's release or line: a shipped profile's, else that of a profile of one line."""
    line = minor_version(version)
    if name in TENSORFLOWS and line in SHIPPED_LINES:
        return Step("up", (f"builtin:tf-{line}",))
    framework, called = ("tensorflow", f"tf-{line}") if name in TENSORFLOWS else (name, f"{name}-{line}")
    return Step("up", (f"{called}.yaml", f'{{name: {called}, stack: {{{framework}: "{version}"}}}}'))


def touches(complaint: Complaint, *modules: str) -> bool:
    """Whether an exception of this interpreter came by way of modules, or names one of them."""
    by_way = complaint.here and any(f"/{module}/" in complaint.text for module in modules)
    return by_way or names(complaint, *modules)


def explained(facts: Facts, *modules: str) -> tuple[str, ...]:
    """The sources of the complaints that `touches` modules."""
    return tuple(one.source for one in facts.complaints if touches(one, *modules))
