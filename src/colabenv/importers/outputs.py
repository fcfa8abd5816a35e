"""What a notebook's outputs and metadata tell of the machine that it ran on: versions, and the day. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from colabenv.importers.cells import Place
from colabenv.importers.imports import imports
from colabenv.importers.notebook import Cell, Notebook

# The counts are bounded, so that no output takes long.
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
#: Names that people print before a version, and whose they are.
_LABELS: Final = {
    "tensorflow": "tensorflow",
    "tf": "tensorflow",
    "keras": "keras",
    "numpy": "numpy",
    "np": "numpy",
    "pandas": "pandas",
    "pd": "pandas",
    "torch": "torch",
    "pytorch": "torch",
    "jax": "jax",
    "scikit-learn": "scikit-learn",
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
    "scipy": "scipy",
}
_LABELLED: Final = re.compile(
    rf"^[^\w\n]{{0,3}}(?:using |running )?({'|'.join(_LABELS)})"
    rf"[ \t]{{0,9}}(?:version)?[ \t]{{0,9}}(?:is|[:=]{{1,2}}|->)?"
    rf"[ \t'\"]{{0,9}}{_VERSION}",
    re.MULTILINE | re.IGNORECASE,
)
_ASKED: Final = re.compile(r"\b([A-Za-z_]\w*)\.(?:__version__|version\.VERSION)\b")
_NUMBER: Final = re.compile(rf"(?<![\w.]){_VERSION}(?![\w.]{{0,60}}\.whl)")
#: Lines of logs, whose times look like versions.
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
class Seen:
    """A version that an output shows.

    Attributes:
        name: of the distribution, or of the module where only that is known; "python" for Python itself.
        version: as shown.
        place: the cell.
        how: "printed", "installed" (by pip, there and then) or "there" (pip found it).
    """

    name: str
    version: str
    place: Place
    how: str


@dataclass(frozen=True)
class Moment:
    """When a notebook ran.

    Attributes:
        day: "2021-03-04".
        how: how that is known, as part of a sentence.
    """

    day: str
    how: str


def versions(notebook: Notebook) -> list[Seen]:
    """The versions in a notebook's outputs, in order."""
    aliases = {one.alias: one.module for one in imports(notebook) if one.alias}
    return [seen for cell in notebook.code for seen in _of_cell(cell, aliases) if _is_version(seen.version)]


def ran(notebook: Notebook) -> Moment | None:
    """The last day on which a cell ran: by the cells' metadata, else by the lines of logs among the outputs."""
    told = [day for cell in notebook.code for time in cell.times if (day := _day(time[:10]))]
    if told:
        return Moment(max(told), "its cells say when they ran")
    logged = [day for cell in notebook.code for day in _logged(cell.output)]
    return Moment(max(logged), "a log among its outputs says so") if logged else None


def _of_cell(cell: Cell, aliases: dict[str, str]) -> Iterator[Seen]:
    place = Place(cell.number, 1)
    text = cell.output
    yield from _messages(text, place)
    for line in _INSTALLED.findall(text):
        for word in line.split():
            if found := re.fullmatch(r"(.+?)-([0-9]\S*)", word):
                yield Seen(str(canonicalize_name(found[1])), found[2], place, "installed")
    pairs = [(pair, "there") for pair in _SATISFIED.findall(text)]
    pairs += [(pair, "printed") for pair in _SHOW.findall(text)]
    if _LISTING.search(cell.source):
        pairs += [(pair, "printed") for pair in _FREEZE.findall(text)]
    for (name, version), how in pairs:
        yield Seen(str(canonicalize_name(name)), version, place, how)
    known = {str(canonicalize_name(name)) for (name, _), _ in pairs}
    labelled = {_LABELS[label.lower()]: version for label, version in _LABELLED.findall(text)}
    labelled = {name: version for name, version in labelled.items() if name not in known}
    for name, version in labelled.items():
        yield Seen(name, version, place, "printed")
    yield from _asked(cell, aliases, set(labelled))
    everything = f"{text}\n{cell.failure.traceback if cell.failure else ''}"
    for pattern in _PYTHON:
        if found := pattern.search(everything):
            yield Seen("python", found[1], place, "printed")


def _messages(text: str, place: Place) -> Iterator[Seen]:
    """What libraries of that time said of themselves."""
    if "TensorFlow 1.x selected" in text:  # Colab, while it had both
        yield Seen("tensorflow", "1.15", place, "printed")
    if "Using TensorFlow backend." in text:  # Keras, up to 2.3
        yield Seen("keras", "2.3", place, "printed")


def _asked(cell: Cell, aliases: dict[str, str], known: set[str]) -> Iterator[Seen]:
    """Versions that a cell asks for (`tf.__version__`), where as many came out, in that order."""
    asked = [aliases.get(name, name) for name in _ASKED.findall(cell.source)]
    numbers = _NUMBER.findall(_LOG.sub("", cell.output)) if asked else []
    if len(asked) == len(numbers) and len(asked) <= 20:
        for module, version in zip(asked, numbers, strict=True):
            if module not in known:
                yield Seen(module, version, Place(cell.number, 1), "printed")


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return len(text) < 40


def _logged(text: str) -> Iterator[str]:
    for pattern in _LOG_DAYS:
        yield from filter(None, map(_day, pattern.findall(text)))
    for month, day, year in _SMI_DAY.findall(text):
        if month in _MONTHS and (found := _day(f"{year}-{_MONTHS.index(month) + 1:02}-{int(day):02}")):
            yield found


def _day(text: str) -> str:
    """A day of the calendar as it was given, or ""."""
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        return ""
