"""Code of another era: names, calls and libraries that newer releases leave behind. Pure.

What is gone and what took its place stands in doctor/removed_apis.toml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Final

from packaging.requirements import Requirement

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.missing import library_of, names_in, public
from colabenv.doctor.model import Complaint, Facts, Finding, Step, Usage
from colabenv.doctor.pins import pin_lines, pins, versions_of
from colabenv.doctor.removed_apis import Call, Name, removed_apis
from colabenv.doctor.requirements import environment
from colabenv.doctor.rewriting import bound_in, rewritten
from colabenv.lock.lockfile import normalised

_TITLES: Final = {
    "keras": "Keras",
    "tensorflow": "TensorFlow",
    "numpy": "numpy",
    "scikit-learn": "scikit-learn",
}
_SHOWN: Final = 12
#: Folders of which nothing is left: an exception may name them alone.
_DEAD: Final = frozenset({"keras.engine", "keras.layers.experimental", "keras.wrappers", "keras.api"})


@dataclass
class _Seen:
    """Where one row of the table applies.

    Attributes:
        row: of the table.
        names: the old names that were used, with all that follows them.
        lines: the lines of code, each with how to find it.
        said: the complaints.
        libraries: modules of installed packages whose code it is.
    """

    row: Name
    names: list[str] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    said: list[Complaint] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)


@rule(
    "CE401",
    "A name that has moved",
    "The code takes a name from where an older release had it: `keras.utils.np_utils`, `keras.layers.core`, "
    "`keras.preprocessing.image.ImageDataGenerator`, `tf.Session`, `np.float`, and many more. It shows as `No "
    "module named …`, `cannot import name …` or `module … has no attribute …`, or in a notebook that is read. It is "
    "mended by an edit, which the finding spells out; or by an environment with the release that had the name.",
)
def moved(facts: Facts) -> Iterator[Finding]:
    """One finding for each row of the table that names a successor."""
    for seen in _seen(facts):
        if _becomes(seen) and not seen.libraries:
            yield _moved(seen, facts)


@rule(
    "CE402",
    "A name that has no successor",
    "The code takes a name that newer releases do not have under any name: `tensorflow.contrib`, `tf.estimator`, "
    "`tf.compat.v1.layers` with Keras 3. It is mended by an environment with the last release that had it, where "
    "there is one: a profile with that TensorFlow. What only TensorFlow 1 had has to be rewritten.",
)
def without_successor(facts: Facts) -> Iterator[Finding]:
    """One finding for each row of the table that names none."""
    for seen in _seen(facts):
        if not _becomes(seen) and not seen.libraries:
            yield _without_successor(seen, facts)


@rule(
    "CE403",
    "A call of another era",
    "A method or an argument has another name now: `predict_classes`, `fit_generator`, `Adam(lr=…)`, "
    "`keras.optimizers.legacy`, a weights file that has to end in `.weights.h5`. It is mended by an edit, which the "
    "finding spells out.",
)
def calls(facts: Facts) -> Iterator[Finding]:
    """One finding for each call of the table that an exception or a line of code shows."""
    version = _version(facts, "keras")
    uses_keras = any(public(one.name).split(".")[0] in {"keras", "tensorflow"} for one in facts.usages)
    for call in removed_apis().calls:
        said = [
            one for one in facts.complaints if _says(call, one) and (not one.here or _since(call, version))
        ]
        used = [one for one in facts.usages if uses_keras and _since(call, version) and _is_use(call, one)]
        if said or used:
            yield _call(call, said, used, facts)


@rule(
    "CE404",
    "A library for another era",
    "An installed library takes names from TensorFlow, Keras or numpy that the installed release does not have any "
    "more, so importing the library fails though its versions were accepted. It is mended by a newer release of the "
    "library, or by an environment with the release it was written for.",
)
def libraries(facts: Facts) -> Iterator[Finding]:
    """One finding for each row of the table that an installed package stumbles over."""
    for seen in _seen(facts):
        if seen.libraries:
            yield _library(seen, facts)


def _seen(facts: Facts) -> list[_Seen]:
    """The rows of the table that apply, in the order in which the code has them."""
    found: dict[str, _Seen] = {}
    for complaint in facts.complaints:
        known = versions_of(facts) if complaint.here else {}
        library = library_of(complaint)
        for name in names_in(complaint):
            row = _row(name, known, facts, here=complaint.here, failed=True)
            if row is None:
                continue
            seen = found.setdefault(_group(row) + (library and f" in {library}"), _Seen(row))
            _add(seen, name, complaint.statement, complaint.source)
            seen.said.append(complaint)
            seen.libraries += [library] if library and library not in seen.libraries else []
            break
    for usage in facts.usages:
        name = public(usage.name)
        row = _row(name, versions_of(facts), facts, here=True) if "." in name else None
        if row is not None:
            _add(found.setdefault(_group(row), _Seen(row)), name, usage.line, usage.place)
    return list(found.values())


def _add(seen: _Seen, name: str, line: str, place: str) -> None:
    if name not in seen.names:
        seen.names.append(name)
    if line.strip() and all(line.strip() != known for known, _ in seen.lines):
        seen.lines.append((line.strip(), place))


def _group(row: Name) -> str:
    """What one finding is about: the row, or all of a kind where there are hundreds."""
    if row.new.startswith("tensorflow.compat.v1.") and row.package == "tensorflow":
        return "tensorflow.compat.v1"
    if row.old.startswith("keras.backend.") and row.new:
        return "keras.backend"
    return row.package if row.package == "numpy" else row.old


def _row(
    name: str, known: Mapping[str, str], facts: Facts, *, here: bool, failed: bool = False
) -> Name | None:
    """The row for a name that what is installed lacks; the longest counts."""
    folder = name.replace("tensorflow.keras.", "keras.", 1) in _DEAD
    for row in removed_apis().names:
        below = folder and row.old.startswith(name.replace("tensorflow.keras.", "keras.", 1) + ".")
        if (row.matches(name) or below) and _lacks(row, name, known, facts, here=here, failed=failed):
            return row
    return None


def _lacks(row: Name, name: str, known: Mapping[str, str], facts: Facts, *, here: bool, failed: bool) -> bool:
    kind, _, module = row.package.partition(":")
    if kind == "module":
        asked = {normalised(one) for one in pins(facts)}
        return not here or (module not in facts.modules and normalised(module) not in asked)
    package = "tf-keras" if _is_legacy(name, facts) and row.package == "keras" else row.package
    if not here:
        return True
    version = known.get(package, "")
    return row.holds(version, failed=failed) and (bool(version) or bool(facts.notebook))


def _is_legacy(name: str, facts: Facts) -> bool:
    """Whether `tensorflow.keras` is tf-keras here, which is Keras 2."""
    return name.startswith("tensorflow.") and facts.environ.get("TF_USE_LEGACY_KERAS", "") in {
        "1",
        "true",
        "True",
    }


def _becomes(seen: _Seen) -> str:
    new = seen.row.becomes(seen.names[0])
    return new or (seen.row.new if seen.row.old.startswith(seen.names[0] + ".") else "")


def _moved(seen: _Seen, facts: Facts) -> Finding:
    row, version = seen.row, _version(facts, seen.row.package)
    where = f"{_title(row.package)} {version}" if version else f"today's {_title(row.package)}"
    if row.package.startswith("module:"):
        where = "an installation of today"
    names = _common(seen)
    if len(names) == 1:
        new = row.becomes(names[0]) or _becomes(seen)
        what = f"{names[0]} is not in {where}; {new} took its place."
    else:
        what = f"{', '.join(_short(names))} are not in {where} under these names; the edits have today's."
    needs = (Step("install", (row.needs,)),) if row.needs and not _has(facts, row.needs) else ()
    return Finding(
        "CE401",
        what,
        _evidence(seen, facts),
        _why(row),
        (*needs, *_edits(seen, facts)),
        explains=tuple(one.source for one in seen.said),
    )


def _common(seen: _Seen) -> list[str]:
    """The names to speak of: what the row is about where several of its names were used."""
    whole = [
        name[: len(name) - len(below) - 1] if (below := seen.row.below(name)) else name for name in seen.names
    ]
    return list(dict.fromkeys(seen.names if len(seen.names) == 1 else whole))


def _without_successor(seen: _Seen, facts: Facts) -> Finding:
    row, version = seen.row, _version(facts, seen.row.package)
    where = f"{_title(row.package)} {version}" if version else f"today's {_title(row.package)}"
    steps: tuple[Step, ...] = (environment("tensorflow", row.tensorflow),) if row.tensorflow else ()
    if steps and facts.notebook:
        steps = (Step("init", (facts.notebook,)),)
    return Finding(
        "CE402",
        f"{', '.join(_short(seen.names))}: not in {where}, and nothing took the place.",
        _evidence(seen, facts),
        _why(row),
        steps,
        explains=tuple(one.source for one in seen.said),
    )


def _library(seen: _Seen, facts: Facts) -> Finding:
    row = seen.row
    module = seen.libraries[0]
    owner = next(iter(facts.owners(module)), None)
    who = f"{owner.name} {owner.version}" if owner else module
    version = _version(facts, row.package)
    have = f"{_title(row.package)} {version}".strip()
    return Finding(
        "CE404",
        f"{who} takes {seen.names[0]}, which {have} does not have.",
        (*_evidence(seen, facts), *((f"{who}: {owner.info}",) if owner else ())),
        f"{module} was written for an older {_title(row.package)}. A newer release of it may go with this one.",
        (environment("tensorflow", row.tensorflow),) if row.tensorflow else (),
        explains=tuple(one.source for one in seen.said),
    )


def _call(call: Call, said: list[Complaint], used: list[Usage], facts: Facts) -> Finding:
    version = _version(facts, "keras")
    lines = [*(one.statement for one in said), *(one.line.strip() for one in used)]
    edits = {
        line: new for line in lines if call.was and (new := re.sub(call.was, call.becomes, line)) != line
    } or dict([call.shown])
    had = f" Keras before {call.gone} had it." if call.tensorflow else ""
    return Finding(
        "CE403",
        f"{call.what[:1].upper()}{call.what[1:]} is not in {f'Keras {version}' if version else 'today’s Keras'}; "
        f"it is `{call.shown[1]}` now.",
        (
            *(_quoted(one) for one in said),
            *dict.fromkeys(f"{one.place}: {one.line.strip()}" for one in used[:_SHOWN]),
        ),
        f"{call.note}{had}".strip() or "Keras gave it another name long ago.",
        tuple(Step("edit", pair) for pair in list(edits.items())[:_SHOWN]),
        explains=tuple(one.source for one in said),
    )


def _says(call: Call, one: Complaint) -> bool:
    if not re.fullmatch(call.kind, one.kind) or not re.search(call.pattern, one.message):
        return False
    return one.kind != "KeyError" or bool(re.search(call.was, one.statement))


def _is_use(call: Call, usage: Usage) -> bool:
    name = public(usage.name).replace("tensorflow.keras.", "keras.", 1)
    return bool(call.uses) and (fnmatchcase(name, call.uses) or name.startswith(call.uses + "."))


def _since(call: Call, version: str) -> bool:
    return Name("", gone=call.gone).holds(version)


def _evidence(seen: _Seen, facts: Facts) -> tuple[str, ...]:
    package = seen.row.package
    installed = facts.installed(package)
    lines = [f"{place}: {line}" for line, place in seen.lines]
    more = [f"… and {len(lines) - _SHOWN} more lines"] if len(lines) > _SHOWN else []
    have = [f"{package} {installed.version}: {installed.info}"] if installed and installed.info else []
    effective = versions_of(facts).get(package) != versions_of(replace(facts, asked=())).get(package)
    pinned = [line for name, line in pin_lines(facts).items() if name == package and effective]
    return (*map(_quoted, seen.said), *lines[:_SHOWN], *more, *(pinned or have)) or (seen.names[0],)


def _quoted(one: Complaint) -> str:
    first = one.message.splitlines()[0] if one.message else ""
    return f"{one.source}: {one.kind}: {first[:300]}"


def _why(row: Name) -> str:
    since = ""
    if not row.package.startswith("module:") and row.gone != "0":
        upto = f" to {row.until}" if row.until else ""
        since = f"{_title(row.package)} does not have it from {row.gone} on{upto}."
    had = f" An environment with TensorFlow {row.tensorflow} has the old name." if row.tensorflow else ""
    return (
        " ".join(filter(None, (since, row.note, had.strip())))
        or "It was a package of its own, and became a part."
    )


def _edits(seen: _Seen, facts: Facts) -> tuple[Step, ...]:
    """What to type instead, for each line; for names without a line, the names."""
    known = versions_of(facts)
    here = not seen.said or any(one.here for one in seen.said)

    def once(name: str) -> str:
        row = _row(name, known if here else {}, facts, here=here, failed=bool(seen.said))
        return row.becomes(name) if row is not None and row.matches(name) else ""

    def becomes(name: str) -> str:
        found = ""
        for _ in range(3):  # what a private name became may be old as well
            new = once(found or name) or once(public(found or name))
            if not new:
                break
            found = new
        return found

    aliases = {name: module for usage in facts.usages for name, module in bound_in(usage.line).items()}
    edits = {}
    for line, _ in seen.lines:
        if _is_use_of_import(line, aliases, seen.row):
            continue  # the edit of the import mends it
        source = _import_of(line, aliases) if seen.row.old.startswith("keras.backend.") else ""
        new = source.replace("keras", "tensorflow.keras", 1) if source else rewritten(line, becomes, aliases)
        if new != line:
            edits[source or line] = new
    if not edits:
        edits = {name: seen.row.becomes(name) or _becomes(seen) for name in seen.names}
    return tuple(Step("edit", pair) for pair in list(edits.items())[: 2 * _SHOWN])


def _is_use_of_import(line: str, aliases: Mapping[str, str], row: Name) -> bool:
    roots = re.findall(r"(?<![\w.])([A-Za-z_]\w*)\.", line) if "import" not in line else ()
    return any(root in aliases and row.matches(public(aliases[root])) for root in roots)


def _import_of(line: str, aliases: Mapping[str, str]) -> str:
    """For `K.sum(x)`: the import of K, since changing that one line mends all of the uses."""
    backend = next((name for name, module in aliases.items() if module == "keras.backend"), "K")
    if re.search(rf"(?<![\w.]){re.escape(backend)}\.\w", line) and "import" not in line:
        known = "" if backend == "backend" else f" as {backend}"
        return f"from keras import backend{known}"
    return ""


def _short(names: list[str]) -> list[str]:
    return names if len(names) < 5 else [*names[:3], f"{len(names) - 3} more"]


def _version(facts: Facts, package: str) -> str:
    return versions_of(facts).get(package, "")


def _has(facts: Facts, requirement: str) -> bool:
    return bool(facts.installed(Requirement(requirement).name))


def _title(package: str) -> str:
    return _TITLES.get(package, package)
