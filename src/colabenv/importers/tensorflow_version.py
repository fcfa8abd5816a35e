"""Choose the TensorFlow of a source, or the closest one that is available."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import Version

from colabenv.frameworks import as_of, keras
from colabenv.frameworks.facts import Table, TensorFlowRelease
from colabenv.host.interpreters import minor_version
from colabenv.importers import distribution_names
from colabenv.importers.distribution_names import BUILDABLE
from colabenv.importers.evidence import Evidence
from colabenv.importers.outputs import SeenVersion
from colabenv.profile.validators import parse_specifier

#: Distributions of TensorFlow on the package index, today or in the past.
TENSORFLOWS: Final = frozenset(
    {"tensorflow", "tensorflow-gpu", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos"}
    | {"tensorflow-cpu-aws"}
)
#: Code that works with TensorFlow 1 only ("Migrate from TensorFlow 1.x to TensorFlow 2").
_TF1_CODE: Final = re.compile(
    r"%tensorflow_version 1|\btf(?:\.compat\.v1)?\.contrib\.|tensorflow\.contrib|\btf\.Session\("
    r"|\btf\.placeholder\(|\btf\.get_variable\(|\btf\.global_variables_initializer\(|\btf\.app\.flags"
)
_COMPAT_CODE: Final = re.compile(r"tensorflow\.compat\.v1|disable_v2_behavior|tf\.compat\.v1")
#: Code that works up to TensorFlow 2.15 and Keras 2.15 only ("Migrating Keras 2 code to Keras 3").
_KERAS2_CODE: Final = re.compile(
    r"layers\.experimental\.preprocessing|\btf\.estimator\.|\.fit_generator\(|TF_USE_LEGACY_KERAS"
)
#: The last release with Keras 2.
_LAST_KERAS_2: Final = "2.15"
_LAST_TENSORFLOW_1: Final = "1.15"


@dataclass(frozen=True)
class TensorFlowChoice:
    """A version of TensorFlow."""

    text: str  #: the value for the profile
    why: str  #: its comment
    release: TensorFlowRelease | None  #: the newest matching release of the table, or None
    notes: tuple[str, ...] = ()  #: notes for the user
    cpu_only: str = ""  #: why it cannot use a GPU, or ""


def choose_tensorflow(
    specifier: str,
    why: str,
    evidence: Evidence,
    table: Table,
    others: Mapping[str, SpecifierSet] | None = None,
) -> TensorFlowChoice:
    """Choose the TensorFlow of a source that requests a PEP 440 `specifier`, or "", at the place `why`.

    `others` has the versions of other packages by canonical name, which narrow a range.
    """
    if requested := SpecifierSet(specifier):
        return _choose_requested(
            requested, f"{why} installs tensorflow{requested}", evidence, table, others or {}
        )
    versions = [seen for seen in evidence.seen if seen.name in TENSORFLOWS]
    if versions:
        seen = versions[-1]
        verb = "installed" if seen.how == "installed" else "shown"
        why = f"{seen.version} is {verb} in the output of {seen.location}"
        return _choose_requested(SpecifierSet(f"=={seen.version}"), why, evidence, table, {})
    return _guess(evidence, table)


def _guess(evidence: Evidence, table: Table) -> TensorFlowChoice:
    """Guess from the code, the day of the last run, Keras, and Python, in this order."""
    if _TF1_CODE.search(evidence.code) and not _COMPAT_CODE.search(evidence.code):
        return _choose_from_table(
            _LAST_TENSORFLOW_1,
            "a guess: the code is written for TensorFlow 1, and this is its last release",
            table,
        )
    if evidence.day and (line := find_newest_line(evidence.day.day, table)):
        why = f"a guess: the newest TensorFlow on {evidence.day.day}, the day of the last run"
        return _choose_from_table(line, why, table)
    seen = [each for each in evidence.seen if each.name == "keras"]
    if seen and Version(seen[-1].version).major == 2:
        return _match_keras_2(seen[-1], table)
    if _KERAS2_CODE.search(evidence.code):
        why = "a guess: the code is written for Keras 2, and this is the last TensorFlow that has it"
        return _choose_from_table(_LAST_KERAS_2, why, table)
    return _match_python(evidence, table)


def find_keras_backend(code: str) -> str:
    """The value that code last sets KERAS_BACKEND to, or "" for TensorFlow or none."""
    backends: list[str] = re.findall(r"KERAS_BACKEND\W{1,9}(jax|torch|tensorflow)\b", code)
    return backends[-1] if backends and backends[-1] != "tensorflow" else ""


def _match_keras_2(seen: SeenVersion, table: Table) -> TensorFlowChoice:
    """The newest TensorFlow that a Keras 2 runs on; the last TensorFlow 1 for one that is older than the table."""
    why = f"a guess: Keras {seen.version} is shown in the output of {seen.location}"
    line = _minor_line(seen.version)
    fitting = [
        release.line
        for release in table.releases
        if (release.line == line and Version(line) >= Version("2.4"))
        or keras.find_separate_keras(release, SpecifierSet(f"=={seen.version}"), table)
    ]
    return _choose_from_table(fitting[-1] if fitting else _LAST_TENSORFLOW_1, why, table)


def find_newest_line(day: str, table: Table) -> str:
    """The newest minor line released by a day, or "" if the table starts later."""
    days = as_of.load_release_days()["tensorflow"]
    released = [release for release in table.releases if days.get(release.version, "9") <= day]
    return released[-1].line if released else ""


def was_released(text: str, day: str) -> bool:
    """Whether a matching release existed on a day; true if no release day is known."""
    specifier = SpecifierSet(parse_specifier(text))
    days = [
        date
        for version, date in as_of.load_release_days()["tensorflow"].items()
        if specifier.contains(version)
    ]
    return not days or min(days) <= day


def _match_python(evidence: Evidence, table: Table) -> TensorFlowChoice:
    """The newest TensorFlow for the source's Python, even if colabenv does not build that Python."""
    for hint in evidence.pythons:
        if not re.match(r"[23]\.[0-9]", hint.text):
            continue
        minor = minor_version(hint.text)
        matching = [release for release in table.releases if minor in _all_pythons(release)]
        if matching:
            why = f"a guess: the newest TensorFlow for the source's Python, {hint.text}"
            return _choose_from_table(matching[-1].line, why, table)
        if Version(minor) < Version("3.6"):
            why = "a guess: the source's Python is older than Keras 3; the last TensorFlow with Keras 2"
            return _choose_from_table(_LAST_KERAS_2, why, table)
    newest = table.releases[-1].line
    return _choose_from_table(
        newest, "a guess: the newest TensorFlow, because the source does not say", table
    )


