"""Read the evidence of a pyproject.toml and of conda's environment.yml."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from colabenv.errors import UsageError
from colabenv.importers import bounded_parsers
from colabenv.importers.cells import CellLocation
from colabenv.importers.evidence import Evidence, PythonEvidence, parse_requirements_file
from colabenv.importers.install_commands import InstallTarget, classify_target, redact_passwords
from colabenv.importers.notebook import as_object

# Build strings of conda packages for a Python version.
_PYTHON_BUILD: Final = re.compile(r"py(py)?(hd|[23])")


@dataclass
class _EvidenceBuilder:
    """The evidence of a project file, collected step by step."""

    targets: list[InstallTarget] = field(default_factory=list)
    pythons: list[PythonEvidence] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)

    def as_evidence(self, file: str, name: str) -> Evidence:
        return Evidence(
            source=file,
            name=name,
            targets=tuple(self.targets),
            pythons=tuple(self.pythons),
            indexes=tuple(self.indexes),
            remarks=tuple(self.remarks),
        )


def read_pyproject(text: str, file: str) -> Evidence:
    """Read a pyproject.toml with PEP 621, dependency groups (PEP 735) or Poetry's tables.

    Raises:
        UsageError: it is not TOML, or has none of these.
    """
    data = bounded_parsers.parse_toml(text, file)
    project, tool = _table(data, "project"), _table(data, "tool")
    poetry = _table(tool, "poetry")
    groups = _table(data, "dependency-groups")
    if not (project or poetry or groups):
        raise UsageError(
            f"{file} has no [project], [tool.poetry] or [dependency-groups].",
            hint="Use a requirements file or the notebook instead.",
        )
    builder = _EvidenceBuilder()
    for line in _texts(project.get("dependencies")):
        builder.targets.append(InstallTarget(*classify_target(line), CellLocation(0, 0, "dependencies")))
    _read_requires_python(project.get("requires-python"), builder)
    if not project.get("dependencies"):
        _read_poetry(poetry, builder)
    _remark_optional(project, poetry, groups, builder)
    _read_dynamic(project, tool, builder)
    uv = _table(tool, "uv")
    for name in _table(uv, "sources"):
        builder.remarks.append(f"{name} comes from the package index, not from where [tool.uv.sources] says.")
    indexes = uv.get("index") if isinstance(uv.get("index"), list) else []
    builder.indexes += [
        str(index["url"]) for index in indexes or () if isinstance(index, dict) and "url" in index
    ]
    return builder.as_evidence(file, str(project.get("name") or poetry.get("name") or ""))


def read_conda_environment(text: str, file: str) -> Evidence:
    """Read an environment.yml ("Creating an environment file manually" in conda's documentation).

    Raises:
        UsageError: it is not YAML, or not an environment.
    """
    data = bounded_parsers.parse_yaml(text, file)
    dependencies = data.get("dependencies") if isinstance(data, dict) else None
    if not isinstance(dependencies, list):
        hint = "It needs a list of `dependencies`."
        if isinstance(data, dict) and {"stack", "packages", "extends"} & set(data):
            hint = f"It is already a profile: colabenv up {file}"
        raise UsageError(f"{file} is not a conda environment file.", hint=hint)
    builder = _EvidenceBuilder()
    for dependency in dependencies:
        if isinstance(dependency, dict):
            inner = parse_requirements_file("\n".join(_texts(dependency.get("pip"))))
            # Line numbers in this list would be misleading.
            builder.targets += [
                InstallTarget(target.kind, target.text, CellLocation(0, 0, "pip"), "pip", target.editable)
                for target in inner.targets
            ]
            builder.indexes += inner.indexes
        elif isinstance(dependency, str):
            _read_conda_line(dependency, builder)
    channels = [
        name for name in _texts(data.get("channels")) if name not in ("defaults", "conda-forge", "nodefaults")
    ]
    if channels:
        shown = ", ".join(redact_passwords(name) for name in channels)
        builder.remarks.append(f"Packages come from the package index, not from conda's channels ({shown}).")
    return builder.as_evidence(file, str(data.get("name") or ""))


def _read_conda_line(line: str, builder: _EvidenceBuilder) -> None:
    """Read a dependency such as `conda-forge::numpy=1.19.2=py38h54aff64_0`."""
    name = re.match(r"(?:[^\s:]+::)?([A-Za-z0-9_.-]+)", line.strip())
    if name and name[1].lower() == "python":
        version = re.search(r"[0-9]+(\.[0-9]+)*", line)
        if version:
            builder.pythons.append(PythonEvidence(version[0], f"requested as {line.strip()}"))
        return
    build = re.fullmatch(r"[^=\s]+==?[^=\s]+=([^=\s]+)", line.strip())
    library = (build and not _PYTHON_BUILD.search(build[1])) or line.startswith("_")
    kind, text = classify_target(line, "conda")
    if library and kind != "package":
        kind, text = "package", name[1].strip("_") if name else ""
    if text:
        builder.targets.append(
            InstallTarget(kind, text, CellLocation(0, 0, "conda"), "conda-library" if library else "conda")
        )


def _read_requires_python(value: object, builder: _EvidenceBuilder) -> None:
    if isinstance(value, str) and value.strip():
        builder.pythons.append(PythonEvidence(value.strip(), f"requires-python is {value.strip()}"))


def _read_poetry(poetry: dict[str, Any], builder: _EvidenceBuilder) -> None:
    """Read Poetry's dependencies ("Dependency specification" in its documentation)."""
    for name, value in _table(poetry, "dependencies").items():
        entry = value if isinstance(value, dict) else {"version": value}
        version = convert_poetry_version(str(entry.get("version") or "*"))
        if name.lower() == "python":
            builder.pythons.append(PythonEvidence(version, f"requested as python {entry.get('version')}"))
        elif {"git", "path", "url"} & set(entry):
            builder.targets.append(
                InstallTarget("address", f"{name} from a URL or path", CellLocation(0, 0, "tool.poetry"))
            )
        elif entry.get("optional") in (None, False):
            extras = f"[{','.join(_texts(entry.get('extras')))}]" if entry.get("extras") else ""
            builder.targets.append(
                InstallTarget(*classify_target(f"{name}{extras}{version}"), CellLocation(0, 0, "tool.poetry"))
            )


def convert_poetry_version(text: str) -> str:
    """Convert a version constraint of Poetry to PEP 440: `^2.15` to `>=2.15,<3`, `2.15.*` to `==2.15.*`, `*` to ""."""
    return ",".join(
        filter(None, (_convert_poetry_part(part.strip()) for part in text.partition("||")[0].split(",")))
    )


def _convert_poetry_part(part: str) -> str:
    if part in ("", "*"):
        return ""
    match = re.fullmatch(r"([~^])\s*([0-9]+(?:\.[0-9]+)*)", part)
    if not match:
        return f"=={part}" if part[0].isdigit() else part
    release = [int(number) for number in match[2].split(".")]
    if match[1] == "^":  # up to the next change of the first part that is not 0
        at = next((index for index, number in enumerate(release) if number), len(release) - 1)
    else:
        at = min(1, len(release) - 1)
    top = ".".join(str(number) for number in [*release[:at], release[at] + 1])
    return f">={match[2]},<{top}"


def _remark_optional(
    project: dict[str, Any], poetry: dict[str, Any], groups: dict[str, Any], builder: _EvidenceBuilder
) -> None:
    """List extras and groups, which are installed on demand, in remarks."""
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
        shown = ", ".join(redact_passwords(text)[:60] for text in _texts(lines)[:12])
        if shown:
            builder.remarks.append(f"Left out: {kind} {name} ({shown}).")


def _read_dynamic(project: dict[str, Any], tool: dict[str, Any], builder: _EvidenceBuilder) -> None:
    """Read the files from which setuptools reads dependencies; other dynamic ones would need a build."""
    if "dependencies" not in _texts(project.get("dynamic")):
        return
    entry = _table(_table(_table(tool, "setuptools"), "dynamic"), "dependencies").get("file")
    files = [entry] if isinstance(entry, str) else _texts(entry)
    builder.targets += [InstallTarget("file", name, CellLocation(0, 0, "dependencies")) for name in files]
    if not files:
        builder.remarks.append(
            "The project's build computes its dependencies, and init does not run it: add them by hand."
        )


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    return as_object(data.get(key))


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
