"""Constraints for packages that a notebook installs beside the frameworks of its environment."""

from __future__ import annotations

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from colabenv.frameworks.companions import find_later_constraints, find_tensorboard_constraints


def constraints(tensorflow: str, python: str) -> dict[str, SpecifierSet]:
    requirements = map(Requirement, find_later_constraints(tensorflow, python))
    return {requirement.name: requirement.specifier for requirement in requirements}


def test_companions_are_held_to_their_tensorflow() -> None:
    later = constraints("2.4.4", "3.8")
    assert later["tensorflow-probability"].contains("0.12.2")
    assert not later["tensorflow-probability"].contains("0.20.0")
    assert not later["setuptools"].contains("82.0.1")
    assert not later["protobuf"].contains("3.21.0")


def test_unknown_release_of_a_known_line_has_the_facts_of_the_line() -> None:
    assert constraints("2.4.99", "3.8") == constraints("2.4.4", "3.8")


def test_without_tensorflow_only_pkg_resources_is_kept() -> None:
    assert set(constraints("", "3.11")) == set(constraints("99.0", "3.11")) == {"setuptools"}


def test_tensorboard_of_a_profile_gets_pkg_resources() -> None:
    assert find_tensorboard_constraints(["TensorBoard==2.18", "numpy"]) == ["setuptools<82"]
    assert find_tensorboard_constraints(["tensorboard", "setuptools==82.0.1"]) == []
    assert find_tensorboard_constraints(["numpy"]) == []
