"""Messages between the page and the environment: questions, interrupts, requests, widgets."""

from __future__ import annotations

import time
from typing import Any

import pytest

from support.attach.notebook import Cell, Message, Notebook
from support.patience import FOREVER, PATIENCE, until

# What google.colab does: a message on iopub, and the answer read from the kernel's stdin socket.
COLAB_REQUEST = """
def request(kind, body, number):
    import time, zmq
    kernel = get_ipython().kernel
    metadata = {'colab_request_type': kind, 'colab_msg_id': number}
    parent = {'header': {'session': kernel.shell.parent_header['header']['session']}}
    if number % 2:
        parent = kernel.shell.parent_header
    message = kernel.session.msg('colab_request', {'request': body}, parent, metadata=metadata)
    kernel.session.send(kernel.iopub_socket, message)
    until = time.time() + 180
    while time.time() < until:
        try:
            _, reply = kernel.session.recv(kernel.stdin_socket, zmq.NOBLOCK)
        except Exception:  # nothing there yet; google.colab takes any failure for that
            reply = None
        value = reply and reply['content']['value']
        if isinstance(value, dict) and value.get('colab_msg_id') == number:
            return value
        time.sleep(0.01)
"""


def test_input_and_getpass(notebook: Notebook) -> None:
    code = "import getpass\n[input('name? '), getpass.getpass('secret? ')]"
    cell = notebook.run(code, answer=lambda question: question["content"]["prompt"].upper())
    assert cell.value() == "['NAME? ', 'SECRET? ']"
    assert [q["content"] for q in cell.questions] == [
        {"prompt": "name? ", "password": False},
        {"prompt": "secret? ", "password": True},
    ]
    assert {q["parent_header"]["msg_id"] for q in cell.questions} == {cell.msg_id}


def test_output_before_a_question_is_shown_before_it(notebook: Notebook) -> None:
    seen: list[str] = []

    def answer(_: Message) -> str:
        # The cell waits for the answer.
        until(lambda: notebook.take_output(notebook.cell).text(), "the text before the question")
        seen.append(notebook.cell.text())
        return ""

    notebook.run("print('read this first')\ninput('? ')", answer=answer)
    assert seen == ["read this first\n"]


def test_no_input_without_allow_stdin(notebook: Notebook) -> None:
    cell = notebook.run("input()", allow_stdin=False)
    assert cell.reply["content"]["ename"] == "StdinNotImplementedError"


def test_input_in_a_base_cell(notebook: Notebook) -> None:
    notebook.run("input()", answer=lambda _: "there")
    assert notebook.run("%%base\ninput()", answer=lambda _: "here").value() == "'here'"
    assert notebook.run("input()", answer=lambda _: "there again").value() == "'there again'"


def test_a_colab_request_reaches_the_page_and_is_answered(notebook: Notebook) -> None:
    requests: list[Message] = []

    def answer(message: Message) -> dict[str, Any]:
        requests.append(message)
        number = message["metadata"]["colab_msg_id"]
        return {"type": "colab_reply", "colab_msg_id": number, "data": {"payload": [number, "ü", None]}}

    notebook.run(COLAB_REQUEST)
    cell = notebook.run("request('GetSecret', {'key': 'TOKEN'}, 7)['data']['payload']", answer=answer)
    assert cell.value() == "[7, 'ü', None]"
    (request,) = requests
    assert request["content"] == {"request": {"key": "TOKEN"}}
    assert request["metadata"]["colab_request_type"] == "GetSecret"
    assert request["parent_header"]["msg_id"] == cell.msg_id


def test_a_request_that_names_no_cell_names_the_pages_session(notebook: Notebook) -> None:
    requests: list[Message] = []

    def answer(message: Message) -> dict[str, Any]:
        requests.append(message)
        return {"type": "colab_reply", "colab_msg_id": 8, "error": "no access"}

    cell = notebook.run(COLAB_REQUEST + "\nrequest('x', {}, 8)['error']", answer=answer)
    assert cell.value() == "'no access'"
    assert requests[0]["parent_header"] == {"session": notebook.client.session.session}


