"""Choose the TensorFlow of a source: each piece of evidence narrows the table's releases, and the newest is taken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from packaging.specifiers import InvalidSpecifier, Specifier, SpecifierSet
from packaging.version import Version

from colabenv.frameworks import as_of, keras
from colabenv.frameworks.facts import Table, TensorFlowRelease
from colabenv.frameworks.runtimes import load_runtime
from colabenv.host.interpreters import minor_version
from colabenv.importers import companions, distribution_names, eras
from colabenv.importers.api_evidence import ApiUse, find_api_uses, find_keras_2_use, find_requested_major
from colabenv.importers.companions import list_pins
from colabenv.importers.evidence import Evidence
from colabenv.importers.outputs import SeenVersion
from colabenv.importers.packages import RequestedPackage
from colabenv.profile import times
from colabenv.profile.validators import parse_specifier

#: Distributions of TensorFlow on the package index, today or in the past.
TENSORFLOWS: Final = frozenset(
    {"tensorflow", "tensorflow-gpu", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos"}
    | {"tensorflow-cpu-aws", "tf-nightly", "tf-nightly-gpu", "tf-nightly-cpu"}
)
# Keras 2 with TensorFlow 2.16 and newer, which the last release with Keras 2 of its own runs as well.
_LEGACY_KERAS: Final = re.compile(r"TF_USE_LEGACY_KERAS")

#: The TensorFlows whose `tf.keras.__version__` has another number than their own.
_LINES_OF_TF_KERAS: Final = {
    "2.2": ("1.13", "1.14", "1.15", "2.0", "2.1"),
    "2.3": ("2.2",),
    "2.4": ("2.3", "2.4"),
}

Releases = list[TensorFlowRelease]


@dataclass(frozen=True)
class Constraint:
    """What a piece of evidence says about the version of TensorFlow.

    Attributes:
        narrow: the releases, oldest first, that it leaves of those given; empty if it contradicts earlier evidence.
        why: the evidence, as part of a sentence.
        problem: what to tell the user if it contradicts earlier evidence, or "".
        is_guess: it names no version of TensorFlow.
    """

    narrow: Callable[[Releases], Releases]
    why: str
    problem: str = ""
    is_guess: bool = True


@dataclass(frozen=True)
class TensorFlowChoice:
    """A version of TensorFlow."""

    text: str  #: the value for the profile
    why: str  #: its comment
    release: TensorFlowRelease | None  #: the newest matching release of the table; None if the table has none
    notes: tuple[str, ...] = ()  #: notes for the user
    cpu_only: str = ""  #: why it cannot use a GPU, or ""


@dataclass
class _Request:
    """The TensorFlow that a source requests or shows, and what the table has of it."""

    specifier: SpecifierSet
    why: str
    table: Table
    pin: str = field(init=False, default="")
    releases: Releases = field(init=False)  #: the matching ones, else those of the closest line
    missing: str = field(init=False, default="")  #: the version that the table does not have, or ""

    def __post_init__(self) -> None:
        pins = [
            _strip_star(item) for item in self.specifier if item.operator in ("==", "===") or _is_series(item)
        ]
        self.pin = pins[0] if pins else ""
        matching = [each for each in self.table.releases if self.specifier.contains(each.version)]
        if not matching and pins:
            matching = [each for each in self.table.releases if each.line == _minor_line(pins[0])]
        self.releases = matching
        if not matching:
            bounds = [
                _strip_star(item)
                for item in self.specifier
                if item.operator in ("<", "<=", "==", "===", "~=")
            ]
            first = Version(self.table.releases[0].version)
            if bounds and min(map(Version, bounds)) <= first:
                self.missing = min(bounds, key=Version)
                line = self.table.releases[0].line
                self.releases = [each for each in self.table.releases if each.line == line]

    @property
    def is_unknown(self) -> bool:
        """Whether it is newer than the table."""
        return not self.releases

    @property
    def is_exact(self) -> bool:
        """Whether it names one release of the table."""
        return len(self.releases) == 1 and len(_release(self.pin or "0")) > 2 and not self.missing

    def describe(self) -> str:
        """The request as part of a sentence, with what is taken instead."""
        if self.missing:
            return f"{self.why}; not available, so this is the closest"
        if self.pin and not self.is_exact:
            given = Version(self.pin)
            series = len(given.release) < 3 or "~" in str(self.specifier) or "*" in str(self.specifier)
            state = "" if series else "not available, so "
            return f"{self.why}; {state}this is the newest {_minor_line(self.pin)}"
        return self.why


def choose_tensorflow(
    specifier: str,
    why: str,
    evidence: Evidence,
    table: Table,
    packages: Mapping[str, RequestedPackage] | None = None,
) -> TensorFlowChoice:
    """Choose the TensorFlow of a source that requests a PEP 440 `specifier`, or "", at the place `why`.

    `packages` are the other packages by canonical name; they narrow the choice.
    """
    request = _find_request(specifier, why, evidence, table)
    if request and request.is_unknown:
        newest = table.releases[-1].line
        pinned = request.pin or str(request.specifier)
        return TensorFlowChoice(
            pinned, f"{request.why}; this version of colabenv knows TensorFlow up to {newest}", None
        )
    candidates = [release for release in table.releases if release.pythons]
    newest_match = ""
    reasons: list[str] = []
    problems: list[str] = []
    is_guess = True
    for constraint in _list_constraints(request, evidence, packages or {}, table):
        fitting = constraint.narrow(candidates)
        if not fitting:
            problems += [constraint.problem] if constraint.problem else []
            continue
        if not constraint.is_guess:
            newest_match = fitting[-1].version
            is_guess = False
        if fitting[-1] is not candidates[-1] or not constraint.is_guess:
            reasons.append(constraint.why)
        candidates = fitting
    release = candidates[-1]
    text, reason = _write_version(request, release, newest_match)
    explanation = (
        "; ".join([*reasons, *reason][:4]) or "the newest TensorFlow, because the source does not say"
    )
    notes = (*_note_limits(request, release, table), *problems)
    trouble = release.build.gpu_trouble
    return TensorFlowChoice(
        text,
        f"a guess: {explanation}" if is_guess else explanation,
        release,
        notes,
        f"a GPU would not be found: {trouble}" if trouble else "",
    )


def _write_version(
    request: _Request | None, release: TensorFlowRelease, newest_match: str
) -> tuple[str, list[str]]:
    """The value for the profile, and a further reason."""
    if request and request.is_exact:
        return release.version, []
    if request and not request.pin and not request.missing and release.version == newest_match:
        return str(request.specifier), [f"the newest match is {release.version}"]
    return release.line, []


def _find_request(specifier: str, why: str, evidence: Evidence, table: Table) -> _Request | None:
    """The version that the source requests, else the one that an output shows."""
    requested = SpecifierSet(specifier)
    seen = [each for each in evidence.seen if each.name in TENSORFLOWS]
    if requested:
        return _Request(_drop_development(requested), f"{why} installs tensorflow{requested}", table)
    if seen:
        verb = "installed" if seen[-1].how == "installed" else "shown"
        why = f"{seen[-1].version} is {verb} in the output of {seen[-1].location}"
        return _Request(_drop_development(SpecifierSet(f"=={Version(seen[-1].version)}")), why, table)
    return None


def _drop_development(requested: SpecifierSet) -> SpecifierSet:
    """The range with the final release for a nightly build or a release candidate."""
    parts = []
    for item in requested:
        plain = re.fullmatch(r"([0-9]+(?:\.[0-9]+)*)[.-]?(?:dev|rc|a|b)[0-9]*", item.version)
        parts.append(f"{item.operator}{'.'.join(plain[1].split('.')[:2])}" if plain else str(item))
    try:
        return SpecifierSet(",".join(parts))
    except InvalidSpecifier:
        return requested


def _list_constraints(
    request: _Request | None, evidence: Evidence, packages: Mapping[str, RequestedPackage], table: Table
) -> Iterator[Constraint]:
    """What the evidence says, the most reliable first: later constraints count only if they agree with earlier ones."""
    if request:
        allowed = {release.version for release in request.releases}
        yield Constraint(
            lambda releases: [each for each in releases if each.version in allowed],
            request.describe(),
            is_guess=False,
        )
    pinned = {
        name: each for name, each in packages.items() if each.requirement.specifier and not each.guessed
    }
    yield from _list_companions(pinned, table)
    yield from _list_seen(evidence, packages, table)
    major, where = find_requested_major(evidence.usages)
    if major:
        yield _keep(lambda release: SpecifierSet(major).contains(release.version), where)
    yield from _list_api_constraints(evidence)
    if evidence.day:
        why = f"the newest on {evidence.day.day}, the day of the last run"
        yield Constraint(_released_by(evidence.day.day), why)
    yield from _list_package_constraints(pinned)
    yield from _list_companions({name: each for name, each in packages.items() if name not in pinned}, table)
    if evidence.runtime in times.RUNTIMES:
        line = _minor_line(load_runtime(evidence.runtime).cpu["tensorflow"])
        yield _keep(
            lambda release: release.line == line, f"the one of {evidence.runtime}, the notebook's runtime"
        )
    yield from _list_python_constraints(evidence)


def _keep(allows: Callable[[TensorFlowRelease], bool], why: str, problem: str = "") -> Constraint:
    return Constraint(lambda releases: list(filter(allows, releases)), why, problem)


def _list_companions(packages: Mapping[str, RequestedPackage], table: Table) -> Iterator[Constraint]:
    for name, package in packages.items():
        specifier = package.requirement.specifier
        shown = f"{name}{specifier}"
        where = (
            f"{package.why.removesuffix(' installs it')} installs "
            if package.why.endswith(" installs it")
            else ""
        )
        problem = (
            f"{shown} is for another TensorFlow. Change its version, or that of TensorFlow."
            if specifier
            else ""
        )
        if name in table.companions:
            problem = ""  # The framework rules report it.
        if name == "keras":
            if specifier:
                yield Constraint(_matches_keras(specifier, table), f"the one for {shown}")
        elif allows := companions.find_allowed(name, specifier, table):
            yield _keep(
                allows, f"{where}{shown}" if specifier else f"the newest with a release of {name}", problem
            )


def _matches_keras(specifier: SpecifierSet, table: Table) -> Callable[[Releases], Releases]:
    """Narrows to the releases that require such a Keras, else to those that it runs on, else to those with Keras 2."""
    runs_on = companions.find_allowed("keras", specifier, table)

    def narrow(releases: Releases) -> Releases:
        matches = {release.version: keras.match_keras(release, str(specifier), table) for release in releases}
        own = [
            each for each in releases if matches[each.version] == "own" and each.takes("keras") is not None
        ]
        separate = [each for each in releases if each.takes("keras") is None and runs_on and runs_on(each)]
        legacy = [each for each in releases if matches[each.version] == "legacy"]
        pins = list_pins(specifier)
        is_keras_2 = bool(legacy) or (bool(pins) and all(Version(pin).major < 3 for pin in pins))
        with_keras_2 = [each for each in releases if not keras.has_keras_3(each)]
        return own or separate or (with_keras_2 if is_keras_2 else []) or legacy

    return narrow


def _list_seen(
    evidence: Evidence, packages: Mapping[str, RequestedPackage], table: Table
) -> Iterator[Constraint]:
    """Constraints from versions of Keras and of companions that outputs show."""
    shown: dict[str, SeenVersion] = {}
    for seen in evidence.seen:
        if seen.name == "keras" or companions.is_companion(seen.name, table):
            shown[seen.name] = seen
    for name, seen in shown.items():
        why = f"{name} {seen.version} is shown in the output of {seen.location}"
        try:
            specifier = SpecifierSet(f"=={seen.version}")
        except InvalidSpecifier:
            continue
        requested = packages.get(name)
        if requested and requested.requirement.specifier and not requested.guessed:
            continue
        if name == "keras" and "keras" not in {item.top for item in evidence.imports}:
            lines = _LINES_OF_TF_KERAS.get(_minor_line(seen.version), (_minor_line(seen.version),))
            yield _keep(lambda release, lines=lines: release.line in lines, why)  # type: ignore[misc]
        elif name == "keras":
            yield Constraint(_matches_keras(specifier, table), why)
        elif allows := companions.find_allowed(name, specifier, table):
            yield _keep(allows, why)


def _list_api_constraints(evidence: Evidence) -> Iterator[Constraint]:
    """Constraints to the releases with the most of the names in the code, and to Keras 2 for libraries on it."""
    uses = [use for use in find_api_uses(evidence.usages) if use.package in ("tensorflow", "keras")]
    if uses:
        yield Constraint(lambda releases: _with_most_names(releases, uses), _explain_uses(uses))
    reason = "the code sets TF_USE_LEGACY_KERAS" if _LEGACY_KERAS.search(evidence.code) else ""
    if reason := reason or find_keras_2_use(evidence.usages):
        yield _keep(
            lambda release: not keras.has_keras_3(release), f"{reason}; the last with Keras 2 of its own"
        )


def _with_most_names(releases: Releases, uses: Sequence[ApiUse]) -> Releases:
    missing = [sum(not use.exists_in(release) for use in uses) for release in releases]
    return [release for release, count in zip(releases, missing, strict=True) if count == min(missing)]


def _explain_uses(uses: Sequence[ApiUse]) -> str:
    removed = [use for use in uses if use.removed_in]
    if not removed:
        return f"{uses[0].location} uses {uses[0].short_name}"
    first = min(
        removed,
        key=lambda use: (use.package != "tensorflow" or use.removed_in != "2", Version(use.removed_in)),
    )
    title = {"keras": "Keras"}.get(first.package, "TensorFlow")
    return f"{first.location} uses {first.short_name}, which {title} {first.removed_in} removed"


def _released_by(day: str) -> Callable[[Releases], Releases]:
    """Narrows to the releases that existed on a day; to the oldest line if there are none."""

    def narrow(releases: Releases) -> Releases:
        days = as_of.load_release_days()["tensorflow"]
        existing = [release for release in releases if days.get(release.version, "9") <= day]
        return existing or [release for release in releases if release.line == releases[0].line]

    return narrow


def _list_package_constraints(packages: Mapping[str, RequestedPackage]) -> Iterator[Constraint]:
    """Constraints from pinned packages: the versions that TensorFlow accepts, and a Python with wheels for all."""
    for name, package in packages.items():
        specifier = package.requirement.specifier
        if name != "keras":
            yield _keep(
                lambda release, name=name, specifier=specifier: _accepts(release, name, specifier),  # type: ignore[misc]
                "the newest that is compatible with the other pins",
            )
    for name, package in packages.items():
        pythons = distribution_names.find_pythons_for_range(name, package.requirement.specifier)
        if pythons:
            yield _keep(
                lambda release, pythons=pythons: bool(set(release.pythons) & set(pythons)),  # type: ignore[misc]
                f"the newest with a Python that {name}{package.requirement.specifier} has wheels for",
            )


def _accepts(release: TensorFlowRelease, name: str, specifier: SpecifierSet) -> bool:
    """Whether TensorFlow accepts some version that matches a specifier; true if nothing is known."""
    compatible = release.takes(name)
    if compatible is None or not specifier:
        return True
    known = distribution_names.load_wheel_pythons().get(name, {})
    versions = list_pins(specifier) or [version for version in known if specifier.contains(version)]
    return not versions or any(compatible.contains(version) for version in versions)


def _list_python_constraints(evidence: Evidence) -> Iterator[Constraint]:
    """Constraints from the source's Python: the time when it was in use, and its wheels."""
    for hint in evidence.pythons[:1]:
        day = eras.find_typical_day(hint.text)
        if day and not evidence.day:
            yield Constraint(_released_by(day), f"the newest of the time of Python {hint.text}, the source's")
        yield _keep(
            lambda release, text=hint.text: matches_python(text, _all_pythons(release)),  # type: ignore[misc]
            f"the newest for the source's Python, {hint.text}",
        )


