"""Lines of a requirements file to PEP 508 requirements. Pure.

What pip calls options mostly have a key of their own in the profile, so that they are in one place;
each is refused with the name of that key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydantic_core import PydanticCustomError

from colabenv.profile import rules
from colabenv.profile.problems import Place, Problem

MAX_LINES: Final = 10_000

_INDEXES: Final = "Name the index under `indexes` in the profile."
_REMEDIES: Final = {
    "-e": "Publish the package on an index and give its name and version.",
    "--editable": "Publish the package on an index and give its name and version.",
    "-i": _INDEXES,
    "--index-url": _INDEXES,
    "--extra-index-url": _INDEXES,
    "--no-index": _INDEXES,
    "-f": "Put the wheels on an index, or in a folder named as a file:// URL under `indexes`.",
    "--find-links": "Put the wheels on an index, or in a folder named as a file:// URL under `indexes`.",
    "-c": "Write the versions that matter under `packages`; the lock pins all the others.",
    "--constraint": "Write the versions that matter under `packages`; the lock pins all the others.",
    "--pre": "Name the pre-release itself, such as 'keras==3.0.0rc1'.",
    "--no-binary": "Name the package under `source_builds` in the profile.",
    "--only-binary": "Take it out: colabenv installs wheels only, as this option asks.",
    "--prefer-binary": "Take it out: colabenv installs wheels only.",
    "--require-hashes": "Take it out: the lock always has hashes, and they are always checked.",
    "--trusted-host": "Give the index an https URL under `indexes`, with a certificate the machine trusts.",
}


@dataclass(frozen=True)
class Entry:
    """One requirement, normalised, or one nested file to read (`include`), with its place."""

    place: Place
    requirement: str = ""
    include: str = ""


def parse(text: str, source: str) -> tuple[list[Entry], list[Problem]]:
    """What a requirements file says, in its order, and what is wrong with it."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    for number, line in _logical_lines(text):
        place = Place(source, number)
        if len(entries) + len(problems) >= MAX_LINES:
            problems.append(Problem(f"the file has more than {MAX_LINES} requirements", place))
            break
        found = _entry(line, place)
        (entries if isinstance(found, Entry) else problems).append(found)  # type: ignore[arg-type]
    return entries, problems


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, continued ones joined, empty ones left out; with their first number."""
    parts: list[str] = []
    first = 1
    for number, line in enumerate(text.splitlines(), 1):
        if not parts:
            if not line:
                continue
            first = number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            parts.append(line[:-1])
            continue
        # As pip has it, a comment ends a continuation but is no part of it.
        parts.append("" if comment else line)
        if joined := _without_comment("".join(parts)):
            yield first, joined
        parts = []
    if joined := _without_comment("".join(parts)):
        yield first, joined


def _without_comment(line: str) -> str:
    # A '#' in the midst of a word is no comment: URLs have fragments.
    return re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()


def _entry(line: str, place: Place) -> Entry | Problem:
    if nested := re.match(r"(?:-r\s*|--requirement(?:\s+|=))(.*)", line):
        return _included(nested[1].strip().strip("'\""), place)
    if line.startswith("-"):
        option = re.match(r"--[a-z-]+|-[A-Za-z]|-", line)
        name = option[0] if option else "-"
        hint = _REMEDIES.get(name, "Take it out: a requirements file of a profile holds packages only.")
        return Problem("a profile's requirements file cannot have this option", place, name, hint)
    # Hashes are dropped: they name the files of one index and platform. The lock has its own.
    bare = re.split(r"\s--hash[=\s]", line, maxsplit=1)[0].strip()
    if option := re.search(r"\s(--[a-z-]+)", bare):
        hint = "Take it out: a requirements file of a profile holds packages only."
        return Problem("a requirement cannot have this option", place, option[1], hint)
    try:
        return Entry(place, requirement=rules.requirement(bare))
    except PydanticCustomError as error:
        context = error.context or {}
        return Problem(context["problem"], place, bare, context["hint"])


def _included(path: str, place: Place) -> Entry | Problem:
    try:
        # Only what is no relative path at all is refused here; where it leads, the reader checks.
        rules.relative_file(re.sub(r"^(\.\./)+", "", path))
    except PydanticCustomError as error:
        context = error.context or {}
        return Problem(context["problem"], place, path, context["hint"])
    return Entry(place, include=path)
