"""Variables of the session that are meant for another Python."""

from __future__ import annotations

from collections.abc import Iterator

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.error_reports import errors_mentioning
from colabenv.doctor.model import Facts, Finding, Fix

_MEANT_FOR_BASE = "The session sets the variable for its own Python."


@rule(
    "CE308",
    "MPLBACKEND names a module that is not installed",
    "Colab sets `MPLBACKEND` to a module of its own Python. An environment without that module cannot import "
    "`matplotlib.pyplot` in any program that the session starts. The fix unsets the variable.",
)
def find_missing_backend(facts: Facts) -> Iterator[Finding]:
    """At most one finding."""
    value = facts.environ.get("MPLBACKEND", "")
    module = value.removeprefix("module://").partition(".")[0]
    if not value.startswith("module://") or module in facts.modules or facts.installed("matplotlib") is None:
        return
    yield Finding(
        "CE308",
        f"MPLBACKEND names {module}, which is not installed in {facts.target}.",
        (f"MPLBACKEND={value}", f"the path has no module {module}"),
        _MEANT_FOR_BASE,
        (Fix("unset", ("MPLBACKEND",)),),
        explains=errors_mentioning(facts, ("matplotlib",)),
    )


@rule(
    "CE309",
    "UV_SYSTEM_PYTHON makes uv ignore the environment",
    "Colab sets `UV_SYSTEM_PYTHON=true`, so that `uv pip install` installs into Colab's own Python. uv does that from a "
    "virtual environment as well, even if `VIRTUAL_ENV` is set. The fix unsets the variable.",
)
def find_uv_system_python(facts: Facts) -> Iterator[Finding]:
    """At most one finding; outside of a virtual environment the variable is right."""
    value = facts.environ.get("UV_SYSTEM_PYTHON", "")
    if value.lower() not in {"1", "true", "yes", "on", "t", "y"} or not facts.is_virtual_environment:
        return
    yield Finding(
        "CE309",
        f"With UV_SYSTEM_PYTHON={value}, uv pip install does not install into {facts.prefix}.",
        (f"UV_SYSTEM_PYTHON={value}", f"the virtual environment is {facts.prefix}"),
        _MEANT_FOR_BASE,
        (Fix("unset", ("UV_SYSTEM_PYTHON",)),),
    )
