"""A kernel starts cold if there is no warm process, or if that one differs from it."""

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
from support.patience import FOREVER, PATIENCE
from support.warm.environment import NAME, Environment, Kernel, have_ended, is_running, make_environment

pytestmark = [pytest.mark.network]  # if the tests' cache does not hold the stack yet


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """An environment that every test leaves as it was."""
    environment = make_environment(COLAB, tmp_path_factory.mktemp("environment"))
    yield environment
    warm.end_warm_process(environment.prefix)


def refusal(environment: Environment, *, timeout: float = PATIENCE, **variables: str) -> str:
    """Why a launcher with these variables does not take a warm process."""
    own = environment_variables({**environment.variables, **variables}, str(environment.prefix), variables={})
    own.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    with pytest.raises(handover.NoWarmKernelError) as caught:
        handover.offer_kernel(str(environment.prefix), own, ["-f", "nowhere.json"], timeout)
    return str(caught.value)


def test_warm_process_with_another_identity(environment: Environment) -> None:
    pids = environment.start_warm_process(ready=False).pids
    assert refusal(environment, TF_CPP_MIN_LOG_LEVEL="3") == "it was started with other variables"
    assert environment.warm_process().pids == pids, "it waits for a kernel without that variable"
    # A package that was installed since then; the warm process may have imported an older one.
    (environment.site / "new-1.0.dist-info").mkdir()
    assert refusal(environment) == "it was started with other packages"
    assert have_ended(*pids)
    (environment.site / "new-1.0.dist-info").rmdir()
    pids = environment.start_warm_process(ready=False).pids
    environment.preload("slowmodule", "json")
    assert refusal(environment) == "it was started with other settings"
    assert have_ended(*pids)
    environment.preload("slowmodule")


def test_variables_of_a_cell_do_not_reach_the_next_kernel(environment: Environment) -> None:
    # This process plays the server, whose variables a kernel gets.
    server = str(os.getpid())
    given = warm.read_server_variables({**os.environ, "JPY_PARENT_PID": server, "HOME": _home(), "TF_X": "1"})
    assert "TF_X" not in given
    assert given["PATH"]
    own = {"HOME": "/elsewhere", "JPY_PARENT_PID": server, "TF_X": "1"}
    assert warm.read_server_variables(own) == own, "the number belongs to another program"
    assert warm.read_server_variables({"TF_X": "1"}) == {"TF_X": "1"}


def _home() -> str:
    """HOME when this process was started."""
    raw = Path("/proc/self/environ").read_bytes().split(b"\0")
    return next(os.fsdecode(entry[5:]) for entry in raw if entry.startswith(b"HOME="))


def test_socket_of_a_killed_supervisor(environment: Environment) -> None:
    supervisor, process = environment.start_warm_process(ready=False).pids
    os.kill(supervisor, signal.SIGKILL)
    assert have_ended(process)
    assert (environment.prefix / "colabenv/warm/s").exists()
    assert refusal(environment).startswith("none waits")
    with Kernel(environment).start() as kernel:
        assert kernel.ask("__import__('os').getpid()") == kernel.pid
    assert "starting without the warm kernel: none waits" in environment.server_log()


def test_folder_that_others_can_enter(environment: Environment) -> None:
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
    assert have_ended(*pids)


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


Answer = Callable[[socket.socket], None]


@contextlib.contextmanager
def fake_supervisor(environment: Environment, answer: Answer) -> Iterator[None]:
    """Something that listens where the supervisor would."""
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


def silent(connection: socket.socket) -> None:
    """Never answer, as a stopped process."""
    connection.recv(1)


def garbage(connection: socket.socket) -> None:
    connection.sendall(b"\xff" * 4096)


def list_of_nothing(connection: socket.socket) -> None:
    connection.sendall(b"\0\0\0\2[]")


def half(connection: socket.socket) -> None:
    connection.sendall(b"\0\0\0\x40{")


ANSWERS: dict[str, tuple[Answer, str]] = {
    "silent": (silent, "it does not answer (timed out)"),
    "garbage": (garbage, "it does not answer (a message of 4294967295 bytes)"),
    "no object": (list_of_nothing, "it does not answer (a message that is not an object)"),
    "half a message": (half, "it does not answer (the connection was closed)"),
    "no answer to this": (lambda one: handover.send_message(one, {}), "it sends an unknown answer"),
    "nothing": (lambda _: None, "it does not answer (the connection was closed)"),
}


@pytest.mark.parametrize("what", list(ANSWERS))
def test_supervisor_with_a_wrong_answer(environment: Environment, what: str) -> None:
    answer, reason = ANSWERS[what]
    started = time.monotonic()
    timeout = handover.ANSWER_TIMEOUT if what == "silent" else PATIENCE
    with fake_supervisor(environment, answer):
        assert refusal(environment, timeout=timeout) == reason
    if what == "silent":
        assert time.monotonic() - started > timeout
    assert handover.ANSWER_TIMEOUT <= 0.5, "a silent supervisor delays a kernel by this much"


def test_warm_process_that_dies_during_the_handover(environment: Environment) -> None:
    with (
        fake_supervisor(environment, lambda one: handover.send_message(one, {"accepted": True})),
        Kernel(environment).start() as kernel,
    ):
        assert kernel.ask("__import__('os').getpid()") == kernel.pid
        assert "(the connection was closed)" in environment.server_log()


def test_warm_process_that_cannot_become_a_kernel(environment: Environment) -> None:
    # It accepts the offer and then fails at once, because an import has changed ipykernel.
    breaks = "import ipykernel.kernelapp\nipykernel.kernelapp.IPKernelApp.initialize = None\n"
    (environment.site / "breaks.py").write_text(breaks)
    environment.preload("breaks")
    pids = environment.start_warm_process().pids
    with Kernel(environment).start() as kernel:
        assert kernel.ask("__import__('os').getpid()") == kernel.pid
        assert have_ended(*pids)
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
    assert have_ended(*pids)
    assert "ValueError: not today" in environment.log()
    assert warm.find_warm_process(environment.prefix) is None
    environment.preload("slowmodule")


def test_warm_process_that_cannot_start(environment: Environment, tmp_path: Path) -> None:
    moved = replace(environment, prefix=tmp_path / "gone")
    assert "could not be started" in warm.start_warm_process(
        moved.prefix, moved.variables, environment.context.runner
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
    assert have_ended(*pids)
    # A process that only waits does not keep an environment in use.
    pids = environment.start_warm_process().pids
    (removed,) = gc(environment.context, dry_run=True).removed
    assert removed.path == str(environment.prefix)
    assert all(map(is_running, pids))
    aside = environment.prefix.with_name("aside")
    environment.prefix.rename(aside)
    assert have_ended(*pids), "its environment was moved"
    aside.rename(environment.prefix)
    pids = environment.start_warm_process().pids
    gc(environment.context)
    assert not environment.prefix.exists()
    assert have_ended(*pids)


def test_down(tmp_path: Path) -> None:
    environment = make_environment(COLAB, tmp_path)
    pids = environment.start_warm_process(ready=False).pids
    down(environment.context, NAME)
    assert not is_running(pids[1])
    assert have_ended(*pids)
