"""`doctor`: find what is wrong with an environment, show the evidence, and mend it where that is asked for."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colabenv.commands.common import Context, newest
from colabenv.commands.results import Result
from colabenv.doctor import repair
from colabenv.doctor.checks import diagnose
from colabenv.doctor.facts import Target, gather, try_imports
from colabenv.doctor.model import Diagnosis, Finding, Step
from colabenv.errors import InstallError, UsageError

if TYPE_CHECKING:
    from colabenv.doctor.model import Facts

Ask = Callable[[str], bool]


@dataclass(frozen=True)
class DoctorOptions:
    """What the command line says.

    Attributes:
        subject: name of an environment, a notebook, or None for the session's own interpreter.
        python: path of an interpreter, or "".
        traceback: a file with a traceback, "-" for standard input, or "".
        quick: leave the import attempts out.
        fix: mend what was found, after asking.
        yes: do not ask.
    """

    subject: str | None = None
    python: str = ""
    traceback: str = ""
    quick: bool = False
    fix: bool = False
    yes: bool = False


@dataclass(frozen=True)
class DoctorResult(Result):
    """What was found.

    Attributes:
        target: what was examined.
        python: its version.
        executable: its path.
        distributions: how many are installed.
        findings: code, what, evidence, why and the commands that mend it, what to mend first first.
        commands: what mends all of it, in order.
        seconds: by part.
        tried: statements that a child ran without an error.
        mended: commands that were run by `--fix`.
    """

    target: str
    python: str
    executable: str
    distributions: int
    findings: tuple[dict[str, Any], ...]
    commands: tuple[str, ...]
    seconds: dict[str, float]
    tried: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """0 where nothing is wrong, else 1."""
        return 1 if self.findings else 0

    def lines(self) -> list[str]:
        """A paragraph a finding, then what mends all."""
        what = f"{self.target} (Python {self.python}, {self.distributions} packages)"
        lines = [f"  ran     {command}" for command in self.mended]
        if not self.findings:
            tried = f"; {', '.join(self.tried)} work" if self.tried else ""
            return [*lines, f"✓ Nothing wrong with {what}{tried}."]
        count = len(self.findings)
        lines.append(f"{count} {'thing is' if count == 1 else 'things are'} wrong with {what}:")
        for number, finding in enumerate(self.findings, start=1):
            lines += ["", f"{number}. {finding['what']}  [{finding['code']}]"]
            lines += [f"     {line}" for text in finding["evidence"] for line in text.splitlines()]
            lines.append(f"   Why:  {finding['why']}")
            lines += [f"   Mend: {command}" for command in finding["commands"]]
        if count > 1 and self.commands:
            lines += ["", "All of it, in this order:", *(f"  {command}" for command in self.commands)]
        return lines


def doctor(options: DoctorOptions, context: Context, ask: Ask) -> DoctorResult:
    """Examine what the options name; with `fix`, mend it and examine it again.

    Args:
        options: what the command line says.
        context: the machine.
        ask: puts a question to the person; whether the answer is yes.

    Raises:
        UsageError: there is no such environment, interpreter or file.
        InstallError: a command of `--fix` failed.
    """
    target = target_of(options, context)
    found = examine(target, options, context)
    steps = repair.plan(found.findings)
    ran: list[str] = []
    if options.fix and steps:
        if not options.yes and not ask(_question(steps, found.facts, context)):
            raise UsageError("Nothing was changed.", hint="colabenv doctor --fix --yes does not ask.")
        ran = mend(steps, found.facts, context)
        found = examine(target, options, context)
    return result_of(found, context, tuple(ran))


def target_of(options: DoctorOptions, context: Context) -> Target:
    """The interpreter that the options name.

    Raises:
        UsageError: there is none.
    """
    cwd = str(Path.cwd())
    if options.python:
        path = Path(options.python).expanduser()
        # A link that leads nowhere is what a virtual environment has when its base was removed: a case for the doctor.
        if not path.is_symlink() and not (path.is_file() and os.access(path, os.X_OK)):
            raise UsageError(
                f"{options.python} is not a program.", hint="--python takes the path of a Python interpreter."
            )
        return Target(str(path), "interpreter", str(path.absolute()), context.environ, cwd)
    if options.subject is not None:
        return _of_environment(newest(options.subject, context).prefix, options.subject, context, cwd)
    inside = context.environ.get("COLABENV_INSIDE", "")
    if inside and Path(inside).is_dir():
        return _of_environment(Path(inside), Path(inside).parent.name, context, cwd)
    label = "Colab's own Python" if context.host().kind == "colab" else "this Python"
    return Target(label, "base", sys.executable, context.environ, cwd)


def _of_environment(prefix: Path, name: str, context: Context, cwd: str) -> Target:
    from colabenv.kernel.launcher import cuda_folders  # noqa: PLC0415
    from colabenv.kernel.registry import settings_of  # noqa: PLC0415
    from colabenv.system.environ import for_environment  # noqa: PLC0415

    libraries, programs = cuda_folders(str(prefix))
    variables = for_environment(
        context.environ,
        str(prefix),
        variables=settings_of(prefix).get("variables", {}),
        library_paths=libraries,
        program_paths=programs,
    )
    return Target(f"the environment {name}", "environment", f"{prefix}/bin/python", variables, cwd)


def examine(target: Target, options: DoctorOptions, context: Context) -> Diagnosis:
    """Gather the facts and run the checks."""
    began = time.monotonic()
    context.progress.stage(f"Reading what {target.label} has")
    gpus = [(gpu.name, gpu.driver, gpu.compute_capability) for gpu in context.host().gpus]
    facts = gather(target, context.runner, gpus)
    read = time.monotonic()
    if not options.quick:
        context.progress.stage("Trying imports")
        facts = try_imports(facts, target, context.runner)
    tried = time.monotonic()
    return Diagnosis(facts, diagnose(facts), {"metadata": read - began, "imports": tried - read})


def mend(steps: tuple[Step, ...], facts: Facts, context: Context) -> list[str]:
    """Carry the steps out.

    Raises:
        InstallError: one failed; those before it were carried out.
    """
    ran = []
    for step in steps:
        argv = repair.argv(step, facts, sys.executable)
        line = repair.command(step, facts, sys.executable, cell=False)
        if argv is None:
            context.progress.note(f"Left to you: {line}")
            continue
        context.progress.stage(line)
        done = context.runner.watch(argv, env=facts.environ, on_output=lambda _: None)
        context.log(f"$ {line}\n{done.output}\n")
        if done.returncode != 0:
            raise InstallError(
                f"This command failed: {line}",
                hint="Nothing after it was tried. colabenv doctor says what is wrong now.",
                detail=done.output,
            )
        ran.append(line)
    return ran


def _question(steps: tuple[Step, ...], facts: Facts, context: Context) -> str:
    listed = "\n".join(f"  {line}" for line in _commands(steps, facts, context))
    return f"To be done:\n{listed}\nGo on?"


def _commands(steps: tuple[Step, ...], facts: Facts, context: Context) -> list[str]:
    cell = context.host().kind in {"colab", "jupyter"}
    return repair.commands(steps, facts, sys.executable, cell=cell)


def result_of(found: Diagnosis, context: Context, ran: tuple[str, ...] = ()) -> DoctorResult:
    """A diagnosis as a result."""

    def as_dict(finding: Finding) -> dict[str, Any]:
        return {
            "code": finding.code,
            "what": finding.what,
            "evidence": list(finding.evidence),
            "why": finding.why,
            "commands": _commands(finding.steps, found.facts, context),
            "explains": list(finding.explains),
        }

    facts = found.facts
    return DoctorResult(
        target=facts.target,
        python=".".join(map(str, facts.python)),
        executable=facts.executable,
        distributions=len(facts.distributions),
        findings=tuple(as_dict(finding) for finding in found.findings),
        commands=tuple(_commands(repair.plan(found.findings), facts, context)),
        seconds={name: round(value, 3) for name, value in found.seconds.items()},
        tried=facts.imported,
        mended=ran,
    )
