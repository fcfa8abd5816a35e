"""For its server and its user, a kernel from a warm process behaves as any other kernel."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from colabenv.kernel import warm
from support.attach.stacks import COLAB, TODAY, Stack
from support.timeouts import FOREVER, wait_until
from support.warm.environment import Environment, Kernel, is_running, make_environment, wait_for_end

pytestmark = [pytest.mark.network]  # if the stacks are not in the tests' cache

PID = "__import__('os').getpid()"
# Whether the module was imported before this cell, whether that was in this process, and the process ID.
IMPORT = """
import os, sys
imported = "slowmodule" in sys.modules
import slowmodule
[imported, slowmodule.PID == os.getpid(), os.getpid()]
"""


@pytest.fixture(params=[pytest.param(COLAB, id="colab"), pytest.param(TODAY, id="today")])
def any_environment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Environment]:
    """An environment with Colab's kernel, and one with the current kernel."""
    stack: Stack = request.param
    environment = make_environment(stack, tmp_path)
    yield environment
    warm.end_warm_process(environment.prefix)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    """An environment with Colab's kernel."""
    environment = make_environment(COLAB, tmp_path)
    yield environment
    warm.end_warm_process(environment.prefix)


def is_warm(kernel: Kernel) -> bool:
    """Whether the kernel is not the process that the server started."""
    return bool(kernel.evaluate(PID) != kernel.pid)


def test_warm_kernel_behaves_as_any_other_kernel(any_environment: Environment) -> None:
    process = any_environment.start_warm_process()
    assert (process.modules, len(process.pids)) == (("slowmodule",), 2)
    assert process.bytes > 10e6
    assert process.seconds > 0
    with Kernel(any_environment, {"FROM_SERVER": "1", "PATH": "/server/bin:/usr/bin:/bin"}).start() as kernel:
        assert kernel.evaluate(IMPORT) == [True, True, process.pids[1]]
        assert warm.find_warm_process(any_environment.prefix) is None
        with Kernel(any_environment).start() as second:
            assert second.evaluate(IMPORT) == [False, True, second.pid]
            assert kernel.evaluate("__import__('sys').path") == second.evaluate("__import__('sys').path")
        # It has the server's variables, and nothing of colabenv.
        state = kernel.evaluate(
            "import os, sys\n"
            "[os.environ['FROM_SERVER'], os.environ['PATH'], os.getcwd(), sys.argv[1:2], os.environ.get('MPLBACKEND'),"
            " [name for name in ('warm_supervisor', 'handover', 'environ') if name in sys.modules],"
            " [name for name in os.environ if name.startswith('COLABENV_KERNEL')]]"
        )
        prefix = any_environment.prefix
        path = f"{prefix}/colabenv/bin:{prefix}/bin:/server/bin:/usr/bin:/bin"
        assert state[:4] == ["1", path, str(kernel.folder), ["-f"]]
        assert state[4] == "module://matplotlib_inline.backend_inline"
        assert state[5:] == [[], []]
        kernel.run(
            "os.system('echo to the server')\nprint('to the server, too', file=sys.__stdout__, flush=True)"
        )
        assert "to the server\n" in any_environment.server_log()
        assert "to the server" not in any_environment.log()
        kernel.run("import subprocess, time")
        for code in ("while True: pass", f"subprocess.run(['sleep', '{FOREVER}'])"):
            msg_id = kernel.send(f"print('started', flush=True)\n{code}")
            kernel.read_output(msg_id, until_text="started\n")
            kernel.manager.interrupt_kernel()
            assert kernel.read_output(msg_id) == "KeyboardInterrupt"
        assert kernel.run("print('goes on')") == "goes on\n"
    assert wait_for_end(*process.pids)
    assert "to the server, too\n" in any_environment.server_log()


