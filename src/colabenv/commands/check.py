"""`check`: validate a profile, offline."""

from __future__ import annotations

from colabenv.commands.context import Context
from colabenv.frameworks.plan import make_plan
from colabenv.output.profiles import CheckResult
from colabenv.profile.load import load


def check(context: Context, profile: str) -> CheckResult:
    """Read and validate a profile, or what `up` would draft for a notebook. Nothing is written.

    Raises:
        ProfileError: what is wrong, and where.
        UnsatisfiableError: its frameworks cannot work on its Python.
    """
    found = context.find_profile(profile, write=False)
    loaded = load(found.reference, context.profile_sources())
    accelerator = loaded.profile.stack.accelerator
    requirements = make_plan(loaded, "cpu" if accelerator == "auto" else accelerator).requirements
    for note in requirements.notes:
        context.progress.note(note)
    return CheckResult(
        name=loaded.profile.name,
        source=found.reference,
        python=requirements.python,
        requirements=requirements.lines,
        files=tuple(str(path) for path, _ in loaded.inputs),
        notes=requirements.notes,
    )
