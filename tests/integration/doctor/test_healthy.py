"""Healthy environments have no findings: those of the built-in profiles, and ordinary ones without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from _pytest.mark import ParameterSet

from support.doctor.recipe import BrokenEnvironment, Recipe

pytestmark = [pytest.mark.network, pytest.mark.slow]

PROFILES = Path(__file__).parents[3] / "profiles"
NO_STATEMENT = "raise SystemExit(1)"
ORDINARY = {
    "notebook": ("pandas", "ipykernel", "openpyxl"),
    "web service": ("flask", "sqlalchemy", "requests"),
    "statistics": ("scikit-learn", "matplotlib", "setuptools"),
}


def assert_no_findings(broken: BrokenEnvironment, *arguments: str) -> None:
    code, result = broken.doctor(*arguments)
    assert result["findings"] == []
    assert code == 0
    assert result["distributions"] >= 5


@pytest.mark.parametrize("install", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_environments(install: tuple[str, ...], tmp_path: Path, uv_cache: Path) -> None:
    recipe = Recipe("healthy", "", NO_STATEMENT, install=install)
    broken = BrokenEnvironment(recipe, tmp_path, uv_cache)
    assert_no_findings(broken)
    broken.remove()


def locks() -> Iterator[ParameterSet]:
    """The locks of the built-in profiles. That of PyTorch has 3 GB of CUDA wheels, on a CPU machine too."""
    for lock in sorted(PROFILES.glob("*.cpu.lock.txt")):
        name = lock.name.removesuffix(".cpu.lock.txt")
        yield pytest.param(lock, id=name, marks=[pytest.mark.gigabytes] if "torch" in name else [])


def stack_python(lock: Path) -> str:
    header = next(line for line in lock.read_text(encoding="utf-8").splitlines() if "python:" in line.lower())
    return ".".join(header.split(":")[1].strip().strip('"').split(".")[:2])


def variables_of(lock: Path) -> dict[str, str]:
    """Keras variables that the profile's kernel gets."""
    name = lock.name.removesuffix(".cpu.lock.txt")
    stack = yaml.safe_load((PROFILES / f"{name}.yaml").read_text(encoding="utf-8")).get("stack", {})
    return {"KERAS_BACKEND": stack["backend"]} if "backend" in stack else {}


@pytest.mark.wheels
@pytest.mark.parametrize("lock", list(locks()))
def test_builtin_profiles(lock: Path, tmp_path: Path, uv_cache: Path) -> None:
    install = ("-r", str(lock))
    recipe = Recipe(
        "healthy", "", NO_STATEMENT, install=install, python=stack_python(lock), environ=variables_of(lock)
    )
    broken = BrokenEnvironment(recipe, tmp_path, uv_cache)
    assert_no_findings(broken)
    broken.remove()
