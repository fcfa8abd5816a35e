"""The version ranges in pyproject.toml include what each Colab release ships.

`tests/integration/test_colab_install.py` goes further: pip and uv plan the installation.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from support.releases import Release, parse, releases

PYPROJECT = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
RELEASES = releases()


def read_requirements() -> list[Requirement]:
    """Dependencies and extras in pyproject.toml. Their arrays are Python literals; Python 3.10 has no tomllib."""
    array = re.search(r"^dependencies = (\[.*?^\])", PYPROJECT, re.MULTILINE | re.DOTALL)
    extras = re.search(r"^\[project.optional-dependencies\]\n((?:\w+ = \[.*\]\n)+)", PYPROJECT, re.MULTILINE)
    assert array is not None
    assert extras is not None
    arrays = [array[1], *(line.partition(" = ")[2] for line in extras[1].splitlines())]
    return [Requirement(text) for array in arrays for text in ast.literal_eval(array)]


def find_unmet_requirements(requirements: list[Requirement], release: Release) -> list[str]:
    """Describe the requirements that the packages of a Colab release do not satisfy."""
    return [
        f"{requirement}, but {release} has {version}"
        for requirement in requirements
        if (version := release.packages.get(canonicalize_name(requirement.name))) is not None
        and not requirement.specifier.contains(version, prereleases=True)
    ]


def test_ranges_include_the_versions_that_colab_ships() -> None:
    unmet = [text for release in RELEASES for text in find_unmet_requirements(read_requirements(), release)]
    assert unmet == []


def test_requires_python_includes_the_python_of_each_colab_release() -> None:
    line = re.search(r'^requires-python = "(.*)"$', PYPROJECT, re.MULTILINE)
    assert line is not None
    supported = SpecifierSet(line[1])
    assert [str(release) for release in RELEASES if not supported.contains(f"{release.python}.0")] == []


def test_package_lists_are_complete() -> None:
    # With truncated or misread lists, the tests above would compare nothing.
    assert {release.name for release in RELEASES} == {
        "2025.07", "2025.10", "2026.01", "2026.04", "2026.07", "2026.08"
    }  # fmt: skip
    assert {release.python for release in RELEASES} == {"3.11", "3.12", "3.13"}
    for release in RELEASES:
        assert len(release.packages) > 600, release
        assert {"ipykernel", "jupyter-client", "pyyaml", "pydantic", "rich"} <= set(release.packages), release


def test_too_narrow_range_is_reported() -> None:
    (release,) = parse("x", "# base Python 3.12.\n[both]\nfilelock==3.18.0\nrich==13.9.4\n")
    requirements = [Requirement("FileLock>=3.24"), Requirement("rich>=13"), Requirement("absent>=1")]
    assert find_unmet_requirements(requirements, release) == ["FileLock>=3.24, but x-cpu has 3.18.0"]


def test_parse_reads_variants_with_different_versions() -> None:
    text = "# base Python 3.12.\n[both]\na==1\n[cpu]\nb==1+cpu\n[gpu]\nb==1+cu128\nc==2\n"
    cpu, gpu = parse("x", text)
    assert cpu.packages == {"a": "1", "b": "1+cpu"}
    assert gpu.packages == {"a": "1", "b": "1+cu128", "c": "2"}
    assert [str(cpu), str(gpu)] == ["x-cpu", "x-gpu"]


def test_parse_refuses_an_incomplete_list() -> None:
    with pytest.raises(ValueError, match="no base Python"):
        parse("x", "[both]\na==1\n")
    with pytest.raises(ValueError, match="before any section"):
        parse("x", "# base Python 3.12.\na==1\n")
