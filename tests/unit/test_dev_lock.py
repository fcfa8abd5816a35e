"""requirements-dev.lock is in step with pyproject.toml: each requirement has one pin that satisfies it, with hashes."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

REPOSITORY = Path(__file__).resolve().parents[2]
LOCK = (REPOSITORY / "requirements-dev.lock").read_text()
PYPROJECT = (REPOSITORY / "pyproject.toml").read_text()
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
REFRESH = "run scripts/refresh-dev-lock"
SHA256 = re.compile(r"--hash=sha256:[0-9a-f]{64}")


class Pin(NamedTuple):
    """One entry of the lock: `name==version ; marker`, and how many hashes it lists."""

    name: str
    version: Version
    marker: Marker | None
    hashes: int


def environment(python: str) -> dict[str, str]:
    """The values of markers for a CPython on Linux."""
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.4",
        "python_version": python,
        "sys_platform": "linux",
        "extra": "",
    }


def pins(lock: str) -> list[Pin]:
    """Read a lock; an entry that is not an exact version is an error."""
    found = []
    text = re.sub(r"^ *#.*\n?", "", lock, flags=re.MULTILINE).replace("\\\n", " ")
    for entry in filter(str.strip, text.splitlines()):
        requirement = Requirement(entry.partition("--hash")[0])
        (specifier,) = requirement.specifier
        if specifier.operator != "==" or "*" in specifier.version:
            raise ValueError(f"not an exact version: {requirement}")
        hashes = len(SHA256.findall(entry))
        name = canonicalize_name(requirement.name)
        found.append(Pin(name, Version(specifier.version), requirement.marker, hashes))
    return found


def requirements(pyproject: str) -> list[Requirement]:
    """Everything that pyproject.toml asks for: to build, to run, for the extras and for development."""
    data = tomllib.loads(pyproject)
    lists = [
        data["build-system"]["requires"],
        data["project"]["dependencies"],
        *data["project"]["optional-dependencies"].values(),
        *data["dependency-groups"].values(),
    ]
    return [Requirement(text) for texts in lists for text in texts]


def faults(lock: str, needs: list[Requirement], python: str) -> list[str]:
    """What is wrong with a lock for one Python: a requirement without its pin, a pin without hashes, two pins."""
    target = environment(python)
    installed: dict[str, Version] = {}
    found = []
    for pin in pins(lock):
        if pin.marker is not None and not pin.marker.evaluate(target):
            continue
        if not pin.hashes:
            found.append(f"{pin.name} has no hash")
        if pin.name in installed:
            found.append(f"{pin.name} is pinned twice")
        installed[pin.name] = pin.version
    for need in needs:
        if need.marker is not None and not need.marker.evaluate(target):
            continue
        version = installed.get(canonicalize_name(need.name))
        if version is None:
            found.append(f"{need.name} is not pinned")
        elif not need.specifier.contains(version, prereleases=True):
            found.append(f"{need} is pinned to {version}")
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_is_pinned_with_hashes(python: str) -> None:
    assert faults(LOCK, requirements(PYPROJECT), python) == [], REFRESH


def test_the_build_group_holds_what_the_build_system_requires() -> None:
    # Otherwise building the clone without isolation would lack something.
    data = tomllib.loads(PYPROJECT)
    assert set(data["build-system"]["requires"]) <= set(data["dependency-groups"]["build"])


def test_the_lock_names_no_index() -> None:
    assert re.findall(r"^.*(?:://|--index|--extra-index|--find-links).*$", LOCK, re.MULTILINE) == []


DIGEST = "0" * 64
SMALL = f"""# a comment
tool==1.5 ; python_full_version < '3.11' \\
    --hash=sha256:{DIGEST} \\
    --hash=sha256:{DIGEST}
    # via
tool==2.0 ; python_full_version >= '3.11' \\
    --hash=sha256:{DIGEST}
"""


@pytest.mark.parametrize(
    ("need", "python", "fault"),
    [
        ("Tool>=1", "3.10", []),
        ("tool<2", "3.12", ["tool<2 is pinned to 2.0"]),
        ("tool<2 ; python_version < '3.11'", "3.12", []),
        ("other", "3.12", ["other is not pinned"]),
    ],
)
def test_a_requirement_is_compared_with_the_pin_of_its_python(
    need: str, python: str, fault: list[str]
) -> None:
    assert faults(SMALL, [Requirement(need)], python) == fault


def test_a_pin_without_hashes_or_twice_is_found() -> None:
    assert faults("tool==1\n", [], "3.12") == ["tool has no hash"]
    assert faults(SMALL.replace(">= '3.11'", ">= '3.10'"), [], "3.10") == ["tool is pinned twice"]


@pytest.mark.parametrize("entry", ["tool>=1", "tool==1.*"])
def test_a_range_is_not_a_pin(entry: str) -> None:
    with pytest.raises(ValueError, match="not an exact version"):
        pins(f"{entry} --hash=sha256:{DIGEST}\n")
