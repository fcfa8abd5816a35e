"""Find and read a source: a notebook, a requirements file, a pyproject.toml or an environment.yml."""

from __future__ import annotations

import os
import shlex
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Final

from colabenv.errors import UsageError
from colabenv.importers import distribution_names, project_files
from colabenv.importers.cells import CellLocation
from colabenv.importers.evidence import Evidence, parse_requirements_file, read_notebook_evidence
from colabenv.importers.install_commands import InstallTarget
from colabenv.importers.notebook import Notebook, parse_notebook
from colabenv.importers.setup_lines import drop_setup
from colabenv.profile.addresses import is_address, parse_address, require_digest

#: Bytes of the largest notebook and of the largest other file.
MAX_NOTEBOOK: Final = 200_000_000
MAX_FILE: Final = 2_000_000
#: Files that a requirements file may include.
_MAX_FILES: Final = 50
_PIPFILE: Final = "Export it first: pipenv requirements > requirements.txt"
_UNSUPPORTED: Final = {
    "Pipfile": _PIPFILE,
    "Pipfile.lock": _PIPFILE,
    "poetry.lock": "Use the pyproject.toml beside it.",
    "uv.lock": "Use the pyproject.toml beside it, or export it: uv export --no-hashes > requirements.txt",
    "setup.py": "Use a requirements file, or a pyproject.toml with [project]: colabenv does not run setup.py.",
    "setup.cfg": "Copy its install_requires to a requirements.txt, one package a line, and use that.",
}
_NAMES: Final = ("pyproject.toml", "environment.yml", "environment.yaml")
KINDS: Final = "a notebook (.ipynb), a requirements file (.txt), a pyproject.toml or an environment.yml."
_WRONG_FILE: Final = "Check that this is the right file."


def find_sources(folder: Path) -> list[Path]:
    """The files of a folder that a profile can be made from, by name; only 1000 entries are read."""
    try:
        names = sorted(entry.name for entry in islice(os.scandir(folder), 1000))
    except OSError as error:
        raise UsageError(
            f"Cannot read the folder {folder}: {error.strerror}.", hint="Name the file to use instead."
        ) from None
    return [folder / name for name in names if _is_source(name) and (folder / name).is_file()]


def _is_source(name: str) -> bool:
    lower = name.lower()
    if name.startswith(".") or lower.endswith(".lock.txt"):
        return False
    requirements = lower.startswith("requirements") and lower.endswith((".txt", ".in"))
    return requirements or lower.endswith(".ipynb") or lower in _NAMES


def read_source(path: Path) -> Evidence:
    """Read a source. Raises UsageError if the file does not exist, or is not a supported source."""
    name = path.name
    if name in _UNSUPPORTED:
        raise UsageError(f"init does not support {name}.", hint=_UNSUPPORTED[name])
    kind = path.suffix.lower()
    if kind not in (".ipynb", ".txt", ".in", ".toml", ".yml", ".yaml"):
        raise UsageError(f"init does not support this kind of file: {path}", hint=f"Use {KINDS}")
    text = read_source_text(path, MAX_NOTEBOOK if kind == ".ipynb" else MAX_FILE)
    if kind == ".ipynb":
        return read_notebook(parse_notebook(text, name), path.parent)
    if kind == ".toml":
        evidence = project_files.read_pyproject(text, name)
    elif kind in (".yml", ".yaml"):
        evidence = project_files.read_conda_environment(text, name)
    else:
        content = parse_requirements_file(text)
        evidence = Evidence(
            name,
            targets=tuple(content.targets),
            indexes=tuple(content.indexes),
            no_binary=tuple(content.no_binary),
            remarks=("Left out: the hashes. The lock has its own.",) if content.hashes else (),
        )
    return _follow_files(evidence, path)


def read_notebook(notebook: Notebook, folder: Path) -> Evidence:
    """The evidence of a notebook whose files are in `folder`; lines that set up colabenv itself do not count."""
    return _follow_files(read_notebook_evidence(drop_setup(notebook)), folder / notebook.name)


def read_source_bytes(path: Path, limit: int, missing: str = "") -> bytes:
    """The bytes of a regular file, or UsageError; `missing` is the hint if it does not exist."""
    quoted = shlex.quote(str(path))
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is not a file.", hint=f"Use {KINDS}")
        if status.st_size > limit:
            clear = f"Clear its outputs first: jupyter nbconvert --clear-output --inplace {quoted}"
            raise UsageError(
                f"{path} is too large: {status.st_size / 1e6:.0f} MB, and the limit is {limit / 1e6:.0f} MB.",
                hint=clear if path.suffix == ".ipynb" else _WRONG_FILE,
            )
        return path.read_bytes()
    except FileNotFoundError:
        names = ", ".join(map(str, _list_nearby(path)))
        hint = missing or (f"This folder has: {names}." if names else "Check the path.")
        raise UsageError(f"File not found: {path}", hint=hint) from None
    except OSError as error:
        raise UsageError(
            f"Cannot read {path}: {error.strerror}.", hint=f"Check its permissions: ls -l {quoted}"
        ) from None
    except ValueError:  # a NUL in the path
        raise UsageError(f"Invalid path: {str(path)!r}", hint="Remove the NUL character.") from None


