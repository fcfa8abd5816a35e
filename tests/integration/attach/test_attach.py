"""The magics that choose where cells run, and what happens when an environment's kernel ends."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from support.attach.notebook import Cell, Notebook
from support.attach.stacks import COLAB, TODAY
from support.timeouts import FOREVER, TIMEOUT, wait_until

# For tests that do not depend on the notebook's stack.
ONLY_COLAB = pytest.mark.parametrize("fresh", [pytest.param(COLAB, id="colab")], indirect=True)
ONLY_TODAY = pytest.mark.parametrize("fresh", [pytest.param(TODAY, id="today")], indirect=True)


def has_ended(pid: int) -> bool:
    """Whether a process has ended; a zombie counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_for_end(pid: int) -> None:
    """Wait until a process has ended."""
    wait_until(lambda: has_ended(pid), f"the end of process {pid}")


def kernel_pid(notebook: Notebook) -> int:
    """Process ID of the kernel that runs the notebook's cells."""
    return int(notebook.run("import os; os.getpid()").value())


def error_text(cell: Cell) -> str:
    """The traceback that a cell shows."""
    (error,) = cell.contents("error")
    return "\n".join(error["traceback"])


def test_base_cells_detach_and_status(notebook: Notebook) -> None:
    pid = kernel_pid(notebook)
    notebook.run("state = 'kept'")
    assert "environment 'demo' (Python 3.1" in notebook.run("%colabenv status").text()
    assert str(pid) in notebook.run("%colabenv status").text()
    assert int(notebook.run("%%base\nimport os; os.getpid()").value()) != pid
    assert notebook.run("%%base\n1/0").reply["content"]["ename"] == "ZeroDivisionError"
    assert notebook.run("%%base\n%%time\n2").value() == "2"

    assert "Colab's own Python" in notebook.run("%colabenv detach").text()
    assert kernel_pid(notebook) != pid
    assert "Colab's own Python" in notebook.run("%colabenv status").text()
    assert "already run in Colab's own Python" in notebook.run("%colabenv detach").text()
    notebook.run("%colabenv attach demo")
    assert notebook.run("state").value() == "'kept'"


def test_several_environments(notebook: Notebook) -> None:
    assert notebook.run("%%env newer\nimport sys; newer = sys.version_info[:2]\nnewer").value() != (
        notebook.run("import sys; sys.version_info[:2]").value()
    )
    assert notebook.run("'newer' in globals()").value() == "False"
    assert notebook.run("%%env newer\n'newer' in globals()").value() == "True"
    assert "newer (running)" in notebook.run("%colabenv status").text()
    cell = "%%env newer\nnewe"
    assert "newer" in notebook.request("complete_request", {"code": cell, "cursor_pos": len(cell)})["matches"]
    assert notebook.run("%%env newer\ninput()", answer=lambda _: "x").value() == "'x'"
    assert "There is no environment 'nowhere'" in error_text(notebook.run("%%env nowhere\n1"))


def test_cells_that_use_colabenv_run_in_the_base(notebook: Notebook) -> None:
    assert notebook.run("import colabenv\ncolabenv.__version__").status == "ok"
    assert "Unknown" not in notebook.run("%load_ext colabenv.notebook.magics").text("stderr")
    cell = notebook.run("%colabenv attach demo")
    assert cell.status == "ok"


def test_error_messages_of_invalid_magics(notebook: Notebook) -> None:
    assert "Did you mean `%colabenv attach`?" in error_text(notebook.run("%colabenv atach demo"))
    assert "first line of the cell" in error_text(notebook.run("%%base now\n1"))
    assert "first line of the cell" in error_text(notebook.run("%%env\n1"))
    assert "exactly" not in error_text(notebook.run("%colabenv attach"))
    assert notebook.run("%colabenv status").status == "ok"


def test_help_is_shown_in_a_cell(notebook: Notebook) -> None:
    assert "%colabenv detach" in notebook.run("%colabenv").text()
    assert "usage: %colabenv lock" in notebook.run("%colabenv lock --help").text()
    assert notebook.run("%colabenv lock --help").status == "ok"


def test_asyncio_of_the_notebook_is_unchanged(notebook: Notebook) -> None:
    cell = notebook.run("%%base\nimport asyncio, _asyncio\nasyncio.Task is _asyncio.Task")
    assert cell.value() == "True"


def test_loading_the_extension_does_not_move_cells(fresh: Notebook) -> None:
    before = fresh.run("import sys; sys.prefix").value()
    assert fresh.run("%load_ext colabenv.notebook.magics").status == "ok"
    assert fresh.run("sys.prefix").value() == before
    assert fresh.run("%env COLABENV_Y=2").status == "ok"
    assert fresh.run("%unload_ext colabenv.notebook.magics").status == "ok"
    assert fresh.run("%colabenv status").status == "error" or "not found" in fresh.run(
        "%colabenv status"
    ).text("stderr")


