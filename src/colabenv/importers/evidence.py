"""What a source (a notebook or a file) says about its environment, before anything is chosen."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from colabenv.importers.cells import CellLocation, extract_python, find_written_files
from colabenv.importers.imports import Import, find_imports
from colabenv.importers.install_commands import (
    InstallArguments,
    InstallTarget,
    classify_target,
    find_installs,
)
from colabenv.importers.name_usages import NameUsage, read_name_usages
from colabenv.importers.notebook import Notebook
from colabenv.importers.outputs import RunDay, SeenVersion, find_run_day, find_versions
from colabenv.profile.requirements import split_logical_lines

#: Lines of a requirements file that are read, and characters of a line.
MAX_LINES: Final = 5_000
MAX_LINE: Final = 20_000


@dataclass(frozen=True)
class PythonEvidence:
    """A Python version ("3.7.10") or PEP 440 specifier (">=3.8,<3.12"), and the reason as part of a sentence."""

    text: str
    why: str


@dataclass(frozen=True)
class Evidence:
    """What a source says."""

    source: str  #: its description, such as "the notebook lesson.ipynb"
    name: str = ""  #: the name it gives itself, or ""
    #: what it installs, in order; the last entry for a package counts
    targets: tuple[InstallTarget, ...] = ()
    #: requirements that restrict versions without installing anything
    constraints: tuple[InstallTarget, ...] = ()
    imports: tuple[Import, ...] = ()  #: modules that its code imports
    seen: tuple[SeenVersion, ...] = ()  #: versions in its outputs
    pythons: tuple[PythonEvidence, ...] = ()  #: its Python, most reliable first
    day: RunDay | None = None  #: the day of its last run
    indexes: tuple[str, ...] = ()  #: package indexes, possibly with passwords
    no_binary: tuple[str, ...] = ()  #: packages to build from source
    remarks: tuple[str, ...] = ()  #: sentences about what a profile cannot express
    code: str = ""  #: its Python code
    usages: tuple[NameUsage, ...] = ()  #: the names that its code uses
    runtime: str = ""  #: the Colab runtime that it selects, such as "colab-2025.07", or ""


@dataclass
class RequirementsFile:
    """The content of a requirements file; `targets` includes the files of its `-r` and `-c` lines."""

    targets: list[InstallTarget] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)
    no_binary: list[str] = field(default_factory=list)
    hashes: bool = False


def parse_requirements_file(text: str, file: str = "", cell: int = 0) -> RequirementsFile:
    """Parse a requirements file ("Requirements File Format" in pip's documentation).

    Locations name `file`, "" for the source itself, and the notebook `cell` with the text, or 0.
    """
    content = RequirementsFile()
    for number, logical_line in islice(split_logical_lines(text), MAX_LINES):
        line = logical_line[:MAX_LINE]
        location = CellLocation(cell, number, file)
        content.hashes = content.hashes or "--hash" in line
        if line.startswith("-"):
            arguments = InstallArguments("pip", location)
            arguments.read(_split_words(line))
            content.targets += arguments.targets
            content.indexes += arguments.indexes
            content.no_binary += arguments.no_binary
        else:
            bare = re.split(r"\s--[a-z]", line, maxsplit=1)[0].strip()
            content.targets.append(InstallTarget(*classify_target(bare), location))
    return content


def read_notebook_evidence(notebook: Notebook) -> Evidence:
    """The evidence of a notebook, including the files that its cells write."""
    files = find_written_files(notebook)
    targets: list[InstallTarget] = []
    indexes: list[str] = []
    for install in find_installs(notebook):
        indexes += install.indexes
        for target in install.targets:
            is_file = target.kind in ("file", "constraints")
            text = files.get(target.text.removeprefix("./")) if is_file else None
            if text is None:
                targets.append(target)
            elif target.kind == "file":
                targets += parse_requirements_file(text, "", target.location.cell).targets
    versions = find_versions(notebook)
    pythons = [PythonEvidence(notebook.python, "the notebook's metadata")] if notebook.python else []
    pythons += [
        PythonEvidence(seen.version, f"shown in the output of {seen.location}")
        for seen in versions
        if seen.name == "python"
    ]
    local = {name.removesuffix(".py") for name in files if name.endswith(".py")}
    return Evidence(
        source=f"the notebook {notebook.name}",
        targets=tuple(targets),
        imports=tuple(item for item in find_imports(notebook) if item.top not in local),
        seen=tuple(seen for seen in versions if seen.name != "python"),
        pythons=tuple(pythons),
        day=find_run_day(notebook),
        indexes=tuple(dict.fromkeys(indexes)),
        code="\n".join(filter(None, map(extract_python, notebook.code))),
        usages=tuple(read_name_usages(notebook)),
        runtime=f"colab-{notebook.runtime}" if notebook.runtime else "",
    )


def _split_words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()
