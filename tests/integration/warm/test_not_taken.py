"""Where a warm process is not what the kernel would be, or is none at all, a kernel starts as it always did."""

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
from support.warm.environment import NAME, Environment, Kernel, alive, gone, made

pytestmark = [pytest.mark.network]  # where the tests' cache does not hold the stack yet


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """An environment that every test leaves as it was; what still waits at the end is sent away."""
    one = made(COLAB, tmp_path_factory.mktemp("environment"))
    yield one
    warm.end_warm_process(one.prefix)


def refusal(environment: Environment, **variables: str) -> str:
    """Why a launcher that starts with these variables takes no warm process."""
    own = environment_variables({**environment.variables, **variables}, str(environment.prefix), variables={})
    own.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    with pytest.raises(handover.NoWarmKernelError) as caught:
        handover.offer_kernel(str(environment.prefix), own, ["-f", "nowhere.json"])
    return str(caught.value)


def test_one_that_was_made_with_other_things(environment: Environment) -> None:
    pids = environment.keep(ready=False).pids
    assert refusal(environment, TF_CPP_MIN_LOG_LEVEL="3") == "it was made with other variables"
    assert environment.waiting().pids == pids, "it is there for a kernel without that variable"
    # A package that was installed since; its modules may be those that were imported.
    (environment.site / "new-1.0.dist-info").mkdir()
    assert refusal(environment) == "it was made with other packages"
    assert gone(*pids)
    (environment.site / "new-1.0.dist-info").rmdir()
    pids = environment.keep(ready=False).pids
    environment.preload("slowmodule", "json")
    assert refusal(environment) == "it was made with other settings"
    assert gone(*pids)
    environment.preload("slowmodule")


def test_what_a_cell_has_set_is_not_what_the_next_kernel_gets(environment: Environment) -> None:
    # The parent of this process stands for the server: its variables are those that a kernel is given.
    server = str(os.getpid())
    given = warm.read_server_variables({**os.environ, "JPY_PARENT_PID": server, "HOME": _home(), "TF_X": "1"})
    assert "TF_X" not in given
    assert given["PATH"]
    own = {"HOME": "/elsewhere", "JPY_PARENT_PID": server, "TF_X": "1"}
    assert warm.read_server_variables(own) == own, "the number is another program's by now"
    assert warm.read_server_variables({"TF_X": "1"}) == {"TF_X": "1"}


def _home() -> str:
    """HOME as this process was started with."""
    raw = Path("/proc/self/environ").read_bytes().split(b"\0")
    return next(os.fsdecode(entry[5:]) for entry in raw if entry.startswith(b"HOME="))


def test_a_socket_that_is_left_over(environment: Environment) -> None:
    keeper, process = environment.keep(ready=False).pids
    os.kill(keeper, signal.SIGKILL)
    assert gone(process)
    assert (environment.prefix / "colabenv/warm/s").exists()
    assert refusal(environment).startswith("none waits")
    with Kernel(environment).start() as kernel:
        assert kernel.ask("__import__('os').getpid()") == kernel.pid
    assert "no warm kernel is taken: none waits" in (environment.root / "server.log").read_text()


def test_a_folder_that_others_can_enter(environment: Environment) -> None:
    pids = environment.keep(ready=False).pids
    folder = environment.prefix / "colabenv" / "warm"
    folder.chmod(0o755)
    assert refusal(environment) == "its folder is not this user's alone"
    folder.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        assert refusal(environment) == "its folder is not this user's alone"
        os.chown(folder, 0, 0)
    assert warm.end_warm_process(environment.prefix)
    assert gone(*pids)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_socket_of_somebody_else(environment: Environment) -> None:
    child = os.fork()
    if child == 0:
        try:
            listener = handover.open_listener(str(environment.prefix))
            os.setuid(65534)
            listener.listen()  # from here on it is that user who listens
            time.sleep(600)
        finally:
            os._exit(1)
    try:
        while (
            not (environment.prefix / "colabenv/warm/s").exists() or Path(f"/proc/{child}").stat().st_uid == 0
        ):
            time.sleep(0.02)
        time.sleep(0.1)
        assert refusal(environment) == "it is another user's"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


Answer = Callable[[socket.socket], None]


