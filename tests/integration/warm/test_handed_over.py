"""A kernel that is handed over to a warm process is, for its server and its person, a kernel like any other."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from colabenv.kernel import warm
from support.attach.stacks import COLAB, TODAY, Stack
from support.warm.environment import SLOW, Environment, Kernel, alive, gone, made

pytestmark = [pytest.mark.network]  # where the tests' cache does not hold the stacks yet

IMPORT = """
import time as _time
_started = _time.perf_counter()
import os, slowmodule
[_time.perf_counter() - _started, slowmodule.PID == os.getpid(), os.getpid()]
"""


@pytest.fixture(params=[pytest.param(COLAB, id="colab"), pytest.param(TODAY, id="today")])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Environment]:
    """An environment with Colab's kernel, then one with today's."""
    stack: Stack = request.param
    one = made(stack, tmp_path)
    yield one
    warm.end_warm_process(one.prefix)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    """An environment with Colab's kernel; what still waits at the end is sent away."""
    one = made(COLAB, tmp_path)
    yield one
    warm.end_warm_process(one.prefix)


def is_warm(kernel: Kernel) -> bool:
    """Whether the kernel is not the process that the server started."""
    return bool(kernel.ask("__import__('os').getpid()") != kernel.pid)


def test_a_warm_kernel_is_a_kernel_like_any_other(either: Environment) -> None:
    waiting = either.keep()
    assert (waiting.modules, len(waiting.pids)) == (("slowmodule",), 2)
    assert waiting.bytes > 10e6
    assert waiting.seconds > 800
    with Kernel(either, {"FROM_SERVER": "1", "PATH": "/server/bin:/usr/bin:/bin"}).start() as kernel:
        seconds, own, pid = kernel.ask(IMPORT)
        assert seconds < 0.1
        assert own, "no copy that was imported elsewhere"
        assert pid == waiting.pids[1]
        assert warm.find_warm_process(either.prefix) is None
        with Kernel(either).start() as second:
            seconds, own, pid = second.ask(IMPORT)
            assert (seconds > SLOW * 0.9, own, pid) == (True, True, second.pid)
            assert kernel.ask("__import__('sys').path") == second.ask("__import__('sys').path")
        # What the server gave is there, and nothing of ours besides.
        found = kernel.ask(
            "import os, sys\n"
            "[os.environ['FROM_SERVER'], os.environ['PATH'], os.getcwd(), sys.argv[1:2], os.environ.get('MPLBACKEND'),"
            " [name for name in ('warm_supervisor', 'handover', 'environ') if name in sys.modules],"
            " [name for name in os.environ if name.startswith('COLABENV_KERNEL')]]"
        )
        path = f"{either.prefix}/bin:/server/bin:/usr/bin:/bin"
        assert found[:4] == ["1", path, str(kernel.folder), ["-f"]]
        assert found[4] == "module://matplotlib_inline.backend_inline"
        assert found[5:] == [[], []]
        kernel.run("os.system('echo to the server')\nprint('to the server, too', file=sys.__stdout__)")
        assert "to the server\n" in (either.root / "server.log").read_text()
        assert "to the server" not in either.log()
        kernel.run("import subprocess, time")
        for code in ("while True: pass", "subprocess.run(['sleep', '600'])"):
            number = kernel.send(f"print('begun')\n{code}")
            time.sleep(0.3)
            kernel.manager.interrupt_kernel()
            assert kernel.result(number) == "begun\nKeyboardInterrupt"
        assert kernel.run("print('goes on')") == "goes on\n"
    assert gone(*waiting.pids)
    assert "to the server, too\n" in (either.root / "server.log").read_text()


def test_two_at_once_while_it_is_importing(environment: Environment) -> None:
    waiting = environment.keep(ready=False)
    assert not waiting.ready
    with Kernel(environment) as one, Kernel(environment) as two:
        pair = (one, two)
        for kernel in pair:
            kernel.launch()
        for kernel in pair:
            kernel.again()
        found = [kernel.ask(IMPORT) for kernel in pair]
        (taken,) = [pid for _, _, pid in found if pid == waiting.pids[1]]
        (other,) = [(own, pid) for _, own, pid in found if pid != taken]
        assert other[0]
        assert other[1] in [kernel.pid for kernel in pair], "the second one starts as kernels always do"


def test_the_proof_s_kernel_is_a_cold_one(environment: Environment) -> None:
    waiting = environment.keep()
    with Kernel(environment, candidate=True).start() as kernel:
        assert not is_warm(kernel)
        assert kernel.ask("__import__('os').environ.get('COLABENV_COLD')") is None
    assert environment.waiting().pids == waiting.pids


def test_restart_and_shutdown(environment: Environment) -> None:
    waiting = environment.keep()
    with Kernel(environment).start() as kernel:
        kernel.run("x = 1")
        kernel.manager.restart_kernel()
        kernel.again()
        assert kernel.run("x") == "NameError"
        assert gone(*waiting.pids)
        assert not is_warm(kernel)
    waiting = environment.keep()
    with Kernel(environment).start() as kernel:
        assert is_warm(kernel)
        number = kernel.pid
        kernel.client.shutdown()
        assert kernel.exit_code() == 0
        assert gone(number, *waiting.pids)


def test_the_server_learns_how_it_ended(environment: Environment) -> None:
    ends = {
        "import os; os._exit(3)": 3,
        "import ctypes; ctypes.string_at(0)": -signal.SIGSEGV,
    }
    for code, expected in ends.items():
        waiting = environment.keep()
        with Kernel(environment).start() as kernel:
            kernel.send(code)
            assert kernel.exit_code() == expected
            assert gone(*waiting.pids)
            if expected == 3:  # as the server's autorestarter does it
                kernel.manager.restart_kernel()
                kernel.again()
                assert not is_warm(kernel)


@pytest.mark.parametrize("whom", ["stand-in", "keeper", "server's terminate"])
def test_one_ends_with_the_other(environment: Environment, whom: str) -> None:
    keeper, process = environment.keep().pids
    with Kernel(environment).start() as kernel:
        child = kernel.ask("import subprocess\nsubprocess.Popen(['sleep', '600']).pid")
        # Busy in C, holding the interpreter's lock: no thread of the kernel could do anything.
        kernel.send("import ctypes; ctypes.PyDLL(None).sleep(600)")
        time.sleep(0.3)
        if whom == "server's terminate":
            os.kill(kernel.pid, signal.SIGTERM)
        else:
            os.kill(kernel.pid if whom == "stand-in" else keeper, signal.SIGKILL)
        assert gone(kernel.pid, keeper, process)
        assert kernel.exit_code() == (-signal.SIGTERM if "terminate" in whom else -signal.SIGKILL)
        if whom == "keeper":
            os.kill(child, signal.SIGKILL)  # as a kernel's that is killed itself, it stays
        else:
            assert gone(child)


def test_it_ends_with_the_server(environment: Environment) -> None:
    waiting = environment.keep()
    started = os.fork()
    if started == 0:  # a server that dies without a word
        try:
            kernel = Kernel(environment).start()
            (environment.root / "pid").write_text(str(kernel.pid))
            os._exit(0 if is_warm(kernel) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(started, 0)[1]) == 0
    number = int((environment.root / "pid").read_text())
    assert gone(number, *waiting.pids)


def test_a_warm_process_that_nobody_took(environment: Environment) -> None:
    keeper, process = environment.keep().pids
    assert warm.end_warm_process(environment.prefix)
    assert not alive(process)
    assert gone(keeper)
    assert not warm.end_warm_process(environment.prefix)
    pids = environment.keep(unused=0.5, ready=False).pids
    assert gone(*pids)
