"""Interpreters that do not start, or start outside of their environment."""

from __future__ import annotations

import re
from collections.abc import Iterator

from colabenv.doctor.checks.registry import rule
from colabenv.doctor.error_reports import sources_of
from colabenv.doctor.model import Facts, Finding, Fix

#: How site reports errors in the files that it runs (CPython's Lib/site.py).
_PTH = re.compile(
    r"Error processing line (\d+) of (.+?\.pth):\n(.*?)(?:\nRemainder of file ignored|\Z)", re.DOTALL
)
_CUSTOMIZE = re.compile(r"Error in (site|user)customize; set PYTHONVERBOSE for traceback:\n(.*)")


@rule("CE501", rank=1)
def find_failed_start(facts: Facts) -> Iterator[Finding]:
    """The interpreter does not start.

    Python ends before it runs any code, so nothing can be imported. Usual causes: the Python that a virtual
    environment was made from was removed or upgraded; `PYTHONHOME` points to another Python; a `.pth` file or a
    `sitecustomize.py` ends every process. The fix gives the environment a Python again and keeps its packages,
    unsets the variable, or renames the file.
    """
    if not facts.start_error:
        return
    evidence, explanation, fixes = _find_cause(facts)
    yield Finding(
        f"{facts.executable} does not start.",
        (*evidence, f"error: {facts.start_error}"),
        explanation,
        fixes,
        explains=sources_of(facts.local_errors),
    )


def _find_cause(facts: Facts) -> tuple[tuple[str, ...], str, tuple[Fix, ...]]:
    """Evidence, explanation, and fixes."""
    rebuild = Fix("venv", (facts.prefix, facts.python_minor))
    if facts.missing_base and facts.pyvenv:
        home = [f"pyvenv.cfg says {line}" for line in facts.pyvenv.splitlines() if line.startswith("home")]
        evidence = (f"it links to {facts.missing_base}, which does not exist", *home[:1])
        reason = (
            "A virtual environment uses the Python that it was made from, and that was removed or upgraded."
        )
        return evidence, reason, (rebuild,)
    if "PYTHONHOME" in facts.environ:
        evidence = (f"PYTHONHOME={facts.environ['PYTHONHOME']}",)
        reason = "PYTHONHOME names the standard library of another Python."
        return evidence, reason, (Fix("unset", ("PYTHONHOME",)),)
    if facts.startup_failures:
        evidence = tuple(f"{path} alone stops it: {error}" for path, error in facts.startup_failures)
        fixes = tuple(_disable(path) for path, _ in facts.startup_failures)
        return evidence, "Python runs these files at every start.", fixes
    if (facts.pyvenv or facts.lost_environment) and facts.python[0]:
        return (), "Its program or its standard library is damaged.", (rebuild,)
    return (), "Its program or its standard library is damaged. Install that Python again.", ()


def _disable(path: str) -> Fix:
    return Fix("rename", (path, f"{path}.off"))


@rule("CE502", rank=2)
def find_missing_pyvenv(facts: Facts) -> Iterator[Finding]:
    """The pyvenv.cfg of a virtual environment is missing.

    `pyvenv.cfg` makes a folder a virtual environment. Without it, the program in its `bin` behaves like the Python
    that the environment was made from: it sees that Python's packages, and not the environment's. The fix writes
    the file again; the packages stay.
    """
    folder = facts.lost_environment
    if not folder or facts.start_error:
        return
    base = facts.base_prefix
    program = f"{base}/bin/python{facts.python_minor}" if base else facts.python_minor
    yield Finding(
        f"{folder} has no pyvenv.cfg, so Python does not see its packages.",
        (
            f"{folder}/pyvenv.cfg does not exist",
            f"{facts.executable} runs with the prefix {facts.prefix or '(none)'} instead of {folder}",
        ),
        "The file was deleted, or only a part of the folder was copied.",
        (Fix("venv", (folder, program)),),
        explains=sources_of(facts.local_errors),
    )


@rule("CE510")
def find_failing_startup_files(facts: Facts) -> Iterator[Finding]:
    """A file that runs at every start fails.

    At every start, Python runs `sitecustomize.py` and the lines of `.pth` files that begin with `import`. If one
    fails, Python prints `Error processing line …` and continues without it, so that for example an editable package
    cannot be imported. Often the package that the file belongs to was removed. The fix renames the file.
    """
    for line, path, output in _PTH.findall(facts.start_stderr):
        yield _report_failure(path, f"line {line} of {path}", output)
    for kind, output in _CUSTOMIZE.findall(facts.start_stderr):
        locations = facts.modules.get(f"{kind}customize", ())
        if locations:
            yield _report_failure(locations[0].file, locations[0].file, output)


def _report_failure(path: str, location: str, output: str) -> Finding:
    lines = output.strip().splitlines()
    return Finding(
        f"{path} fails at every start of Python.",
        (f"{location}: {lines[-1].strip() if lines else 'it fails'}",),
        "The package that it belongs to was removed or is damaged.",
        (_disable(path),),
    )
