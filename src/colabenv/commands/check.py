"""`check`: whether a profile is valid, offline."""

from __future__ import annotations

from colabenv.commands.context import Context
from colabenv.frameworks.plan import make_plan
from colabenv.output.results import CheckResult
from colabenv.profile.load import load


def check(context: Context, profile: str) -> CheckResult:
    """Read and check a profile; touches neither the network nor the disk beyond its files.

    Raises:
        ProfileError: what is wrong, and where.
        UnsatisfiableError: the stack cannot work on the profile's Python.
    """
    loaded = load(profile, context.outside())
    accelerator = loaded.profile.stack.accelerator
    requirements = make_plan(loaded, "cpu" if accelerator == "auto" else accelerator).requirements
    for note in requirements.notes:
        context.progress.note(note)
    return CheckResult(
        name=loaded.profile.name,
        source=profile,
        python=requirements.python,
        requirements=requirements.lines,
        files=tuple(str(path) for path, _ in loaded.inputs),
        notes=requirements.notes,
    )
