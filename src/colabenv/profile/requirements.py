"""Parse a requirements file to PEP 508 requirements.

pip's options are refused: most have a key in the profile, which the hint names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydantic_core import PydanticCustomError

from colabenv.profile import validators
from colabenv.profile.problems import Location, Problem

MAX_LINES: Final = 10_000

_EDITABLE: Final = "Publish the package on an index, and list its name and version."
_INDEXES: Final = "List the index under `indexes` in the profile."
_LINKS: Final = "Put the wheels on an index, or list their folder as a file:// URL under `indexes`."
_CONSTRAINTS: Final = "List the versions that matter under `packages`; the lock pins all others."
_PACKAGES_ONLY: Final = "Remove it: a profile's requirements file contains only packages."
_WHEELS: Final = "Remove it: colabenv installs only wheels by default."
_REMEDIES: Final = {
    "-e": _EDITABLE,
    "--editable": _EDITABLE,
    "-i": _INDEXES,
    "--index-url": _INDEXES,
    "--extra-index-url": _INDEXES,
    "--no-index": _INDEXES,
    "-f": _LINKS,
    "--find-links": _LINKS,
    "-c": _CONSTRAINTS,
    "--constraint": _CONSTRAINTS,
    "--pre": "Request the pre-release itself, such as 'keras==3.0.0rc1'.",
    "--no-binary": "List the package under `source_builds` in the profile.",
    "--only-binary": _WHEELS,
    "--prefer-binary": _WHEELS,
    "--require-hashes": "Remove it: the lock always has hashes, and they are always checked.",
    "--trusted-host": "List the index under `indexes` with an https URL whose certificate the machine trusts.",
}


@dataclass(frozen=True)
class RequirementEntry:
    """A normalized requirement, or the path of a nested file (`include`)."""

    location: Location
    requirement: str = ""
    include: str = ""


def parse_requirements(text: str, source: str) -> tuple[list[RequirementEntry], list[Problem]]:
    """The entries of a requirements file in order, and its problems; `source` is its name in messages."""
    entries: list[RequirementEntry] = []
    problems: list[Problem] = []
    for number, line in split_logical_lines(text):
        location = Location(source, number)
        if len(entries) + len(problems) >= MAX_LINES:
            hint = "Check that this is the right file."
            problems.append(Problem(f"the file has more than {MAX_LINES} requirements", location, hint=hint))
            break
        entry = _parse_line(line, location)
        if isinstance(entry, Problem):
            problems.append(entry)
        else:
            entries.append(entry)
    return entries, problems


def split_logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, without comments and with continuations joined; with their first line number."""
    parts: list[str] = []
    first = 1
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if not parts:
            first = number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            parts.append(line[:-1])
            continue
        # As in pip, a comment line ends a continuation.
        parts.append("" if comment else line)
        # A '#' inside a word does not start a comment: URLs have fragments.
        if bare := re.split(r"(?:^|\s)#", "".join(parts), maxsplit=1)[0].strip():
            yield first, bare
        parts = []


def _parse_line(line: str, location: Location) -> RequirementEntry | Problem:
    if nested := re.match(r"(?:-r\s*|--requirement(?:\s+|=))(.*)", line):
        return _parse_include(nested[1].strip().strip("'\""), location)
    if line.startswith("-"):
        option = re.match(r"--[a-z-]+|-[A-Za-z]|-", line)
        name = option[0] if option else "-"
        hint = _REMEDIES.get(name, _PACKAGES_ONLY)
        return Problem(
            "option {value} is not supported in a profile's requirements file", location, name, hint
        )
    # Drop hashes: they are those of one index and platform. The lock has its own.
    bare = re.split(r"\s--hash[=\s]", line, maxsplit=1)[0].strip()
    if option := re.search(r"\s(--[a-z-]+)", bare):
        return Problem(
            "option {value} is not supported for a requirement", location, option[1], _PACKAGES_ONLY
        )
    try:
        return RequirementEntry(location, requirement=validators.normalize_requirement(bare))
    except PydanticCustomError as error:
        return Problem.from_invalid_value(error, location, bare)


def _parse_include(path: str, location: Location) -> RequirementEntry | Problem:
    try:
        # `load` checks where the path leads.
        validators.validate_relative_file(re.sub(r"^(\.\./)+", "", path))
    except PydanticCustomError as error:
        return Problem.from_invalid_value(error, location, path)
    return RequirementEntry(location, include=path)
