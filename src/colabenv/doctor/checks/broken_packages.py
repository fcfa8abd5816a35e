"""Broken packages: files that are missing, truncated or for another machine, and leftovers of installers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.distributions import is_import_file, list_some, reinstall, visible_distributions
from colabenv.doctor.error_reports import crashes, errors_mentioning
from colabenv.doctor.model import Distribution, Facts, Finding, Fix

_INSTALLERS = ("pip", "uv", "poetry", "pdm")
_INTERRUPTED = (
    "An installer was interrupted, the disk was full, or something deleted files. Python imports what is left as if it "
    "were complete."
)
_PYTHON_TAG = re.compile(r"(cp|py)(\d)(\d*)")


@rule("CE503")
def find_missing_files(facts: Facts) -> Iterator[Finding]:
    """Files of a package are missing.

    RECORD lists the files that were installed with a package. Some modules or libraries in it do not exist, so the
    import fails, or continues with an incomplete package. The fix reinstalls the package. Missing tests, headers,
    scripts and bytecode are not reported: no import needs them.
    """
    for each in visible_distributions(facts):
        missing = [path for path in each.missing if is_import_file(path)]
        if not missing or not each.has_metadata or _is_installed_twice(each, facts):
            continue
        count = "all" if len(each.missing) >= each.files else len(missing)
        yield Finding(
            f"{each} is incomplete: {count} of its files {'is' if count == 1 else 'are'} missing.",
            (f"{each.info}/RECORD lists {list_some(missing)}; not on disk",),
            _INTERRUPTED,
            reinstall([each]),
            explains=errors_mentioning(facts, each.modules),
        )


@rule("CE504")
def find_damaged_files(facts: Facts) -> Iterator[Finding]:
    """Files of a package are damaged.

    A module is empty or ends in the middle of a statement, or a shared library ends before its own tables do. A
    full disk or an interrupted download leaves such files, and importing them fails. The fix reinstalls the
    package. A complete file of another size is not reported: people edit modules, and Linux distributions strip
    libraries.
    """
    claimed_twice = {overlap.path for overlap in facts.overlaps}  # another package's file, and complete
    for each in visible_distributions(facts):
        files = {path: damage for path, damage in each.damaged if f"{each.root}/{path}" not in claimed_twice}
        damaged = list(filter(is_import_file, files))
        if not damaged or _is_installed_twice(each, facts):
            continue
        sizes = {path: f": {size} bytes instead of {listed}" for path, listed, size in each.altered}
        has_library = any(".so" in path for path in damaged)
        yield Finding(
            f"{each} is damaged: {list_some(damaged)}.",
            tuple(f"{each.root}/{path} is {files[path]}{sizes.get(path, '')}" for path in damaged[:3]),
            "The disk was full during the installation, or the download was interrupted.",
            reinstall([each]),
            explains=(*errors_mentioning(facts, each.modules), *(crashes(facts) if has_library else ())),
        )


@rule("CE505")
def find_foreign_wheels(facts: Facts) -> Iterator[Finding]:
    """A package was built for another Python or platform.

    The names of a package's compiled modules and its WHEEL file show which Python can load them, and it is not this
    one, so the import does not find the compiled part. Copied folders, `pip install --target` and `--platform`
    cause this. The fix reinstalls the package for this Python.
    """
    for each in visible_distributions(facts):
        if not each.extensions or not facts.soabi or {"abi3", facts.soabi}.intersection(each.extensions):
            continue
        if any(_accepts_tag(tag, facts) for tag in each.tags) or not (each.tags or each.installer):
            continue
        machine = facts.markers.get("platform_machine", "")
        yield Finding(
            f"{each} was built for another Python or platform; this is Python {facts.python_minor}"
            f"{f' on {machine}' if machine else ''}.",
            (
                f"its compiled modules are for {', '.join(each.extensions)}; this Python loads {facts.soabi}",
                *(f"{each.info}/WHEEL says {tag}" for tag in each.tags[:1]),
            ),
            "It was copied from another environment, or installed with --target or --platform.",
            reinstall([each]),
            explains=errors_mentioning(facts, each.modules),
        )


def _accepts_tag(tag: str, facts: Facts) -> bool:
    """Whether this interpreter can install a wheel with that tag, whatever the C library's version."""
    pythons, abi, platform = [*tag.split("-", 2), "", ""][:3]
    machine, system = facts.markers.get("platform_machine", ""), facts.markers.get("sys_platform", "")
    if platform != "any":
        own = "linux" if system == "linux" else {"darwin": "macosx", "win32": "win"}.get(system, "")
        if own not in platform or not (platform.endswith((machine, "universal2")) or machine == "AMD64"):
            return False
    major, minor = facts.python[:2]
    for match in filter(None, map(_PYTHON_TAG.fullmatch, pythons.split("."))):
        lowest = int(match[3] or minor)
        accepts_newer = match[1] == "py" or abi == "abi3"
        if int(match[2]) == major and (lowest == minor or (accepts_newer and lowest < minor)):
            return True
    return False


