"""Find versions and the day of the last run in a notebook's outputs and metadata."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from colabenv.importers.cells import CellLocation
from colabenv.importers.imports import find_imports
from colabenv.importers.notebook import Cell, Notebook

# Repetitions are bounded, so that no output takes long.
_VERSION: Final = (
    r"v?([0-9]{1,4}\.[0-9]{1,8}(?:\.[0-9]{1,8}){0,4}(?:(?:a|b|rc|\.dev|\.post|-rc)[0-9]{1,9})?)"
    r"(?:[+-][\w.+-]{1,40})?"
)
_INSTALLED: Final = re.compile(r"^[ \t]*Successfully installed (.+)$", re.MULTILINE)
_SATISFIED: Final = re.compile(
    r"^Requirement already (?:satisfied|up-to-date): ([A-Za-z0-9._-]+)(?![\w.-])[^\n]*\(([0-9][^()\s]*)\)[ \t]*$",
    re.MULTILINE,
)
_SHOW: Final = re.compile(r"^Name: (\S+)\nVersion: (\S+)$", re.MULTILINE)
_FREEZE: Final = re.compile(
    r"^([A-Za-z0-9][A-Za-z0-9._-]{0,80})(?:==|[ \t]{1,60}:?[ \t]{0,60})([0-9]{1,9}\.[0-9][\w.+!-]{0,40})[ \t]*$",
    re.MULTILINE,
)
_LISTING: Final = re.compile(r"\bpip3?\s+(?:freeze|list)|%watermark|conda\s+list|session_info|show_versions")
#: Labels before a printed version, and their distributions.
_LABELS: Final = {
    "tf": "tensorflow",
    "np": "numpy",
    "pd": "pandas",
    "pytorch": "torch",
    "sklearn": "scikit-learn",
    **{name: name for name in ("tensorflow", "keras", "numpy", "pandas", "torch", "jax")},
    **{name: name for name in ("scikit-learn", "matplotlib", "scipy")},
}
_LABELLED: Final = re.compile(
    rf"^[^\w\n]{{0,3}}(?:using |running )?({'|'.join(_LABELS)})"
    rf"[ \t]{{0,9}}(?:version)?[ \t]{{0,9}}(?:is|[:=]{{1,2}}|->)?"
    rf"[ \t'\"]{{0,9}}{_VERSION}",
    re.MULTILINE | re.IGNORECASE,
)
_VERSION_ATTRIBUTE: Final = re.compile(r"\b([A-Za-z_]\w*)\.(?:__version__|version\.VERSION)\b")
_NUMBER: Final = re.compile(rf"(?<![\w.]){_VERSION}(?![\w.]{{0,60}}\.whl)")
#: Log lines, whose times look like versions.
_LOG: Final = re.compile(
    r"^(?:20[0-9]{2}-[0-9]{2}-[0-9]{2} |[IWEF][0-9]{4} |--20|WARNING|/).*$", re.MULTILINE
)
_PYTHON: Final = (
    re.compile(r"/lib/python(3\.[0-9]{1,2})/"),
    re.compile(r"^Python (3\.[0-9]{1,2}(?:\.[0-9]+)?)", re.MULTILINE),
    re.compile(r"^'?(3\.[0-9]{1,2}\.[0-9]+) (?:\(default|\(main|\| packaged by)", re.MULTILINE),
)
_LOG_DAYS: Final = (
    # of TensorFlow, and of wget
    re.compile(r"^(20[0-9]{2}-[0-9]{2}-[0-9]{2}) [0-9:]{8}\.[0-9]+: [IWEF] ", re.MULTILINE),
    re.compile(r"^--(20[0-9]{2}-[0-9]{2}-[0-9]{2}) [0-9:]{8}--  ", re.MULTILINE),
)
_SMI_DAY: Final = re.compile(
    r"^\w{3} (\w{3}) +([0-9]{1,2}) [0-9:]{8} (?:[A-Z]{3,4} )?(20[0-9]{2})", re.MULTILINE
)
_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905


@dataclass(frozen=True)
class SeenVersion:
    """A version in an output."""

    name: str  #: the distribution, or the module if only that is known; "python" for Python
    version: str  #: as shown
    location: CellLocation  #: the cell
    how: str  #: "printed", "installed" (by pip) or "present" (found by pip)


@dataclass(frozen=True)
class RunDay:
    """The day of a notebook's last run, "2021-03-04", and how it is known, as part of a sentence."""

    day: str
    how: str


