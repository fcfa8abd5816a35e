"""Install lines of a notebook that break today, read and not run. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.model import Asked, Facts, Finding, Step
from colabenv.doctor.pins import FLOWS, can_have, minor, pythons_of, versions_of
from colabenv.doctor.requirements import admits
from colabenv.frameworks.facts import Release, table
from colabenv.host.interpreters import minor_version
from colabenv.lock.lockfile import normalised

#: The module that people import, where it has another name than the distribution.
_MODULES: Final = {
    "scikit-learn": "sklearn",
    "opencv-python": "cv2",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "protobuf": "google",
    **dict.fromkeys(FLOWS, "tensorflow"),
}
# From its page on the package index: from 2.12 on a file that refuses to be installed.
_GPU_STUB: Final = SpecifierSet(">=2.12")


@rule(
    "CE411",
    "%tensorflow_version does nothing any more",
    "Colab once had two TensorFlows, and `%tensorflow_version` chose one. It has one now: `1.x` fails with "
    "`Tensorflow 1 is unsupported in Colab`, anything else has no effect (google.colab's own source). It is mended by "
    "taking the line out; what really needs an older TensorFlow gets an environment with it.",
)
def version_magic(facts: Facts) -> Iterator[Finding]:
    """By code, and by what Colab says."""
    used = [one for one in facts.usages if one.name.startswith("%tensorflow_version")]
    said = [one for one in facts.complaints if "Tensorflow 1 is unsupported in Colab" in one.message]
    old = [one for one in used if one.name.split()[1].startswith("1")]
    if said or used:
        line = (old or used)[0].line if used else "%tensorflow_version 1.x"
        yield Finding(
            "CE411",
            f"`{line}` {'fails on Colab now' if old or said else 'has no effect any more'}.",
            (
                *(f"{one.source}: {one.kind}: {one.message.strip().splitlines()[0]}" for one in said),
                *(f"{one.place}: {one.line}" for one in used),
            ),
            "Colab has one TensorFlow, a 2.x that it updates. TensorFlow 1 needs Python 3.7 or older, for which "
            "nothing is built any more: its code has to be changed.",
            tuple(dict.fromkeys(Step("edit", (one.line, "# " + one.line)) for one in used)),
            explains=tuple(one.source for one in said),
        )


@rule(
    "CE412",
    "An install line that cannot succeed",
    "A notebook asks for a release of TensorFlow that has no wheels for this Python, or for `tensorflow-gpu`, which "
    "is an empty package since 2.12. pip refuses it when the notebook runs. It is mended by an environment with the "
    "release and a Python that it has wheels for: `colabenv init NOTEBOOK` writes its profile.",
)
def cannot_succeed(facts: Facts) -> Iterator[Finding]:
    """TensorFlow's releases by the stack's table."""
    for one, wanted in _packages(facts):
        name = normalised(wanted.name)
        exact = _exact(wanted)
        if name not in FLOWS:
            continue
        pythons = pythons_of(exact)
        if name == "tensorflow-gpu" and (not exact or admits(_GPU_STUB, exact)):
            what = (
                f"`{one.line}`: tensorflow-gpu is an empty package since 2.12, and refuses to be installed."
            )
            why = "TensorFlow itself has been for CPU and GPU since 2.1."
            steps: tuple[Step, ...] = (Step("edit", ("tensorflow-gpu", "tensorflow")),)
        elif not exact or can_have(exact, facts):
            continue
        elif pythons:
            what = f"`{one.line}`: TensorFlow {exact} has no wheels for Python {minor(facts)}."
            why = f"It has wheels for Python {pythons[0]} to {pythons[-1]}; an environment can have another Python."
            steps = (_environment(facts, exact),)
        elif _is_older(exact):
            what = f"`{one.line}`: TensorFlow {exact} has no wheels for Python {minor(facts)}."
            why = f"The oldest that an environment can have is TensorFlow {table().releases[0].version}."
            steps = ()
        else:
            continue  # newer than the table knows
        yield Finding("CE412", what, (f"{one.place}: {one.line}",), why, steps)


@rule(
    "CE413",
    "Install lines that contradict each other",
    "A notebook pins two releases that do not go together: one distribution twice in one command, which pip refuses, "
    "or a Keras, numpy or protobuf that the pinned TensorFlow does not take, so that the later line breaks the earlier "
    "one. It is mended by a profile, which resolves all of them together.",
)
def contradictions(facts: Facts) -> Iterator[Finding]:
    """Within one command by name; between commands by what the pinned TensorFlow declares."""
    for line, wanted in _by_line(facts).items():
        for name, versions in wanted.items():
            if len(versions) > 1:
                listed = " and ".join(sorted(versions))
                yield Finding(
                    "CE413",
                    f"`{line}` asks for {name} {listed} at once.",
                    (f"{_place(facts, line)}: {line}",),
                    "pip refuses a command with two releases of one distribution.",
                    (Step("edit", (line, _without(line, name, versions))),),
                )
    yield from _against_tensorflow(facts)


@rule(
    "CE414",
    "An install line below the import",
    "A notebook installs another release of what it has imported already. The running process keeps what it has "
    "loaded, so that code goes on with the old release, or with a mixture. It is mended by putting the install line "
    "first, or by restarting the session after it.",
)
def installed_too_late(facts: Facts) -> Iterator[Finding]:
    """Only what changes something: a release that is not the one that was imported."""
    late: dict[str, list[str]] = defaultdict(list)
    for one, wanted in _packages(facts):
        name = normalised(wanted.name)
        module = _MODULES.get(name, name.replace("-", "_"))
        have = versions_of(replace(facts, asked=())).get(name) or facts.version(name)
        fits = bool(have) and admits(wanted.specifier, have)
        if module in one.after and wanted.specifier and not fits and not _is_refused(facts, one.line):
            late[one.line].append(name)
    for line, names in late.items():
        together = " and ".join(dict.fromkeys(names))
        yield Finding(
            "CE414",
            f"`{line}` replaces {together} after {'it was' if len(names) == 1 else 'they were'} imported.",
            (
                f"{_place(facts, line)}: {line}",
                *(
                    f"{name} {facts.version(name)} was there before it"
                    for name in names
                    if facts.version(name)
                ),
            ),
            "A process keeps the modules that it has imported, whatever is on disk later.",
            (Step("restart"),),
        )


def _is_refused(facts: Facts, line: str) -> bool:
    """Whether pip refuses the whole command, so that it changes nothing."""
    pinned = _by_line(facts).get(line, {})
    absent = any(not can_have(one, facts) for name in FLOWS for one in pinned.get(name, ()))
    return absent or any(len(versions) > 1 for versions in pinned.values())


def _without(line: str, name: str, versions: set[str]) -> str:
    """The command with the last of several pins alone."""
    words = line.split(" ")
    pins = [word for word in words if any(word.strip("'\"") == f"{name}=={one}" for one in versions)]
    return " ".join(word for word in words if word not in pins[:-1])


def _against_tensorflow(facts: Facts) -> Iterator[Finding]:
    pinned = {
        normalised(wanted.name): (one, _exact(wanted)) for one, wanted in _packages(facts) if _exact(wanted)
    }
    flow = next((name for name in FLOWS if name in pinned), "")
    release = _release(pinned[flow][1]) if flow else None
    for line in release.needs if release else ():
        need = Requirement(line)
        name = normalised(need.name)
        if name not in pinned or admits(need.specifier, pinned[name][1]):
            continue
        one, version = pinned[name]
        yield Finding(
            "CE413",
            f"TensorFlow {pinned[flow][1]} does not take {name} {version}, and the notebook pins both.",
            (
                f"{pinned[flow][0].place}: {pinned[flow][0].line}",
                f"{one.place}: {one.line}",
                f"tensorflow {release.version if release else ''} requires {line}",
            ),
            "The line that runs last wins, and TensorFlow is left with what it cannot use.",
            (_environment(facts, pinned[flow][1]),),
        )


def _packages(facts: Facts) -> Iterator[tuple[Asked, Requirement]]:
    for one in facts.asked:
        wanted = _requirement(one.requirement)
        if wanted is not None:
            yield one, wanted


def _requirement(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _by_line(facts: Facts) -> dict[str, dict[str, set[str]]]:
    """Command to what it pins: name to versions."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for one, wanted in _packages(facts):
        if exact := _exact(wanted):
            found[one.line][normalised(wanted.name)].add(exact)
    return found


def _place(facts: Facts, line: str) -> str:
    return next(one.place for one in facts.asked if one.line == line)


def _exact(wanted: Requirement) -> str:
    """The release that a requirement pins, a line of releases for `==2.8.*`, or ""."""
    found = [clause.version for clause in wanted.specifier if clause.operator in ("==", "===")]
    return re.sub(r"(\.0)?\.\*$", "", found[0]) if found else ""


def _release(version: str) -> Release | None:
    found = [
        one for one in table().releases if one.version == version or one.version.startswith(version + ".")
    ]
    return found[-1] if found else None


def _is_older(version: str) -> bool:
    try:
        return Version(version) < Version(table().releases[0].version)
    except InvalidVersion:
        return False


def _environment(facts: Facts, version: str) -> Step:
    if facts.notebook:
        return Step("init", (facts.notebook,))
    line = minor_version(version)
    return Step("up", (f"tf-{line}.yaml", f'{{name: tf-{line}, stack: {{tensorflow: "{version}"}}}}'))
