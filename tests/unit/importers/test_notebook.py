"""A notebook's text as cells; what is no notebook ends in one clear error."""

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


def code(*lines: str, outputs: list[Any] | None = None, **metadata: Any) -> dict[str, Any]:
    source = [f"{line}\n" for line in lines]
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": outputs or []}


def text(*cells: dict[str, Any], **metadata: Any) -> str:
    return json.dumps({"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 0})


def test_cells_come_with_their_numbers_sources_and_outputs() -> None:
    said = {"output_type": "stream", "name": "stdout", "text": ["2.1", "5.0\n"]}
    shown_value = {"output_type": "execute_result", "data": {"text/plain": "'x'", "image/png": "AAAA"}}
    heading = {"cell_type": "markdown", "metadata": {}, "source": "# Week 1"}
    notebook = parse_notebook(text(heading, code("print(1)", outputs=[said, shown_value])), "a.ipynb")
    assert notebook.cells[0] == Cell(1, "markdown", "# Week 1")
    assert notebook.code == (Cell(2, "code", "print(1)\n", "2.15.0\n\n'x'"),)


def test_what_the_notebook_ran_on() -> None:
    notebook = parse_notebook(
        text(
            language_info={"name": "python", "version": "3.7.10"},
            kernelspec={"name": "python3"},
            accelerator="GPU",
        ),
        "n",
    )
    assert (notebook.python, notebook.kernel, notebook.accelerator) == ("3.7.10", "python3", "GPU")
    odd = parse_notebook(text(language_info={"version": 3.7}, kernelspec=[], accelerator=None), "n")
    assert (odd.python, odd.kernel, odd.accelerator) == ("3.7", "", "")


def test_a_failure_keeps_its_traceback_without_colours() -> None:
    error = {
        "output_type": "error",
        "ename": "ModuleNotFoundError",
        "evalue": "No module named 'x'",
        "traceback": ["\x1b[0;31mModuleNotFoundError\x1b[0m", "in <module>"],
    }
    (cell,) = parse_notebook(text(code("import x", outputs=[error])), "n").cells
    assert cell.failure == CellError(
        "ModuleNotFoundError", "No module named 'x'", "ModuleNotFoundError\nin <module>"
    )
    assert cell.output == ""


def test_times_are_read_in_each_tools_form() -> None:
    cells = (
        code(executionInfo={"timestamp": 1617235200000, "user_tz": -120}),
        code(execution={"iopub.execute_input": "2022-05-04T10:00:00.123Z", "shell.execute_reply": 5}),
        code(ExecuteTime={"end_time": "2018-10-20T08:00:00Z", "x": "yesterday"}),
        code(executionInfo={"timestamp": 10**30}, papermill=[]),
    )
    assert [cell.times for cell in parse_notebook(text(*cells), "n").cells] == [
        ("2021-04-01T00:00:00+00:00",),
        ("2022-05-04T10:00:00.123Z",),
        ("2018-10-20T08:00:00Z",),
        (),
    ]


def test_only_the_final_state_of_a_progress_bar_is_kept() -> None:
    assert render_output("10%\r50%\r100%\r\ndone\n\x1b[32mgreen\x1b[0m") == "100%\ndone\ngreen"


def test_long_output_keeps_its_start_and_end() -> None:
    kept = render_output("a" * MAX_OUTPUT + "middle" + "z" * MAX_OUTPUT)
    assert "middle" not in kept
    assert (kept[0], kept[-1], len(kept)) == ("a", "z", 2 * MAX_OUTPUT + 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not a notebook: invalid JSON at line 1"),
        ("{", "is not a notebook: invalid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("\0", "invalid JSON"),
        ("[1]", "is JSON, but not a notebook"),
        ('{"nbformat": 3, "worksheets": []}', "old notebook format 3"),
        ('{"nbformat": 5}', "format 5"),
        ('{"nbformat": 4, "nbformat_minor": 2, "cells": [1], "metadata": {}}', "damaged"),
        (text(kernelspec={"language": "R"}), "a notebook for R"),
    ],
)
def test_invalid_notebook_message(content: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_notebook(content, "a.ipynb")
    assert "a.ipynb" in caught.value.message
    assert said in caught.value.message


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
SCRAPS = st.sampled_from([*WORDS, *MARKS])


@QUICK
@given(st.lists(SCRAPS, max_size=30).map("".join) | st.text(max_size=80))
def test_any_source_can_be_read(source: str) -> None:
    cell = Cell(1, "code", source)
    notebook = Notebook("n", (cell,))
    assert extract_python(cell) == "" or extract_python(cell).count("\n") == source.count("\n")
    for one in find_installs(notebook):
        assert 1 <= one.location.line <= source.count("\n") + 1
        assert all(wanted.requirement for wanted in one.targets if wanted.kind == "package")
    assert all(one.module for one in find_imports(notebook))
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
    assert isinstance(parse_notebook(text(code("1", outputs=[output, 5, None])), "n").cells[0].output, str)
