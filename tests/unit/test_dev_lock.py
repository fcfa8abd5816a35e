"""requirements-dev.lock matches pyproject.toml: each requirement has one pin that satisfies it, with hashes."""

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
    """An entry of the lock: `name==version ; marker`, and its number of hashes."""

    name: str
    version: Version
    marker: Marker | None
    hashes: int


def marker_environment(python: str) -> dict[str, str]:
    """Marker values of a CPython on Linux."""
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


def parse_pins(lock: str) -> list[Pin]:
    """Read a lock. Raises `ValueError` for an entry that is not an exact version."""
    pins = []
    text = re.sub(r"^ *#.*\n?", "", lock, flags=re.MULTILINE).replace("\\\n", " ")
    for entry in filter(str.strip, text.splitlines()):
        requirement = Requirement(entry.partition("--hash")[0])
        (specifier,) = requirement.specifier
        if specifier.operator != "==" or "*" in specifier.version:
            raise ValueError(f"not an exact version: {requirement}")
        hashes = len(SHA256.findall(entry))
        name = canonicalize_name(requirement.name)
        pins.append(Pin(name, Version(specifier.version), requirement.marker, hashes))
    return pins


def read_requirements(pyproject: str) -> list[Requirement]:
    """All requirements in pyproject.toml: to build, to run, of the extras and the dependency groups."""
    data = tomllib.loads(pyproject)
    lists = [
        data["build-system"]["requires"],
        data["project"]["dependencies"],
        *data["project"]["optional-dependencies"].values(),
        *data["dependency-groups"].values(),
    ]
    return [Requirement(text) for texts in lists for text in texts]


def find_problems(lock: str, requirements: list[Requirement], python: str) -> list[str]:
    """Problems of a lock for one Python: requirements without a pin, pins without hashes, duplicate pins."""
    target = marker_environment(python)
    versions: dict[str, Version] = {}
    problems = []
    for pin in parse_pins(lock):
        if pin.marker is not None and not pin.marker.evaluate(target):
            continue
        if not pin.hashes:
            problems.append(f"{pin.name} has no hash")
        if pin.name in versions:
            problems.append(f"{pin.name} is pinned twice")
        versions[pin.name] = pin.version
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate(target):
            continue
        version = versions.get(canonicalize_name(requirement.name))
        if version is None:
            problems.append(f"{requirement.name} is not pinned")
        elif not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement} is pinned to {version}")
    return problems


def test_every_requirement_is_pinned_with_hashes() -> None:
    requirements = read_requirements(PYPROJECT)
    problems = {python: find_problems(LOCK, requirements, python) for python in PYTHONS}
    assert problems == {python: [] for python in PYTHONS}, REFRESH


def test_build_group_has_the_requirements_of_the_build_system() -> None:
    # A build without isolation needs them.
    data = tomllib.loads(PYPROJECT)
    assert set(data["build-system"]["requires"]) <= set(data["dependency-groups"]["build"])


def test_lock_names_no_package_index() -> None:
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


def test_requirement_is_compared_with_the_pin_for_its_python() -> None:
    def problems(requirement: str, python: str) -> list[str]:
        return find_problems(SMALL, [Requirement(requirement)], python)

    assert problems("Tool>=1", "3.10") == []
    assert problems("tool<2", "3.12") == ["tool<2 is pinned to 2.0"]
    assert problems("tool<2 ; python_version < '3.11'", "3.12") == []
    assert problems("other", "3.12") == ["other is not pinned"]


def test_pin_without_hashes_and_duplicate_pin_are_reported() -> None:
    assert find_problems("tool==1\n", [], "3.12") == ["tool has no hash"]
    assert find_problems(SMALL.replace(">= '3.11'", ">= '3.10'"), [], "3.10") == ["tool is pinned twice"]


def test_range_is_not_a_pin() -> None:
    for entry in ("tool>=1", "tool==1.*"):
        with pytest.raises(ValueError, match=f"not an exact version: {re.escape(entry)}"):
            parse_pins(f"{entry} --hash=sha256:{DIGEST}\n")
