"""Find and read a source: a notebook, a requirements file, a pyproject.toml, an environment.yml. Writes nothing."""

from __future__ import annotations

import os
import shlex
import stat
from dataclasses import replace
from pathlib import Path
from typing import Final

from colabenv.errors import UsageError
from colabenv.importers import notebook as notebooks
from colabenv.importers import projects
from colabenv.importers.cells import Place
from colabenv.importers.findings import Findings, RequirementsFile, of_notebook, read_requirements
from colabenv.importers.installs import Wanted

#: Bytes of the largest notebook that is read, and of the largest file of another kind.
MAX_NOTEBOOK: Final = 200_000_000
MAX_FILE: Final = 2_000_000
#: Files that a requirements file may lead to.
_MAX_FILES: Final = 50
_OTHERS: Final = {
    "Pipfile": "Export it first: pipenv requirements > requirements.txt",
    "Pipfile.lock": "Export it first: pipenv requirements > requirements.txt",
    "poetry.lock": "Give init the pyproject.toml beside it.",
    "uv.lock": "Give init the pyproject.toml beside it, or export it: uv export --no-hashes > requirements.txt",
    "setup.py": "It would have to be run. Give init a requirements file, or a pyproject.toml with [project].",
    "setup.cfg": "Copy its install_requires into a requirements.txt, a line each, and give init that.",
}
_NAMES: Final = ("pyproject.toml", "environment.yml", "environment.yaml")
KINDS: Final = "A notebook (.ipynb), a requirements file (.txt), a pyproject.toml or an environment.yml."


def candidates(folder: Path) -> list[Path]:
    """The files of a folder that a profile can be made from, by name; at most 1000 entries are looked at."""
    try:
        names = sorted(entry.name for _, entry in zip(range(1000), os.scandir(folder), strict=False))
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}.") from None
    wanted = [name for name in names if _is_candidate(name)]
    return [folder / name for name in wanted if (folder / name).is_file()]


def _is_candidate(name: str) -> bool:
    lower = name.lower()
    if name.startswith(".") or lower.endswith(".lock.txt"):
        return False
    requirements = lower.startswith("requirements") and lower.endswith((".txt", ".in"))
    return requirements or lower.endswith(".ipynb") or lower in _NAMES


def read(path: Path) -> Findings:
    """What a source tells.

    Args:
        path: as the person gave it.

    Raises:
        UsageError: there is no such file, or it is none of those that are known, and why.
    """
    name = path.name
    if name in _OTHERS:
        raise UsageError(f"init does not read a {name}.", hint=_OTHERS[name])
    kind = path.suffix.lower()
    if kind not in (".ipynb", ".txt", ".in", ".toml", ".yml", ".yaml"):
        raise UsageError(f"init does not know what {path} is.", hint=f"It reads: {KINDS}")
    text = read_text(path, MAX_NOTEBOOK if kind == ".ipynb" else MAX_FILE)
    if kind == ".ipynb":
        findings = of_notebook(notebooks.read(text, name))
    elif kind == ".toml":
        findings = projects.of_pyproject(text, name)
    elif kind in (".yml", ".yaml"):
        findings = projects.of_conda(text, name)
    else:
        found = read_requirements(text)
        findings = Findings(
            name,
            wanted=tuple(found.wanted),
            indexes=tuple(found.indexes),
            no_binary=tuple(found.no_binary),
            remarks=_on_hashes(found),
        )
    return _with_files(findings, path)


