"""Parsing notebooks into cells, and errors for files that are not notebooks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colabenv.errors import UsageError
from colabenv.importers.cells import extract_python, find_shell_commands, parse_code
from colabenv.importers.imports import find_imports
from colabenv.importers.install_commands import find_installs
from colabenv.importers.notebook import MAX_OUTPUT, Cell, CellError, Notebook, parse_notebook, render_output

QUICK = settings(max_examples=150, deadline=None, database=None)


def code_cell(*lines: str, outputs: list[Any] | None = None, **metadata: Any) -> dict[str, Any]:
    source = [f"{line}\n" for line in lines]
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": outputs or []}


def notebook_text(*cells: dict[str, Any], **metadata: Any) -> str:
    return json.dumps({"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 0})


def test_cells_have_numbers_sources_and_outputs() -> None:
    stream = {"output_type": "stream", "name": "stdout", "text": ["2.1", "5.0\n"]}
    result = {"output_type": "execute_result", "data": {"text/plain": "'x'", "image/png": "AAAA"}}
    heading = {"cell_type": "markdown", "metadata": {}, "source": "# Week 1"}
    notebook = parse_notebook(
        notebook_text(heading, code_cell("print(1)", outputs=[stream, result])), "a.ipynb"
    )
    assert notebook.cells[0] == Cell(1, "markdown", "# Week 1")
    assert notebook.code == (Cell(2, "code", "print(1)\n", "2.15.0\n\n'x'"),)


def test_python_kernel_and_accelerator_are_read() -> None:
    notebook = parse_notebook(
        notebook_text(
            language_info={"name": "python", "version": "3.7.10"},
            kernelspec={"name": "python3"},
            accelerator="GPU",
        ),
        "n",
    )
    assert (notebook.python, notebook.kernel, notebook.accelerator) == ("3.7.10", "python3", "GPU")
    unusual = parse_notebook(
        notebook_text(language_info={"version": 3.7}, kernelspec=[], accelerator=None), "n"
    )
    assert (unusual.python, unusual.kernel, unusual.accelerator) == ("3.7", "", "")


def test_failure_has_its_traceback_without_colors() -> None:
    error = {
        "output_type": "error",
        "ename": "ModuleNotFoundError",
        "evalue": "No module named 'x'",
        "traceback": ["\x1b[0;31mModuleNotFoundError\x1b[0m", "in <module>"],
    }
    (cell,) = parse_notebook(notebook_text(code_cell("import x", outputs=[error])), "n").cells
    assert cell.failure == CellError(
        "ModuleNotFoundError", "No module named 'x'", "ModuleNotFoundError\nin <module>"
    )
    assert cell.output == ""


def test_times_of_each_tool_are_read() -> None:
    cells = (
        code_cell(executionInfo={"timestamp": 1617235200000, "user_tz": -120}),
        code_cell(execution={"iopub.execute_input": "2022-05-04T10:00:00.123Z", "shell.execute_reply": 5}),
        code_cell(ExecuteTime={"end_time": "2018-10-20T08:00:00Z", "x": "yesterday"}),
        code_cell(executionInfo={"timestamp": 10**30}, papermill=[]),
    )
    assert [cell.times for cell in parse_notebook(notebook_text(*cells), "n").cells] == [
        ("2021-04-01T00:00:00+00:00",),
        ("2022-05-04T10:00:00.123Z",),
        ("2018-10-20T08:00:00Z",),
        (),
    ]


def test_only_the_final_state_of_a_progress_bar_is_kept() -> None:
    assert render_output("10%\r50%\r100%\r\ndone\n\x1b[32mgreen\x1b[0m") == "100%\ndone\ngreen"


def test_long_output_keeps_its_start_and_end() -> None:
    output = render_output("a" * MAX_OUTPUT + "middle" + "z" * MAX_OUTPUT)
    assert "middle" not in output
    assert (output[0], output[-1], len(output)) == ("a", "z", 2 * MAX_OUTPUT + 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a notebook: invalid JSON at line 1"),
        ("{", "is not a notebook: invalid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("\0", "invalid JSON"),
        ("[1]", "is JSON, but not a notebook"),
        ('{"nbformat": 3, "worksheets": []}', "old notebook format 3"),
        ('{"nbformat": 5}', "format 5"),
        ('{"nbformat": 4, "nbformat_minor": 2, "cells": [1], "metadata": {}}', "damaged"),
        (notebook_text(kernelspec={"language": "R"}), "a notebook for R"),
    ],
)
def test_invalid_notebook_is_an_error(content: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_notebook(content, "a.ipynb")
    assert "a.ipynb" in caught.value.message
    assert message in caught.value.message


WORDS = (
    "pip install ",
    "conda install ",
    "import ",
    "from ",
    "-r ",
    "--index-url ",
    "numpy",
    "1.0",
    "%%bash\n",
)
MARKS = (
    "!",
    "%",
    "%%",
    "\\\n",
    "\n",
    "  ",
    "'",
    '"',
    "(",
    ".",
    "=",
    "==",
    "#",
    "\t",
    "$",
    "{",
    " && ",
    "\r",
    "\0",
    "@",
)
FRAGMENTS = st.sampled_from([*WORDS, *MARKS])


@QUICK
@given(st.lists(FRAGMENTS, max_size=30).map("".join) | st.text(max_size=80))
def test_any_source_can_be_parsed(source: str) -> None:
    cell = Cell(1, "code", source)
    notebook = Notebook("n", (cell,))
    assert extract_python(cell) == "" or extract_python(cell).count("\n") == source.count("\n")
    for install in find_installs(notebook):
        assert 1 <= install.location.line <= source.count("\n") + 1
        assert all(target.requirement for target in install.targets if target.kind == "package")
    assert all(statement.module for statement in find_imports(notebook))
    assert all(command.text.strip() for command in find_shell_commands(cell))


@pytest.mark.parametrize(
    "source", ["(" * 5000, "-" * 100_000 + "1", "+".join(["1"] * 50_000), "x" + ".y" * 50_000, "'" * 99_999]
)
def test_deeply_nested_code_is_skipped(source: str) -> None:
    parse_code(source)
    assert find_imports(Notebook("n", (Cell(1, "code", f"import os\n{source}"),)))[0].module == "os"


@QUICK
@given(
    st.dictionaries(
        st.sampled_from(["output_type", "text", "data", "ename", "evalue", "traceback"]),
        st.none()
        | st.integers()
        | st.text(max_size=9)
        | st.lists(st.integers() | st.text(max_size=5), max_size=3)
        | st.sampled_from(["error", "stream", "display_data"])
        | st.dictionaries(st.just("text/plain"), st.integers() | st.text(max_size=5)),
    )
)
def test_malformed_outputs_are_skipped(output: dict[str, Any]) -> None:
    assert isinstance(
        parse_notebook(notebook_text(code_cell("1", outputs=[output, 5, None])), "n").cells[0].output, str
    )
