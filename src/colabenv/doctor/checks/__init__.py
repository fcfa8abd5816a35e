"""The checks: pure functions from facts to findings, a file per family. Importing this registers all of them."""

from __future__ import annotations

from colabenv.doctor.checks import (
    broken,
    companions,
    cuda,
    installs,
    interference,
    isolation,
    keras,
    loading,
    numpy,
    protobuf,
    removed_apis,
    startup,
    tooling,
    unexplained,
    variables,
    versions,
)
from colabenv.doctor.checks.registry import RULES, run
from colabenv.doctor.model import Facts, Finding

__all__ = [
    "broken",
    "companions",
    "cuda",
    "diagnose",
    "installs",
    "interference",
    "isolation",
    "keras",
    "loading",
    "numpy",
    "protobuf",
    "removed_apis",
    "startup",
    "tooling",
    "unexplained",
    "variables",
    "versions",
]


def diagnose(facts: Facts) -> tuple[Finding, ...]:
    """What is wrong, ordered by what to mend first."""
    return tuple(run(facts, RULES.values()))