def matches_python(text: str, pythons: Sequence[str]) -> bool:
    """Whether one of `pythons` is the minor of a version, or in a PEP 440 range."""
    return bool(select_pythons(text, pythons))


def select_pythons(text: str, pythons: Sequence[str]) -> list[str]:
    """Those of `pythons` that are the minor of a version, or in a PEP 440 range."""
    if re.fullmatch(r"[0-9.]+", text):
        return [python for python in pythons if python == minor_version(text)]
    try:
        specifier = SpecifierSet(text)
    except InvalidSpecifier:
        return []
    return [
        python for python in pythons if any(specifier.contains(f"{python}.{patch}") for patch in range(25))
    ]


def find_keras_backend(code: str) -> str:
    """The value that code last sets KERAS_BACKEND to, or "" for TensorFlow or none."""
    backends: list[str] = re.findall(r"KERAS_BACKEND\W{1,9}(jax|torch|tensorflow)\b", code)
    return backends[-1] if backends and backends[-1] != "tensorflow" else ""


def find_first_day(text: str) -> str:
    """The day of the first release that matches a profile's value; "" if none is known."""
    specifier = SpecifierSet(parse_specifier(text))
    days = as_of.load_release_days()["tensorflow"]
    return min((day for version, day in days.items() if specifier.contains(version)), default="")


