"""Requirements in metadata that the installed versions do not meet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import Version

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.distributions import list_some, parse_version
from colabenv.doctor.error_reports import errors_involving, message_names, sources_of
from colabenv.doctor.model import Distribution, Facts, Finding, Fix
from colabenv.doctor.requirements import (
    ANCHORS,
    Dependency,
    group_by_name,
    requirements_beside,
    requirements_for,
    undeclared_range,
    unmet_dependencies,
)

_MODULES = {"protobuf": "google.protobuf", "opencv-python": "cv2", "scikit-learn": "sklearn", "pillow": "PIL"}


@rule("CE101", general=True)
def find_unmet_requirements(facts: Facts) -> Iterator[Finding]:
    """A requirement is not met.

    A package requires certain versions of another one, but another version is installed, or none. The package may
    work by chance, or fail at import or much later. The fix installs a version that everything installed accepts.
    """
    unmet = group_by_name(unmet_dependencies(facts))
    # The replacement of a package that is itself to be replaced has other requirements. If only such requirements are
    # left, all of them count.
    settled = {
        name: [need for need in needs if need.dependent.name not in unmet] for name, needs in unmet.items()
    }
    for name, needs in (settled if any(settled.values()) else unmet).items():
        if needs:
            yield describe_conflict(facts, name, needs)


@rule("CE113")
def find_old_typing_extensions(facts: Facts) -> Iterator[Finding]:
    """The installed typing-extensions is too old.

    Many packages import new names from typing-extensions, and some do not declare the version that they need:
    `cannot import name 'Self' from 'typing_extensions'`. The fix installs a newer version.
    """
    installed = facts.installed("typing-extensions")
    if installed is None or any(need.name == installed.name for need in unmet_dependencies(facts)):
        return
    newer = SpecifierSet(f">{installed.version}")
    for error in facts.local_errors:
        missing = re.search(r"cannot import name '(\w+)' from 'typing_extensions'", error.message)
        if missing:
            yield Finding(
                f"{installed} does not have {missing[1]}.",
                (error.evidence, *installed_line(installed)),
                "A package needs a newer typing-extensions, and its metadata does not declare it.",
                (Fix("install", requirements_for(facts, installed.name, newer)),),
                explains=(error.source,),
            )


def describe_conflict(facts: Facts, name: str, needs: Sequence[Dependency]) -> Finding:
    """The finding for a distribution that does not fit its dependents."""
    installed = needs[0].installed
    # A dependent that cannot be imported is itself reported as missing by others.
    failing = sorted({module for need in needs for module in need.dependent.modules} or {name})
    named = sources_of(error for error in facts.local_errors if message_names(error, *failing))
    explains = (*errors_involving(facts, *likely_modules(name, installed)), *named)
    explanation = (
        "A later installation replaced it, or something was installed without its requirements."
        if installed
        else "It was removed, or its dependents were installed without their requirements."
    )
    return Finding(
        f"{describe_state(name, needs)} {list_some(dict.fromkeys(need.dependent for need in needs), 4)}.",
        (*(need.evidence for need in needs), *installed_line(installed)),
        explanation,
        (Fix("install", _find_requirements(facts, name, needs)),),
        explains=tuple(dict.fromkeys(explains)),
        covers=tuple(need.key for need in needs),
    )


def _find_requirements(facts: Facts, name: str, needs: Sequence[Dependency]) -> tuple[str, ...]:
    """The requirements that bring it into range; a framework stays, and its dependents change."""
    installed = needs[0].installed
    if installed is None or name not in ANCHORS:
        return requirements_for(facts, name, undeclared_range(needs))
    changed = [each for need in needs for each in requirements_beside(facts, need.dependent.name, installed)]
    return tuple(dict.fromkeys(changed))


def describe_state(name: str, needs: Sequence[Dependency]) -> str:
    """What is wrong with a distribution, as the beginning of a sentence that ends with its dependents."""
    installed = needs[0].installed
    if installed is None:
        return f"{name} is not installed, but required by"
    comparisons = set(map(compare, needs))
    return f"{installed} is {comparisons.pop() if len(comparisons) == 1 else 'the wrong version'} for"


def compare(need: Dependency) -> str:
    """Whether the installed version is "too old", "too new" or "the wrong version"."""
    version = parse_version(need.installed.version) if need.installed else None
    comparisons = [_compare_with(clause, version) for clause in need.specifier] if version else []
    return next(filter(None, comparisons), "the wrong version")


def _compare_with(clause: Specifier, version: Version) -> str:
    if clause.contains(version, prereleases=True) or clause.operator in {"!=", "==="}:
        return ""
    bound = Version(clause.version.removesuffix(".*"))
    return "too old" if version < bound or clause.operator == ">" else "too new"


def installed_line(*distributions: Distribution | None) -> tuple[str, ...]:
    """The evidence for what is installed, and where."""
    return tuple(f"installed: {each}, {each.info}" for each in distributions if each)


def likely_modules(name: str, installed: Distribution | None) -> list[str]:
    """The modules of a distribution, sorted, and the one that its name suggests."""
    return sorted({_MODULES.get(name, name.replace("-", "_")), *(installed.modules if installed else ())})
