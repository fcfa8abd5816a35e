"""Constraints that keep packages made for certain releases of TensorFlow beside the one that is installed. Pure."""

from __future__ import annotations

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from colabenv.frameworks import facts
from colabenv.host.interpreters import minor_version


def find_constraints(tensorflow: str, python: str, table: facts.Table | None = None) -> list[str]:
    """Constraints for what is installed later beside a TensorFlow, on a Python such as "3.11".

    They hold companions to the newest release for that TensorFlow, and repeat the repairs that it needs. Empty for a
    release that is not in the table.
    """
    table = table or facts.load_table()
    line = [release for release in table.releases if release.line == minor_version(tensorflow)]
    release = next((release for release in line if release.version == tensorflow), line[-1] if line else None)
    if release is None:
        return []
    constraints = {canonicalize_name(Requirement(line).name): line for line in release.build.repairs}
    for name, pairings in table.companions.items():
        fitting = [
            pairing
            for pairing in pairings
            if pairing.tensorflow.contains(release.version) and python in (pairing.pythons or (python,))
        ]
        if fitting and fitting[-1] != pairings[-1]:
            constraints[canonicalize_name(name)] = f"{name}<={fitting[-1].releases[-1]}"
    return list(constraints.values())