def _all_pythons(release: TensorFlowRelease) -> tuple[str, ...]:
    return distribution_names.find_pythons("tensorflow", release.version) or release.pythons


def _choose_from_table(text: str, why: str, table: Table) -> TensorFlowChoice:
    """The choice for a profile's value."""
    specifier = SpecifierSet(parse_specifier(text))
    matching = [release for release in table.releases if specifier.contains(release.version)]
    if not matching:
        return TensorFlowChoice(text, why, None)
    release = matching[-1]
    trouble = release.build.gpu_trouble
    notes = (_note_gpu(release, table),) if trouble else ()
    cpu_only = f"a GPU would not be found: {trouble}" if trouble else ""
    return TensorFlowChoice(text, why, release, notes, cpu_only=cpu_only)


def _note_gpu(release: TensorFlowRelease, table: Table) -> str:
    """A note that a release has no GPU support, with the oldest that has."""
    first_gpu = next(item.line for item in table.releases if not item.build.gpu_trouble)
    return f"TensorFlow {release.line} runs on the CPU. The oldest release with GPU support is {first_gpu}."


def _choose_requested(
    requested: SpecifierSet, why: str, evidence: Evidence, table: Table, others: Mapping[str, SpecifierSet]
) -> TensorFlowChoice:
    """The TensorFlow for a requested specifier."""
    first = _release(table.releases[0].line)
    pins = [_bare_version(item) for item in requested if item.operator in ("==", "===") or _is_series(item)]
    if pins:
        older = Version(pins[0]).release < first
        return (
            _choose_oldest(f" {pins[0]}", why, table)
            if older
            else _choose_pinned(pins[0], requested, why, table)
        )
    matching = [release for release in table.releases if requested.contains(release.version)]
    if not matching:
        uppers = [Version(_bare_version(item)) for item in requested if item.operator in ("<", "<=")]
        below = uppers and min(uppers).release <= first
        return (
            _choose_oldest(str(requested), why, table)
            if below
            else TensorFlowChoice(str(requested), why, None)
        )
    line = find_newest_line(evidence.day.day, table) if evidence.day else ""
    if evidence.day and line in {release.line for release in matching}:
        why = f"{why}; the newest on {evidence.day.day}, the day of the last run"
        return _choose_from_table(line, why, table)
    compatible = [
        release
        for release in matching
        if all(_accepts(release, name, specifier) for name, specifier in others.items())
    ]
    if compatible and compatible[-1].line != matching[-1].line:
        why = f"{why}; the newest that is compatible with the other pins"
        return _choose_from_table(compatible[-1].line, why, table)
    return _choose_from_table(str(requested), f"{why}; the newest match is {matching[-1].version}", table)


