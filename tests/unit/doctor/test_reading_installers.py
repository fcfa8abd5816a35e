"""What installers could not do, read from a notebook's outputs and from texts with tracebacks beside it."""

from __future__ import annotations

import json

from colabenv.doctor.checks import diagnose
from colabenv.doctor.installers import NO_WHEEL
from colabenv.doctor.model import Facts
from colabenv.doctor.reading import complaints_in, complaints_of
from colabenv.importers.notebook import parse_notebook

PIP = (
    "ERROR: Could not find a version that satisfies the requirement tensorflow==2.10.0 (from versions: 2.16.1)\n"
    "ERROR: No matching distribution found for tensorflow==2.10.0\n"
)


def test_an_installer_in_the_output_of_a_cell() -> None:
    cell = {
        "cell_type": "code",
        "metadata": {},
        "execution_count": 1,
        "source": "!pip install tensorflow==2.10.0",
        "outputs": [{"output_type": "stream", "name": "stdout", "text": PIP}],
    }
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}

    said = tuple(complaints_of(parse_notebook(json.dumps(notebook), "a.ipynb")))

    assert [(one.kind, one.statement, one.source) for one in said] == [
        (NO_WHEEL, "tensorflow==2.10.0", "what cell 1 printed")
    ]
    (finding,) = diagnose(Facts(target="a test", python=(3, 12, 1), complaints=said))
    assert finding.code == "CE112"
    assert finding.what == "There is no TensorFlow 2.10.0 for the Python that it ran on."
    assert [step.arguments for step in finding.steps] == [("builtin:tf-2.10",)]


def test_a_text_with_an_installer_and_a_traceback() -> None:
    text = f'{PIP}Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nImportError: no x\n'

    assert [one.kind for one in complaints_in(text, "the traceback")] == ["ImportError", NO_WHEEL]
    assert complaints_in("all is well\n", "the traceback") == ()
