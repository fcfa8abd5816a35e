"""`doctor`: find what is wrong with an environment, show the evidence, and mend it where that is asked for."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from colabenv.commands.context import Context
from colabenv.doctor import repair
from colabenv.doctor.facts import Target, gather, try_imports
from colabenv.doctor.inputs import Handed, findings_of, handed_over, with_handed
from colabenv.doctor.model import Diagnosis, Facts, Finding, Step
from colabenv.errors import InstallError, UsageError
from colabenv.kernel.lookup import find_environment
from colabenv.output.doctor import DoctorResult

#: Rounds of `--fix`: what an import fails with first may hide the next cause.
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
    """Examine what the options name; with `fix`, mend it and examine it again.

    Args:
        context: the machine.
        subject: name of an environment, a notebook, or None for the session's own interpreter.
        python: path of an interpreter, or "".
        traceback: a file with a traceback, "-" for standard input, or "".
        quick: leave the import attempts out.
        fix: mend what was found, after asking.
        yes: do not ask.
        snapshot: a file in which a kernel says what failed and what it has imported, or "".

    Raises:
        UsageError: there is no such environment, interpreter or file.
        InstallError: a command of `--fix` failed.
    """
    handed = handed_over(subject, traceback, snapshot)
    target = target_of(subject, python, context)
    found = examine(target, context, handed, quick=quick)
    ran: list[str] = []
    for _ in range(_ROUNDS if fix else 0):
        steps = [step for step in repair.plan(found.findings) if _is_new(step, ran, found.facts)]
        if not steps:
            break
        if not yes and not _agreed(steps, found, context):
            if ran:
                break
            raise UsageError("Nothing was changed.", hint="colabenv doctor --fix --yes does not ask.")
        ran += mend(steps, found.facts, context)
        # What was handed over tells of the time before; whether it is mended shows in what is there now.
        found = examine(target, context, Handed(), quick=quick)
    return result_of(found, context, tuple(ran), restart=bool(ran) and _is_session(target, context))


def target_of(subject: str | None, python: str, context: Context) -> Target:
    """The interpreter that the options name.

    Raises:
        UsageError: there is none.
    """
    cwd = str(Path.cwd())
    if python:
        path = Path(python).expanduser()
        # A link that leads nowhere is what a virtual environment has when its base was removed: a case for the doctor.
        if not path.is_symlink() and not (path.is_file() and os.access(path, os.X_OK)):
            raise UsageError(
                f"{python} is not a program.", hint="--python takes the path of a Python interpreter."
            )
        return Target(str(path), "interpreter", str(path.absolute()), context.environ, cwd)
    if subject is not None and not subject.endswith(".ipynb"):
        return _of_environment(_prefix_of(subject, context), subject, context, cwd)
    inside = context.environ.get("COLABENV_INSIDE", "")
    if inside and Path(inside).is_dir():
        return _of_environment(Path(inside), Path(inside).parent.name, context, cwd)
    label = "Colab's own Python" if context.host().kind == "colab" else "this Python"
    return Target(label, "base", sys.executable, context.environ, cwd)


def _prefix_of(name: str, context: Context) -> Path:
    """The folder of an environment, of one that is damaged beyond its stamp as well.

    Raises:
        UsageError: there is none.
    """
    try:
        return find_environment(name, context).prefix
    except UsageError:
        folder = context.home.envs / name
        if "/" in name or name.startswith(".") or not folder.is_dir():
            raise
        found = [prefix for prefix in folder.glob("[!.]*") if (prefix / "bin").is_dir()]
        if not found:
            raise
        return max(found, key=lambda prefix: prefix.stat().st_mtime)


def _of_environment(prefix: Path, name: str, context: Context, cwd: str) -> Target:
    from colabenv.embedded.environ import environment_variables  # noqa: PLC0415
    from colabenv.embedded.launcher import find_cuda_folders  # noqa: PLC0415
    from colabenv.kernel.register import read_settings  # noqa: PLC0415

    libraries, programs = find_cuda_folders(str(prefix))
    variables = environment_variables(
        context.environ,
        str(prefix),
        variables=read_settings(prefix).get("variables", {}),
        library_paths=libraries,
        program_paths=programs,
    )
    return Target(f"the environment {name}", "environment", f"{prefix}/bin/python", variables, cwd)


def examine(target: Target, context: Context, handed: Handed, *, quick: bool) -> Diagnosis:
    """Gather the facts and run the checks."""
    began = time.monotonic()
    if handed.snapshot is None:  # what a notebook asks shows the answer alone
        context.progress.stage(f"Reading what {target.label} has")
    gpus = [(gpu.name, gpu.driver, gpu.compute_capability) for gpu in context.host().gpus]
    before = gather(target, context.runner, gpus)
    if "SyntaxError" in before.broken_start:
        _require_readable(target, context)
    facts = with_handed(before, handed)
    read = time.monotonic()
    if not quick and not handed.adds:
        context.progress.stage("Trying imports")
        facts = try_imports(facts, target, context.runner)
    tried = time.monotonic()
    findings = findings_of(before, facts, handed)
    seconds = {"metadata": read - began, "imports": tried - read, "checks": time.monotonic() - tried}
    return Diagnosis(facts, findings, seconds)


def _require_readable(target: Target, context: Context) -> None:
    """Refuse a Python that is too old to run the probe.

    Raises:
        UsageError: it is older than 3.6.
    """
    asking = "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])"
    argv = [target.python, "-E", "-S", "-c", asking]
    said = context.runner.run(argv, env=target.environ, timeout=10.0).output.strip()
    if re.fullmatch(r"2\.\d+|3\.[0-5]", said):
        raise UsageError(
            f"{target.label} is Python {said}.",
            hint="The doctor examines Python 3.6 and newer; 2 is no more.",
        )


def _shipped() -> tuple[dict[str, str], ...]:
    """What Colab's runtimes ship, as far as it is carried."""
    from colabenv.frameworks.runtimes import runtime  # noqa: PLC0415
    from colabenv.profile.times import RUNTIMES  # noqa: PLC0415 - only on Colab's own Python

    return tuple(runtime(name).packages(variant) for name in RUNTIMES for variant in ("cpu", "gpu"))


