"""A cell that runs in the environment shows the same output as in the notebook's kernel."""

from __future__ import annotations

import base64
import re

import pytest

from support.attach.notebook import Notebook
from support.timeouts import TIMEOUT


def test_cells_after_attach_run_in_the_environment(notebook: Notebook) -> None:
    assert "environment-" in notebook.run("import sys; sys.prefix").value()
    assert "environment-" not in notebook.run("%%base\nimport sys; sys.prefix").value()


def test_output_comes_in_order_and_while_the_cell_runs(notebook: Notebook) -> None:
    gate, wait = notebook.gate()
    code = f"""
import sys
print('out', 0, flush=True)
{wait}
print('err', 0, file=sys.stderr, flush=True)
for i in (1, 2):
    print('out', i, flush=True); print('err', i, file=sys.stderr, flush=True)
'value'
"""
    msg_id = notebook.submit(code)
    assert notebook.stream()["content"]["text"] == "out 0\n"
    gate.touch()  # the cell waits until its first line has arrived
    cell = notebook.finish(msg_id)
    assert cell.text() + cell.text("stderr") == "out 1\nout 2\nerr 0\nerr 1\nerr 2\n"
    assert [part["name"] for part in cell.contents("stream")] == ["stderr", *["stdout", "stderr"] * 2]
    assert cell.kinds()[-2:] == ["execute_result", "status"]
    assert cell.kinds().count("status") == 1  # busy came before the first line


def test_busy_is_first_and_idle_is_last(notebook: Notebook) -> None:
    cell = notebook.run("for i in range(500): display(i)\n'end'")
    states = [content["execution_state"] for content in cell.contents("status")]
    assert states == ["busy", "idle"]
    assert cell.kinds() == ["status", "execute_input", *["display_data"] * 500, "execute_result", "status"]
    values = [int(content["data"]["text/plain"]) for content in cell.contents("display_data")]
    assert values == list(range(500))


def test_rich_output_and_its_updates(notebook: Notebook) -> None:
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(100_000)).decode()
    cell = notebook.run(
        "from IPython.display import display, update_display, HTML\n"
        f"display({{'image/png': {png!r}}}, raw=True)\n"
        "handle = display(HTML('<b>1</b>'), display_id='here')\nhandle.update(HTML('<b>2</b>'))"
    )
    image, first = cell.contents("display_data")
    assert image["data"]["image/png"] == png
    assert first["data"]["text/html"] == "<b>1</b>"
    (second,) = cell.contents("update_display_data")
    assert second["data"]["text/html"] == "<b>2</b>"
    assert second["transient"]["display_id"] == first["transient"]["display_id"] == "here"
    later = notebook.run("update_display(HTML('<b>3</b>'), display_id='here')")
    assert later.contents("update_display_data")[0]["transient"]["display_id"] == "here"


def test_clear_output_and_progress_bars(notebook: Notebook) -> None:
    cell = notebook.run(
        "from IPython.display import clear_output\nprint(1)\nclear_output(wait=True)\nprint(2)\n"
        "from tqdm import tqdm\nfor i in tqdm(range(5), ascii=True): pass"
    )
    assert cell.contents("clear_output") == [{"wait": True}]
    assert re.search(r"100%\|#+\| 5/5", cell.text("stderr"))
    assert "\r" in cell.text("stderr")


def test_error_aborts_waiting_cells(notebook: Notebook) -> None:
    notebook.run("reached = []")
    gate, wait = notebook.gate()
    ids = [notebook.submit(code) for code in (wait, "1 / 0", "reached.append(1)", "reached.append(2)")]
    gate.touch()
    cells = [notebook.client.get_shell_msg(timeout=TIMEOUT) for _ in ids]
    assert [cell["content"]["status"] for cell in cells] == ["ok", "error", "aborted", "aborted"]
    reply = cells[1]["content"]
    assert (reply["ename"], reply["evalue"]) == ("ZeroDivisionError", "division by zero")
    assert any("1 / 0" in part or "/" in part for part in reply["traceback"])
    notebook.settle()
    assert notebook.run("reached").value() == "[]"


def test_cell_right_after_an_error_runs(notebook: Notebook) -> None:
    # ipykernel alone would abort some of them; see `Notebook.settle`.
    for number in range(40):
        assert notebook.finish(notebook.submit("1 / 0")).status == "error"
        assert notebook.finish(notebook.submit(f"{number} + 1")).status == "ok"


def test_errors_of_the_environment_are_shown_unchanged(notebook: Notebook) -> None:
    cell = notebook.run("def f():\n    raise KeyError('déjà')\nf()")
    (error,) = cell.contents("error")
    reply = cell.reply["content"]
    assert error["ename"] == reply["ename"] == "KeyError"
    assert error["traceback"] == reply["traceback"]


