"""Broken installations: files that are gone, cut off or for another machine, and what an interrupted installer leaves.

Pure.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.model import Distribution, Facts, Finding, Step
from colabenv.doctor.reinstall import anew, blamed, killed, listed, matters
from colabenv.doctor.requirements import visible

_INSTALLERS = ("pip", "uv", "poetry", "pdm")
_INTERRUPTED = (
    "An installer was interrupted, the disk was full, or something deleted files. Python sees what is left and "
    "takes it for the whole."
)
_PYTHON_TAG = re.compile(r"(cp|py)(\d)(\d*)")


@rule(
    "CE503",
    "Files of a package are missing",
    "RECORD is the list of files that a package was installed with. Modules or libraries on it are not there, so an "
    "import fails, or finds an empty folder and goes on with that. The package is installed anew. Tests, headers, "
    "scripts and bytecode are not counted: no import needs them.",
)
def files_missing(facts: Facts) -> Iterator[Finding]:
    """One finding for each distribution that lacks code."""
    for one in visible(facts):
        lost = [path for path in one.missing if matters(path)]
        if not lost or not one.metadata or _is_twice(one, facts):
            continue
        all_gone = len(one.missing) >= one.files
        much = "none of its files is there" if all_gone else f"{len(lost)} of its files are not there"
        yield Finding(
            "CE503",
            f"{one.name} {one.version} is not whole: {much}.",
            (f"{one.info}/RECORD lists {listed(lost)}; not there",),
            _INTERRUPTED,
            anew([one]),
            explains=blamed(facts, one.modules),
        )


@rule(
    "CE504",
    "Files of a package are damaged",
    "A module is empty that was not, a shared library ends before its own tables do, or a module was cut off in "
    "the middle of a statement. A full disk or a broken download leaves such files. A file of another size that "
    "is whole is no finding: people edit modules, and distributions of Linux strip libraries.",
)
def files_damaged(facts: Facts) -> Iterator[Finding]:
    """One finding for each distribution with damaged code."""
    claimed_twice = {overlap.path for overlap in facts.overlaps}  # another package's file, and whole
    for one in visible(facts):
        bad = [
            (path, how)
            for path, how in one.damaged
            if matters(path) and f"{one.root}/{path}" not in claimed_twice
        ]
        if not bad or _is_twice(one, facts):
            continue
        sizes = {path: (told, size) for path, told, size in one.altered}
        evidence = [
            f"{one.root}/{path} is {how}: {sizes[path][1]} bytes instead of {sizes[path][0]}"
            for path, how in bad[:3]
            if path in sizes
        ]
        yield Finding(
            "CE504",
            f"{one.name} {one.version} is damaged: {listed([path for path, _ in bad])}.",
            tuple(evidence) or (f"{one.root}/{bad[0][0]} is {bad[0][1]}",),
            "The disk was full when it was installed, or the download broke off.",
            anew([one]),
            explains=(
                *blamed(facts, one.modules),
                *(killed(facts) if any(".so" in path for path, _ in bad) else ()),
            ),
        )


@rule(
    "CE505",
    "A package was built for another Python or another platform",
    "The names of a package's compiled modules say which Python loads them, and its WHEEL file says the same. Copied "
    "folders, `pip install --target` and `--platform` bring such packages; the import then finds no compiled part.",
)
def foreign_wheels(facts: Facts) -> Iterator[Finding]:
    """One finding for each distribution whose tags and whose extension modules both do not fit."""
    for one in visible(facts):
        if not one.extensions or not facts.soabi or _loads(one, facts):
            continue
        if any(_admits(tag, facts) for tag in one.tags) or not (one.tags or one.installer):
            continue
        this = f"Python {facts.python[0]}.{facts.python[1]} on {facts.markers.get('platform_machine', '')}"
        yield Finding(
            "CE505",
            f"{one.name} {one.version} was built for another Python or platform than this {this.rstrip(' on')}.",
            (
                f"its compiled modules are for {', '.join(one.extensions)}; this Python loads {facts.soabi}",
                *(f"{one.info}/WHEEL says {tag}" for tag in one.tags[:1]),
            ),
            "It was copied from another environment, or installed with --target or --platform.",
            anew([one]),
            explains=blamed(facts, one.modules),
        )


def _loads(one: Distribution, facts: Facts) -> bool:
    return any(tag in {"abi3", facts.soabi} for tag in one.extensions)


def _admits(tag: str, facts: Facts) -> bool:
    """Whether this interpreter takes a wheel of that tag; the C library's version is not looked at."""
    pythons, _, rest = tag.partition("-")
    abi, _, platform = rest.partition("-")
    machine, system = facts.markers.get("platform_machine", ""), facts.markers.get("sys_platform", "")
    if platform != "any":
        own = "linux" if system == "linux" else {"darwin": "macosx", "win32": "win"}.get(system, "")
        if own not in platform or not (platform.endswith((machine, "universal2")) or machine == "AMD64"):
            return False
    major, minor = facts.python[:2]
    for python in pythons.split("."):
        matched = _PYTHON_TAG.fullmatch(python)
        if matched is None or int(matched[2]) != major:
            continue
        if not matched[3] or int(matched[3]) == minor or (abi == "abi3" and int(matched[3]) <= minor):
            return True
        if matched[1] == "py" and int(matched[3]) <= minor:
            return True
    return False


