"""The ranges in pyproject.toml admit what each Colab release ships.

`tests/test_colab_install.py` goes further and lets pip itself plan the installation.
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


def requirements() -> list[Requirement]:
    """The `dependencies` of pyproject.toml and its extras; the arrays are Python literals, and 3.10 has no tomllib."""
    array = re.search(r"^dependencies = (\[.*?^\])", PYPROJECT, re.MULTILINE | re.DOTALL)
    extras = re.search(r"^\[project.optional-dependencies\]\n((?:\w+ = \[.*\]\n)+)", PYPROJECT, re.MULTILINE)
    assert array is not None
    assert extras is not None
    arrays = [array[1], *(line.partition(" = ")[2] for line in extras[1].splitlines())]
    return [Requirement(text) for one in arrays for text in ast.literal_eval(one)]


def refused(needs: list[Requirement], release: Release) -> list[str]:
    """The requirements that the release's own packages do not meet."""
    return [
        f"{need}, but {release} has {release.packages[canonicalize_name(need.name)]}"
        for need in needs
        if canonicalize_name(need.name) in release.packages
        and not need.specifier.contains(release.packages[canonicalize_name(need.name)], prereleases=True)
    ]


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_every_range_includes_the_version_colab_ships(release: Release) -> None:
    assert refused(requirements(), release) == []


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_the_project_runs_on_the_base_python(release: Release) -> None:
    line = re.search(r'^requires-python = "(.*)"$', PYPROJECT, re.MULTILINE)
    assert line is not None
    assert SpecifierSet(line[1]).contains(f"{release.python}.0")


def test_package_lists_match_their_purpose() -> None:
    # Were the data cut short or misread, the tests above would have nothing to compare.
    assert {release.name for release in RELEASES} == {
        "2025.07", "2025.10", "2026.01", "2026.04", "2026.07", "2026.08"
    }  # fmt: skip
    assert {release.python for release in RELEASES} == {"3.11", "3.12", "3.13"}
    for release in RELEASES:
        assert len(release.packages) > 600, release
        assert {"ipykernel", "jupyter-client", "pyyaml", "pydantic", "rich"} <= set(release.packages), release


def test_too_narrow_range_is_reported() -> None:
    (release,) = parse("x", "# base Python 3.12.\n[both]\nfilelock==3.18.0\nrich==13.9.4\n")
    needs = [Requirement("FileLock>=3.24"), Requirement("rich>=13"), Requirement("absent>=1")]
    assert refused(needs, release) == ["FileLock>=3.24, but x-cpu has 3.18.0"]


def test_variants_with_different_versions() -> None:
    text = "# base Python 3.12.\n[both]\na==1\n[cpu]\nb==1+cpu\n[gpu]\nb==1+cu128\nc==2\n"
    cpu, gpu = parse("x", text)
    assert cpu.packages == {"a": "1", "b": "1+cpu"}
    assert gpu.packages == {"a": "1", "b": "1+cu128", "c": "2"}
    assert [str(cpu), str(gpu)] == ["x-cpu", "x-gpu"]


def test_unreadable_data_is_an_error() -> None:
    with pytest.raises(ValueError, match="no base Python"):
        parse("x", "[both]\na==1\n")
    with pytest.raises(ValueError, match="before any section"):
        parse("x", "# base Python 3.12.\na==1\n")
