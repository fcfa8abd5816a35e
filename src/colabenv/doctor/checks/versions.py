"""Versions that do not fit: what the metadata of one distribution asks of another. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.model import Distribution, Facts, Finding, Step
from colabenv.doctor.requirements import (
    ANCHORS,
    Need,
    by_dependency,
    explained,
    mending,
    moving,
    names,
    unmet,
)


@rule(
    "CE101",
    "A requirement is not met",
    "A distribution says which versions of another one it needs, and what is installed is not among them, or it "
    "is not installed at all. It may work by luck, and it may fail at import or much later. It is mended by "
    "installing a version that everything here takes.",
    general=True,
)
def requirement_not_met(facts: Facts) -> Iterator[Finding]:
    """One finding for each distribution that is too old, too new or not there."""
    wrong = by_dependency(unmet(facts))
    # What is itself to be replaced will come with other needs; where that leaves nothing, all of them count.
    settled = {
        dependency: [need for need in wanted if need.dependant.name not in wrong]
        for dependency, wanted in wrong.items()
    }
    for dependency, wanted in (settled if any(settled.values()) else wrong).items():
        if wanted:
            yield finding(facts, "CE101", dependency, wanted)


@rule(
    "CE113",
    "A typing-extensions that is too old",
    "Many packages take new names of Python's typing from typing-extensions, and not all of them say from which "
    "release on. It shows as `cannot import name 'Self' from 'typing_extensions'` or another name. It is mended "
    "by a newer one.",
)
def typing_extensions_too_old(facts: Facts) -> Iterator[Finding]:
    """By what exceptions say, where no metadata does."""
    there = facts.installed("typing-extensions")
    if there is None or any(need.dependency == there.name for need in unmet(facts)):
        return
    for complaint in facts.complaints:
        missing = re.search(r"cannot import name '(\w+)' from 'typing_extensions'", complaint.message)
        if missing and complaint.here:
            yield Finding(
                "CE113",
                f"typing-extensions {there.version} does not have {missing[1]}.",
                (f"{complaint.source}: {complaint.kind}: {complaint.message.splitlines()[0]}", *where(there)),
                "Something here was written for a newer typing-extensions, and its metadata does not say so.",
                (Step("install", mending(facts, there.name, SpecifierSet(f">{there.version}"))),),
                explains=(complaint.source,),
            )


def finding(facts: Facts, code: str, dependency: str, wanted: Sequence[Need], why: str = "") -> Finding:
    """What to say of one distribution that does not fit those that need it.

    Args:
        facts: of the interpreter.
        code: of the finding.
        dependency: what is too old, too new or missing.
        wanted: the unmet needs of it.
        why: why it happens, where more is known than usual.
    """
    there = wanted[0].found
    modules = {*module_names(dependency), *(there.modules if there else ())}
    # What lacks it fails to import, and then others say of that one that it is missing.
    failing = {module for need in wanted for module in need.dependant.modules} or {dependency}
    by_name = tuple(one.source for one in facts.complaints if names(one, *sorted(failing)))
    return Finding(
        code,
        f"{state(dependency, wanted)} {whom(wanted)}.",
        (*(need.evidence for need in wanted), *where(there)),
        why
        or (
            "Something installed later replaced it, or was installed without its requirements."
            if there
            else "It was removed, or what needs it was installed without its requirements."
        ),
        (Step("install", repair(facts, dependency, wanted)),),
        explains=tuple(dict.fromkeys((*explained(facts, *sorted(modules)), *by_name))),
        covers=tuple(need.key for need in wanted),
    )


def repair(facts: Facts, dependency: str, wanted: Sequence[Need]) -> tuple[str, ...]:
    """The requirements that bring it into range; of a framework it is the others that move."""
    there = wanted[0].found
    if there is not None and dependency in ANCHORS:
        moved = [one for need in wanted for one in moving(facts, need.dependant.name, there)]
        return tuple(dict.fromkeys(moved))
    silent = SpecifierSet()
    for need in wanted:
        if need.known:
            silent &= need.specifier
    return mending(facts, dependency, silent)


def state(dependency: str, wanted: Sequence[Need]) -> str:
    """How it is, as the beginning of a sentence that goes on with who needs it."""
    there = wanted[0].found
    if there is None:
        return f"{dependency} is not installed, and it is needed by"
    ways = {way(need) for need in wanted}
    how = ways.pop() if len(ways) == 1 else "of the wrong version"
    return f"{there.name} {there.version} is {how} for"


def way(need: Need) -> str:
    """Whether what is installed is too old or too new."""
    try:
        version = Version(need.found.version) if need.found else None
    except InvalidVersion:
        version = None
    if version is None:
        return "of the wrong version"
    return next(
        (found for found in (_way(one, version) for one in need.specifier) if found), "of the wrong version"
    )


def _way(one: Specifier, version: Version) -> str:
    if one.contains(version, prereleases=True) or one.operator in {"!=", "==="}:
        return ""
    border = Version(one.version.removesuffix(".*"))
    if version < border:
        return "too old"
    return "too old" if one.operator == ">" else "too new"


def whom(wanted: Iterable[Need]) -> str:
    """Who needs it: at most four by name."""
    names = list(dict.fromkeys(f"{need.dependant.name} {need.dependant.version}" for need in wanted))
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def where(there: Distribution | None) -> tuple[str, ...]:
    """The line that says what is installed and where."""
    return (f"installed: {there.name} {there.version}, {there.info}",) if there else ()


def module_names(distribution: str) -> tuple[str, ...]:
    """The module that a distribution of that name most likely provides."""
    known = {
        "protobuf": "google.protobuf",
        "opencv-python": "cv2",
        "scikit-learn": "sklearn",
        "pillow": "PIL",
    }
    return (known.get(distribution, distribution.replace("-", "_")),)