def mend(steps: list[Step], facts: Facts, context: Context) -> list[str]:
    """Carry out steps that a program can carry out.

    Returns:
        The commands that were run.

    Raises:
        InstallError: one failed; those before it were carried out.
    """
    ran: list[str] = []
    for step in steps:
        argv = repair.argv(step, facts, sys.executable) or []
        line = repair.command(step, facts, sys.executable, cell=False)
        context.progress.stage(line)
        done = context.runner.watch(argv, env=facts.environ, on_output=lambda _: None)
        context.log(f"$ {line}\n{done.output}\n")
        if done.returncode != 0:
            before = f" What ran before it: {'; '.join(ran)}." if ran else ""
            raise InstallError(
                f"This command failed: {line}",
                hint=f"Nothing after it was tried.{before} colabenv doctor says what is wrong now.",
                detail=done.output,
            )
        ran.append(line)
    return ran


def _is_new(step: Step, ran: list[str], facts: Facts) -> bool:
    """Whether a step is one that `--fix` can carry out and has not yet."""
    can = repair.argv(step, facts, sys.executable) is not None
    return can and repair.command(step, facts, sys.executable, cell=False) not in ran


def _is_session(target: Target, context: Context) -> bool:
    """Whether a notebook's session runs in what was examined."""
    inside = context.environ.get("COLABENV_INSIDE", "")
    of_session = target.kind == "base" or (bool(inside) and target.python.startswith(f"{inside}/"))
    return of_session and (bool(inside) or context.host().kind in {"colab", "jupyter"})


def _agreed(steps: list[Step], found: Diagnosis, context: Context) -> bool:
    """Show what was found and what would be done; whether the person says yes."""
    for line in result_of(found, context).lines():
        context.progress.note(line)
    listed = "\n".join(f"  {line}" for line in _commands(tuple(steps), found.facts, context))
    return context.ask(f"\nTo be done now:\n{listed}\nGo on?")


def _commands(steps: tuple[Step, ...], facts: Facts, context: Context) -> list[str]:
    cell = context.host().kind in {"colab", "jupyter"}
    return repair.commands(steps, facts, sys.executable, cell=cell)


def result_of(
    found: Diagnosis, context: Context, ran: tuple[str, ...] = (), *, restart: bool = False
) -> DoctorResult:
    """A diagnosis as a result.

    Args:
        found: what was found.
        context: the machine.
        ran: the commands that were run.
        restart: as `DoctorResult.restart`.
    """

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
        restart=restart,
    )