def read_text(path: Path, limit: int) -> str:
    """The text of a plain file: UTF-8, or UTF-16 with its mark, as PowerShell writes it.

    Raises:
        UsageError: it cannot be read, and why.
    """
    shown = shlex.quote(str(path))
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is not a file.", hint=f"It reads: {KINDS}")
        if status.st_size > limit:
            raise UsageError(
                f"{path} has {status.st_size / 1e6:.0f} MB; up to {limit / 1e6:.0f} MB are read.",
                hint=f"Clear its outputs first: jupyter nbconvert --clear-output --inplace {shown}"
                if path.suffix == ".ipynb"
                else "Is it the file you meant?",
            )
        data = path.read_bytes()
    except FileNotFoundError:
        near = [str(one) for one in _near(path)]
        raise UsageError(
            f"There is no file {path}.", hint=f"There are: {', '.join(near)}." if near else ""
        ) from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", hint=f"Its permissions: ls -l {shown}"
        ) from None
    except ValueError:  # a NUL in the path
        raise UsageError(f"{str(path)!r} is not the path of a file.") from None
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not text: byte {error.start} is not UTF-8.",
            hint="Save it as UTF-8; or is it another file?",
        ) from None
    if "\0" in text:
        raise UsageError(f"{path} is not text: it holds a NUL byte.", hint="Is it the file you meant?")
    return text


def local_modules(folder: Path) -> frozenset[str]:
    """The modules and packages that lie in a folder, so that an import of them is no package of the index."""
    try:
        entries = [entry for _, entry in zip(range(5000), os.scandir(folder), strict=False)]
        found = {entry.name.removesuffix(".py") for entry in entries if entry.name.endswith(".py")}
        return frozenset(found | {one.name for one in entries if one.is_dir() and one.name.isidentifier()})
    except OSError:
        return frozenset()


def _near(path: Path) -> list[Path]:
    try:
        return candidates(path.parent)[:5]
    except UsageError:
        return []


def _on_hashes(found: RequirementsFile) -> tuple[str, ...]:
    return ("Its hashes are left out: the lock has its own.",) if found.hashes else ()


def _with_files(findings: Findings, path: Path) -> Findings:
    """Follow `-r` and `-c`. Nothing outside the source's folder is read, since a source may be a stranger's."""
    root = Path(os.path.realpath(path.parent))
    reading = _Files(root, findings, [Path(os.path.realpath(path))])
    for one in findings.wanted:
        reading.take(one, root, "")
    return replace(
        findings,
        wanted=tuple(reading.wanted),
        constraints=(*findings.constraints, *reading.constraints),
        indexes=tuple(dict.fromkeys((*findings.indexes, *reading.indexes))),
        no_binary=tuple(dict.fromkeys((*findings.no_binary, *reading.no_binary))),
    )


class _Files:
    """Requirements files that others lead to."""

    def __init__(self, root: Path, findings: Findings, done: list[Path]) -> None:
        self.root = root
        self.what = findings.what
        self.done = done
        self.wanted: list[Wanted] = []
        self.constraints: list[Wanted] = []
        self.indexes: list[str] = []
        self.no_binary: list[str] = []

    def take(self, one: Wanted, folder: Path, shown: str) -> None:
        """Keep what is asked for, or read the file that is named; `shown` is that file's folder for messages."""
        if one.kind not in ("file", "constraints"):
            self.wanted.append(one)
            return
        # On Colab a notebook's files lie in /content, whatever folder they have here.
        relative = one.text.removeprefix("/content/")
        real = Path(os.path.realpath(folder / relative))
        name = os.path.normpath(os.path.join(shown, relative))  # noqa: PTH118 - a text for messages, not a path
        if real in self.done:
            return
        if not real.is_relative_to(self.root) or not real.is_file() or len(self.done) > _MAX_FILES:
            self.wanted.append(one)
            return
        self.done.append(real)
        found = read_requirements(read_text(real, MAX_FILE), name)
        self.indexes += found.indexes
        self.no_binary += found.no_binary
        for inner in found.wanted:
            place = Place(one.place.cell, inner.place.line, name)
            moved = Wanted(inner.kind, inner.text, place, inner.tool, inner.editable)
            if one.kind == "constraints" and inner.kind == "package":
                self.constraints.append(moved)
            else:
                self.take(moved, real.parent, os.path.dirname(name))  # noqa: PTH120
