"""`doctor`: find what is wrong with an environment, show the evidence, and fix it with `--fix`."""

from __future__ import annotations

import sys

from colabenv.commands.context import Context
from colabenv.doctor import fixes, targets
from colabenv.doctor.examination import examine
from colabenv.doctor.facts import Target
from colabenv.doctor.inputs import DoctorInputs, read_inputs
from colabenv.doctor.model import Diagnosis, Fix
from colabenv.errors import UsageError
from colabenv.output.doctor import DoctorResult, report_diagnosis

#: Rounds of `--fix`: a problem may hide the next one.
_ROUNDS = 3


def doctor(
    context: Context,
    subject: str | None = None,
    *,
    python: str = "",
    traceback: str = "",
    quick: bool = False,
    fix: bool = False,
    yes: bool = False,
    snapshot: str = "",
) -> DoctorResult:
    """Examine an interpreter; with `fix`, run the fixes and examine it again.

    Args:
        context: the command's workspace.
        subject: name of an environment, a notebook, or None for the session's own interpreter.
        python: path of an interpreter, or "".
        traceback: a file with a traceback, "-" for standard input, or "".
        quick: try no imports.
        fix: fix the problems, after asking.
        yes: do not ask.
        snapshot: a file with a kernel's exception and imported modules, or "".

    Raises:
        UsageError: there is no such environment, interpreter or file.
        InstallError: a command of `--fix` failed.
    """
    inputs = read_inputs(subject, traceback, snapshot)
    target = _find_target(subject, python, context)

    def examine_target(inputs: DoctorInputs) -> Diagnosis:
        return examine(target, inputs, context, context.host().gpus, quick=quick)

    diagnosis = examine_target(inputs)
    commands_run: list[str] = []
    for _ in range(_ROUNDS if fix else 0):
        facts = diagnosis.facts
        plan = fixes.select_runnable(
            fixes.plan_fixes(diagnosis.findings), facts, sys.executable, commands_run
        )
        if not plan:
            break
        if not yes and not _confirm(plan, diagnosis, context):
            if commands_run:
                break
            raise UsageError(
                "Nothing was changed.", hint="To fix without a question: colabenv doctor --fix --yes"
            )
        commands_run += fixes.run_fixes(plan, facts, sys.executable, context)
        # The inputs are from before the fixes; the interpreter shows whether they helped.
        diagnosis = examine_target(DoctorInputs())
    restart = bool(commands_run) and targets.is_session(target, context.environ, context.host().kind)
    return report_diagnosis(
        diagnosis, sys.executable, cell=_in_cell(context), fixed=commands_run, restart=restart
    )


def _find_target(subject: str | None, python: str, context: Context) -> Target:
    """The interpreter that the options name. Raises UsageError if it does not exist."""
    if python:
        return targets.interpreter_target(python, context.environ)
    if subject is not None and not subject.endswith(".ipynb"):
        return targets.environment_target(targets.find_prefix(subject, context), subject, context.environ)
    return targets.session_target(context.environ, context.host().kind)


def _in_cell(context: Context) -> bool:
    return context.host().kind in {"colab", "jupyter"}


def _confirm(plan: list[Fix], diagnosis: Diagnosis, context: Context) -> bool:
    """Show the findings and the commands, and ask whether to run them."""
    for line in report_diagnosis(diagnosis, sys.executable, cell=_in_cell(context)).lines():
        context.progress.note(line)
    commands = fixes.describe_fixes(plan, diagnosis.facts, sys.executable, cell=_in_cell(context))
    listed = "\n".join(f"  {command}" for command in commands)
    return context.ask(f"\nThese commands will run:\n{listed}\nContinue?")
