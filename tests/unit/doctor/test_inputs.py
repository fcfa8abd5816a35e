"""Tracebacks, notebooks and snapshots as inputs of the doctor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from colabenv.doctor.inputs import DoctorInputs, add_inputs, read_inputs, select_findings
from colabenv.doctor.model import Distribution, Facts
from colabenv.errors import UsageError
from colabenv.importers.notebook import parse_notebook

TRACEBACK = """Traceback (most recent call last):
  File "{file}", line 3, in <module>
    from keras.utils import np_utils
ImportError: cannot import name 'np_utils' from 'keras.utils' (/x)
"""
FACTS = Facts(
    "this Python",
    path=("/env/lib/python3.12/site-packages",),
    prefix="/env",
    distributions=(Distribution("keras", "3.8.0"), Distribution("tensorflow", "2.18.1")),
)


def test_traceback_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    file.write_text("INFO begin\n" * 100 + TRACEBACK.format(file="train.py"))
    facts = add_inputs(FACTS, read_inputs(None, str(file), ""))
    assert [(error.kind, error.is_local) for error in facts.errors] == [("ImportError", True)]


def test_traceback_at_the_end_of_a_large_log(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    file.write_text("INFO all is well\n" * 300_000 + TRACEBACK.format(file="train.py"))
    (error,) = add_inputs(FACTS, read_inputs(None, str(file), "")).errors
    assert error.statement == "from keras.utils import np_utils"


def usage_error(subject: str | None, traceback: str, snapshot: str) -> str:
    """Return the message of the UsageError that `read_inputs` raises, or "" if it raises none."""
    try:
        read_inputs(subject, traceback, snapshot)
    except UsageError as error:
        assert error.hint
        return error.message
    return ""


def test_file_without_an_exception_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    for content, message in (
        (b"", "contains no exception"),
        (b"all is well\n", "contains no exception"),
        (b"\x7fELF\x00\x00\x01", "is not a text file"),
    ):
        file.write_bytes(content)
        assert message in usage_error(None, str(file), ""), content


def test_missing_files_are_refused(tmp_path: Path) -> None:
    for subject, traceback, snapshot in (
        (None, str(tmp_path / "none"), ""),
        (None, str(tmp_path), ""),
        (str(tmp_path / "none.ipynb"), "", ""),
        (None, "", str(tmp_path / "none")),
    ):
        assert usage_error(subject, traceback, snapshot), (subject, traceback, snapshot)


def test_traceback_of_another_interpreter_is_not_local() -> None:
    for file, is_local in (
        ("/env/lib/python3.12/site-packages/keras/x.py", True),
        ("/usr/local/lib/python3.10/dist-packages/keras/x.py", False),
        ("/home/me/train.py", True),
    ):
        (error,) = add_inputs(FACTS, DoctorInputs(TRACEBACK.format(file=file))).errors
        assert error.is_local is is_local, file


def make_notebook(source: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    cell["source"] = source
    return {"nbformat": 4, "nbformat_minor": 0, "metadata": {}, "cells": [cell]}


def test_notebook_reports_only_its_own_findings() -> None:
    broken = Distribution("thing", "1.0", requires=("other>=2",))
    machine = Facts("this Python", distributions=(*FACTS.distributions, broken))
    inputs = DoctorInputs(
        "",
        parse_notebook(json.dumps(make_notebook("from keras.utils import np_utils")), "a.ipynb"),
        "a.ipynb",
    )
    facts = add_inputs(machine, inputs)
    assert facts.target == "a.ipynb in this Python"
    assert [finding.code for finding in select_findings(machine, facts, inputs)] == ["CE401"]
    assert select_findings(machine, machine, DoctorInputs())


def make_snapshot(**fields: Any) -> dict[str, Any]:
    return {
        "kind": "ImportError",
        "message": "x",
        "frames": [["a.py", 1, "f"]],
        "text": "t",
        "loaded": {},
        **fields,
    }


def test_snapshot_of_a_kernel_is_read(tmp_path: Path) -> None:
    file = tmp_path / "snapshot.json"
    message = "cannot import name 'np_utils' from 'keras.utils' (/x)"
    snapshot = make_snapshot(
        message=message, statement="from keras.utils import np_utils", loaded={"keras": ["3.8.0", "/k"]}
    )
    file.write_text(json.dumps(snapshot))
    inputs = read_inputs(None, "", str(file))
    facts = add_inputs(FACTS, inputs)
    assert facts.loaded["keras"].version == "3.8.0"
    assert facts.errors[0].frames == (("a.py", 1, "f"),)
    (finding,) = select_findings(FACTS, facts, inputs)
    assert (finding.code, finding.explains) == ("CE401", ("the failed cell",))


def test_unexplained_import_error_reports_all_findings() -> None:
    broken = Facts("this", distributions=(Distribution("thing", "1.0", requires=("other>=2",)),))
    inputs = DoctorInputs(snapshot=make_snapshot())
    codes = [finding.code for finding in select_findings(broken, add_inputs(broken, inputs), inputs)]
    assert "CE901" in codes
    assert len(codes) == 2
    # A KeyError comes from the code, not from the environment.
    inputs = DoctorInputs(snapshot=make_snapshot(kind="KeyError"))
    codes = [finding.code for finding in select_findings(broken, add_inputs(broken, inputs), inputs)]
    assert codes == ["CE901"]


def test_file_without_a_snapshot_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "snapshot.json"
    for text in ("", "[]", "nonsense", '"x"'):
        file.write_text(text)
        assert "not a kernel's snapshot" in usage_error(None, "", str(file)), text


@pytest.mark.parametrize("fields", [{"loaded": 3}, {"loaded": {"a": 1}}, {"frames": ["x"]}, {"frames": 7}])
def test_snapshot_with_fields_of_the_wrong_type_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="not a kernel's snapshot"):
        add_inputs(FACTS, DoctorInputs(snapshot=make_snapshot(**fields)))


def test_snapshot_without_an_exception_has_no_error() -> None:
    facts = add_inputs(FACTS, DoctorInputs(snapshot={"loaded": {"keras": ["3.8.0", "/k"]}}))
    assert facts.errors == ()
    assert facts.loaded