def _accepts(release: TensorFlowRelease, name: str, specifier: SpecifierSet) -> bool:
    """Whether TensorFlow accepts some version that matches a specifier; true if nothing is known."""
    compatible = release.takes(name)
    if compatible is None or not specifier:
        return True
    pins = [_bare_version(item) for item in specifier if item.operator == "=="]
    known = distribution_names.load_wheel_pythons().get(name, {})
    versions = pins or [version for version in known if specifier.contains(version)]
    return not versions or any(compatible.contains(version) for version in versions)


def _is_series(item: Specifier) -> bool:
    """Whether a specifier is like `~=2.15.1`, which matches only releases of 2.15."""
    return item.operator == "~=" and len(_release(item.version)) > 2


def _bare_version(item: Specifier) -> str:
    return item.version.removesuffix(".*")


def _choose_pinned(version: str, requested: SpecifierSet, why: str, table: Table) -> TensorFlowChoice:
    line = _minor_line(version)
    if not any(release.line == line for release in table.releases):
        newest = table.releases[-1].line
        why = f"{why}; this version of colabenv knows TensorFlow up to {newest}"
        return TensorFlowChoice(version, why, None)
    if len(_release(version)) < 3 or "~" in str(requested):
        return _choose_from_table(line, f"{why}; this is the newest {line}", table)
    exact = [release for release in table.releases if Version(release.version) == Version(version)]
    if not exact:
        why = f"{why}; not available, so this is the newest {line}"
        return _choose_from_table(line, why, table)
    return _choose_from_table(exact[0].version, why, table)


def _choose_oldest(requested: str, why: str, table: Table) -> TensorFlowChoice:
    """The choice for a TensorFlow older than the table."""
    oldest = table.releases[0]
    note = (
        f"TensorFlow{requested} is not available: its wheels are for older Pythons than {BUILDABLE[0]}. The closest "
        f"available release is {oldest.line}, on Python {oldest.pythons[-1]} and the CPU."
    )
    choice = _choose_from_table(oldest.line, f"{why}; not available, so this is the closest", table)
    return replace(choice, notes=(note,))


def _minor_line(version: str) -> str:
    release = (*_release(version), 0)
    return f"{release[0]}.{release[1]}"


def _release(text: str) -> tuple[int, ...]:
    return Version(text).release