@rule("CE506")
def find_partial_metadata(facts: Facts) -> Iterator[Finding]:
    """Metadata of a package is incomplete.

    A metadata folder has no METADATA file. Programs that list installed packages fail, or count a package that does
    not exist. The fix deletes the folder, and reinstalls the package unless a complete one is installed as well.
    """
    complete = {each.name for each in facts.distributions if each.has_metadata}
    for each in facts.distributions:
        if not each.has_metadata and each.info.endswith(".dist-info"):
            yield Finding(
                f"The metadata of {each} is incomplete.",
                (f"{each.info} has no METADATA",),
                _INTERRUPTED,
                (Fix("delete", (each.info,)), *(() if each.name in complete else reinstall([each]))),
                explains=errors_mentioning(facts, _likely_modules(each)),
            )


@rule("CE507")
def find_missing_records(facts: Facts) -> Iterator[Finding]:
    """A package has no list of its files.

    pip uses a package's RECORD to remove and replace it. Without that file, `pip install --upgrade` and `pip
    uninstall` fail, and other installers mix old and new files. The fix deletes the metadata and installs the same
    version over it. Packages of the Linux distribution never have a RECORD and are not reported.
    """
    for each in visible_distributions(facts):
        is_complete = each.has_record or not each.has_metadata or not each.info.endswith(".dist-info")
        if is_complete or each.installer not in _INSTALLERS or _is_installed_twice(each, facts):
            continue
        yield Finding(
            f"{each} has no RECORD, so it cannot be upgraded or removed.",
            (f"{each.info} was written by {each.installer} and has no RECORD",),
            _INTERRUPTED,
            (Fix("delete", (each.info,)), *reinstall([each])),
        )


@rule("CE508")
def find_two_versions(facts: Facts) -> Iterator[Finding]:
    """Two versions of a package in one folder.

    One folder contains the metadata of two versions of a package: an upgrade was interrupted after it wrote the new
    files and before it removed the old ones. Which version programs see is undefined. The fix deletes both metadata
    folders and reinstalls the version that most files on disk belong to.
    """
    groups: dict[tuple[str, str], list[Distribution]] = defaultdict(list)
    for each in facts.distributions:
        if each.has_metadata and each.info.endswith(".dist-info"):
            groups[each.root, each.name].append(each)
    for versions in groups.values():
        if len(versions) < 2:
            continue
        kept = min(versions, key=lambda each: (len(each.missing) + len(each.altered), not each.has_record))
        yield Finding(
            f"{kept.name} is installed twice in one folder: {' and '.join(each.version for each in versions)}.",
            tuple(
                f"{each.info}: {len(each.missing)} files are missing, {len(each.altered)} have another size"
                for each in versions
            ),
            "An upgrade was interrupted before it removed the old version.",
            (Fix("delete", tuple(each.info for each in versions)), *reinstall([kept])),
            explains=errors_mentioning(facts, kept.modules),
        )


def _is_installed_twice(distribution: Distribution, facts: Facts) -> bool:
    places = [(each.name, each.root) for each in facts.distributions]
    return places.count((distribution.name, distribution.root)) > 1


def _likely_modules(distribution: Distribution) -> tuple[str, ...]:
    return distribution.modules or (distribution.name.replace("-", "_"),)


@rule("CE509")
def find_pip_leftovers(facts: Facts) -> Iterator[Finding]:
    """Folders that an interrupted pip left behind.

    pip renames a package's folders to `~…` before it deletes them. If it is interrupted, half of the package is
    gone, and pip warns about an `invalid distribution` from then on. The fix deletes the folders, and reinstalls
    packages that are not installed anywhere else.
    """
    if not facts.leftovers:
        return
    installed = {each.name for each in facts.distributions if each.has_metadata}
    lost = [each for each in facts.removed_distributions if each.has_metadata and each.name not in installed]
    yield Finding(
        f"pip was interrupted while it removed {list_some(lost)}."
        if lost
        else "An interrupted pip left folders behind.",
        tuple(f"{path} is a leftover" for path in facts.leftovers[:6]),
        "pip renames folders to ~… before it deletes them, and it did not finish.",
        (Fix("delete", facts.leftovers), *reinstall(lost)),
        explains=errors_mentioning(facts, [module for each in lost for module in _likely_modules(each)]),
        covers=tuple(f"*>{each.name}" for each in lost),
    )