@ONLY_COLAB
def test_notebook_survives_a_killed_kernel(fresh: Notebook) -> None:
    fresh.load()
    pid = kernel_pid(fresh)
    msg_id = fresh.submit(f"import time\nprint('before the kill', flush=True); time.sleep({FOREVER})")
    assert fresh.stream()["content"]["text"] == "before the kill\n"
    os.kill(pid, signal.SIGKILL)
    cell = fresh.finish(msg_id)
    fresh.settle()
    assert cell.status == "error"
    for part in ("'demo' is gone", "ran out of memory", "%colabenv restart", "%colabenv detach"):
        assert part in error_text(cell)
    wait_for_end(pid)
    gate, wait = fresh.gate()
    for code in (f"%%base\n{wait}", "1", "2"):
        fresh.submit(code)
    gate.touch()
    replies = [fresh.client.get_shell_msg(timeout=TIMEOUT)["content"]["status"] for _ in range(3)]
    assert replies == ["ok", "error", "aborted"]
    fresh.settle()
    assert fresh.run("%%base\n6 * 7").value() == "42"
    assert "not running" in fresh.run("%colabenv status").text()
    assert fresh.request("complete_request", {"code": "impo", "cursor_pos": 4})["status"] == "ok"

    assert fresh.run("%colabenv restart").status == "ok"
    assert kernel_pid(fresh) != pid
    pid = kernel_pid(fresh)
    fresh.run("exit()")
    wait_for_end(pid)
    again = fresh.run("1")
    assert "'demo'. It was started again, and its variables are lost." in again.text()
    assert again.value() == "1"
    assert fresh.run("%colabenv detach").status == "ok"
    assert fresh.run("'back'").value() == "'back'"


@ONLY_COLAB
def test_cells_after_a_kill_run_in_a_new_kernel(fresh: Notebook) -> None:
    fresh.load()
    pid = kernel_pid(fresh)
    gate, wait = fresh.gate()
    kill = "import os\ndef restart():\n    os.kill(os.getpid(), 9)"
    codes = (
        f"before = 1\n{wait}",
        kill,
        "restart()",
        "'before' in globals()",
        "pid = os.getpid()",
    )
    ids = [fresh.submit(code) for code in codes]
    gate.touch()
    cells = [fresh.finish(msg_id) for msg_id in ids]
    assert [cell.status for cell in cells] == ["ok", "ok", "ok", "ok", "error"]
    assert "was started again, and its variables are lost" in cells[2].text()
    assert cells[3].value() == "False"
    assert kernel_pid(fresh) != pid


@ONLY_TODAY
def test_kernel_that_does_not_start(fresh: Notebook) -> None:
    code = "import sys; print('no module named nonsense', file=sys.stderr); sys.exit(3)"
    fresh.register_kernel("colabenv-broken", [sys.executable, "-c", code])
    fresh.register_kernel("colabenv-missing", ["/nowhere/python", "-m", "ipykernel"])
    fresh.run("%load_ext colabenv.notebook.magics")
    text = error_text(fresh.run("%colabenv attach broken"))
    assert "exit code 3" in text
    assert "no module named nonsense" in text
    assert "/nowhere/python" in error_text(fresh.run("%colabenv attach missing"))
    assert fresh.run("'base'").value() == "'base'"

    # The stop button ends a start that hangs.
    started = fresh.folder / "started"
    code = f"import time; open({str(started)!r}, 'w').close(); time.sleep({FOREVER})"
    fresh.register_kernel("colabenv-silent", [sys.executable, "-c", code])
    for cell in ("%colabenv attach silent", "%%env silent\n1"):
        msg_id = fresh.submit(cell)
        wait_until(started.exists, "the start of the kernel")
        started.unlink()
        fresh.manager.interrupt_kernel()
        assert fresh.finish(msg_id).status == "error"
    assert fresh.run("'base'").value() == "'base'"


@ONLY_COLAB
def test_rebuilt_environment_gets_a_new_kernel(fresh: Notebook) -> None:
    fresh.load()
    pid = kernel_pid(fresh)
    fresh.run("%colabenv attach demo")
    assert kernel_pid(fresh) == pid
    spec = fresh.folder / "kernels/colabenv-demo/kernel.json"
    spec.write_text(spec.read_text().replace('"-m"', '"-s", "-m"'))
    fresh.run("%colabenv attach demo")
    assert kernel_pid(fresh) != pid
    wait_for_end(pid)
    assert fresh.run("import sys; sys.flags.no_user_site").value() == "1"


def test_kernel_of_the_environment_ends_with_that_of_the_notebook(fresh: Notebook) -> None:
    fresh.load()
    pid = kernel_pid(fresh)
    folder = fresh.run("import ipykernel, os; os.path.dirname(ipykernel.get_connection_file())").value()
    notebook_pid = int(fresh.run("%%base\nimport os; os.getpid()").value())
    assert Path(folder.strip("'")).exists()
    fresh.client.shutdown()  # not the manager's method, which would kill a kernel that does not exit
    wait_for_end(notebook_pid)
    wait_for_end(pid)
    assert not Path(folder.strip("'")).exists()


@ONLY_COLAB
def test_kernel_of_the_environment_ends_when_that_of_the_notebook_is_killed(fresh: Notebook) -> None:
    fresh.load()
    pid = kernel_pid(fresh)
    os.kill(int(fresh.run("%%base\nimport os; os.getpid()").value()), signal.SIGKILL)
    wait_for_end(pid)
