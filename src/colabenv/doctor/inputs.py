"""What a person gives the doctor besides an interpreter: a traceback, a notebook, or a kernel's snapshot."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from colabenv.doctor import notebook_code
from colabenv.doctor.checks import diagnose
from colabenv.doctor.installer_output import read_errors
from colabenv.doctor.model import ErrorReport, Facts, Finding, LoadedModule
from colabenv.doctor.tracebacks import MAX_TEXT, strip_colors
from colabenv.errors import UsageError
from colabenv.importers import name_usages

if TYPE_CHECKING:
    from colabenv.importers.notebook import Notebook

#: Larger notebooks hold pictures or data, and reading them could use up the memory.
_MAX_NOTEBOOK_BYTES = 200_000_000
_SNAPSHOT_HINT = "`%colabenv why` writes one."


@dataclass(frozen=True)
class DoctorInputs:
    """The text of `--traceback`, a notebook and its path, or what `embedded/capture.py` wrote in a kernel."""

    text: str = ""
    notebook: Notebook | None = None
    path: str = ""
    snapshot: Mapping[str, Any] | None = None

    @property
    def is_specific(self) -> bool:
        """Whether the question is about a notebook or a cell, and not about the whole interpreter."""
        return self.notebook is not None or self.snapshot is not None


def read_inputs(subject: str | None, traceback: str, snapshot: str) -> DoctorInputs:
    """Read what the command line names; a subject that is not a notebook is ignored.

    Raises:
        UsageError: a file cannot be read, or the text contains no failure.
    """
    text = _read_traceback(traceback) if traceback else ""
    if traceback and not read_errors(text, "the traceback"):
        raise UsageError(
            f"{_name_file(traceback)} contains no exception, and no package that pip or uv could not install.",
            hint="Copy the whole output, from `Traceback (most recent call last)` to the last line.",
        )
    if snapshot:
        return DoctorInputs(text, snapshot=_read_snapshot(snapshot))
    if subject is None or not subject.endswith(".ipynb"):
        return DoctorInputs(text)
    return DoctorInputs(text, _read_notebook(subject), subject)


def add_inputs(facts: Facts, inputs: DoctorInputs) -> Facts:
    """An interpreter's facts together with the inputs; UsageError if the snapshot is invalid."""
    text_errors = read_errors(inputs.text, "the traceback")
    errors = (*facts.errors, *(replace(error, is_local=_is_local(facts, error)) for error in text_errors))
    facts = replace(facts, errors=errors)
    if inputs.snapshot is not None:
        try:
            return add_snapshot(facts, inputs.snapshot)
        except (TypeError, ValueError) as error:
            raise UsageError("This is not a kernel's snapshot.", hint=_SNAPSHOT_HINT) from error
    if inputs.notebook is None:
        return facts
    return replace(
        facts,
        target=f"{inputs.notebook.name} in {facts.target}",
        notebook=inputs.path,
        errors=(*errors, *notebook_code.read_notebook_errors(inputs.notebook)),
        usages=tuple(name_usages.read_name_usages(inputs.notebook)),
        install_requests=tuple(notebook_code.read_install_requests(inputs.notebook)),
    )


def select_findings(interpreter_facts: Facts, facts: Facts, inputs: DoctorInputs) -> tuple[Finding, ...]:
    """The findings; for a notebook or a failed cell, without those of its interpreter alone, `interpreter_facts`."""
    findings = diagnose(facts)
    if not inputs.is_specific:
        return findings
    known = diagnose(interpreter_facts)
    added = tuple(finding for finding in findings if finding not in known)
    errors = facts.errors[len(interpreter_facts.errors) :]
    is_unexplained = inputs.snapshot is not None and all(finding.code == "CE901" for finding in added)
    # The interpreter's other findings may explain a failed import, but not a KeyError.
    failed_import = any("ImportError" in error.kind or "NotFound" in error.kind for error in errors)
    return findings if is_unexplained and failed_import else added


def add_snapshot(facts: Facts, snapshot: Mapping[str, Any]) -> Facts:
    """The facts with the exception of a failed cell, and what its process has imported."""
    loaded = {
        str(name): LoadedModule(str(name), str(version), str(file))
        for name, (version, file) in dict(snapshot.get("loaded") or {}).items()
    }
    if not snapshot.get("kind"):
        return replace(facts, loaded=loaded)
    error = ErrorReport(
        source="the failed cell",
        statement=str(snapshot.get("statement") or ""),
        kind=str(snapshot["kind"]),
        message=str(snapshot.get("message") or ""),
        frames=tuple((str(file), int(line), str(name)) for file, line, name in snapshot.get("frames") or ()),
        text=strip_colors(str(snapshot.get("text") or "")),
    )
    return replace(facts, loaded=loaded, errors=(*facts.errors, error))


def _is_local(facts: Facts, error: ErrorReport) -> bool:
    """Whether a traceback can come from this interpreter: none of its files lies in another one's packages."""
    folders = tuple(filter(None, (*facts.path, facts.prefix, facts.base_prefix, facts.stdlib)))
    installed = re.compile(r"/(site|dist)-packages/|/lib/python3")
    files = [file for file, _, _ in error.frames if installed.search(file)]
    absolute = (str(Path(file).expanduser()) if file.startswith("~/") else file for file in files)
    return all(file.startswith(folders) for file in absolute)


def _name_file(traceback: str) -> str:
    return "Standard input" if traceback == "-" else traceback


def _read_traceback(traceback: str) -> str:
    try:
        if traceback == "-":
            data = _read_ends(sys.stdin.buffer)
        else:
            with Path(traceback).expanduser().open("rb") as file:
                data = _read_ends(file)
    except OSError as error:
        hint = "--traceback takes a file, or - for standard input."
        raise UsageError(f"Cannot read {traceback}: {error.strerror}.", hint=hint) from error
    if b"\0" in data[:8000]:
        hint = "Copy the error's text into a file, and pass that."
        raise UsageError(f"{_name_file(traceback)} is not a text file.", hint=hint)
    return data.decode("utf-8", "replace")


def _read_ends(file: IO[bytes]) -> bytes:
    """The beginning and the end of a log of any length."""
    first = file.read(MAX_TEXT)
    last = b""
    while chunk := file.read(MAX_TEXT):
        last = (last + chunk)[-MAX_TEXT:]
    return first + (b"\n" if last else b"") + last


def _read_notebook(subject: str) -> Notebook:
    from colabenv.importers.notebook import parse_notebook  # noqa: PLC0415

    path = Path(subject).expanduser()
    try:
        if path.stat().st_size > _MAX_NOTEBOOK_BYTES:
            raise UsageError(f"{subject} is too large for a notebook.", hint="Clear its outputs and save it.")
        return parse_notebook(path.read_text(encoding="utf-8", errors="replace"), path.name)
    except OSError as error:
        hint = "Check the path of the notebook."
        raise UsageError(f"Cannot read {subject}: {error.strerror}.", hint=hint) from error


def _read_snapshot(source: str) -> Mapping[str, Any]:
    try:
        data = json.loads(Path(source).read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{source} is not a kernel's snapshot: {error}.", hint=_SNAPSHOT_HINT) from error
    if not isinstance(data, dict):
        raise UsageError(f"{source} is not a kernel's snapshot.", hint=_SNAPSHOT_HINT)
    return data
