"""A notebook as the doctor reads it."""

from __future__ import annotations

import json
from typing import Any

from colabenv.doctor.reading import asked_of, complaints_in, complaints_of, usages_of
from colabenv.importers.notebook import Notebook, parse_notebook


def notebook(*cells: str | tuple[str, dict[str, Any]]) -> Notebook:
    """A notebook of code cells, each with an output or none."""
    made = [
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
        json.dumps({"nbformat": 4, "nbformat_minor": 0, "metadata": {}, "cells": made}), "it.ipynb"
    )


def test_names_methods_and_arguments() -> None:
    code = "import tensorflow as tf\nm = tf.keras.Model()\nm.fit_generator(g)\ntf.keras.optimizers.Adam(lr=1)"
    used = {one.name: one for one in usages_of(notebook(code))}
    assert set(used) >= {
        "tensorflow",
        "tensorflow.keras.Model",
        ".fit_generator",
        "tensorflow.keras.optimizers.Adam",
        "tensorflow.keras.optimizers.Adam(lr=)",
    }
    assert used[".fit_generator"].place == "cell 1"
    assert used[".fit_generator"].line == "m.fit_generator(g)"


def test_names_are_known_in_later_cells() -> None:
    used = [one.name for one in usages_of(notebook("from keras import backend as K", "K.sum(x)"))]
    assert used == ["keras.backend", "keras.backend.sum"]


def test_what_the_code_only_tries_is_left_out() -> None:
    code = "try:\n    from keras.engine import A\nexcept ImportError:\n    from keras.layers import A"
    assert [one.name for one in usages_of(notebook(code))] == ["keras.layers.A"]


def test_python_2_and_magics() -> None:
    found = notebook("%tensorflow_version  1.x\nfrom keras.engine import X\nprint 'a'", "!ls")
    assert [one.name for one in usages_of(found)] == ["%tensorflow_version 1.x", "keras.engine.X"]


def test_install_lines_know_what_was_imported_before() -> None:
    found = notebook("import numpy", "!pip install 'numpy<2' keras==2.3", "import os")
    assert [(one.requirement, one.place, sorted(one.after)) for one in asked_of(found)] == [
        ("numpy<2", "cell 2", ["numpy"]),
        ("keras==2.3", "cell 2", ["numpy"]),
    ]


def test_a_cell_that_failed() -> None:
    traceback = ["-----", "KeyError    Traceback (most recent call last)", "----> 1 d['x']", "KeyError: 'x'"]
    failed = (
        "d['x']",
        {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": traceback},
    )
    (found,) = complaints_of(notebook("1", failed))
    assert (found.source, found.kind, found.message, found.here) == ("cell 2", "KeyError", "'x'", False)


def test_an_error_without_a_traceback_and_an_interrupt() -> None:
    bare = ("x", {"output_type": "error", "ename": "a.b.MyError", "evalue": "no", "traceback": []})
    stopped = ("y", {"output_type": "error", "ename": "KeyboardInterrupt", "evalue": "", "traceback": []})
    (found,) = complaints_of(notebook(bare, stopped))
    assert (found.kind, found.message, found.text) == ("MyError", "no", "a.b.MyError: no")


def test_what_pip_printed() -> None:
    said = "ERROR: No matching distribution found for tensorflow==1.15\n"
    output = {"output_type": "stream", "name": "stdout", "text": said}
    (found,) = complaints_of(notebook(("!pip install tensorflow==1.15", output)))
    assert (found.source, found.statement, found.here) == ("what cell 1 printed", "tensorflow==1.15", False)


def test_a_text_with_both() -> None:
    text = (
        "ERROR: No matching distribution found for a==1\nTraceback (most recent call last):\nKeyError: 'x'\n"
    )
    assert [one.source for one in complaints_in(text, "it")] == ["it", "it, installing"]
