"""Finding versions and run days in the outputs of a notebook."""

from __future__ import annotations

import pytest

from colabenv.importers.notebook import MAX_OUTPUT, Cell, CellError, Notebook
from colabenv.importers.outputs import RunDay, find_run_day, find_versions
from support.timeouts import limit_processor_time


def list_versions(source: str, output: str) -> list[tuple[str, str, str]]:
    notebook = Notebook("n", (Cell(1, "code", source, output),))
    return [(seen.name, seen.version, seen.how) for seen in find_versions(notebook)]


@pytest.mark.parametrize(
    ("source", "output", "expected"),
    [
        (
            "!pip install x",
            "Successfully installed python-dateutil-2.8.1 keras-tuner-1.0.1 torch-1.7.1+cu110",
            [
                ("python-dateutil", "2.8.1", "installed"),
                ("keras-tuner", "1.0.1", "installed"),
                ("torch", "1.7.1+cu110", "installed"),
            ],
        ),
        (
            "!pip install x",
            "Requirement already satisfied: numpy~=1.19.2 in /x/dist-packages (from tensorflow==2.4) (1.19.5)",
            [("numpy", "1.19.5", "present")],
        ),
        ("import tensorflow as tf\ntf.__version__", "'2.4.1'", [("tensorflow", "2.4.1", "printed")]),
        (
            "import tensorflow as tf, numpy as np\nprint(tf.__version__, np.__version__)",
            "2021-03-04 10:00:00.123456: I tensorflow/x.cc:1] hello\n2.4.1 1.19.5",
            [("tensorflow", "2.4.1", "printed"), ("numpy", "1.19.5", "printed")],
        ),
        (
            "import sklearn\nprint('version', sklearn.__version__)",
            "version 0.22.2.post1",
            [("sklearn", "0.22.2.post1", "printed")],
        ),
        ("print(x)", "TensorFlow version: 2.15.0\n", [("tensorflow", "2.15.0", "printed")]),
        ("print(x)", "Using TF v2.3.0-dev2020", [("tensorflow", "2.3.0", "printed")]),
        ("!pip show keras", "Name: Keras\nVersion: 2.3.1\nSummary: x", [("keras", "2.3.1", "printed")]),
        (
            "!pip freeze",
            "absl-py==0.10\nnumpy==1.19.5",
            [("absl-py", "0.10", "printed"), ("numpy", "1.19.5", "printed")],
        ),
        ("!pip list", "Package Version\nnumpy    1.19.5", [("numpy", "1.19.5", "printed")]),
        ("!python -V", "Python 3.7.10", [("python", "3.7.10", "printed")]),
        ("import sys; sys.version", "'3.7.10 (default, Feb 20 2021)", [("python", "3.7.10", "printed")]),
        ("f()", "/usr/local/lib/python3.7/dist-packages/x.py:1: Warning", [("python", "3.7", "printed")]),
        ("%tensorflow_version 1.x", "TensorFlow 1.x selected.", [("tensorflow", "1.15", "printed")]),
    ],
)
def test_versions_are_found(source: str, output: str, expected: list[tuple[str, str, str]]) -> None:
    assert list_versions(source, output) == expected


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("model.fit()", "Epoch 1/5 - loss: 0.2345 - accuracy: 0.9123"),
        ("import numpy as np\nprint(np.__version__, 0.5)", "1.19.5 0.5"),  # two numbers and one version
        ("print(df)", "absl-py    1.19.5"),  # a table of data, not of packages
        ("!pip install x", "Successfully installed"),
        ("!pip install x", "Downloading tensorflow-2.4.0-cp37-cp37m-manylinux2010_x86_64.whl (394.7MB)"),
    ],
)
def test_other_numbers_are_not_versions(source: str, output: str) -> None:
    assert list_versions(source, output) == []


def test_python_version_is_found_in_a_traceback() -> None:
    failure = CellError("E", "x", "/usr/lib/python3.8/runpy.py in _run")
    (seen,) = find_versions(Notebook("n", (Cell(1, "code", "f()", "", failure),)))
    assert seen.version == "3.8"


def day_of(output: str = "", *times: str) -> RunDay | None:
    return find_run_day(Notebook("n", (Cell(1, "code", "x", output, None, times),)))


@pytest.mark.parametrize(
    ("output", "day"),
    [
        ("2021-03-04 10:00:00.123456: I tensorflow/core/x.cc:142] y", "2021-03-04"),
        ("--2020-11-01 09:08:07--  https://host/data.zip", "2020-11-01"),
        ("Mon Mar 15 09:22:10 2021       \n+----", "2021-03-15"),
        ("Thu Oct  5 09:22:10 UTC 2023\n", "2023-10-05"),
    ],
)
def test_run_day_is_found_in_a_log(output: str, day: str) -> None:
    assert day_of(output) == RunDay(day, "a log in its outputs has this day")


def test_dates_in_data_are_ignored() -> None:
    for output in ("0 2017-01-03 12", "2017-01-03 closing price 3.2", "2021-99-04 10:00:00.1: I x"):
        assert day_of(output) is None, output


def test_last_time_of_the_cells_takes_precedence_over_logs() -> None:
    run_day = day_of(
        "2024-03-04 10:00:00.1: I x", "2021-03-04T10:00:00Z", "2021-04-01T10:00:00Z", "2021-13-01T1"
    )
    assert run_day == RunDay("2021-04-01", "its cells record when they ran")


@pytest.mark.parametrize(
    "output",
    [
        *(text * MAX_OUTPUT for text in ("1.", "a", "-", "\n")),
        "Requirement already satisfied: " + "a" * 50_000,
        "Requirement already satisfied: a" + "(1" * 20_000,
        "Successfully installed " + "a-1 " * 20_000,
        "numpy" + " " * 100_000,
        "Name: " + "x" * 100_000,
    ],
)
def test_any_output_is_parsed_quickly(output: str) -> None:
    with limit_processor_time(15):
        list_versions("import numpy as np\n!pip freeze\nprint(np.__version__)", output)
        day_of(output)
