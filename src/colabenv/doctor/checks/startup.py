"""An interpreter that does not start, or not as the environment that it belongs to. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.model import Facts, Finding, Step

#: How site reports what goes wrong in a file that it runs (CPython's Lib/site.py).
_PTH = re.compile(
    r"Error processing line (\d+) of (.+?\.pth):\n(.*?)(?:\nRemainder of file ignored|\Z)", re.DOTALL
)
_CUSTOM = re.compile(r"Error in (site|user)customize; set PYTHONVERBOSE for traceback:\n(.*)")


@rule(
    "CE501",
    "The interpreter does not start",
    "Nothing can be imported where Python itself ends at its start. The usual causes: the Python that a virtual "
    "environment was made from has been removed or upgraded; `PYTHONHOME` points at another Python; a `.pth` file "
    "or a `sitecustomize.py` ends every process. The environment is given a Python again and keeps its packages; "
    "the variable is unset; the file is renamed.",
    rank=1,
)
def no_start(facts: Facts) -> Iterator[Finding]:
    """At most one finding."""
    if not facts.broken_start:
        return
    evidence, why, steps = _cause(facts)
    yield Finding(
        "CE501",
        f"{facts.executable} does not start.",
        (*evidence, f"it says: {facts.broken_start}"),
        why,
        steps,
        explains=tuple(one.source for one in facts.complaints if one.here),
    )


def _cause(facts: Facts) -> tuple[tuple[str, ...], str, tuple[Step, ...]]:
    """Evidence, why, and steps."""
    again = Step("venv", (facts.prefix, f"{facts.python[0]}.{facts.python[1]}"))
    if facts.gone and facts.pyvenv:
        home = next((line for line in facts.pyvenv.splitlines() if line.startswith("home")), "")
        return (
            (f"it leads to {facts.gone}, which is not there", *([f"pyvenv.cfg says {home}"] if home else [])),
            "A virtual environment borrows the Python it was made from, and that Python was removed or upgraded.",
            (again,),
        )
    if "PYTHONHOME" in facts.environ:
        return (
            (f"PYTHONHOME={facts.environ['PYTHONHOME']}",),
            "PYTHONHOME names the folder of another Python's standard library.",
            (Step("unset", ("PYTHONHOME",)),),
        )
    if facts.start_breakers:
        return (
            tuple(f"{path} alone ends it: {said}" for path, said in facts.start_breakers),
            "Python runs such files at every start.",
            tuple(Step("rename", (path, f"{path}.off")) for path, _ in facts.start_breakers),
        )
    if (facts.pyvenv or facts.ruined) and facts.python[0]:
        return (), "Its program or its standard library is damaged.", (again,)
    return (), "Its program or its standard library is damaged; install that Python again.", ()


@rule(
    "CE502",
    "A virtual environment has lost its pyvenv.cfg",
    "`pyvenv.cfg` is what makes a folder a virtual environment. Without it the program in `bin` is just the Python it "
    "was made from: it sees that one's packages and none of its own. The file is written anew; the packages stay.",
    rank=2,
)
def no_pyvenv(facts: Facts) -> Iterator[Finding]:
    """At most one finding."""
    if not facts.ruined or facts.broken_start:
        return
    minor = f"{facts.python[0]}.{facts.python[1]}"
    program = str(PurePosixPath(facts.base_prefix, "bin", f"python{minor}")) if facts.base_prefix else minor
    yield Finding(
        "CE502",
        f"{facts.ruined} has no pyvenv.cfg any more, so its packages are not seen.",
        (
            f"{facts.ruined}/pyvenv.cfg is not there",
            f"{facts.executable} runs as {facts.prefix or 'nothing'} instead of {facts.ruined}",
        ),
        "The file was deleted, or the folder was copied in part.",
        (Step("venv", (facts.ruined, program)),),
        explains=tuple(one.source for one in facts.complaints if one.here),
    )


@rule(
    "CE510",
    "A file that runs at every start fails",
    "Python runs the lines of `.pth` files that begin with `import`, and `sitecustomize.py`, at every start. When one "
    "fails, Python prints `Error processing line …` and goes on without it; what it was to do, such as making an "
    "editable package importable, is not done. Often the package it belongs to was removed. The file is renamed.",
)
def start_file_fails(facts: Facts) -> Iterator[Finding]:
    """One finding for each such file."""
    for line, path, text in _PTH.findall(facts.start_said):
        yield _fails(path, f"line {line} of {path}", text)
    for kind, text in _CUSTOM.findall(facts.start_said):
        name = f"{kind}customize"
        path = next((place.file for place in facts.modules.get(name, ())), "")
        if path:
            yield _fails(path, path, text)


def _fails(path: str, where: str, text: str) -> Finding:
    said = text.strip().splitlines()
    return Finding(
        "CE510",
        f"{path} fails at every start of Python.",
        (f"{where}: {said[-1].strip() if said else 'it fails'}",),
        "What it belongs to was removed or is damaged.",
        (Step("rename", (path, f"{path}.off")),),
    )
