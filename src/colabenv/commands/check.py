"""`check`: whether a profile is valid, offline."""

from __future__ import annotations

import sys

from colabenv.commands.common import Context
from colabenv.commands.results import CheckResult
from colabenv.profile.model import specifier
from colabenv.profile.source import load
from colabenv.stack import rules


def check(profile: str, context: Context) -> CheckResult:
    """Read and check a profile; touches neither the network nor the disk beyond its files.

    Raises:
        ProfileError: what is wrong, and where.
        UnsatisfiableError: the stack cannot work on the profile's Python.
    """
    loaded = load(profile)
    stack = loaded.profile.stack
    wanted = rules.requirements(
        python=loaded.profile.python,
        tensorflow=specifier(stack.tensorflow) if stack.tensorflow else None,
        keras=specifier(stack.keras) if stack.keras else None,
        lines=loaded.requirement_lines,
        variant="cpu" if stack.accelerator == "auto" else stack.accelerator,
        default_python=f"{sys.version_info.major}.{sys.version_info.minor}",
    )
    for note in wanted.notes:
        context.progress.note(note)
    return CheckResult(
        name=loaded.profile.name,
        source=profile,
        python=wanted.python,
        requirements=wanted.lines,
        files=tuple(str(path) for path, _ in loaded.inputs),
        notes=wanted.notes,
    )
