"""The versions of Colab's runtimes that `like` uses match Colab's package lists."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from packaging.version import Version

from colabenv.frameworks.runtimes import load_runtime, parse_runtime
from colabenv.profile.times import RUNTIMES
from support.releases import FOLDER, releases

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT / "src" / "colabenv" / "frameworks" / "colab"


@pytest.fixture(scope="module")
def lists_script() -> ModuleType:
    """scripts/refresh_colab_lists.py."""
    path = ROOT / "scripts" / "refresh_colab_lists.py"
    spec = importlib.util.spec_from_file_location("refresh_colab_lists", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_runtime_files_are_up_to_date(lists_script: ModuleType) -> None:
    lists = {path.stem: path.read_text() for path in FOLDER.glob("*.txt")}
    assert {path.stem: path.read_text() for path in DATA.glob("*.txt")} == {
        name: lists_script.render_like_list(name, text) for name, text in lists.items()
    }


def test_every_runtime_is_valid_in_a_profile() -> None:
    assert sorted(f"colab-{path.stem}" for path in DATA.glob("*.txt")) == list(RUNTIMES)


@pytest.mark.parametrize("name", RUNTIMES)
def test_runtime_versions_match_the_package_lists(name: str) -> None:
    runtime = load_runtime(name)
    package_lists = [release for release in releases() if f"colab-{release.name}" == name]
    assert package_lists
    for release in package_lists:
        packages = runtime.packages(release.variant)
        assert release.python == runtime.python
        assert set(release.packages) - set(packages) == {"google-colab", "en-core-web-sm"} & set(
            release.packages
        )
        different = {
            package: version for package, version in packages.items() if release.packages[package] != version
        }
        assert {package.removeprefix("torch") for package in different} <= {"", "audio", "vision", "codec"}
        assert all(
            release.packages[package].startswith(f"{version}+") for package, version in different.items()
        )
    for version in {**runtime.cpu, **runtime.gpu}.values():
        assert Version(version).local is None


def test_versions_of_a_runtime_depend_on_the_variant() -> None:
    runtime = parse_runtime("x", "# Base Python 3.12.\n[both]\na==1\n[cpu]\nb==1\n[gpu]\nb==2\nc==3\n")
    assert (runtime.packages("cpu"), runtime.packages("gpu")) == (
        {"a": "1", "b": "1"},
        {"a": "1", "b": "2", "c": "3"},
    )
    with pytest.raises(ValueError, match="not name a base Python"):
        parse_runtime("x", "[both]\na==1\n")
