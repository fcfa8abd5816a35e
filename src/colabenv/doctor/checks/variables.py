"""Variables of the session that are meant for another Python. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from colabenv.doctor.checks.isolation import is_venv
from colabenv.doctor.checks.registry import rule
from colabenv.doctor.model import Facts, Finding, Step
from colabenv.doctor.reinstall import blamed


@rule(
    "CE308",
    "MPLBACKEND names a module that is not here",
    "Colab sets `MPLBACKEND` to a module of its own Python. In an environment without it, `import matplotlib.pyplot` "
    "fails in every program that the session starts. The variable is unset.",
)
def backend(facts: Facts) -> Iterator[Finding]:
    """At most one finding."""
    value = facts.environ.get("MPLBACKEND", "")
    module = value.removeprefix("module://").partition(".")[0]
    if not value.startswith("module://") or module in facts.modules or facts.installed("matplotlib") is None:
        return
    yield Finding(
        "CE308",
        f"MPLBACKEND names {module}, and {facts.target} does not have it.",
        (f"MPLBACKEND={value}", f"no module {module} on the path"),
        "The session's own Python set the variable for itself.",
        (Step("unset", ("MPLBACKEND",)),),
        explains=blamed(facts, ("matplotlib",)),
    )


@rule(
    "CE309",
    "UV_SYSTEM_PYTHON sends installations past the environment",
    "Colab sets `UV_SYSTEM_PYTHON=true`, so that `uv pip install` means Colab's own Python. From a virtual "
    "environment it then installs into that, even where `VIRTUAL_ENV` is set. The variable is unset.",
)
def system_python(facts: Facts) -> Iterator[Finding]:
    """At most one finding; outside of a virtual environment the variable is right."""
    value = facts.environ.get("UV_SYSTEM_PYTHON", "")
    if value.lower() not in {"1", "true", "yes", "on", "t", "y"} or not is_venv(facts):
        return
    yield Finding(
        "CE309",
        f"With UV_SYSTEM_PYTHON={value}, uv pip install does not install into {facts.prefix}.",
        (f"UV_SYSTEM_PYTHON={value}", f"the virtual environment is {facts.prefix}"),
        "The session's own Python wants it so for itself.",
        (Step("unset", ("UV_SYSTEM_PYTHON",)),),
    )
