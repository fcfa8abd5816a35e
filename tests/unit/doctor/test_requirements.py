"""Unmet requirements: those that Colab ships with, and those of extras, are not reported."""

from __future__ import annotations

from colabenv.doctor.model import Distribution, Facts
from colabenv.doctor.requirements import dependencies, unmet_dependencies
from colabenv.frameworks.runtimes import load_runtime

TORCH = Distribution("torch", "2.6.0+cu124", requires=("nvidia-cudnn-cu12==9.1.0.70",))
CUDNN = Distribution("nvidia-cudnn-cu12", "9.3.0.75")
COLAB_PACKAGES = (load_runtime("colab-2025.07").packages("gpu"),)


def test_versions_that_colab_ships_are_not_reported() -> None:
    assert COLAB_PACKAGES[0]["torch"] == "2.6.0"
    assert COLAB_PACKAGES[0]["nvidia-cudnn-cu12"] == "9.3.0.75"
    assert not dependencies(Facts("x", distributions=(TORCH, CUDNN), colab_packages=COLAB_PACKAGES))


def test_same_versions_are_reported_outside_of_colab() -> None:
    facts = Facts("x", distributions=(TORCH, CUDNN))
    assert [dependency.key for dependency in unmet_dependencies(facts)] == ["torch>nvidia-cudnn-cu12"]


def test_other_version_than_colab_ships_is_reported() -> None:
    changed = Distribution("nvidia-cudnn-cu12", "9.10.0.1")
    facts = Facts("x", distributions=(TORCH, changed), colab_packages=COLAB_PACKAGES)
    assert [dependency.key for dependency in unmet_dependencies(facts)] == ["torch>nvidia-cudnn-cu12"]


def test_requirements_of_extras_are_ignored() -> None:
    requires = ("a>=2; extra == 'gpu'", "b>=2; extra == 'gpu' or python_version >= '3'", "c>=2")
    facts = Facts(
        "x", distributions=(Distribution("d", "1", requires=requires),), markers={"python_version": "3.12"}
    )
    assert [dependency.name for dependency in dependencies(facts)] == ["b", "c"]