def test_two_kernels_start_while_the_warm_process_imports(environment: Environment) -> None:
    with Kernel(environment) as first, Kernel(environment) as second:
        kernels = (first, second)
        with environment.held_import():
            process = environment.start_warm_process(ready=False)
            assert not process.ready
            for kernel in kernels:
                kernel.launch()
            wait_until(
                lambda: "without the warm kernel: " in environment.server_log(), "the refusal of one offer"
            )
        for kernel in kernels:
            kernel.wait_until_ready()
        answers = [kernel.evaluate(IMPORT) for kernel in kernels]
        assert [True, True, process.pids[1]] in answers
        (cold,) = (pid for imported, _, pid in answers if not imported)
        assert cold in [kernel.pid for kernel in kernels], "the second kernel starts cold"


def test_check_does_not_use_the_warm_process(environment: Environment) -> None:
    process = environment.start_warm_process()
    with Kernel(environment, candidate=True).start() as kernel:
        assert not is_warm(kernel)
        assert kernel.evaluate("__import__('os').environ.get('COLABENV_COLD')") is None
    assert environment.warm_process().pids == process.pids


def test_restart_and_shutdown(environment: Environment) -> None:
    process = environment.start_warm_process()
    with Kernel(environment).start() as kernel:
        kernel.run("x = 1")
        kernel.manager.restart_kernel()
        kernel.wait_until_ready()
        assert kernel.run("x") == "NameError"
        assert wait_for_end(*process.pids)
        assert not is_warm(kernel)
    process = environment.start_warm_process()
    with Kernel(environment).start() as kernel:
        assert is_warm(kernel)
        forwarder = kernel.pid
        kernel.client.shutdown()
        assert kernel.exit_code() == 0
        assert wait_for_end(forwarder, *process.pids)


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [("import os; os._exit(3)", 3), ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV)],
)
def test_server_sees_the_exit_code(environment: Environment, code: str, exit_code: int) -> None:
    process = environment.start_warm_process()
    with Kernel(environment).start() as kernel:
        kernel.send(code)
        assert kernel.exit_code() == exit_code
        assert wait_for_end(*process.pids)
        kernel.manager.restart_kernel()  # as the server's autorestarter does
        kernel.wait_until_ready()
        assert not is_warm(kernel)


@pytest.mark.parametrize("killed", ["forwarder", "supervisor", "by the server"])
def test_all_processes_end_together(environment: Environment, killed: str) -> None:
    supervisor, process = environment.start_warm_process().pids
    with Kernel(environment).start() as kernel:
        child = kernel.evaluate(f"import subprocess\nsubprocess.Popen(['sleep', '{FOREVER}']).pid")
        # The cell is busy in C and holds the GIL, so no thread of the kernel can run.
        started = environment.root / "started"
        kernel.send(
            f"import ctypes; open({str(started)!r}, 'w').close(); ctypes.PyDLL(None).sleep({FOREVER})"
        )
        wait_until(started.exists, "the start of the cell")
        if killed == "by the server":
            os.kill(kernel.pid, signal.SIGTERM)
        else:
            os.kill(kernel.pid if killed == "forwarder" else supervisor, signal.SIGKILL)
        assert wait_for_end(kernel.pid, supervisor, process)
        assert kernel.exit_code() == (-signal.SIGTERM if killed == "by the server" else -signal.SIGKILL)
        if killed == "supervisor":
            os.kill(child, signal.SIGKILL)  # it keeps running, as after the kill of any kernel
        else:
            assert wait_for_end(child)


def test_warm_kernel_ends_with_the_server(environment: Environment) -> None:
    process = environment.start_warm_process()
    server = os.fork()
    if server == 0:  # ends without shutting down its kernel
        try:
            kernel = Kernel(environment).start()
            (environment.root / "pid").write_text(str(kernel.pid))
            os._exit(0 if is_warm(kernel) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(server, 0)[1]) == 0
    assert wait_for_end(int((environment.root / "pid").read_text()), *process.pids)


def test_unused_warm_process_ends(environment: Environment) -> None:
    supervisor, process = environment.start_warm_process().pids
    assert warm.end_warm_process(environment.prefix)
    assert not is_running(process)
    assert wait_for_end(supervisor)
    assert not warm.end_warm_process(environment.prefix)
    pids = environment.start_warm_process(idle_limit=4, ready=False).pids
    assert wait_for_end(*pids)
