"""The errors, install lines and names of a notebook."""

from __future__ import annotations

import json
from typing import Any

from colabenv.doctor.checks import diagnose
from colabenv.doctor.installer_output import NO_WHEEL, read_errors
from colabenv.doctor.model import Facts
from colabenv.doctor.notebook_code import read_install_requests, read_notebook_errors
from colabenv.importers.name_usages import read_name_usages
from colabenv.importers.notebook import Notebook, parse_notebook


def make_notebook(*cells: str | tuple[str, dict[str, Any]]) -> Notebook:
    """Return a notebook of code cells; a cell is its source, or its source and its output."""
    code_cells = [
        {
            "cell_type": "code",
            "metadata": {},
            "execution_count": 1,
            "source": cell if isinstance(cell, str) else cell[0],
            "outputs": [] if isinstance(cell, str) else [cell[1]],
        }
        for cell in cells
    ]
    return parse_notebook(
        json.dumps({"nbformat": 4, "nbformat_minor": 0, "metadata": {}, "cells": code_cells}), "it.ipynb"
    )


def test_names_methods_and_arguments_are_read() -> None:
    code = "import tensorflow as tf\nm = tf.keras.Model()\nm.fit_generator(g)\ntf.keras.optimizers.Adam(lr=1)"
    usages = {usage.name: usage for usage in read_name_usages(make_notebook(code))}
    assert set(usages) >= {
        "tensorflow",
        "tensorflow.keras.Model",
        ".fit_generator",
        "tensorflow.keras.optimizers.Adam",
        "tensorflow.keras.optimizers.Adam(lr=)",
    }
    assert usages[".fit_generator"].location == "cell 1"
    assert usages[".fit_generator"].line == "m.fit_generator(g)"


def test_aliases_apply_to_later_cells() -> None:
    notebook = make_notebook("from keras import backend as K", "K.sum(x)")
    assert [usage.name for usage in read_name_usages(notebook)] == ["keras.backend", "keras.backend.sum"]


def test_code_inside_try_is_ignored() -> None:
    code = "try:\n    from keras.engine import A\nexcept ImportError:\n    from keras.layers import A"
    assert [usage.name for usage in read_name_usages(make_notebook(code))] == ["keras.layers.A"]


def test_names_are_read_from_python_2_and_magics() -> None:
    notebook = make_notebook("%tensorflow_version  1.x\nfrom keras.engine import X\nprint 'a'", "!ls")
    assert [usage.name for usage in read_name_usages(notebook)] == [
        "%tensorflow_version 1.x",
        "keras.engine.X",
    ]


def test_install_requests_list_earlier_imports() -> None:
    notebook = make_notebook("import numpy", "!pip install 'numpy<2' keras==2.3", "import os")
    assert [
        (request.requirement, request.location, sorted(request.imported_before))
        for request in read_install_requests(notebook)
    ] == [("numpy<2", "cell 2", ["numpy"]), ("keras==2.3", "cell 2", ["numpy"])]


def test_error_is_read_from_the_output_of_a_cell() -> None:
    traceback = ["-----", "KeyError    Traceback (most recent call last)", "----> 1 d['x']", "KeyError: 'x'"]
    failed = (
        "d['x']",
        {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": traceback},
    )
    (error,) = read_notebook_errors(make_notebook("1", failed))
    assert (error.source, error.kind, error.message, error.is_local) == ("cell 2", "KeyError", "'x'", False)


def test_error_without_a_traceback_is_read_and_an_interruption_ignored() -> None:
    failed = ("x", {"output_type": "error", "ename": "a.b.MyError", "evalue": "no", "traceback": []})
    interrupted = ("y", {"output_type": "error", "ename": "KeyboardInterrupt", "evalue": "", "traceback": []})
    (error,) = read_notebook_errors(make_notebook(failed, interrupted))
    assert (error.kind, error.message, error.text) == ("MyError", "no", "a.b.MyError: no")


PIP = (
    "ERROR: Could not find a version that satisfies the requirement tensorflow==2.10.0 (from versions: 2.16.1)\n"
    "ERROR: No matching distribution found for tensorflow==2.10.0\n"
)


def test_installer_error_is_read_from_the_output_of_a_cell() -> None:
    output = {"output_type": "stream", "name": "stdout", "text": PIP}
    (error,) = read_notebook_errors(make_notebook(("!pip install tensorflow==2.10.0", output)))
    assert (error.kind, error.statement, error.source, error.is_local) == (
        NO_WHEEL,
        "tensorflow==2.10.0",
        "the output of cell 1",
        False,
    )
    (finding,) = diagnose(Facts(target="a test", python=(3, 12, 1), errors=(error,)))
    assert finding.code == "CE112"
    assert finding.summary == "TensorFlow 2.10.0 has no wheel for the Python that it ran on."
    assert [fix.arguments for fix in finding.fixes] == [("builtin:tf-2.10",)]


def test_installer_error_and_traceback_are_read_from_one_text() -> None:
    text = f'{PIP}Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nImportError: no x\n'
    errors = read_errors(text, "it")
    assert [(error.kind, error.source) for error in errors] == [
        ("ImportError", "it"),
        (NO_WHEEL, "it, installing"),
    ]
    assert read_errors("all is well\n", "it") == ()