@rule(
    "CE506",
    "Metadata of a package was written halfway",
    "A folder of metadata has no METADATA file. Programs that list what is installed fail at it or count a package "
    "that is not there. The folder is deleted and the package it is named after is installed anew, unless a whole "
    "one of that name is there too.",
)
def half_metadata(facts: Facts) -> Iterator[Finding]:
    """One finding for each such folder."""
    whole = {one.name for one in facts.distributions if one.metadata}
    for one in facts.distributions:
        if one.metadata or not one.info.endswith(".dist-info"):
            continue
        again = () if one.name in whole else anew([one])
        yield Finding(
            "CE506",
            f"The metadata of {one.name} {one.version} was written halfway.",
            (f"{one.info} has no METADATA",),
            _INTERRUPTED,
            (Step("delete", (one.info,)), *again),
            explains=blamed(facts, one.modules or (one.name.replace("-", "_"),)),
        )


@rule(
    "CE507",
    "A package has no list of its files",
    "pip removes and replaces a package by its RECORD. Where that file is gone, `pip install --upgrade` and `pip "
    "uninstall` refuse, and an installer that does not refuse leaves old files among the new. The metadata is "
    "deleted and the same version installed over it. Packages of the Linux distribution have no RECORD and are "
    "none of pip's.",
)
def no_record(facts: Facts) -> Iterator[Finding]:
    """One finding for each distribution that pip or uv installed and that has no RECORD."""
    for one in visible(facts):
        if one.record or not one.metadata or not one.info.endswith(".dist-info"):
            continue
        if one.installer not in _INSTALLERS or _is_twice(one, facts):
            continue
        yield Finding(
            "CE507",
            f"{one.name} {one.version} has no RECORD, so it cannot be upgraded or removed.",
            (f"{one.info} was written by {one.installer} and has no RECORD",),
            _INTERRUPTED,
            (Step("delete", (one.info,)), *anew([one])),
        )


@rule(
    "CE508",
    "Two versions of a package in one folder",
    "One folder holds the metadata of two versions of the same package: an upgrade broke off between writing the "
    "new files and removing the old. Which version programs see is chance. Both folders of metadata are deleted, "
    "and the version that most files on disk belong to is installed anew.",
)
def two_versions(facts: Facts) -> Iterator[Finding]:
    """One finding for each name that is twice in one folder."""
    by_place: dict[tuple[str, str], list[Distribution]] = defaultdict(list)
    for one in facts.distributions:
        if one.metadata and one.info.endswith(".dist-info"):
            by_place[one.root, one.name].append(one)
    for twins in by_place.values():
        if len(twins) < 2:
            continue
        kept = min(twins, key=lambda one: (len(one.missing) + len(one.altered), not one.record))
        yield Finding(
            "CE508",
            f"{kept.name} is there twice in one folder: {' and '.join(one.version for one in twins)}.",
            tuple(
                f"{one.info}: {len(one.missing)} of its files are missing, {len(one.altered)} have another size"
                for one in twins
            ),
            "An upgrade broke off before the old version was removed.",
            (Step("delete", tuple(one.info for one in twins)), *anew([kept])),
            explains=blamed(facts, kept.modules),
        )


def _is_twice(one: Distribution, facts: Facts) -> bool:
    return sum(other.name == one.name and other.root == one.root for other in facts.distributions) > 1


@rule(
    "CE509",
    "What pip was removing when it was stopped",
    "pip renames a package's folders to `~…` before it deletes them. When it is stopped there, the package is half "
    "gone, and pip warns of an `invalid distribution` ever after. The folders are deleted; a package that is in "
    "none of its places any more is installed anew.",
)
def leftovers(facts: Facts) -> Iterator[Finding]:
    """One finding for all of them."""
    if not facts.leftovers:
        return
    there = {one.name for one in facts.distributions if one.metadata}
    lost = [one for one in facts.removed if one.metadata and one.name not in there]
    what = f"pip was stopped while it removed {listed([f'{one.name} {one.version}' for one in lost])}"
    yield Finding(
        "CE509",
        f"{what if lost else 'An interrupted pip left folders behind'}.",
        tuple(f"{path} is in pip's way" for path in facts.leftovers[:6]),
        "pip renames folders to ~… before it deletes them, and it did not get to the end.",
        (Step("delete", facts.leftovers), *anew(lost)),
        explains=blamed(
            facts, [module for one in lost for module in one.modules or (one.name.replace("-", "_"),)]
        ),
        covers=tuple(f"*>{one.name}" for one in lost),
    )
