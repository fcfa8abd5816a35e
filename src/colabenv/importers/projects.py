"""What pyproject.toml and conda's environment.yml tell. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from colabenv.errors import UsageError
from colabenv.importers import trees
from colabenv.importers.cells import Place
from colabenv.importers.findings import Findings, Python, read_requirements
from colabenv.importers.installs import Wanted, classify, without_passwords

_SPECIFIC: Final = re.compile(r"py(py)?(hd|[23])")


@dataclass
class _Project:
    """What is found in a project file, bit by bit."""

    wanted: list[Wanted] = field(default_factory=list)
    pythons: list[Python] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)


def of_pyproject(text: str, file: str) -> Findings:
    """What a pyproject.toml tells: PEP 621, dependency groups (PEP 735), and Poetry's tables.

    Args:
        text: its content.
        file: its name, for messages.

    Raises:
        UsageError: it is no TOML, or holds no project.
    """
    data = trees.toml(text, file)
    project, tool = _table(data, "project"), _table(data, "tool")
    poetry = _table(tool, "poetry")
    groups = _table(data, "dependency-groups")
    if not (project or poetry or groups):
        raise UsageError(
            f"{file} describes no project: it has no [project], [tool.poetry] or [dependency-groups].",
            hint="Give init the requirements file or the notebook instead.",
        )
    found = _Project()
    for line in _texts(project.get("dependencies")):
        found.wanted.append(Wanted(*classify(line), Place(0, 0, "dependencies")))
    _python(project.get("requires-python"), found)
    if not project.get("dependencies"):
        _poetry(poetry, found)
    _left_to_choose(project, poetry, groups, found)
    _dynamic(project, tool, found)
    uv = _table(tool, "uv")
    for name in _table(uv, "sources"):
        found.remarks.append(
            f"[tool.uv.sources] has {name} from another place; here it comes from the package index."
        )
    indexes = uv.get("index") if isinstance(uv.get("index"), list) else []
    found.indexes += [str(one["url"]) for one in indexes or () if isinstance(one, dict) and "url" in one]
    return Findings(
        what=file,
        name=str(project.get("name") or poetry.get("name") or ""),
        wanted=tuple(found.wanted),
        pythons=tuple(found.pythons),
        indexes=tuple(found.indexes),
        remarks=tuple(found.remarks),
    )


def of_conda(text: str, file: str) -> Findings:
    """What an environment.yml of conda tells ("Creating an environment file manually" in its documentation).

    Raises:
        UsageError: it is no YAML, or no environment.
    """
    data = trees.yaml_tree(text, file)
    dependencies = data.get("dependencies") if isinstance(data, dict) else None
    if not isinstance(dependencies, list):
        hint = "A file of conda has a list of `dependencies`."
        if isinstance(data, dict) and {"stack", "packages", "extends"} & set(data):
            hint = f"It is a profile already: colabenv up {file}"
        raise UsageError(f"{file} is no environment of conda.", hint=hint)
    found = _Project()
    for one in dependencies:
        if isinstance(one, dict):
            inner = read_requirements("\n".join(_texts(one.get("pip"))))
            # Lines of a list, not of a file: their numbers would mislead.
            found.wanted += [
                Wanted(w.kind, w.text, Place(0, 0, "pip"), "pip", w.editable) for w in inner.wanted
            ]
            found.indexes += inner.indexes
        elif isinstance(one, str):
            _conda_line(one, found)
    channels = [
        name for name in _texts(data.get("channels")) if name not in ("defaults", "conda-forge", "nodefaults")
    ]
    if channels:
        shown = ", ".join(without_passwords(name) for name in channels)
        found.remarks.append(
            f"Of conda's channels ({shown}) nothing is used: everything comes from the package index."
        )
    return Findings(
        what=file,
        name=str(data.get("name") or ""),
        wanted=tuple(found.wanted),
        pythons=tuple(found.pythons),
        indexes=tuple(found.indexes),
        remarks=tuple(found.remarks),
    )


def _conda_line(line: str, found: _Project) -> None:
    """One dependency, such as `conda-forge::numpy=1.19.2=py38h54aff64_0`."""
    name = re.match(r"(?:[^\s:]+::)?([A-Za-z0-9_.-]+)", line.strip())
    if name and name[1].lower() == "python":
        version = re.search(r"[0-9]+(\.[0-9]+)*", line)
        if version:
            found.pythons.append(Python(version[0], f"it asks for {line.strip()}"))
        return
    build = re.fullmatch(r"[^=\s]+==?[^=\s]+=([^=\s]+)", line.strip())
    library = (build and not _SPECIFIC.search(build[1])) or line.startswith("_")
    kind, text = classify(line, "conda")
    if library and kind != "package":
        kind, text = "package", name[1].strip("_") if name else ""
    if text:
        found.wanted.append(Wanted(kind, text, Place(0, 0, "conda"), "conda-library" if library else "conda"))


def _python(value: object, found: _Project) -> None:
    if isinstance(value, str) and value.strip():
        found.pythons.append(Python(value.strip(), f"it says requires-python {value.strip()}"))


def _poetry(poetry: dict[str, Any], found: _Project) -> None:
    """Poetry's own table of dependencies ("Dependency specification" in its documentation)."""
    for name, value in _table(poetry, "dependencies").items():
        entry = value if isinstance(value, dict) else {"version": value}
        version = poetry_specifier(str(entry.get("version") or "*"))
        if name.lower() == "python":
            found.pythons.append(Python(version, f"it asks for python {entry.get('version')}"))
        elif {"git", "path", "url"} & set(entry):
            found.wanted.append(Wanted("address", f"{name} from elsewhere", Place(0, 0, "tool.poetry")))
        elif entry.get("optional") in (None, False):
            extras = f"[{','.join(_texts(entry.get('extras')))}]" if entry.get("extras") else ""
            found.wanted.append(Wanted(*classify(f"{name}{extras}{version}"), Place(0, 0, "tool.poetry")))


