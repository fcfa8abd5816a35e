"""What any source tells about an environment, in one form; and the forms of requirements files and notebooks. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import Final

from colabenv.importers.cells import Place, written_files
from colabenv.importers.imports import Import, imports
from colabenv.importers.installs import Arguments, Wanted, classify, installs
from colabenv.importers.notebook import Notebook
from colabenv.importers.outputs import Moment, Seen, ran, versions

#: Lines of a requirements file that are read, and characters of a line.
MAX_LINES: Final = 5_000
MAX_LINE: Final = 20_000


@dataclass(frozen=True)
class Python:
    """What a source says of its Python.

    Attributes:
        text: a version, "3.7.10", or a PEP 440 specifier, ">=3.8,<3.12".
        why: who says so, as part of a sentence.
    """

    text: str
    why: str


@dataclass(frozen=True)
class Findings:
    """What a source tells. Everything is as the source has it; nothing is chosen yet.

    Attributes:
        what: the source in words: "the notebook lesson.ipynb".
        name: what it calls itself, or "".
        wanted: what it asks for, in order; of a package that is there twice the later one counts.
        constraints: what it holds back, without asking for it.
        imports: modules that its code imports.
        seen: versions that its outputs show.
        pythons: what it says of Python, the surest first.
        day: when it ran, or None.
        indexes: package indexes; they may hold passwords.
        no_binary: packages that it wants built from source.
        remarks: what it says that no profile has, a sentence each.
        code: its Python, for idioms that tell a version.
    """

    what: str
    name: str = ""
    wanted: tuple[Wanted, ...] = ()
    constraints: tuple[Wanted, ...] = ()
    imports: tuple[Import, ...] = ()
    seen: tuple[Seen, ...] = ()
    pythons: tuple[Python, ...] = ()
    day: Moment | None = None
    indexes: tuple[str, ...] = ()
    no_binary: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    code: str = ""


@dataclass
class RequirementsFile:
    """The lines of a requirements file.

    Attributes:
        wanted: what they ask for; other files (`-r`) and constraints (`-c`) among it, by their paths.
        indexes, no_binary: see `Findings`.
        hashes: whether a line has hashes.
    """

    wanted: list[Wanted] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)
    no_binary: list[str] = field(default_factory=list)
    hashes: bool = False


def read_requirements(text: str, file: str = "", cell: int = 0) -> RequirementsFile:
    """Read a requirements file ("Requirements File Format" in pip's documentation).

    Args:
        text: its content.
        file: its name, where it is not the one that everything is about.
        cell: the cell of a notebook that holds the text, or 0.
    """
    found = RequirementsFile()
    for number, line in _logical_lines(text):
        place = Place(cell, number, file)
        found.hashes = found.hashes or "--hash" in line
        if line.startswith("-"):
            arguments = Arguments("pip", place)
            arguments.read(_words(line))
            found.wanted += arguments.wanted
            found.indexes += arguments.indexes
            found.no_binary += arguments.no_binary
        else:
            bare = re.split(r"\s--[a-z]", line, maxsplit=1)[0].strip()
            found.wanted.append(Wanted(*classify(bare), place))
    return found


def of_notebook(notebook: Notebook) -> Findings:
    """What a notebook tells, files that its own cells write included."""
    files = written_files(notebook)
    wanted: list[Wanted] = []
    indexes: list[str] = []
    for install in installs(notebook):
        indexes += install.indexes
        for one in install.wanted:
            text = files.get(one.text.removeprefix("./")) if one.kind in ("file", "constraints") else None
            inner = read_requirements(text, "", one.place.cell) if text is not None else None
            wanted += inner.wanted if inner and one.kind == "file" else [] if inner else [one]
    seen = versions(notebook)
    pythons = [Python(notebook.python, "its metadata says so")] if notebook.python else []
    pythons += [Python(one.version, f"{one.place} shows it") for one in seen if one.name == "python"]
    local = {name.removesuffix(".py") for name in files if name.endswith(".py")}
    return Findings(
        what=f"the notebook {notebook.name}",
        wanted=tuple(wanted),
        imports=tuple(one for one in imports(notebook) if one.top not in local),
        seen=tuple(one for one in seen if one.name != "python"),
        pythons=tuple(pythons),
        day=ran(notebook),
        indexes=tuple(dict.fromkeys(indexes)),
        code="\n".join(cell.source for cell in notebook.code),
    )


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines without comments, continued ones joined, empty ones left out; with their first number."""
    found: list[tuple[int, str]] = []
    parts: list[str] = []
    first = 1
    for number, line in enumerate(text.splitlines()[:MAX_LINES], 1):
        if not parts:
            first = number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            parts.append(line[:-1])
            continue
        parts.append("" if comment else line)
        found.append((first, "".join(parts)))
        parts = []
    found.append((first, "".join(parts)))
    cut = ((number, line[:MAX_LINE]) for number, line in found)
    bare = [(number, re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()) for number, line in cut]
    return [(number, line) for number, line in bare if line]
