"""Messages between the front end and the environment: input, interrupts, requests, widgets."""

from __future__ import annotations

import time
from typing import Any

import pytest

from support.attach.notebook import Cell, Message, Notebook
from support.timeouts import FOREVER, TIMEOUT, wait_until

# As google.colab: it sends a message on iopub and reads the answer from the kernel's stdin socket.
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
    deadline = time.time() + 180
    while time.time() < deadline:
        try:
            _, reply = kernel.session.recv(kernel.stdin_socket, zmq.NOBLOCK)
        except Exception:  # no message yet; google.colab ignores all failures
            reply = None
        value = reply and reply['content']['value']
        if isinstance(value, dict) and value.get('colab_msg_id') == number:
            return value
        time.sleep(0.01)
"""


def displayed_model(cell: Cell) -> str:
    """Model ID of the widget that a cell displays."""
    (data,) = [content["data"] for content in cell.contents("execute_result") + cell.contents("display_data")]
    model_id: str = data["application/vnd.jupyter.widget-view+json"]["model_id"]
    return model_id


def test_input_and_getpass(notebook: Notebook) -> None:
    code = "import getpass\n[input('name? '), getpass.getpass('secret? ')]"
    cell = notebook.run(code, answer=lambda question: question["content"]["prompt"].upper())
    assert cell.value() == "['NAME? ', 'SECRET? ']"
    assert [question["content"] for question in cell.questions] == [
        {"prompt": "name? ", "password": False},
        {"prompt": "secret? ", "password": True},
    ]
    assert {question["parent_header"]["msg_id"] for question in cell.questions} == {cell.msg_id}


def test_output_before_input_is_shown_first(notebook: Notebook) -> None:
    shown: list[str] = []

    def answer(_: Message) -> str:
        # The cell waits for the answer.
        wait_until(lambda: notebook.take_output(notebook.cell).text(), "the text before the input")
        shown.append(notebook.cell.text())
        return ""

    notebook.run("print('read this first')\ninput('? ')", answer=answer)
    assert shown == ["read this first\n"]


def test_no_input_without_allow_stdin(notebook: Notebook) -> None:
    cell = notebook.run("input()", allow_stdin=False)
    assert cell.reply["content"]["ename"] == "StdinNotImplementedError"


def test_input_in_a_base_cell(notebook: Notebook) -> None:
    notebook.run("input()", answer=lambda _: "first")
    assert notebook.run("%%base\ninput()", answer=lambda _: "base").value() == "'base'"
    assert notebook.run("input()", answer=lambda _: "second").value() == "'second'"


def test_colab_request_reaches_the_front_end_and_is_answered(notebook: Notebook) -> None:
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


def test_request_without_a_cell_has_the_session_of_the_front_end(notebook: Notebook) -> None:
    requests: list[Message] = []

    def answer(message: Message) -> dict[str, Any]:
        requests.append(message)
        return {"type": "colab_reply", "colab_msg_id": 8, "error": "no access"}

    cell = notebook.run(COLAB_REQUEST + "\nrequest('x', {}, 8)['error']", answer=answer)
    assert cell.value() == "'no access'"
    assert requests[0]["parent_header"] == {"session": notebook.client.session.session}


def test_stop_button_stops_the_cell_and_keeps_the_state(notebook: Notebook) -> None:
    notebook.run("kept = 'still here'")
    for code in (
        f"import time\nprint('started', flush=True)\ntime.sleep({FOREVER})",
        "print('started', flush=True)\nwhile True: pass",
    ):
        msg_id = notebook.submit(code)
        notebook.stream()
        notebook.manager.interrupt_kernel()
        cell = notebook.finish(msg_id)
        assert cell.reply["content"]["ename"] == "KeyboardInterrupt"
    assert notebook.run("kept").value() == "'still here'"


def test_stop_button_ends_input(notebook: Notebook) -> None:
    def answer(_: Message) -> str:
        notebook.manager.interrupt_kernel()
        wait_until(lambda: notebook.take_output(notebook.cell).contents("error"), "the end of the input")
        return "too late"

    cell = notebook.run("input('? ')", answer=answer)
    assert cell.reply["content"]["ename"] == "KeyboardInterrupt"
    assert notebook.run("input('? ')", answer=lambda _: "in time").value() == "'in time'"


def test_stop_button_between_cells_has_no_effect(notebook: Notebook) -> None:
    notebook.manager.interrupt_kernel()
    notebook.settle()
    assert notebook.run("1 + 1").value() == "2"
    msg_id = notebook.submit(f"%%base\nimport time\nprint('started', flush=True)\ntime.sleep({FOREVER})")
    notebook.stream()
    notebook.manager.interrupt_kernel()
    assert notebook.finish(msg_id).reply["content"]["ename"] == "KeyboardInterrupt"


def test_completion_and_help_come_from_the_environment(notebook: Notebook) -> None:
    notebook.run("in_environment_1 = in_environment_2 = 1\ndef documented():\n    'Documentation.'")
    completion = notebook.request("complete_request", {"code": "x = in_envir", "cursor_pos": 12})
    assert completion["matches"] == ["in_environment_1", "in_environment_2"]
    assert (completion["cursor_start"], completion["cursor_end"]) == (4, 12)
    inspection = notebook.request(
        "inspect_request", {"code": "documented(", "cursor_pos": 10, "detail_level": 0}
    )
    assert "Documentation." in str(inspection["data"])
    assert notebook.request("is_complete_request", {"code": "for i in x:"})["status"] == "incomplete"
    search = {
        "hist_access_type": "search",
        "pattern": "*in_environment_2*",
        "raw": True,
        "output": False,
        "n": 5,
    }
    assert "documented" in notebook.request("history_request", search)["history"][-1][2]


def test_completion_in_a_base_cell_comes_from_the_base(notebook: Notebook) -> None:
    notebook.run("%%base\nin_base_1 = 1")
    cell = "%%base\nin_base"
    assert notebook.request("complete_request", {"code": cell, "cursor_pos": len(cell)})["matches"] == [
        "in_base_1"
    ]
    assert notebook.request("complete_request", {"code": "in_base", "cursor_pos": 7})["matches"] == []


def test_slider_in_both_directions(notebook: Notebook) -> None:
    created = notebook.run(
        "import ipywidgets\nvalues = []\nslider = ipywidgets.IntSlider(value=3)\n"
        "slider.observe(lambda change: (values.append(change['new']), print('moved')), 'value')\nslider"
    )
    opened = {content["comm_id"]: content for content in created.contents("comm_open")}
    model = displayed_model(created)
    assert opened[model]["data"]["state"]["value"] == 3

    # The front end moves the slider.
    data = {"method": "update", "state": {"value": 42}, "buffer_paths": []}
    moved = notebook.send_and_wait("comm_msg", {"comm_id": model, "data": data})
    assert moved.text() == "moved\n"
    assert moved.kinds()[-1] == "status"
    assert notebook.run("[slider.value, values]").value() == "[42, [42]]"

    # The environment moves it.
    (update,) = notebook.run("slider.value = 7").contents("comm_msg")
    assert (update["comm_id"], update["data"]["state"]) == (model, {"value": 7})
    info = notebook.request("comm_info_request", {"target_name": "jupyter.widget"})["comms"]
    assert info[model] == {"target_name": "jupyter.widget"}
    assert model in [content["comm_id"] for content in notebook.run("slider.close()").contents("comm_close")]


def test_quickly_dragged_slider_loses_no_step(notebook: Notebook) -> None:
    created = notebook.run(
        "import ipywidgets\nsteps = []\nslider = ipywidgets.IntSlider()\n"
        "slider.observe(lambda change: (steps.append(change['new']), print(change['new'])), 'value')\nslider"
    )
    model = displayed_model(created)
    data = {"method": "update", "buffer_paths": []}
    sent = {
        notebook.send("comm_msg", {"comm_id": model, "data": {**data, "state": {"value": step}}}): str(step)
        for step in range(1, 21)
    }
    cells = {msg_id: Cell(msg_id) for msg_id in sent}
    deadline = time.monotonic() + TIMEOUT
    while not all(notebook.idle(cell) for cell in cells.values()):
        assert time.monotonic() < deadline, [
            sent[msg_id] for msg_id, cell in cells.items() if not notebook.idle(cell)
        ]
        message = notebook.client.get_iopub_msg(timeout=TIMEOUT)
        cell = cells.get(message["parent_header"].get("msg_id", ""))
        if cell:
            assert not notebook.idle(cell) or message["header"]["msg_type"] == "status", message
            cell.output.append(message)
    assert [cell.text().strip() for cell in cells.values()] == list(sent.values())
    assert notebook.run("steps == list(range(1, 21))").value() == "True"


def test_all_messages_have_the_same_session(notebook: Notebook) -> None:
    # JupyterLab drops a comm_open if a message of another session arrives before it has handled it.
    base = notebook.run("%%base\n1")
    cell = notebook.run("import ipywidgets\nprint(1)\nipywidgets.IntSlider()")
    assert "comm_open" in cell.kinds()
    messages = [base.reply, *base.output, cell.reply, *cell.output]
    assert len({message["header"]["session"] for message in messages}) == 1
    assert len({message["header"]["msg_id"] for message in messages}) == len(messages)


def test_comm_buffers_in_both_directions(notebook: Notebook) -> None:
    notebook.run(
        "received = []\n"
        "def opened(comm, message):\n"
        "    def receive(message):\n"
        "        received.append([bytes(b) for b in message['buffers']])\n"
        "        comm.send({'back': 1}, buffers=[b[::-1] for b in received[-1]])\n"
        "    comm.on_msg(receive)\n"
        "get_ipython().kernel.comm_manager.register_target('echo', opened)"
    )
    notebook.send_and_wait("comm_open", {"comm_id": "c1", "target_name": "echo", "data": {}})
    sent = [b"\x00\xff" * 50_000, b"ab"]
    cell = notebook.send_and_wait("comm_msg", {"comm_id": "c1", "data": {}}, buffers=sent)
    (reply,) = [message for message in cell.output if message["header"]["msg_type"] == "comm_msg"]
    assert [bytes(buffer) for buffer in reply["buffers"]] == [buffer[::-1] for buffer in sent]
    notebook.send_and_wait("comm_close", {"comm_id": "c1", "data": {}})
    assert notebook.run("len(received)").value() == "1"


def test_widget_of_a_base_cell_belongs_to_the_base(notebook: Notebook) -> None:
    created = notebook.run("%%base\nimport ipywidgets\nslider = ipywidgets.IntSlider(value=1)\nslider")
    model = displayed_model(created)
    data = {"method": "update", "state": {"value": 9}, "buffer_paths": []}
    notebook.send_and_wait("comm_msg", {"comm_id": model, "data": data})
    assert notebook.run("%%base\nslider.value").value() == "9"
    assert model in notebook.request("comm_info_request", {})["comms"]


def test_comm_messages_of_a_subshell(notebook: Notebook) -> None:
    info = notebook.request("kernel_info_request", {})
    if "kernel subshells" not in info.get("supported_features", []):
        pytest.skip("this stack's kernel has no subshells")
    control: Any = notebook.client.control_channel
    control.send(notebook.client.session.msg("create_subshell_request", {}))
    subshell = notebook.client.get_control_msg(timeout=TIMEOUT)["content"]["subshell_id"]
    created = notebook.run("import ipywidgets\nslider = ipywidgets.IntSlider()\nslider")
    assert created.contents("comm_open")
    data = {"method": "update", "state": {"value": 5}, "buffer_paths": []}
    content = {"comm_id": notebook.run("print(slider.model_id)").text().strip(), "data": data}
    notebook.send_and_wait("comm_msg", content, header={"subshell_id": subshell})
    assert notebook.run("slider.value").value() == "5"
