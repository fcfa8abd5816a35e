"""The stand-in machine behaves like Colab in the ways that the tests rely on."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from support.colab import base, snapshot
from support.colab.cell import CellResult, screen
from support.colab.machine import ColabMachine
from support.colab.page import KernelDiedError, Page
from support.timeouts import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.extended]


def test_cell_runs_in_the_base_kernel_over_ipc(colab: ColabMachine, page: Page) -> None:
    done = page.run(
        "import os, sys\n"
        "from ipykernel.kernelapp import IPKernelApp\n"
        "app = IPKernelApp.instance()\n"
        "print(sys.executable, os.getcwd())\n"
        "print(app.transport, len(f'{app.ip}-{app.shell_port}'))\n"
        "print(type(app).__module__, app.iopub_socket.io_thread.socket.get_hwm())\n"
        "print(type(get_ipython()).__module__, type(get_ipython().kernel).__module__)\n"
    )
    assert done.status == "ok", done.screen
    executable, transport, launcher, google = done.stdout.splitlines()
    assert executable == f"{colab.prefix / 'bin' / 'python3'} {colab.content_inside}"
    assert transport.split()[0] == "ipc"
    assert int(transport.split()[1]) <= 107
    assert launcher == "__main__ 0"
    assert google == "google.colab._shell google.colab._kernel"


def test_folders_of_colab_exist(colab: ColabMachine, page: Page) -> None:
    if not colab.namespaced:
        pytest.skip(f"no namespaces: {colab.refusal}")
    done = page.run("!cat /var/colab/hostname /etc/ipython/ipython_config.py; ls -1d /content /env/python")
    assert "colab-stand-in" in done.screen
    assert "google.colab._kernel.Kernel" in done.screen
    assert done.screen.splitlines()[-2:] == ["/content", "/env/python"]
    # They exist only in the stand-in. The machine that runs the tests may be a real Colab machine.
    outside = Path("/var/colab/hostname")
    assert not outside.exists() or "colab-stand-in" not in outside.read_text()


def test_child_processes_inherit_the_environment_variables(colab: ColabMachine, page: Page) -> None:
    done = page.run("!env")
    variables = dict(line.partition("=")[::2] for line in done.screen.splitlines())
    assert {name: variables.get(name) for name in colab.env} == colab.env
    assert variables["UV_SYSTEM_PYTHON"] == "true"
    assert variables["UV_CONSTRAINT"] == ""
    assert variables["JPY_SESSION_NAME"].endswith(page.notebook)
    assert "JPY_PARENT_PID" in variables
    assert "PYTHONDONTWRITEBYTECODE" not in variables


def test_command_runs_in_a_terminal_and_streams(colab: ColabMachine, page: Page) -> None:
    screens: list[str] = []

    def record_screen(result: CellResult) -> None:
        screens.append(result.screen)
        (colab.content / "seen").touch()  # the command waits for this file

    done = page.run(
        "!test -t 0 && test -t 1 && test -t 2 && echo terminal; until test -e seen; do sleep 0.05; done; "
        "printf '1\\r2\\n'; exit 3",
        on_output=record_screen,
    )
    assert done.screen == "terminal\n2\n"
    assert screens[0] == "terminal\n"
    assert page.run("_exit_code").result == "3"
    # The same as `lines = !...`, which ipython 7.34 cannot parse on Python 3.12 and newer.
    done = page.run("word = 'one'\nget_ipython().getoutput('echo $word; echo two')")
    assert done.result == "['one', 'two']"


def on_first_output(action: Callable[[], None]) -> Callable[[CellResult], None]:
    """A handler that calls a function when a cell shows its first output."""
    actions = [action]
    return lambda _: actions.pop()() if actions else None


def test_typed_input_reaches_the_command(page: Page) -> None:
    command = "!read -p 'name? ' name; echo \"hello $name\""
    done = page.run(command, on_output=on_first_output(lambda: page.type("Ada\n")))
    assert "hello Ada" in done.screen


def test_command_can_be_interrupted(page: Page) -> None:
    done = page.run(
        "!trap 'echo caught; exit 130' INT; echo go; sleep 600", on_output=on_first_output(page.interrupt)
    )
    assert "caught" in done.screen
    assert done.status == "ok"
    assert page.run("_exit_code").result == "130"


def test_cell_can_be_interrupted(page: Page) -> None:
    done = page.run(
        "import time\nprint('go', flush=True)\ntime.sleep(600)", on_output=on_first_output(page.interrupt)
    )
    assert done.error is not None
    assert done.error.ename == "KeyboardInterrupt"


def test_secrets_come_from_the_page(page: Page) -> None:
    page.secrets = {"KEY": "s3cret", "HIDDEN": "x"}
    page.denied = {"HIDDEN"}
    assert page.run("from google.colab import userdata\nuserdata.get('KEY')").result == "'s3cret'"
    for name, error in (("NONE", "SecretNotFoundError"), ("HIDDEN", "NotebookAccessError")):
        done = page.run(f"userdata.get({name!r})")
        assert done.error is not None
        assert done.error.ename == error
    assert page.requests == [("GetSecret", {"key": key}) for key in ("KEY", "NONE", "HIDDEN")]


def test_drive_and_uploads(colab: ColabMachine, page: Page) -> None:
    page.uploads = {"data.bin": bytes(range(256)) * 1000}
    done = page.run("from google.colab import files\n{k: len(v) for k, v in files.upload().items()}")
    assert done.result == "{'data.bin': 256000}"
    assert (colab.content / "data.bin").read_bytes() == page.uploads["data.bin"]
    if colab.namespaced:
        done = page.run("from google.colab import drive\ndrive.mount('/content/drive')")
        assert done.screen == "Mounted at /content/drive\n"
        assert page.requests[-1] == ("request_auth", {"authType": "dfs_ephemeral"})
        assert page.run("!ls -m /content/drive | cat").screen == "My Drive\n"


def test_pip_installs_into_the_base(colab: ColabMachine, page: Page) -> None:
    assert f"{colab.prefix}/lib" in page.run("%pip --version").screen
    packages = page.run("!pip list --format=freeze 2>/dev/null").screen.split()
    assert {"ipykernel==6.17.1", "ipython==7.34.0", "google-colab==1.0.0", "pip==24.1.2"} <= set(packages)


def test_colabenv_is_installed_from_the_working_tree(colab: ColabMachine, page: Page) -> None:
    done = page.run("import colabenv\nprint(colabenv.__file__)\ncolabenv.__version__")
    assert f"{base.site_packages(colab.prefix)}/" in done.stdout
    text = (base.REPOSITORY / "src" / "colabenv" / "__init__.py").read_text()
    assert (base.site_packages(colab.prefix) / "colabenv" / "__init__.py").read_text() == text


def test_google_colab_does_not_hide_other_google_packages(page: Page) -> None:
    done = page.run("import google.auth, google.colab\ngoogle.auth.__name__")
    assert done.result == "'google.auth'"


def test_page_handles_input_displays_and_errors(page: Page) -> None:
    page.typed.append("Ada")
    assert page.run("input('name? ')").result == "'Ada'"
    done = page.run("from IPython.display import HTML\ndisplay(HTML('<b>x</b>'))\n40 + 2")
    assert done.displays[0]["text/html"] == "<b>x</b>"
    assert done.result == "42"
    failed = page.run("1 / 0")
    assert failed.status == "error"
    assert failed.error is not None
    assert failed.error.ename == "ZeroDivisionError"
    assert "ZeroDivisionError: division by zero" in failed.screen


def test_long_output_is_not_dropped(page: Page) -> None:
    done = page.run("for number in range(20000): print(number)")
    assert done.stdout == "".join(f"{number}\n" for number in range(20000))


def test_carriage_returns_overwrite_the_line() -> None:
    assert screen("10%\r100%\n") == "100%\n"
    assert screen("100%\r99") == "990%"
    assert screen("ab\bc\x1b[31mred\x1b[0m") == "acred"


def test_restart_and_reload(page: Page) -> None:
    page.run("x = 1")
    before = page.run("import os\nos.getpid()").result
    page.reload()
    assert page.run("x").result == "1"
    page.restart_kernel()
    assert page.run("x").status == "error"
    assert page.run("import os\nos.getpid()").result != before


def test_unknown_runtime_falls_back_to_the_default(colab: ColabMachine) -> None:
    page = colab.open("unknown.ipynb", kernel="colabenv-gone")
    assert page.messages == ['Unrecognized runtime "colabenv-gone"; defaulting to "python3"']
    assert page.kernel_name == "python3"
    page.shut_down()


def test_dead_kernel_is_restarted(page: Page) -> None:
    page.run("x = 1")
    done = page.run("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert done.status == "dead"
    assert page.states == ["restarting"]
    page.reload()
    assert page.run("x").status == "error"


def plain_prefix() -> Path:
    """An environment with ipykernel and without google.colab: the original base, which machines copy."""
    return base.build_base(base.base_python(None))


def install_plain_kernel(colab: ColabMachine, name: str, *arguments: str) -> list[str]:
    """Install the kernelspec of a kernel without google.colab; returns its command."""
    python = str(plain_prefix() / "bin" / "python3")
    argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}", *arguments]
    spec = colab.home / ".local" / "share" / "jupyter" / "kernels" / name / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": argv, "display_name": name, "language": "python"}))
    return argv


def test_plain_kernel_fails_with_colabs_configuration(colab: ColabMachine) -> None:
    install_plain_kernel(colab, "plain")
    with pytest.raises(KernelDiedError, match="plain does not start"):
        colab.open("plain.ipynb", kernel="plain")
    assert "'google.colab._kernel.Kernel' could not be imported" in colab.log()


def test_plain_kernel_with_its_own_class_runs(colab: ColabMachine) -> None:
    arguments = "--IPKernelApp.kernel_class=ipykernel.ipkernel.IPythonKernel"
    install_plain_kernel(colab, "named", arguments)
    page = colab.open("named.ipynb", kernel="named")
    assert page.kernel_name == "named"
    assert page.run("import sys\nsys.prefix").result == repr(str(plain_prefix()))
    page.shut_down()


def test_snapshot_detects_every_change(colab: ColabMachine, page: Page) -> None:
    before = colab.snapshot()
    page.run("import json, xml.dom, pip._internal, google.auth\n!python -m pip --version; python -m colabenv")
    assert snapshot.differences(before, colab.snapshot()) == []
    six = base.site_packages(colab.prefix) / "six.py"
    done = page.run(f"!touch {six}; touch {colab.prefix}/lib/new; rm {colab.prefix}/lib64")
    changes = [f"changed: {six.relative_to(colab.prefix)}", "added: lib/new", "removed: lib64"]
    assert snapshot.differences(before, colab.snapshot()) == sorted(changes), done.screen
    page.run(f"!rm {colab.prefix}/lib/new; ln -s lib {colab.prefix}/lib64")
    written = before[str(six.relative_to(colab.prefix))].mtime_ns
    os.utime(six, ns=(written, written))
    assert [line for line in snapshot.differences(before, colab.snapshot()) if "lib64" not in line] == []


def test_programs_run_in_content_with_colabs_variables(colab: ColabMachine) -> None:
    done = colab.run("python3", "-c", "import os; print(os.getcwd(), os.environ['PYTHONPATH'])")
    assert done.stdout.split() == [colab.content_inside, colab.env["PYTHONPATH"]]
    assert done.stderr == ""


def test_killed_machine_leaves_nothing() -> None:
    # The machine without namespaces also has no google.colab, so it is a plain Jupyter server.
    program = textwrap.dedent(
        """
        import sys, time
        from support.colab.machine import ColabMachine
        namespace = sys.argv[1] == "yes"
        with ColabMachine(colabenv=False, google_colab=namespace, namespace=namespace) as machine:
            page = machine.open("x.ipynb")
            print(page.run("type(get_ipython())").result)
            page.run("import subprocess; subprocess.Popen(['setsid', 'sleep', '4321'])")
            print(machine.prefix, flush=True)
            time.sleep(600)
        """
    )
    env = {**os.environ, "PYTHONPATH": str(base.REPOSITORY / "tests")}
    with contextlib.ExitStack() as stack:
        started = {}
        shells = {"yes": "google.colab._shell.Shell", "no": "ipykernel.zmqshell.ZMQInteractiveShell"}
        for namespace, shell in shells.items():
            command = [sys.executable, "-c", program, namespace]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
            started[shell] = stack.enter_context(process)
            stack.callback(process.kill)
        for shell, process in started.items():
            assert process.stdout is not None
            assert process.stdout.readline().strip() == shell
            prefix = process.stdout.readline().strip()
            assert prefix
            assert any("4321" in command for command in list_processes(prefix))
            process.kill()
            wait_until(functools.partial(has_no_processes, prefix), "the end of all processes of the machine")


def has_no_processes(prefix: str) -> bool:
    """Whether no process of a machine runs."""
    return not list_processes(prefix)


def list_processes(prefix: str) -> list[str]:
    """The command lines of a machine's processes, which have its base on their PATH."""
    commands = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if prefix.encode() in (entry / "environ").read_bytes():
                commands.append((entry / "cmdline").read_text())
    return commands


def test_machine_without_namespaces_behaves_the_same() -> None:
    with ColabMachine(colabenv=False, namespace=False) as machine:
        page = machine.open("x.ipynb")
        page.secrets = {"KEY": "value"}
        assert page.run("from google.colab import userdata\nuserdata.get('KEY')").result == "'value'"
        done = machine.run(*install_plain_kernel(machine, "plain"))
        assert done.returncode != 0
        assert "'google.colab._kernel.Kernel' could not be imported" in done.stderr
