"""From steps to commands: what a person types, and what `doctor --fix` runs. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from packaging.requirements import Requirement

from colabenv.doctor.model import Facts, Finding, Step
from colabenv.doctor.requirements import possible
from colabenv.lock.lockfile import normalised

#: The order in which steps of several findings are carried out.
_ORDER = (
    "venv",
    "unset",
    "set",
    "rename",
    "delete",
    "uninstall",
    "reinstall",
    "install",
    "edit",
    "init",
    "up",
    "restart",
)


def plan(findings: Iterable[Finding]) -> tuple[Step, ...]:
    """The steps of all findings in one order, those of one kind made one.

    One run of the installer then sees all requirements. Two that name one distribution become one, and where they
    contradict each other the first counts.
    """
    merged: dict[str, list[str]] = {action: [] for action in _ORDER}
    separate: list[Step] = []
    for finding in findings:
        for step in finding.steps:
            if step.action in {"install", "uninstall", "reinstall", "delete", "unset"}:
                merged[step.action] += [one for one in step.arguments if one not in merged[step.action]]
            elif step not in separate:
                separate.append(step)
    merged["reinstall"] = _one_of_each(merged["reinstall"])
    again = {_name_of(one) for one in merged["reinstall"]}
    merged["install"] = [one for one in _one_of_each(merged["install"]) if _name_of(one) not in again]
    steps = [Step(action, tuple(values)) for action, values in merged.items() if values]
    ups = [step for step in separate if step.action == "up"]
    separate = [step for step in separate if step.action != "up" or step is ups[0]]
    return tuple(sorted([*steps, *separate], key=lambda step: _ORDER.index(step.action)))


def argv(step: Step, facts: Facts, own_python: str) -> list[str] | None:
    """The program that carries a step out, or None where only the person can (`edit`, `init`, `restart`, `unset`).

    Args:
        step: what to do.
        facts: of the interpreter to mend.
        own_python: the Python that runs colabenv; its uv serves an interpreter without pip.
    """
    pip = [facts.executable, "-m", "pip"] if facts.has_pip else [own_python, "-m", "uv", "pip"]
    where = [] if facts.has_pip else ["--python", facts.executable]
    quiet = ["-y"] if facts.has_pip else []
    anew = ["--force-reinstall"] if facts.has_pip else ["--reinstall"]
    forms = {
        "install": [*pip, "install", *where, *step.arguments],
        "reinstall": [*pip, "install", *where, *anew, "--no-deps", *step.arguments],
        "uninstall": [*pip, "uninstall", *quiet, *where, *step.arguments],
        "delete": ["rm", "-rf", *step.arguments],
        "rename": ["mv", *step.arguments],
        "venv": [
            own_python,
            "-m",
            "uv",
            "venv",
            "--quiet",
            "--allow-existing",
            "--python",
            *step.arguments[1:],
            *step.arguments[:1],
        ],
        "up": _up(step, own_python),
    }
    return forms.get(step.action)


def command(step: Step, facts: Facts, own_python: str, *, cell: bool) -> str:
    """A step as a person types it or does it.

    Args:
        step: what to do.
        facts: of the interpreter to mend.
        own_python: the Python that runs colabenv.
        cell: whether it is typed into a notebook's cell.
    """
    if step.action == "restart":
        return "Runtime > Restart session" if cell else "restart the program"
    if step.action == "unset":
        line = "; ".join(f"os.environ.pop({name!r}, None)" for name in step.arguments)
        return f"import os; {line}" if cell else "unset " + " ".join(step.arguments)
    if step.action == "set":
        name, value = step.arguments
        return (
            f"import os; os.environ[{name!r}] = {value!r}" if cell else f"export {name}={shlex.quote(value)}"
        )
    if step.action == "edit":
        return f"change  {step.arguments[0]}  to  {step.arguments[1]}"
    words = argv(step, facts, own_python) or ["python", "-m", "colabenv", step.action, *step.arguments]
    if step.action == "up":
        line = words[2] if words[0] == "sh" else shlex.join(words)
        return ("!" if cell else "") + line.replace(shlex.quote(own_python), "python")
    return ("!" if cell else "") + shlex.join(words)


def _up(step: Step, own_python: str) -> list[str]:
    """`up` of a profile; of one that is given as text the file is written before."""
    file, *text = step.arguments or ("",)
    words = [own_python, "-m", "colabenv", "up", file]
    if not text:
        return words
    return ["sh", "-c", f"echo {shlex.quote(text[0])} > {shlex.quote(file)} && {shlex.join(words)}"]


def commands(steps: Sequence[Step], facts: Facts, own_python: str, *, cell: bool) -> list[str]:
    """Every step as a person types it; see `command`."""
    return [command(step, facts, own_python, cell=cell) for step in steps]


def _one_of_each(requirements: list[str]) -> list[str]:
    """Requirements for one distribution made one."""
    merged: dict[str, Requirement] = {}
    for text in requirements:
        one = Requirement(text)
        earlier = merged.setdefault(_name_of(text), one)
        if earlier is not one and possible(earlier.specifier & one.specifier):
            earlier.specifier &= one.specifier
            earlier.extras |= one.extras
    return [str(one) for one in merged.values()]


def _name_of(requirement: str) -> str:
    return normalised(Requirement(requirement).name)