def find_versions(notebook: Notebook) -> list[SeenVersion]:
    """The versions in a notebook's outputs, in order."""
    aliases = {item.alias: item.module for item in find_imports(notebook) if item.alias}
    return [
        seen
        for cell in notebook.code
        for seen in _find_cell_versions(cell, aliases)
        if _is_version(seen.version)
    ]


def find_run_day(notebook: Notebook) -> RunDay | None:
    """The day on which a cell last ran, from the cells' metadata or else from logs in the outputs."""
    recorded = [day for cell in notebook.code for time in cell.times if (day := _parse_day(time[:10]))]
    if recorded:
        return RunDay(max(recorded), "its cells record when they ran")
    logged = [day for cell in notebook.code for day in _find_log_days(cell.output)]
    return RunDay(max(logged), "a log in its outputs has this day") if logged else None


def _find_cell_versions(cell: Cell, aliases: dict[str, str]) -> Iterator[SeenVersion]:
    location = CellLocation(cell.number, 1)
    text = cell.output
    yield from _find_messages(text, location)
    for line in _INSTALLED.findall(text):
        for word in line.split():
            if match := re.fullmatch(r"(.+?)-([0-9]\S*)", word):
                yield SeenVersion(str(canonicalize_name(match[1])), match[2], location, "installed")
    pairs = [(pair, "present") for pair in _SATISFIED.findall(text)]
    pairs += [(pair, "printed") for pair in _SHOW.findall(text)]
    if _LISTING.search(cell.source):
        pairs += [(pair, "printed") for pair in _FREEZE.findall(text)]
    for (name, version), how in pairs:
        yield SeenVersion(str(canonicalize_name(name)), version, location, how)
    known = {str(canonicalize_name(name)) for (name, _), _ in pairs}
    labelled = {_LABELS[label.lower()]: version for label, version in _LABELLED.findall(text)}
    labelled = {name: version for name, version in labelled.items() if name not in known}
    for name, version in labelled.items():
        yield SeenVersion(name, version, location, "printed")
    yield from _find_requested_versions(cell, aliases, set(labelled))
    everything = f"{text}\n{cell.failure.traceback if cell.failure else ''}"
    for pattern in _PYTHON:
        if match := pattern.search(everything):
            yield SeenVersion("python", match[1], location, "printed")


def _find_messages(text: str, location: CellLocation) -> Iterator[SeenVersion]:
    """Messages of old releases that reveal their version."""
    if "TensorFlow 1.x selected" in text:  # Colab, while it had both
        yield SeenVersion("tensorflow", "1.15", location, "printed")
    if "Using TensorFlow backend." in text:  # Keras, up to 2.3
        yield SeenVersion("keras", "2.3", location, "printed")


def _find_requested_versions(cell: Cell, aliases: dict[str, str], known: set[str]) -> Iterator[SeenVersion]:
    """Versions that a cell prints (`tf.__version__`), if its output has as many, in that order."""
    modules = [aliases.get(name, name) for name in _VERSION_ATTRIBUTE.findall(cell.source)]
    numbers = _NUMBER.findall(_LOG.sub("", cell.output)) if modules else []
    if len(modules) == len(numbers) and len(modules) <= 20:
        for module, version in zip(modules, numbers, strict=True):
            if module not in known:
                yield SeenVersion(module, version, CellLocation(cell.number, 1), "printed")


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return len(text) < 40


def _find_log_days(text: str) -> Iterator[str]:
    for pattern in _LOG_DAYS:
        yield from filter(None, map(_parse_day, pattern.findall(text)))
    for month, day, year in _SMI_DAY.findall(text):
        if month in _MONTHS and (date := _parse_day(f"{year}-{_MONTHS.index(month) + 1:02}-{int(day):02}")):
            yield date


def _parse_day(text: str) -> str:
    """A calendar day such as "2021-03-04", or ""."""
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        return ""
