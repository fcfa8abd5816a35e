"""The checks: functions from facts to findings, one file for each topic. Importing this registers all of them."""

from __future__ import annotations

import importlib
import pkgutil

from colabenv.doctor.checks.registry import RULES, run_rules
from colabenv.doctor.model import Facts, Finding

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)


def diagnose(facts: Facts) -> tuple[Finding, ...]:
    """What is wrong; what to fix first comes first."""
    return tuple(run_rules(facts, RULES.values()))