@contextlib.contextmanager
def pretender(environment: Environment, answer: Answer) -> Iterator[None]:
    """Something that listens where a keeper would."""
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
    """As one that is stopped: it never answers."""
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
    "no object": (list_of_nothing, "it does not answer (a message that is no object)"),
    "half a message": (half, "it does not answer (the other end is gone)"),
    "no answer to this": (lambda one: handover.send_message(one, {}), "it says nothing of use"),
    "nothing": (lambda _: None, "it does not answer (the other end is gone)"),
}


@pytest.mark.parametrize("what", list(ANSWERS))
def test_one_that_makes_no_sense(environment: Environment, what: str) -> None:
    answer, reason = ANSWERS[what]
    started = time.monotonic()
    with pretender(environment, answer):
        assert refusal(environment) == reason
    if what == "silent":
        assert time.monotonic() - started > handover.ANSWER_TIMEOUT
    assert handover.ANSWER_TIMEOUT <= 0.5, "what a kernel may start later for it"


def test_one_that_dies_while_it_is_handed_over(environment: Environment) -> None:
    with (
        pretender(environment, lambda one: handover.send_message(one, {"accepted": True})),
        Kernel(environment).start() as kernel,
    ):
        assert kernel.ask("__import__('os').getpid()") == kernel.pid
        assert "(the other end is gone)" in (environment.root / "server.log").read_text()


def test_one_that_cannot_be_a_kernel(environment: Environment) -> None:
    # It takes the handover, and then breaks at once: its ipykernel was changed by an import.
    breaks = "import ipykernel.kernelapp\nipykernel.kernelapp.IPKernelApp.initialize = None\n"
    (environment.site / "breaks.py").write_text(breaks)
    environment.preload("breaks")
    pids = environment.keep().pids
    with Kernel(environment).start() as kernel:
        assert kernel.ask("__import__('os').getpid()") == kernel.pid
        assert gone(*pids)
    assert "it ended before it was a kernel" in (environment.root / "server.log").read_text()
    environment.preload("slowmodule")


def test_a_module_that_is_not_there_is_for_the_proof_to_tell(environment: Environment) -> None:
    question = check.CheckRequest(
        name=NAME,
        kernels=environment.prefix / "colabenv" / "kernels",
        prefix=environment.prefix,
        imports=("json", "nosuch"),
        code=None,
        versions={},
        gpu="none",
        transport="tcp",
        log=environment.root / "proof.log",
    )
    with pytest.raises(
        CheckError, match=r"the proof failed in its kernel: ModuleNotFoundError: .*'nosuch'"
    ) as caught:
        check.check_kernel(question)
    assert "kernel.preload" in caught.value.hint


def test_an_import_that_fails(environment: Environment) -> None:
    (environment.site / "fails.py").write_text("raise ValueError('not today')\n")
    environment.preload("slowmodule", "fails")
    pids = environment.keep(ready=False).pids
    assert gone(*pids)
    assert "ValueError: not today" in environment.log()
    assert warm.find_warm_process(environment.prefix) is None
    environment.preload("slowmodule")


def test_a_folder_that_cannot_be_had(environment: Environment, tmp_path: Path) -> None:
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
    pids = environment.keep().pids
    (row,) = status(context, NAME).environments
    assert row.warm.startswith("a warm kernel waits (slowmodule; ")
    assert any(line.startswith("lesson: a warm kernel waits") for line in status(context, NAME).lines())
    with Kernel(environment).start():
        assert status(context, NAME).environments[0].warm == ""
        unregister_kernel(NAME, find_kernels_folder(environment.variables))
        assert gc(context).removed == (), "a kernel runs in it"
        assert "is in use by process" in context.notes()[-1]
    assert gone(*pids)
    # One that only waits keeps nothing alive.
    pids = environment.keep().pids
    (removed,) = gc(environment.context, dry_run=True).removed
    assert removed.path == str(environment.prefix)
    assert all(map(alive, pids))
    aside = environment.prefix.with_name("aside")
    environment.prefix.rename(aside)
    assert gone(*pids), "its environment is gone"
    aside.rename(environment.prefix)
    pids = environment.keep().pids
    gc(environment.context)
    assert not environment.prefix.exists()
    assert gone(*pids)


def test_down(tmp_path: Path) -> None:
    environment = made(COLAB, tmp_path)
    pids = environment.keep(ready=False).pids
    down(environment.context, NAME)
    assert not alive(pids[1])
    assert gone(*pids)
