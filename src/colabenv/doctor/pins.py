"""The versions that code will run with: those it pins itself, else those installed."""

from __future__ import annotations

import re
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from colabenv.doctor.distributions import TENSORFLOW_BUILDS, parse_requirement
from colabenv.doctor.model import Facts
from colabenv.frameworks.facts import TensorFlowRelease, load_table
from colabenv.frameworks.removed_apis import bundled_keras

#: Distributions that are TensorFlow.
TENSORFLOW_NAMES: Final = (*TENSORFLOW_BUILDS, "tensorflow-gpu")


def expected_versions(facts: Facts) -> dict[str, str]:
    """Version of each framework that checks of code know: the pinned one, else the installed one."""
    pins = exact_pins(facts)
    versions = {name: facts.version(name) for name in ("keras", "numpy", "scikit-learn", "scipy", "tf-keras")}
    versions["tensorflow"] = next(filter(None, map(facts.version, TENSORFLOW_BUILDS)), "")
    tensorflow = next((pins[name] for name in TENSORFLOW_NAMES if name in pins), "")
    if tensorflow and has_wheels(tensorflow, facts):
        versions["tensorflow"] = tensorflow
        versions["keras"] = bundled_keras(tensorflow)
    elif not pins.get("keras", "").startswith("3"):
        pins.pop("keras", None)  # a new TensorFlow cannot be imported with an old Keras
    pins.pop("tensorflow", None)
    return {**versions, **{name: version for name, version in pins.items() if name in versions}}


def find_release(version: str) -> TensorFlowRelease | None:
    """A release of TensorFlow, or the last one of a line such as "2.8"."""
    line = [each for each in load_table().releases if f"{each.version}.".startswith(f"{version}.")]
    return line[-1] if line else None


def supported_pythons(tensorflow: str) -> tuple[str, ...]:
    """The Pythons with wheels of a release or line of TensorFlow."""
    release = find_release(tensorflow)
    return release.pythons if release else ()


def has_wheels(tensorflow: str, facts: Facts) -> bool:
    """Whether a release of TensorFlow has wheels for this Python."""
    return facts.python_minor in supported_pythons(tensorflow)


def exact_pin(requirement: Requirement) -> str:
    """The release that a requirement pins, the line of releases for `==2.8.*`, or ""."""
    pins = [clause.version for clause in requirement.specifier if clause.operator in ("==", "===")]
    return re.sub(r"(\.0)?\.\*$", "", pins[0]) if pins else ""


def exact_pins(facts: Facts) -> dict[str, str]:
    """Versions that the code pins; the last one of each name counts."""
    requirements = filter(None, (parse_requirement(each.requirement) for each in facts.install_requests))
    return {canonicalize_name(each.name): exact_pin(each) for each in requirements if exact_pin(each)}


def install_lines(facts: Facts) -> dict[str, str]:
    """Distribution to the line of code that installs it."""
    requests = facts.install_requests
    return {canonicalize_name(re.split(r"[^\w.-]", each.requirement)[0]): each.evidence for each in requests}
