"""Repair requirements that uv cannot parse: old releases declare some that PEP 440 and PEP 508 do not allow.

pandas up to 0.24.2, for example, requires `pytz (>=2011k)`. pip before 24.1 installed such releases; uv skips them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

#: A hint of uv 0.11 to 0.13.
_UNPARSABLE = re.compile(r"Metadata for `(?P<name>[^`]+)` \(v(?P<version>[^)\s]+)\) could not be parsed")
#: A version after an operator, and what follows its numbers.
_VERSION = re.compile(r"([<>=!~]=?\s*\d+(?:\.\d+)*)[^\s,();]*")
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?")


@dataclass(frozen=True)
class RepairedMetadata:
    """The requirements of a release that declares invalid ones.

    Attributes:
        name: the distribution.
        version: its version.
        requires: PEP 508 lines.
        requires_python: specifier, or "".
        changes: (declared, repaired) of the requirements that were invalid.
    """

    name: str
    version: str
    requires: tuple[str, ...]
    requires_python: str
    changes: tuple[tuple[str, str], ...]

    def describe(self) -> str:
        """A note for the user."""
        listed = ", ".join(f"{repaired or 'nothing'} for {declared}" for declared, repaired in self.changes)
        return (
            f"{self.name} {self.version} declares requirements in an invalid format; colabenv uses {listed}."
        )


def find_unparsable(output: str) -> tuple[tuple[str, str], ...]:
    """(name, version) of the releases whose metadata uv could not parse, from its output."""
    text = " ".join(output.split())
    return tuple(dict.fromkeys((match["name"], match["version"]) for match in _UNPARSABLE.finditer(text)))


def repair_metadata(name: str, version: str, metadata: Message) -> RepairedMetadata:
    """The requirements that the METADATA of a release declares, with the invalid ones repaired."""
    declared = [str(value) for value in metadata.get_all("Requires-Dist", [])]
    requires = tuple(repair_requirement(line) for line in declared)
    changes = tuple(
        pair for pair in zip(declared, requires, strict=True) if not _is_valid_requirement(pair[0])
    )
    requires_python = str(metadata.get("Requires-Python", ""))
    return RepairedMetadata(
        name, version, requires, requires_python if _is_valid_specifier(requires_python) else "", changes
    )


def repair_requirement(line: str) -> str:
    """A valid requirement that is as close as possible: without the letters after a version, or without versions."""
    head, separator, marker = line.partition(";")
    numbers_only = _VERSION.sub(r"\1", head)
    name = _NAME.match(head)
    candidates = (line, numbers_only + separator + marker, name[0].strip() if name else "")
    return next((str(Requirement(text)) for text in candidates if _is_valid_requirement(text)), "")


def format_uv_configuration(repaired: Iterable[RepairedMetadata]) -> str:
    """The text of a uv.toml with the requirements of these releases."""
    return "".join(
        "[[dependency-metadata]]\n"
        f"name = {json.dumps(release.name)}\n"
        f"version = {json.dumps(release.version)}\n"
        f"requires-dist = {json.dumps([line for line in release.requires if line])}\n"
        + (f"requires-python = {json.dumps(release.requires_python)}\n" if release.requires_python else "")
        for release in repaired
    )


def _is_valid_requirement(line: str) -> bool:
    try:
        Requirement(line)
    except InvalidRequirement:
        return False
    return True


def _is_valid_specifier(text: str) -> bool:
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return False
    return True
