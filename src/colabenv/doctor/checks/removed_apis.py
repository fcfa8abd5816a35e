"""Code for older releases: names, calls and libraries that newer releases do not support.

frameworks/removed_apis.toml lists what was removed and what replaced it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.code_edits import names_imported_in, replace_names
from colabenv.doctor.error_reports import evidence_of, sources_of
from colabenv.doctor.fixes import build_environment
from colabenv.doctor.missing_names import find_library, find_missing_names
from colabenv.doctor.model import ErrorReport, Facts, Finding, Fix
from colabenv.doctor.pins import exact_pins, expected_versions, install_lines
from colabenv.frameworks.removed_apis import RemovedName, RenamedCall, load_removed_apis, public_name
from colabenv.importers.name_usages import NameUsage

_TITLES: Final = {"keras": "Keras", "tensorflow": "TensorFlow", "numpy": "NumPy"}
_MOST_LINES: Final = 12
#: Modules of which nothing is left: an exception may name only them.
_REMOVED_MODULES: Final = {"keras.engine", "keras.layers.experimental", "keras.wrappers", "keras.api"}


@dataclass
class _Match:
    """Where one row of the table applies."""

    row: RemovedName
    names: list[str] = field(default_factory=list)  #: the old names in use, with everything below them
    lines: dict[str, str] = field(default_factory=dict)  #: each line of code and its location
    errors: list[ErrorReport] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)  #: modules of installed packages whose code it is

    def add(self, name: str, line: str, location: str) -> None:
        """Add one use of a name."""
        if name not in self.names:
            self.names.append(name)
        if line.strip():
            self.lines.setdefault(line.strip(), location)

    @property
    def new_name(self) -> str:
        """The new name of the first old name, or ""."""
        new = self.row.new_name(self.names[0])
        return new or (self.row.new if self.row.old.startswith(self.names[0] + ".") else "")


@rule("CE401")
def find_moved_names(facts: Facts) -> Iterator[Finding]:
    """A name has moved.

    The code uses a name from where an older release had it: `keras.utils.np_utils`, `keras.layers.core`,
    `keras.preprocessing.image.ImageDataGenerator`, `tf.Session`, `np.float`, and many more: `No module named …`,
    `cannot import name …` or `module … has no attribute …`. The finding shows the edit that fixes each line. An
    environment with a release that has the old name works as well.
    """
    for match in _find_matches(facts):
        if match.new_name and not match.libraries:
            yield _report_moved(match, facts)


@rule("CE402")
def find_removed_names(facts: Facts) -> Iterator[Finding]:
    """A name was removed without a replacement.

    The code uses a name that newer releases do not have: `tensorflow.contrib`, `tf.estimator`,
    `tf.compat.v1.layers` with Keras 3. The fix builds an environment with the last TensorFlow that has it, if
    colabenv can. Code for TensorFlow 1 has to be rewritten.
    """
    for match in _find_matches(facts):
        if match.new_name or match.libraries:
            continue
        version = match.row.last_tensorflow
        names = ", ".join(_shorten(match.names))
        state, it = ("does not exist", "it") if len(match.names) == 1 else ("do not exist", "them")
        yield Finding(
            f"{names} {state} in {_release(match.row.package, facts)}, and nothing replaces {it}.",
            _collect_evidence(match, facts),
            _explain(match.row),
            (build_environment("tensorflow", version, facts.notebook),) if version else (),
            explains=sources_of(match.errors),
        )


@rule("CE403")
def find_renamed_calls(facts: Facts) -> Iterator[Finding]:
    """A method or argument was renamed.

    A method or an argument has a new name: `predict_classes`, `fit_generator`, `Adam(lr=…)`,
    `keras.optimizers.legacy`, a weights file that has to end in `.weights.h5`. The finding shows the edit that
    fixes each line.
    """
    version = _version(facts, "keras")
    roots = {public_name(usage.name).split(".")[0] for usage in facts.usages}
    usages_of_keras = () if roots.isdisjoint({"keras", "tensorflow"}) else facts.usages
    for call in load_removed_apis().calls:
        is_removed = RemovedName("", removed_in=call.removed_in).is_missing_in(version)
        possible = facts.errors if is_removed else (error for error in facts.errors if not error.is_local)
        errors = [error for error in possible if _raises(call, error)]
        usages = [usage for usage in usages_of_keras if is_removed and call.is_used_by(usage.name)]
        if errors or usages:
            yield _report_call(call, errors, usages, facts)


@rule("CE404")
def find_outdated_libraries(facts: Facts) -> Iterator[Finding]:
    """A library was written for older releases.

    An installed library uses names that the installed TensorFlow, Keras or numpy does not have, so it cannot be
    imported, although its metadata accepts the versions. The fix is a newer release of the library, or an
    environment with the release that it was written for.
    """
    for match in _find_matches(facts):
        if not match.libraries:
            continue
        module = match.libraries[0]
        owner = next(iter(facts.owners(module)), None)
        package, version = _TITLES.get(match.row.package, match.row.package), match.row.last_tensorflow
        yield Finding(
            f"{owner or module} uses {match.names[0]}, which {_release(match.row.package, facts)} does not have.",
            (*_collect_evidence(match, facts), *((f"{owner}: {owner.info}",) if owner else ())),
            f"{module} was written for an older {package}. A newer release of it may support this one.",
            (build_environment("tensorflow", version),) if version else (),
            explains=sources_of(match.errors),
        )


def _find_matches(facts: Facts) -> list[_Match]:
    """The rows of the table that apply, in the order of the code."""
    matches: dict[str, _Match] = {}
    for error in facts.errors:
        library = find_library(error)
        for name in find_missing_names(error):
            row = _find_row(name, facts, is_local=error.is_local, failed=True)
            if row is None:
                continue
            group = _group(row) + (f" in {library}" if library else "")
            match = matches.setdefault(group, _Match(row))
            match.add(name, error.statement, error.source)
            match.errors.append(error)
            match.libraries += [library] if library and library not in match.libraries else []
            break
    for usage in facts.usages:
        name = public_name(usage.name)
        row = _find_row(name, facts, is_local=True) if "." in name else None
        if row is not None:
            matches.setdefault(_group(row), _Match(row)).add(name, usage.line, usage.location)
    return list(matches.values())


def _group(row: RemovedName) -> str:
    """What one finding is about: a row, or a whole module if it has hundreds of rows."""
    if row.new.startswith("tensorflow.compat.v1.") and row.package == "tensorflow":
        return "tensorflow.compat.v1"
    if row.old.startswith("keras.backend.") and row.new:
        return "keras.backend"
    return row.package if row.package == "numpy" else row.old


def _find_row(name: str, facts: Facts, *, is_local: bool, failed: bool = False) -> RemovedName | None:
    """The longest row for a name that the expected versions do not have."""
    keras_name = name.replace("tensorflow.keras.", "keras.", 1)
    for row in load_removed_apis().names:
        is_module = keras_name in _REMOVED_MODULES and row.old.startswith(keras_name + ".")
        applies = row.matches(name) or is_module
        if applies and (not is_local or _is_missing(row, name, facts, failed=failed)):
            return row
    return None


def _is_missing(row: RemovedName, name: str, facts: Facts, *, failed: bool) -> bool:
    """Whether the expected versions lack a name."""
    kind, _, module = row.package.partition(":")
    if kind == "module":
        return module not in facts.modules and canonicalize_name(module) not in exact_pins(facts)
    # With the variable, `tensorflow.keras` is tf-keras, which is Keras 2.
    is_legacy = facts.environ.get("TF_USE_LEGACY_KERAS") in {"1", "true", "True"}
    uses_tf_keras = row.package == "keras" and name.startswith("tensorflow.") and is_legacy
    version = _version(facts, "tf-keras" if uses_tf_keras else row.package)
    return row.is_missing_in(version, failed=failed) and bool(version or facts.notebook)


def _report_moved(match: _Match, facts: Facts) -> Finding:
    row = match.row
    release = _release(row.package, facts)
    names = _common_names(match)
    if len(names) == 1:
        summary = f"{names[0]} does not exist in {release}. Use {row.new_name(names[0]) or match.new_name}."
    else:
        summary = f"{', '.join(_shorten(names))} do not exist in {release}. The fixes show the new names."
    fixes = _edit_lines(match, facts)
    if row.requires and not facts.installed(Requirement(row.requires).name):
        fixes = (Fix("install", (row.requires,)), *fixes)
    return Finding(
        summary, _collect_evidence(match, facts), _explain(row), fixes, explains=sources_of(match.errors)
    )


def _common_names(match: _Match) -> list[str]:
    """The names to show: the one name in use, or what the row is about if several are."""
    if len(match.names) == 1:
        return match.names
    below = {name: match.row.part_below(name) for name in match.names}
    return list(
        dict.fromkeys(name.removesuffix(f".{part}") if part else name for name, part in below.items())
    )


def _report_call(
    call: RenamedCall, errors: list[ErrorReport], usages: list[NameUsage], facts: Facts
) -> Finding:
    lines = [*(error.statement for error in errors), *(usage.line.strip() for usage in usages)]
    edits = {
        line: new
        for line in lines
        if call.code_pattern and (new := re.sub(call.code_pattern, call.replacement, line)) != line
    } or dict([call.example])
    old = f" Keras before {call.removed_in} has the old name." if call.last_tensorflow else ""
    return Finding(
        f"{call.name[:1].upper()}{call.name[1:]} does not exist in {_release('keras', facts)}. "
        f"Use `{call.example[1]}`.",
        (*evidence_of(errors), *dict.fromkeys(evidence_of(usages[:_MOST_LINES]))),
        f"{call.note}{old}".strip() or "Keras renamed it long ago.",
        tuple(Fix("edit", pair) for pair in list(edits.items())[:_MOST_LINES]),
        explains=sources_of(errors),
    )


def _raises(call: RenamedCall, error: ErrorReport) -> bool:
    if not re.fullmatch(call.error_kind, error.kind) or not re.search(call.message_pattern, error.message):
        return False
    return error.kind != "KeyError" or bool(re.search(call.code_pattern, error.statement))


def _collect_evidence(match: _Match, facts: Facts) -> tuple[str, ...]:
    package = match.row.package
    installed = facts.installed(package)
    lines = [f"{location}: {line}" for line, location in match.lines.items()]
    more = [f"… and {len(lines) - _MOST_LINES} more lines"] if len(lines) > _MOST_LINES else []
    versions = [f"{installed}: {installed.info}"] if installed and installed.info else []
    without_installs = replace(facts, install_requests=())
    if _version(facts, package) != _version(without_installs, package) and package in install_lines(facts):
        versions = [install_lines(facts)[package]]
    return (*evidence_of(match.errors), *lines[:_MOST_LINES], *more, *versions) or (match.names[0],)


def _explain(row: RemovedName) -> str:
    parts = []
    if not row.package.startswith("module:") and row.removed_in != "0":
        restored = f", and {row.restored_in} has it again" if row.restored_in else ""
        parts.append(f"{_TITLES.get(row.package, row.package)} {row.removed_in} removed it{restored}.")
    parts.append(row.note)
    if row.last_tensorflow:
        parts.append(f"An environment with TensorFlow {row.last_tensorflow} has the old name.")
    return " ".join(filter(None, parts)) or "It was a separate package, and became a part of another one."


def _edit_lines(match: _Match, facts: Facts) -> tuple[Fix, ...]:
    """The edit of each line; without a line, of the names."""
    is_local = not match.errors or any(error.is_local for error in match.errors)

    def rename_once(name: str) -> str:
        row = _find_row(name, facts, is_local=is_local, failed=bool(match.errors))
        return row.new_name(name) if row is not None and row.matches(name) else ""

    def rename(name: str) -> str:
        current = name
        for _ in range(3):  # the new name of a private one may be an old name as well
            current = rename_once(current) or rename_once(public_name(current)) or current
        return current if current != name else ""

    aliases: dict[str, str] = {}
    for usage in facts.usages:
        aliases.update(names_imported_in(usage.line))
    edits = {}
    for line in match.lines:
        if _uses_import(line, aliases, match.row):
            continue  # the edit of the import is enough
        old = _backend_import(line, aliases) if match.row.old.startswith("keras.backend.") else ""
        new = old.replace("keras", "tensorflow.keras", 1) if old else replace_names(line, rename, aliases)
        if new != line:
            edits[old or line] = new
    if not edits:
        edits = {name: match.row.new_name(name) or match.new_name for name in match.names}
    return tuple(Fix("edit", pair) for pair in list(edits.items())[: 2 * _MOST_LINES])


def _uses_import(line: str, aliases: Mapping[str, str], row: RemovedName) -> bool:
    roots = re.findall(r"(?<![\w.])([A-Za-z_]\w*)\.", line) if "import" not in line else ()
    return any(root in aliases and row.matches(public_name(aliases[root])) for root in roots)


def _backend_import(line: str, aliases: Mapping[str, str]) -> str:
    """For `K.sum(x)` the import of K: editing that one line fixes all uses."""
    backend = next((name for name, module in aliases.items() if module == "keras.backend"), "K")
    if re.search(rf"(?<![\w.]){re.escape(backend)}\.\w", line) and "import" not in line:
        return "from keras import backend" + ("" if backend == "backend" else f" as {backend}")
    return ""


def _shorten(names: list[str]) -> list[str]:
    return names if len(names) < 5 else [*names[:3], f"{len(names) - 3} more"]


def _version(facts: Facts, package: str) -> str:
    return expected_versions(facts).get(package, "")


def _release(package: str, facts: Facts) -> str:
    """The release that the code runs with, as in "Keras 3.8.0"."""
    version = _version(facts, package)
    if package.startswith("module:"):
        return "newer releases"
    title = _TITLES.get(package, package)
    return f"{title} {version}" if version else f"the newest {title}"