def find_successor_day(release: TensorFlowRelease) -> str:
    """The day on which the next line appeared after a release's own line; "" for the newest line."""
    days = as_of.load_release_days()["tensorflow"]
    own = _release(release.line)
    first = find_first_day(release.line)
    later = [day for version, day in days.items() if _release(version)[:2] > own and day > first]
    return min(later, default="")


def _all_pythons(release: TensorFlowRelease) -> tuple[str, ...]:
    return distribution_names.find_pythons("tensorflow", release.version) or release.pythons


def _note_limits(request: _Request | None, release: TensorFlowRelease, table: Table) -> Iterator[str]:
    """Notes that a requested release is not available, and that a release has no GPU support."""
    if request and request.missing:
        yield (
            f"TensorFlow {_minor_line(request.missing)} is not available: the oldest release that colabenv supports is "
            f"{table.releases[0].line}, on Python {release.pythons[-1]}."
        )
    if trouble := release.build.gpu_trouble:
        first_gpu = next(each.line for each in table.releases if not each.build.gpu_trouble)
        yield (
            f"TensorFlow {release.line} runs on the CPU only: {trouble}. The oldest release with GPU support is "
            f"{first_gpu}."
        )


def _is_series(item: Specifier) -> bool:
    """Whether a specifier is like `~=2.15.1`, which matches only releases of 2.15."""
    return item.operator == "~=" and len(_release(item.version)) > 2


def _strip_star(item: Specifier) -> str:
    return item.version.removesuffix(".*").partition("+")[0]


def _minor_line(version: str) -> str:
    release = (*_release(version), 0)
    return f"{release[0]}.{release[1]}"


def _release(text: str) -> tuple[int, ...]:
    return Version(text).release
