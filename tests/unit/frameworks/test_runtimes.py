"""What `like` holds to: fresh against the lists, the runtimes that a profile can name, and what is left out."""

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
def carry() -> ModuleType:
    """scripts/carry_colab.py."""
    spec = importlib.util.spec_from_file_location("carry_colab", ROOT / "scripts" / "carry_colab.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_runtime_files_are_up_to_date(carry: ModuleType) -> None:
    lists = {path.stem: path.read_text() for path in FOLDER.glob("*.txt")}
    assert {path.stem: path.read_text() for path in DATA.glob("*.txt")} == {
        name: carry.like(name, text) for name, text in lists.items()
    }


def test_every_runtime_is_valid_in_a_profile() -> None:
    assert sorted(f"colab-{path.stem}" for path in DATA.glob("*.txt")) == list(RUNTIMES)


@pytest.mark.parametrize("name", RUNTIMES)
def test_runtime_versions_match_the_package_lists(name: str) -> None:
    found = load_runtime(name)
    kinds = [one for one in releases() if f"colab-{one.name}" == name]
    assert kinds
    for release in kinds:
        packages = found.packages(release.variant)
        assert release.python == found.python
        assert set(release.packages) - set(packages) == {"google-colab", "en-core-web-sm"} & set(
            release.packages
        )
        changed = {n: v for n, v in packages.items() if release.packages[n] != v}
        assert {n.removeprefix("torch") for n in changed} <= {"", "audio", "vision", "codec"}
        assert all(release.packages[n].startswith(f"{v}+") for n, v in changed.items())
    for version in {**found.cpu, **found.gpu}.values():
        assert Version(version).local is None


def test_gpu_runtimes_have_other_versions() -> None:
    found = parse_runtime("x", "# Base Python 3.12.\n[both]\na==1\n[cpu]\nb==1\n[gpu]\nb==2\nc==3\n")
    assert (found.packages("cpu"), found.packages("gpu")) == (
        {"a": "1", "b": "1"},
        {"a": "1", "b": "2", "c": "3"},
    )
    with pytest.raises(ValueError, match="not name a base Python"):
        parse_runtime("x", "[both]\na==1\n")