def read_source_text(path: Path, limit: int) -> str:
    """The text of a regular file, or UsageError: UTF-8, or UTF-16 with a byte order mark, as PowerShell writes it."""
    data = read_source_bytes(path, limit)
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not UTF-8 text (byte {error.start}).", hint=f"Save it as UTF-8. {_WRONG_FILE}"
        ) from None
    if "\0" in text:
        raise UsageError(f"{path} is not text: it contains a NUL byte.", hint=_WRONG_FILE)
    return text


@contextmanager
def open_source_file(source: str | None, fetch: Callable[[str, str], bytes]) -> Iterator[str | None]:
    """The path of a source: as it is, or for an address, of a copy that lasts until the end of the block.

    Raises:
        UsageError: the address has no file, or does not match its digest.
        NetworkError: it could not be downloaded.
    """
    if source is None or not is_address(source):
        yield source
        return
    address = parse_address(source)
    data = fetch(address.url, address.digest)
    require_digest(address, data)
    name = address.file_name
    if name in ("", "raw"):  # a gist's first file
        name = "notebook.ipynb" if looks_like_notebook(data) else "requirements.txt"
    with tempfile.TemporaryDirectory(prefix="colabenv-") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield str(path)


def looks_like_notebook(data: bytes) -> bool:
    """Whether a file's bytes look like a notebook's, and not like YAML or a requirements file."""
    return data.lstrip()[:1] == b"{" and b'"nbformat"' in data


def find_local_modules(folder: Path) -> frozenset[str]:
    """The modules and packages in a folder, whose imports are not packages of the index.

    A folder without `__init__.py` is a package only if it holds modules, and Python prefers an installed package.
    """
    try:
        entries = list(islice(os.scandir(folder), 5000))
    except OSError:
        return frozenset()
    names = distribution_names.load_names()
    modules = {entry.name.removesuffix(".py") for entry in entries if entry.name.endswith(".py")}
    for entry in entries:
        if entry.name.isidentifier() and entry.is_dir():
            files = _list_names(entry.path)
            holds_modules = any(name.endswith(".py") for name in files)
            if "__init__.py" in files or (holds_modules and not names.find_distribution(entry.name)):
                modules.add(entry.name)
    return frozenset(modules)


def _list_names(folder: str) -> list[str]:
    try:
        return [entry.name for entry in islice(os.scandir(folder), 1000)]
    except OSError:
        return []


def _list_nearby(path: Path) -> list[Path]:
    try:
        return find_sources(path.parent)[:5]
    except UsageError:
        return []


def _follow_files(evidence: Evidence, path: Path) -> Evidence:
    """Read the files of `-r` and `-c` lines, but none outside its folder, because a source can be untrusted."""
    root = Path(os.path.realpath(path.parent))
    reader = _IncludedFiles(root, [Path(os.path.realpath(path))])
    for target in evidence.targets:
        reader.add(target, root, "")
    return replace(
        evidence,
        targets=tuple(reader.targets),
        constraints=(*evidence.constraints, *reader.constraints),
        indexes=tuple(dict.fromkeys((*evidence.indexes, *reader.indexes))),
        no_binary=tuple(dict.fromkeys((*evidence.no_binary, *reader.no_binary))),
    )


@dataclass
class _IncludedFiles:
    """Collects install targets and reads the requirements files among them."""

    root: Path
    seen: list[Path]
    targets: list[InstallTarget] = field(default_factory=list)
    constraints: list[InstallTarget] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)
    no_binary: list[str] = field(default_factory=list)

    def add(self, target: InstallTarget, folder: Path, shown: str) -> None:
        """Add a target of a file in `folder` (`shown` in messages), or read the file that it names."""
        if target.kind not in ("file", "constraints"):
            self.targets.append(target)
            return
        # On Colab, a notebook's files are in /content; here they are in the source's folder.
        relative = target.text.removeprefix("/content/")
        real = Path(os.path.realpath(folder / relative))
        name = os.path.normpath(os.path.join(shown, relative))  # noqa: PTH118 - text for messages, not a path
        if real in self.seen:
            return
        if not real.is_relative_to(self.root) or not real.is_file() or len(self.seen) > _MAX_FILES:
            self.targets.append(target)
            return
        self.seen.append(real)
        content = parse_requirements_file(read_source_text(real, MAX_FILE), name)
        self.indexes += content.indexes
        self.no_binary += content.no_binary
        for item in content.targets:
            location = CellLocation(target.location.cell, item.location.line, name)
            inner = replace(item, location=location)
            if target.kind == "constraints" and inner.kind == "package":
                self.constraints.append(inner)
            else:
                self.add(inner, real.parent, os.path.dirname(name))  # noqa: PTH120