def test_next_cell_runs_after_an_error_without_stop_on_error(notebook: Notebook) -> None:
    gate, wait = notebook.gate()
    first = notebook.submit(f"{wait}1/0", stop_on_error=False)
    second = notebook.submit("40 + 2")
    gate.touch()
    assert notebook.client.get_shell_msg(timeout=TIMEOUT)["parent_header"]["msg_id"] == first
    assert notebook.finish(second).value() == "42"


def test_kernel_of_the_environment_aborts_no_cells(notebook: Notebook) -> None:
    # It could abort the next cell too. Only the notebook's kernel knows which cells wait.
    cell = notebook.run("get_ipython().kernel.get_parent()['content']['stop_on_error']")
    assert cell.value() == "False"


def test_execution_counts_history_and_user_expressions(notebook: Notebook) -> None:
    first = notebook.run("a_value = 41\na_value")
    count = first.reply["content"]["execution_count"]
    assert first.contents("execute_input")[0]["execution_count"] == count
    assert first.contents("execute_result")[0]["execution_count"] == count
    expressions = {"good": "a_value + 1", "bad": "nothing_here"}
    second = notebook.run("_", user_expressions=expressions, store_history=False)
    assert second.value() == "41"
    assert second.reply["content"]["execution_count"] in (count, count + 1)
    values = second.reply["content"]["user_expressions"]
    assert values["good"]["data"]["text/plain"] == "42"
    assert values["bad"]["status"] == "error"
    assert notebook.run("3").reply["content"]["execution_count"] == count + 1
    silent = notebook.run("a_value = 5; a_value", silent=True, store_history=False)
    assert silent.kinds() == ["status", "status"]
    assert notebook.run("a_value").value() == "5"


def test_shell_commands_and_magics_run_in_the_environment(notebook: Notebook) -> None:
    assert "here\n" in notebook.run("!echo here").text().replace("\r\n", "\n")
    assert "environment-" in notebook.run("%pip --version").text()
    assert notebook.run("%%writefile note.txt\nwritten\n").status == "ok"
    assert "written" in notebook.run("%%bash\ncat note.txt").text()
    assert notebook.run("%env COLABENV_X=1\nimport os; os.environ['COLABENV_X']").value() == "'1'"
    timed = notebook.run("%%time\n1 + 1")
    assert timed.value() == "2"
    assert "time" in timed.text()


def test_output_of_other_processes_is_shown_once(notebook: Notebook) -> None:
    text = notebook.run("import os, time; os.system('echo from outside'); time.sleep(0.1)").text()
    while "from outside" not in text:
        text += notebook.stream()["content"]["text"]
    late = [message["content"].get("text", "") for message in notebook.more_output(0.5)]
    assert (text + "".join(late)).count("from outside") == 1


def test_payloads_reach_the_front_end(notebook: Notebook) -> None:
    notebook.run("%%writefile load_me.py\nloaded = 1\n")
    (payload,) = notebook.run("%load load_me.py").reply["content"]["payload"]
    assert payload["source"] == "set_next_input"
    assert "loaded = 1" in payload["text"]
    (pager,) = notebook.run("len?").reply["content"]["payload"]
    assert pager["source"] == "page"
    assert "number of items" in pager["data"]["text/plain"]


def test_thread_output_after_the_end_of_its_cell(notebook: Notebook) -> None:
    code = "import threading\nthreading.Timer(0.5, lambda: print('late', flush=True)).start()"
    msg_id = notebook.run(code).msg_id
    late = [notebook.stream()]
    late += [message for message in notebook.more_output(0.5) if message["header"]["msg_type"] == "stream"]
    assert "".join(message["content"]["text"] for message in late) == "late\n"
    assert {message["parent_header"]["msg_id"] for message in late} == {msg_id}


def test_long_output_is_complete(notebook: Notebook) -> None:
    cell = notebook.run("for i in range(200_000): print(i)")
    assert cell.text() == "".join(f"{i}\n" for i in range(200_000))
    cell = notebook.run(
        "from IPython.display import publish_display_data as show\n"
        "for i in range(3_000): show({'text/plain': str(i)})"
    )
    assert [int(content["data"]["text/plain"]) for content in cell.contents("display_data")] == list(
        range(3_000)
    )


@pytest.mark.slow
def test_output_of_a_million_lines_is_complete(notebook: Notebook) -> None:
    cell = notebook.run("for i in range(1_000_000): print(i)")
    assert cell.text() == "".join(f"{i}\n" for i in range(1_000_000))