def poetry_specifier(text: str) -> str:
    """A version constraint of Poetry as PEP 440: `^2.15` is `<3,>=2.15`, `2.15.*` is `==2.15.*`, `*` is ""."""
    return ",".join(filter(None, (_poetry_part(part.strip()) for part in text.partition("||")[0].split(","))))


def _poetry_part(part: str) -> str:
    if part in ("", "*"):
        return ""
    found = re.fullmatch(r"([~^])\s*([0-9]+(?:\.[0-9]+)*)", part)
    if not found:
        return f"=={part}" if part[0].isdigit() else part
    release = [int(number) for number in found[2].split(".")]
    if found[1] == "^":
        # Up to the next change of the first part that is not 0.
        at = next((index for index, number in enumerate(release) if number), len(release) - 1)
    else:
        at = min(1, len(release) - 1)
    top = ".".join(str(number) for number in [*release[:at], release[at] + 1])
    return f">={found[2]},<{top}"


def _left_to_choose(
    project: dict[str, Any], poetry: dict[str, Any], groups: dict[str, Any], found: _Project
) -> None:
    """Groups that are installed on demand: they are named, and left out."""
    optional = [
        ("the extra", name, lines) for name, lines in _table(project, "optional-dependencies").items()
    ]
    optional += [("the group", name, lines) for name, lines in groups.items()]
    optional += [
        ("the group", name, list(_table(group, "dependencies")))
        for name, group in _table(poetry, "group").items()
        if isinstance(group, dict)
    ]
    for kind, name, lines in optional:
        shown = ", ".join(without_passwords(text)[:60] for text in _texts(lines)[:12])
        if shown:
            found.remarks.append(f"Left out is {kind} {name}: {shown}.")


def _dynamic(project: dict[str, Any], tool: dict[str, Any], found: _Project) -> None:
    """Dependencies that setuptools reads from files are read from there; others are not known without a build."""
    if "dependencies" not in _texts(project.get("dynamic")):
        return
    entry = _table(_table(_table(tool, "setuptools"), "dynamic"), "dependencies").get("file")
    files = [entry] if isinstance(entry, str) else _texts(entry)
    found.wanted += [Wanted("file", name, Place(0, 0, "dependencies")) for name in files]
    if not files:
        found.remarks.append("Its dependencies are made by its build, which is not run: add them by hand.")


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    return list(_only_texts(value)) if isinstance(value, list) else []


def _only_texts(values: list[Any]) -> Iterator[str]:
    yield from (value for value in values if isinstance(value, str))
