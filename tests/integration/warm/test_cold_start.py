"""A kernel starts cold if there is no warm process, or if the warm process does not match it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from colabenv.commands.down import down
from colabenv.commands.gc import gc
from colabenv.commands.status import status
from colabenv.embedded import handover
from colabenv.embedded.environ import environment_variables
from colabenv.errors import CheckError
from colabenv.kernel import check, warm
from colabenv.kernel.register import find_kernels_folder, unregister_kernel
from support.attach.stacks import COLAB
from support.timeouts import FOREVER, TIMEOUT
from support.warm.environment import NAME, Environment, Kernel, is_running, make_environment, wait_for_end

pytestmark = [pytest.mark.network]  # if the stack is not in the tests' cache


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """An environment that all tests share; each restores what it changes."""
    environment = make_environment(COLAB, tmp_path_factory.mktemp("environment"))
    yield environment
    warm.end_warm_process(environment.prefix)


def refusal(environment: Environment, *, timeout: float = TIMEOUT, **variables: str) -> str:
    """Return why a launcher with these variables does not use a warm process."""
    environ = environment_variables(
        {**environment.variables, **variables}, str(environment.prefix), variables={}
    )
    environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    with pytest.raises(handover.NoWarmKernelError) as caught:
        handover.offer_kernel(str(environment.prefix), environ, ["-f", "missing.json"], timeout)
    return str(caught.value)


def test_warm_process_that_does_not_match(environment: Environment) -> None:
    pids = environment.start_warm_process(ready=False).pids
    assert refusal(environment, TF_CPP_MIN_LOG_LEVEL="3") == "it was started with other variables"
    assert environment.warm_process().pids == pids, "it still waits for a kernel without that variable"
    # The warm process may have imported an older version of a package that is installed later.
    (environment.site / "new-1.0.dist-info").mkdir()
    assert refusal(environment) == "it was started with other packages"
    assert wait_for_end(*pids)
    (environment.site / "new-1.0.dist-info").rmdir()
    pids = environment.start_warm_process(ready=False).pids
    environment.preload("slowmodule", "json")
    assert refusal(environment) == "it was started with other settings"
    assert wait_for_end(*pids)
    environment.preload("slowmodule")


def test_variables_of_a_cell_do_not_reach_the_next_kernel(environment: Environment) -> None:
    # This process stands in for the server, whose variables a kernel gets.
    server = str(os.getpid())
    home = read_initial_home()
    variables = warm.read_server_variables(
        {**os.environ, "JPY_PARENT_PID": server, "HOME": home, "TF_X": "1"}
    )
    assert "TF_X" not in variables
    assert variables["PATH"]
    other_home = {"HOME": "/elsewhere", "JPY_PARENT_PID": server, "TF_X": "1"}
    assert warm.read_server_variables(other_home) == other_home, "the ID is that of another program"
    assert warm.read_server_variables({"TF_X": "1"}) == {"TF_X": "1"}


def read_initial_home() -> str:
    """HOME at the start of this process."""
    raw = Path("/proc/self/environ").read_bytes().split(b"\0")
    return next(os.fsdecode(entry[5:]) for entry in raw if entry.startswith(b"HOME="))


def test_socket_of_a_killed_supervisor(environment: Environment) -> None:
    supervisor, process = environment.start_warm_process(ready=False).pids
    os.kill(supervisor, signal.SIGKILL)
    assert wait_for_end(process)
    assert (environment.prefix / "colabenv/warm/s").exists()
    assert refusal(environment).startswith("none waits")
    with Kernel(environment).start() as kernel:
        assert kernel.evaluate("__import__('os').getpid()") == kernel.pid
    assert "starting without the warm kernel: none waits" in environment.server_log()


def test_folder_that_other_users_can_enter(environment: Environment) -> None:
    pids = environment.start_warm_process(ready=False).pids
    folder = environment.prefix / "colabenv" / "warm"
    folder.chmod(0o755)
    assert refusal(environment) == "other users can enter its folder"
    folder.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        assert refusal(environment) == "other users can enter its folder"
        os.chown(folder, 0, 0)
    assert warm.end_warm_process(environment.prefix)
    assert wait_for_end(*pids)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_socket_of_another_user(environment: Environment) -> None:
    listening, ready = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            listener = handover.open_listener(str(environment.prefix))
            os.setuid(65534)
            listener.listen()  # the socket now belongs to that user
            os.write(ready, b"!")
            time.sleep(FOREVER)
        finally:
            os._exit(1)
    try:
        os.read(listening, 1)
        assert refusal(environment) == "it belongs to another user"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(listening)
        os.close(ready)


Answer = Callable[[socket.socket], object]


@contextlib.contextmanager
def fake_supervisor(environment: Environment, answer: Answer) -> Iterator[None]:
    """Listen in place of the supervisor, and answer each offer."""
    listener = handover.open_listener(str(environment.prefix))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError, EOFError):
                    handover.close_handles(handover.receive_message(connection)[1])
                    answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def answer_with(data: bytes) -> Answer:
    """Return an answer that sends these bytes."""
    return lambda connection: connection.sendall(data)


INVALID_ANSWERS: dict[bytes, str] = {
    b"\xff" * 4096: "it does not answer (a message of 4294967295 bytes)",
    b"\0\0\0\2[]": "it does not answer (a message that is not an object)",
    b"\0\0\0\x40{": "it does not answer (the connection was closed)",
    b"\0\0\0\2{}": "it sends an unknown answer",
    b"": "it does not answer (the connection was closed)",
}


def test_supervisor_with_an_invalid_answer(environment: Environment) -> None:
    for answer, reason in INVALID_ANSWERS.items():
        with fake_supervisor(environment, answer_with(answer)):
            assert refusal(environment) == reason, answer


def test_silent_supervisor(environment: Environment) -> None:
    started = time.monotonic()
    with fake_supervisor(environment, lambda connection: connection.recv(1)):
        assert refusal(environment, timeout=handover.ANSWER_TIMEOUT) == "it does not answer (timed out)"
    assert time.monotonic() - started > handover.ANSWER_TIMEOUT
    assert handover.ANSWER_TIMEOUT <= 0.5, "a silent supervisor delays a kernel by this much"


def test_warm_process_that_dies_during_the_handover(environment: Environment) -> None:
    with (
        fake_supervisor(
            environment, lambda connection: handover.send_message(connection, {"accepted": True})
        ),
        Kernel(environment).start() as kernel,
    ):
        assert kernel.evaluate("__import__('os').getpid()") == kernel.pid
        assert "(the connection was closed)" in environment.server_log()


def test_warm_process_that_cannot_become_a_kernel(environment: Environment) -> None:
    # It accepts the offer and then fails, because an imported module has changed ipykernel.
    code = "import ipykernel.kernelapp\nipykernel.kernelapp.IPKernelApp.initialize = None\n"
    (environment.site / "broken.py").write_text(code)
    environment.preload("broken")
    pids = environment.start_warm_process().pids
    with Kernel(environment).start() as kernel:
        assert kernel.evaluate("__import__('os').getpid()") == kernel.pid
        assert wait_for_end(*pids)
    assert "it ended before it was a kernel" in environment.server_log()
    environment.preload("slowmodule")


def test_check_reports_a_missing_module(environment: Environment) -> None:
    request = check.CheckRequest(
        name=NAME,
        kernels=environment.prefix / "colabenv" / "kernels",
        prefix=environment.prefix,
        imports=("json", "nosuch"),
        code=None,
        versions={},
        gpu="none",
        transport="tcp",
        log=environment.root / "check.log",
    )
    with pytest.raises(
        CheckError, match=r"the check failed in its kernel: ModuleNotFoundError: .*'nosuch'"
    ) as caught:
        check.check_kernel(request)
    assert "kernel.preload" in caught.value.hint


def test_warm_process_with_a_failing_import(environment: Environment) -> None:
    (environment.site / "fails.py").write_text("raise ValueError('not today')\n")
    environment.preload("slowmodule", "fails")
    with environment.held_import():
        pids = environment.start_warm_process(ready=False).pids
    assert wait_for_end(*pids)
    assert "ValueError: not today" in environment.log()
    assert warm.find_warm_process(environment.prefix) is None
    environment.preload("slowmodule")


def test_warm_process_that_cannot_start(environment: Environment, tmp_path: Path) -> None:
    missing = replace(environment, prefix=tmp_path / "missing")
    assert "could not be started" in warm.start_warm_process(
        missing.prefix, missing.variables, environment.context.runner
    )
    folder = environment.prefix / "colabenv" / "warm"
    folder.rename(tmp_path / "aside")
    folder.write_text("")
    assert "File exists" in warm.start_warm_process(
        environment.prefix, environment.variables, environment.context.runner
    )
    folder.unlink()
    (tmp_path / "aside").rename(folder)


def test_status_gc_and_down(environment: Environment) -> None:
    context = environment.context
    pids = environment.start_warm_process().pids
    (row,) = status(context, NAME).environments
    assert row.warm.startswith("a warm kernel is ready (slowmodule; ")
    assert any(line.startswith("lesson: a warm kernel is ready") for line in status(context, NAME).lines())
    with Kernel(environment).start():
        assert status(context, NAME).environments[0].warm == ""
        unregister_kernel(NAME, find_kernels_folder(environment.variables))
        assert gc(context).removed == (), "a kernel runs in it"
        assert "stays: process" in context.notes()[-1]
    assert wait_for_end(*pids)
    # A waiting process does not count as use of its environment.
    pids = environment.start_warm_process().pids
    (removed,) = gc(environment.context, dry_run=True).removed
    assert removed.path == str(environment.prefix)
    assert all(map(is_running, pids))
    aside = environment.prefix.with_name("aside")
    environment.prefix.rename(aside)
    assert wait_for_end(*pids), "its environment was moved"
    aside.rename(environment.prefix)
    pids = environment.start_warm_process().pids
    gc(environment.context)
    assert not environment.prefix.exists()
    assert wait_for_end(*pids)


def test_down(tmp_path: Path) -> None:
    environment = make_environment(COLAB, tmp_path)
    pids = environment.start_warm_process(ready=False).pids
    down(environment.context, NAME)
    assert not is_running(pids[1])
    assert wait_for_end(*pids)