def test_the_stop_button_stops_the_cell_and_keeps_the_state(notebook: Notebook) -> None:
    notebook.run("kept = 'still here'")
    for code in (
        f"import time\nprint('on', flush=True)\ntime.sleep({FOREVER})",
        "print('on', flush=True)\nwhile True: pass",
    ):
        msg_id = notebook.submit(code)
        notebook.stream()
        notebook.manager.interrupt_kernel()
        cell = notebook.finish(msg_id)
        assert cell.reply["content"]["ename"] == "KeyboardInterrupt"
    assert notebook.run("kept").value() == "'still here'"


def test_the_stop_button_ends_a_question(notebook: Notebook) -> None:
    def answer(_: Message) -> str:
        notebook.manager.interrupt_kernel()
        until(lambda: notebook.take_output(notebook.cell).contents("error"), "the end of the question")
        return "too late"

    cell = notebook.run("input('? ')", answer=answer)
    assert cell.reply["content"]["ename"] == "KeyboardInterrupt"
    assert notebook.run("input('? ')", answer=lambda _: "in time").value() == "'in time'"


def test_the_stop_button_between_cells_has_no_effect(notebook: Notebook) -> None:
    notebook.manager.interrupt_kernel()
    notebook.settle()
    assert notebook.run("1 + 1").value() == "2"
    msg_id = notebook.submit(f"%%base\nimport time\nprint('on', flush=True)\ntime.sleep({FOREVER})")
    notebook.stream()
    notebook.manager.interrupt_kernel()
    assert notebook.finish(msg_id).reply["content"]["ename"] == "KeyboardInterrupt"


def test_completion_and_help_come_from_the_environment(notebook: Notebook) -> None:
    notebook.run("only_there_1 = only_there_2 = 1\ndef documented():\n    'Says so.'")
    found = notebook.ask("complete_request", {"code": "x = only_the", "cursor_pos": 12})
    assert found["matches"] == ["only_there_1", "only_there_2"]
    assert (found["cursor_start"], found["cursor_end"]) == (4, 12)
    shown = notebook.ask("inspect_request", {"code": "documented(", "cursor_pos": 10, "detail_level": 0})
    assert "Says so." in str(shown["data"])
    assert notebook.ask("is_complete_request", {"code": "for i in x:"})["status"] == "incomplete"
    search = {"hist_access_type": "search", "pattern": "*only_there_2*", "raw": True, "output": False, "n": 5}
    assert "documented" in notebook.ask("history_request", search)["history"][-1][2]


def test_completion_in_a_base_cell_comes_from_the_base(notebook: Notebook) -> None:
    notebook.run("%%base\nonly_base_here = 1")
    cell = "%%base\nonly_base_h"
    assert notebook.ask("complete_request", {"code": cell, "cursor_pos": len(cell)})["matches"] == [
        "only_base_here"
    ]
    assert notebook.ask("complete_request", {"code": "only_base_h", "cursor_pos": 11})["matches"] == []


