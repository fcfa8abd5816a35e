"""Turns fixes into commands: those that a person types, and those that `doctor --fix` runs."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from colabenv.doctor.distributions import TENSORFLOW_BUILDS
from colabenv.doctor.model import Facts, Finding, Fix
from colabenv.doctor.requirements import is_satisfiable
from colabenv.errors import InstallError
from colabenv.host.interpreters import minor_version
from colabenv.system.workspace import Workspace

#: The order in which fixes of several findings are carried out.
_ORDER = (
    *("venv", "unset", "set", "rename", "delete", "uninstall", "reinstall", "install", "edit", "init", "up"),
    "restart",
)
_MERGED = ("install", "uninstall", "reinstall", "delete", "unset")
#: Minor lines of TensorFlow with a builtin profile `tf-LINE`.
BUILTIN_LINES = ("2.10", "2.15", "2.18", "2.21")


def build_environment(framework: str, version: str, notebook: str = "") -> Fix:
    """The fix that builds an environment with a release or line of a framework.

    Its profile is made from the notebook if there is one, else it is the builtin one of that line, else a new one.
    """
    if notebook:
        return Fix("init", (notebook,))
    line = minor_version(version)
    framework = "tensorflow" if framework in TENSORFLOW_BUILDS else framework
    if framework == "tensorflow" and line in BUILTIN_LINES:
        return Fix("up", (f"builtin:tf-{line}",))
    name = f"tf-{line}" if framework == "tensorflow" else f"{framework}-{line}"
    return Fix("up", (f"{name}.yaml", f'{{name: {name}, stack: {{{framework}: "{version}"}}}}'))


def plan_fixes(findings: Iterable[Finding]) -> tuple[Fix, ...]:
    """The fixes of all findings in the order to carry them out, merged by action.

    One run of the installer then sees all requirements. Requirements for one distribution are combined; if they
    contradict each other, the first one counts. Only the first new environment is kept.
    """
    merged: dict[str, list[str]] = {action: [] for action in _MERGED}
    separate: list[Fix] = []
    for fix in (fix for finding in findings for fix in finding.fixes):
        if fix.action in merged:
            merged[fix.action] += [each for each in fix.arguments if each not in merged[fix.action]]
        elif fix not in separate and (fix.action != "up" or "up" not in {each.action for each in separate}):
            separate.append(fix)
    merged["reinstall"] = _combine(merged["reinstall"])
    reinstalled = set(map(_name_of, merged["reinstall"]))
    merged["install"] = [each for each in _combine(merged["install"]) if _name_of(each) not in reinstalled]
    merged_fixes = [Fix(action, tuple(values)) for action, values in merged.items() if values]
    return tuple(sorted([*merged_fixes, *separate], key=lambda fix: _ORDER.index(fix.action)))


def fix_argv(fix: Fix, facts: Facts, own_python: str) -> list[str] | None:
    """The program that carries out a fix; None if only a person can (`edit`, `init`, `restart`, `set`, `unset`).

    `own_python` is the Python that runs colabenv; its uv serves an interpreter without pip.
    """
    arguments = fix.arguments
    uv = [own_python, "-m", "uv"]
    pip = [facts.executable, "-m", "pip"] if facts.has_pip else [*uv, "pip"]
    target = [] if facts.has_pip else ["--python", facts.executable]
    yes_option = ["-y"] if facts.has_pip else []
    reinstall_option = "--force-reinstall" if facts.has_pip else "--reinstall"
    argv = {
        "install": [*pip, "install", *target, *arguments],
        "reinstall": [*pip, "install", *target, reinstall_option, "--no-deps", *arguments],
        "uninstall": [*pip, "uninstall", *yes_option, *target, *arguments],
        "delete": ["rm", "-rf", *arguments],
        "rename": ["mv", *arguments],
        "venv": [*uv, "venv", "--quiet", "--allow-existing", "--python", *arguments[1:], *arguments[:1]],
        "up": _up_argv(fix, own_python),
    }
    return argv.get(fix.action)


def describe_fix(fix: Fix, facts: Facts, own_python: str, *, cell: bool) -> str:
    """A fix as a person types it in a notebook's cell or a shell, or carries it out."""
    if fix.action == "restart":
        return "Runtime > Restart session" if cell else "restart the program"
    if fix.action == "unset":
        line = "; ".join(f"os.environ.pop({name!r}, None)" for name in fix.arguments)
        return f"import os; {line}" if cell else "unset " + " ".join(fix.arguments)
    if fix.action == "set":
        name, value = fix.arguments
        shell = f"export {name}={shlex.quote(value)}"
        return f"import os; os.environ[{name!r}] = {value!r}" if cell else shell
    if fix.action == "edit":
        return f"change  {fix.arguments[0]}  to  {fix.arguments[1]}"
    words = fix_argv(fix, facts, own_python) or ["python", "-m", "colabenv", fix.action, *fix.arguments]
    line = words[2] if words[0] == "sh" else shlex.join(words)
    if fix.action == "up":
        line = line.replace(shlex.quote(own_python), "python")
    return ("!" if cell else "") + line


def describe_fixes(fixes: Sequence[Fix], facts: Facts, own_python: str, *, cell: bool) -> list[str]:
    """Every fix as a person types it; see `describe_fix`."""
    return [describe_fix(fix, facts, own_python, cell=cell) for fix in fixes]


def select_runnable(
    fixes: Iterable[Fix], facts: Facts, own_python: str, completed: Sequence[str]
) -> list[Fix]:
    """The fixes that a program can carry out and that are not among the `completed` commands."""
    runnable = [fix for fix in fixes if fix_argv(fix, facts, own_python) is not None]
    return [fix for fix in runnable if describe_fix(fix, facts, own_python, cell=False) not in completed]


def run_fixes(fixes: Iterable[Fix], facts: Facts, own_python: str, workspace: Workspace) -> list[str]:
    """Carry out fixes that a program can carry out, and return their commands.

    Raises:
        InstallError: one failed; those before it were carried out.
    """
    commands: list[str] = []
    for fix in fixes:
        command = describe_fix(fix, facts, own_python, cell=False)
        workspace.progress.stage(command)
        argv = fix_argv(fix, facts, own_python) or []
        process = workspace.runner.watch(argv, env=facts.environ, on_output=lambda _: None)
        workspace.log(f"$ {command}\n{process.output}\n")
        if process.returncode != 0:
            before = f" These commands succeeded before it: {'; '.join(commands)}." if commands else ""
            raise InstallError(
                f"This command failed: {command}",
                hint=f"No further fix was tried.{before} Run colabenv doctor again to see what is still wrong.",
                detail=process.output,
            )
        commands.append(command)
    return commands


def _up_argv(fix: Fix, own_python: str) -> list[str]:
    """`up` with a profile. If the fix has the profile's text, its file is written first."""
    file, *text = fix.arguments or ("",)
    words = [own_python, "-m", "colabenv", "up", file]
    if not text:
        return words
    return ["sh", "-c", f"echo {shlex.quote(text[0])} > {shlex.quote(file)} && {shlex.join(words)}"]


def _combine(requirements: list[str]) -> list[str]:
    """One requirement for each distribution."""
    combined: dict[str, Requirement] = {}
    for text in requirements:
        requirement = Requirement(text)
        earlier = combined.setdefault(_name_of(text), requirement)
        if earlier is not requirement and is_satisfiable(earlier.specifier & requirement.specifier):
            earlier.specifier &= requirement.specifier
            earlier.extras |= requirement.extras
    return [str(requirement) for requirement in combined.values()]


def _name_of(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)
