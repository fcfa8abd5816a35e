"""Which TensorFlow a source means, and what to have where that cannot be had. Pure but for the files of facts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import Version

from colabenv.frameworks import as_of
from colabenv.frameworks.facts import Release, Table
from colabenv.host.interpreters import minor_version
from colabenv.importers import distribution_names
from colabenv.importers.distribution_names import BUILDABLE
from colabenv.importers.findings import Findings
from colabenv.importers.outputs import Seen
from colabenv.profile.validators import parse_specifier

#: Names under which the index has, or had, TensorFlow.
TENSORFLOWS: Final = frozenset(
    {"tensorflow", "tensorflow-gpu", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos"}
    | {"tensorflow-cpu-aws"}
)
#: What TensorFlow 1 has and TensorFlow 2 does not, in code ("Migrate from TensorFlow 1.x to TensorFlow 2").
_TF1: Final = re.compile(
    r"%tensorflow_version 1|\btf(?:\.compat\.v1)?\.contrib\.|tensorflow\.contrib|\btf\.Session\("
    r"|\btf\.placeholder\(|\btf\.get_variable\(|\btf\.global_variables_initializer\(|\btf\.app\.flags"
)
_COMPAT: Final = re.compile(r"tensorflow\.compat\.v1|disable_v2_behavior|tf\.compat\.v1")
#: What TensorFlow 2.15 and Keras 2.15 still have, and later ones do not ("Migrating Keras 2 code to Keras 3").
_KERAS2: Final = re.compile(
    r"layers\.experimental\.preprocessing|\btf\.estimator\.|\.fit_generator\(|TF_USE_LEGACY_KERAS"
)
#: TensorFlow that the table does not hold, and that works with these packages. 2.2.3 and 2.3.4 were built and proven
#: on Python 3.8 with them in November 2026.
OLDEST: Final = "2.2"
OLD_PYTHON: Final = "3.8"
OLD_PACKAGES: Final = ("protobuf<3.21", "setuptools<81")
#: Where code of TensorFlow 1 is best off.
_FOR_TF1: Final = "2.15"


@dataclass(frozen=True)
class Choice:
    """A TensorFlow.

    Attributes:
        text: the profile's value.
        why: the comment.
        release: the newest release of the table that it means, or None where the table has none.
        notes: what the person should know.
        python: the Python that it needs, or "".
        packages: what it needs besides.
        cpu_only: why it goes without a GPU, or "".
    """

    text: str
    why: str
    release: Release | None
    notes: tuple[str, ...] = ()
    python: str = ""
    packages: tuple[str, ...] = ()
    cpu_only: str = ""


def choose(
    asked: str, why: str, findings: Findings, table: Table, others: Mapping[str, SpecifierSet] | None = None
) -> Choice:
    """The TensorFlow of a source that needs one.

    Args:
        asked: the PEP 440 specifier that it names, "" for any.
        why: where it does so.
        findings: what else it tells.
        table: the facts.
        others: what it asks of other packages, by canonical name; of a range the newest that goes with them is taken.
    """
    named = SpecifierSet(asked)
    if named:
        return _named(named, f"{why} asks for tensorflow{named}", findings, table, others or {})
    shown = [one for one in findings.seen if one.name in TENSORFLOWS]
    if shown:
        last = shown[-1]
        how = "pip installed" if last.how == "installed" else "it had"
        pin = SpecifierSet(f"=={last.version}")
        return _named(pin, f"{last.place}: {how} {last.version}", findings, table, {})
    return _guessed(findings, table)


def _guessed(findings: Findings, table: Table) -> Choice:
    """The TensorFlow of a source that shows none: by its code, the day, its Keras, its Python."""
    if _TF1.search(findings.code) and not _COMPAT.search(findings.code):
        return _tensorflow_1("the code is written for TensorFlow 1", table)
    if findings.day and (line := newest_line(findings.day.day, table)):
        return _of_table(line, f"a guess: the newest of {findings.day.day}, when it ran", table)
    keras = [one for one in findings.seen if one.name == "keras"]
    if keras and Version(keras[-1].version).major == 2:
        return _with_keras_2(keras[-1], table)
    if _KERAS2.search(findings.code):
        why = "a guess: the code is written for Keras 2, and this is the last that has it"
        return _of_table(_FOR_TF1, why, table)
    return _by_python(findings, table)


def backend_in(code: str) -> str:
    """The backend of Keras that code sets in KERAS_BACKEND, if it is another than TensorFlow; the last one counts."""
    found: list[str] = re.findall(r"KERAS_BACKEND\W{1,9}(jax|torch|tensorflow)\b", code)
    return found[-1] if found and found[-1] != "tensorflow" else ""


def _with_keras_2(seen: Seen, table: Table) -> Choice:
    """The TensorFlow for a Keras 2: from 2.4 on the two have the same number."""
    line = _line(seen.version)
    why = f"a guess: {seen.place}: it had Keras {seen.version}"
    if any(one.line == line for one in table.releases):
        return _of_table(line, why, table)
    return _of_table(_FOR_TF1, f"{why}, and this is the last that has Keras 2", table)


def newest_line(day: str, table: Table) -> str:
    """The newest minor line of which a release was there on a day; "" for a day before all of the table."""
    known = as_of.days()["tensorflow"]
    there = [one for one in table.releases if known.get(one.version, "9") <= day]
    return there[-1].line if there else ""


def was_there(text: str, day: str) -> bool:
    """Whether a release that a value of the profile admits was out on a day; one of no known day counts as out."""
    allowed = SpecifierSet(parse_specifier(text))
    days = [came for release, came in as_of.days()["tensorflow"].items() if allowed.contains(release)]
    return not days or min(days) <= day


def _by_python(findings: Findings, table: Table) -> Choice:
    """By the Python that it ran on, which need not be one that colabenv builds."""
    for hint in findings.pythons:
        if not re.match(r"[23]\.[0-9]", hint.text):
            continue
        minor = minor_version(hint.text)
        fitting = [one for one in table.releases if minor in _all_pythons(one)]
        if fitting:
            why = f"a guess: nothing names a version; this is the newest that runs on its Python, {hint.text}"
            return _of_table(fitting[-1].line, why, table)
        if Version(minor) < Version("3.6"):
            return _of_table(
                _FOR_TF1, "a guess: its Python is older than Keras 3; the last with Keras 2", table
            )
    newest = table.releases[-1].line
    return _of_table(newest, "a guess: nothing names a version, and this is the newest", table)


def _all_pythons(release: Release) -> tuple[str, ...]:
    return distribution_names.pythons_for("tensorflow", release.version) or release.pythons


def _of_table(text: str, why: str, table: Table) -> Choice:
    """The choice of a value as the profile has it."""
    allowed = SpecifierSet(parse_specifier(text))
    fitting = [one for one in table.releases if allowed.contains(one.version)]
    if not fitting:
        return Choice(text, why, None)
    release = fitting[-1]
    trouble = release.build.gpu_trouble
    notes = (_oldest_note(release, table),) if trouble or len(release.pythons) == 1 else ()
    return Choice(text, why, release, notes, cpu_only=f"it finds no GPU: {trouble}" if trouble else "")


def _oldest_note(release: Release, table: Table) -> str:
    """That an old release can be had, why hardly an older one can, and which is the first with a GPU."""
    pythons = distribution_names.pythons_for("tensorflow", release.version) or release.pythons
    before = distribution_names.pythons_for("tensorflow", "2.1.0") or ()
    gpu = next(one.line for one in table.releases if not one.build.gpu_trouble)
    more = f" With a GPU, {gpu} is the oldest." if release.build.gpu_trouble else ""
    return (
        f"TensorFlow {release.line} can be had: it has wheels for Python {_span(pythons)}, and of these colabenv "
        f"builds {release.pythons[-1]}. The oldest that can be had is {OLDEST}: before it, wheels are for Python "
        f"{_span(before)} only.{more}"
    )


def _named(
    named: SpecifierSet, why: str, findings: Findings, table: Table, others: Mapping[str, SpecifierSet]
) -> Choice:
    """The TensorFlow for a specifier that names one."""
    first = _release(table.releases[0].line)
    pins = [_bare(one) for one in named if one.operator in ("==", "===") or _is_series(one)]
    if pins:
        old = Version(pins[0]).release < first
        return _older(pins[0], why, table) if old else _pinned(pins[0], named, why, table)
    fitting = [one for one in table.releases if named.contains(one.version)]
    if not fitting:
        uppers = [Version(_bare(one)) for one in named if one.operator in ("<", "<=")]
        if uppers and min(uppers).release <= first:
            return _below(min(uppers), why, table)
        return Choice(str(named), why, None)
    line = newest_line(findings.day.day, table) if findings.day else ""
    if findings.day and line in {one.line for one in fitting}:
        return _of_table(line, f"{why}; this is the newest of {findings.day.day}, when it ran", table)
    going = [one for one in fitting if all(_goes(one, name, asked) for name, asked in others.items())]
    if going and going[-1].line != fitting[-1].line:
        return _of_table(
            going[-1].line, f"{why}; of these it is the newest that goes with the other pins", table
        )
    return _of_table(str(named), f"{why}; the newest that fits is {fitting[-1].version}", table)


def _goes(release: Release, name: str, asked: SpecifierSet) -> bool:
    """Whether some release of a package that is asked for is one that TensorFlow takes, as far as facts tell."""
    own = release.takes(name)
    if own is None or not asked:
        return True
    pins = [_bare(one) for one in asked if one.operator == "=="]
    known = pins or [first for first in distribution_names.wheels().get(name, {}) if asked.contains(first)]
    return not known or any(own.contains(version) for version in known)


def _below(upper: Version, why: str, table: Table) -> Choice:
    """What to have where everything from `upper` on is excluded, which is all of the table."""
    if upper.release <= (2,):
        return _tensorflow_1(why, table)
    return _older(f"{upper.major}.{max(0, upper.minor - 1)}", why, table)


def _is_series(one: Specifier) -> bool:
    """Whether it is like `~=2.15.1`, which admits releases of 2.15 only."""
    return one.operator == "~=" and len(_release(one.version)) > 2


def _bare(one: Specifier) -> str:
    return one.version.removesuffix(".*")


def _pinned(version: str, named: SpecifierSet, why: str, table: Table) -> Choice:
    release = _release(version)
    line = _line(version)
    exact = [one for one in table.releases if Version(one.version) == Version(version)]
    series = len(release) < 3 or "~" in str(named)
    if not any(one.line == line for one in table.releases):
        newest = table.releases[-1].line
        return Choice(version, f"{why}; this colabenv knows TensorFlow up to {newest}", None)
    if series:
        return _of_table(line, f"{why}; this is the newest {line}", table)
    if not exact:
        return _of_table(line, f"{why}, which is not to be had; this is the newest {line}", table)
    return _of_table(exact[0].version, why, table)


def _older(version: str, why: str, table: Table) -> Choice:
    """What to have for a TensorFlow from before the table."""
    if _release(version)[0] < 2:
        return _tensorflow_1(why, table)
    asked = _line(version)
    line = max(asked, OLDEST, key=Version)
    known = table.releases[0].line
    note = (
        f"TensorFlow {line} is older than what colabenv knows well ({known} and newer), but its wheels for Python "
        f"{OLD_PYTHON} are still to be had. It runs on the CPU only."
    )
    if line != asked:
        pythons = distribution_names.pythons_for("tensorflow", f"{asked}.0") or ()
        note = (
            f"TensorFlow {asked} cannot be had: its wheels are for Python {_span(pythons)}, and colabenv builds "
            f"{_span(BUILDABLE)}. The oldest that can be had is {OLDEST}, on Python {OLD_PYTHON} and the CPU "
            "only; it comes nearest."
        )
        why = f"{why}, which cannot be had; this is the nearest"
    no_gpu = "no CUDA wheels go with this TensorFlow"
    return Choice(line, why, None, (note,), OLD_PYTHON, OLD_PACKAGES, no_gpu)


def _tensorflow_1(why: str, table: Table) -> Choice:
    pythons = distribution_names.pythons_for("tensorflow", "1.15.0") or ()
    notes = (
        f"TensorFlow 1 cannot be had: the wheels of 1.15, its last, are for Python {_span(pythons)}, and colabenv "
        f"builds {_span(BUILDABLE)}. The oldest TensorFlow that can be had is {OLDEST}, on Python {OLD_PYTHON}.",
        f"TensorFlow {_FOR_TF1} runs most code of TensorFlow 1 when it begins with `import tensorflow.compat.v1 as "
        "tf` and `tf.disable_v2_behavior()`; it has Keras 2 and wheels for GPUs. What stood in tf.contrib is gone.",
    )
    chosen = _of_table(_FOR_TF1, f"{why}, which cannot be had; this is the nearest", table)
    return replace(chosen, notes=notes)


def _line(version: str) -> str:
    release = (*_release(version), 0)
    return f"{release[0]}.{release[1]}"


def _release(text: str) -> tuple[int, ...]:
    return Version(text).release


def _span(pythons: tuple[str, ...]) -> str:
    return f"{pythons[0]} to {pythons[-1]}" if len(pythons) > 1 else "".join(pythons)