def test_a_slider_works_both_ways(notebook: Notebook) -> None:
    made = notebook.run(
        "import ipywidgets\nseen = []\nslider = ipywidgets.IntSlider(value=3)\n"
        "slider.observe(lambda change: (seen.append(change['new']), print('moved')), 'value')\nslider"
    )
    opened = {o["comm_id"]: o for o in made.contents("comm_open")}
    (view,) = [c["data"] for c in made.contents("execute_result") + made.contents("display_data")]
    model = view["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert opened[model]["data"]["state"]["value"] == 3

    # the page moves the slider
    data = {"method": "update", "state": {"value": 42}, "buffer_paths": []}
    moved = notebook.tell("comm_msg", {"comm_id": model, "data": data})
    assert moved.text() == "moved\n"
    assert moved.kinds()[-1] == "status"
    assert notebook.run("[slider.value, seen]").value() == "[42, [42]]"

    # the environment moves it
    (update,) = notebook.run("slider.value = 7").contents("comm_msg")
    assert (update["comm_id"], update["data"]["state"]) == (model, {"value": 7})
    info = notebook.ask("comm_info_request", {"target_name": "jupyter.widget"})["comms"]
    assert info[model] == {"target_name": "jupyter.widget"}
    assert model in [c["comm_id"] for c in notebook.run("slider.close()").contents("comm_close")]


def test_a_slider_dragged_quickly_loses_no_step(notebook: Notebook) -> None:
    made = notebook.run(
        "import ipywidgets\nsteps = []\nslider = ipywidgets.IntSlider()\n"
        "slider.observe(lambda change: (steps.append(change['new']), print(change['new'])), 'value')\nslider"
    )
    (view,) = [c["data"] for c in made.contents("execute_result") + made.contents("display_data")]
    model = view["application/vnd.jupyter.widget-view+json"]["model_id"]
    data = {"method": "update", "buffer_paths": []}
    sent = {
        notebook.send("comm_msg", {"comm_id": model, "data": {**data, "state": {"value": step}}}): str(step)
        for step in range(1, 21)
    }
    cells = {msg_id: Cell(msg_id) for msg_id in sent}
    deadline = time.monotonic() + PATIENCE
    while not all(notebook.idle(cell) for cell in cells.values()):
        assert time.monotonic() < deadline, [sent[m] for m, cell in cells.items() if not notebook.idle(cell)]
        message = notebook.client.get_iopub_msg(timeout=PATIENCE)
        cell = cells.get(message["parent_header"].get("msg_id", ""))
        if cell:
            assert not notebook.idle(cell) or message["header"]["msg_type"] == "status", message
            cell.output.append(message)
    assert [cell.text().strip() for cell in cells.values()] == list(sent.values())
    assert notebook.run("steps == list(range(1, 21))").value() == "True"


def test_every_message_is_of_one_session(notebook: Notebook) -> None:
    # JupyterLab drops a comm_open when a message of another session arrives before it has handled it
    base = notebook.run("%%base\n1")
    cell = notebook.run("import ipywidgets\nprint(1)\nipywidgets.IntSlider()")
    assert "comm_open" in cell.kinds()
    messages = [base.reply, *base.output, cell.reply, *cell.output]
    assert len({message["header"]["session"] for message in messages}) == 1
    assert len({message["header"]["msg_id"] for message in messages}) == len(messages)


def test_bytes_of_a_comm_arrive_in_both_directions(notebook: Notebook) -> None:
    notebook.run(
        "got = []\n"
        "def opened(comm, message):\n"
        "    def received(message):\n"
        "        got.append([bytes(b) for b in message['buffers']])\n"
        "        comm.send({'back': 1}, buffers=[b[::-1] for b in got[-1]])\n"
        "    comm.on_msg(received)\n"
        "get_ipython().kernel.comm_manager.register_target('echo', opened)"
    )
    notebook.tell("comm_open", {"comm_id": "c1", "target_name": "echo", "data": {}})
    sent = [b"\x00\xff" * 50_000, b"ab"]
    cell = notebook.tell("comm_msg", {"comm_id": "c1", "data": {}}, buffers=sent)
    (back,) = [m for m in cell.output if m["header"]["msg_type"] == "comm_msg"]
    assert [bytes(b) for b in back["buffers"]] == [b[::-1] for b in sent]
    notebook.tell("comm_close", {"comm_id": "c1", "data": {}})
    assert notebook.run("len(got)").value() == "1"


def test_a_widget_of_a_base_cell_stays_with_the_base(notebook: Notebook) -> None:
    made = notebook.run("%%base\nimport ipywidgets\nown = ipywidgets.IntSlider(value=1)\nown")
    (view,) = [c["data"] for c in made.contents("execute_result") + made.contents("display_data")]
    model = view["application/vnd.jupyter.widget-view+json"]["model_id"]
    data = {"method": "update", "state": {"value": 9}, "buffer_paths": []}
    notebook.tell("comm_msg", {"comm_id": model, "data": data})
    assert notebook.run("%%base\nown.value").value() == "9"
    assert model in notebook.ask("comm_info_request", {})["comms"]


def test_comm_messages_of_a_subshell(notebook: Notebook) -> None:
    info = notebook.ask("kernel_info_request", {})
    if "kernel subshells" not in info.get("supported_features", []):
        pytest.skip("this stack's kernel has no subshells")
    control: Any = notebook.client.control_channel
    control.send(notebook.client.session.msg("create_subshell_request", {}))
    subshell = notebook.client.get_control_msg(timeout=PATIENCE)["content"]["subshell_id"]
    made = notebook.run("import ipywidgets\nother = ipywidgets.IntSlider()\nother")
    model = made.contents("comm_open")[-1]["comm_id"]
    data = {"method": "update", "state": {"value": 5}, "buffer_paths": []}
    content = {"comm_id": notebook.run("print(other.model_id)").text().strip(), "data": data}
    assert model
    notebook.tell("comm_msg", content, header={"subshell_id": subshell})
    assert notebook.run("other.value").value() == "5"
