"""Constraints that keep packages made for certain releases of TensorFlow beside the one that is installed. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from colabenv.frameworks import facts
from colabenv.host.interpreters import minor_version

#: setuptools 81 is the last with `pkg_resources`, which TensorBoard before 2.21 imports without requiring it, and with
#: it `%load_ext tensorboard` (tried with 2.18, 2.20 and 2.21 beside setuptools 82, November 2026).
WITH_PKG_RESOURCES = "setuptools<82"


def find_tensorboard_constraints(lines: Iterable[str]) -> list[str]:
    """Constraints for a profile whose own requirements name TensorBoard, unless they name setuptools as well."""
    names = {canonicalize_name(Requirement(line).name) for line in lines}
    return [WITH_PKG_RESOURCES] if "tensorboard" in names and "setuptools" not in names else []


def find_later_constraints(tensorflow: str, python: str, table: facts.Table | None = None) -> list[str]:
    """Constraints for what is installed later beside a TensorFlow, on a Python such as "3.11".

    They hold companions to the newest release for that TensorFlow, and repeat the repairs that it needs. `tensorflow`
    is "" for an environment without TensorFlow.
    """
    table = table or facts.load_table()
    line = [release for release in table.releases if tensorflow and release.line == minor_version(tensorflow)]
    release = next((release for release in line if release.version == tensorflow), line[-1] if line else None)
    if release is None:
        return [WITH_PKG_RESOURCES]
    lines = (WITH_PKG_RESOURCES, *release.build.repairs)
    constraints = {canonicalize_name(Requirement(line).name): line for line in lines}
    for name, pairings in table.companions.items():
        fitting = [
            pairing
            for pairing in pairings
            if pairing.tensorflow.contains(release.version) and python in (pairing.pythons or (python,))
        ]
        if fitting and fitting[-1] != pairings[-1]:
            constraints[canonicalize_name(name)] = f"{name}<={fitting[-1].releases[-1]}"
    return list(constraints.values())
