"""Running processes: output, exit status, timeouts, and that no child outlives colabenv."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from colabenv.errors import MachineError
from colabenv.system.process import CompletedProcess, SystemRunner, replace_process
from support.runner import RecordedRunner
from support.timeouts import TIMEOUT, wait_until

ENV = {"PATH": "/usr/bin:/bin"}
RUNNER = SystemRunner()


def sh(script: str, **options: float) -> CompletedProcess:
    return RUNNER.run(["/bin/sh", "-c", script], env=ENV, **options)  # type: ignore[arg-type]


def is_alive(pid: int) -> bool:
    """Whether a process runs. A zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for_end(pid: int) -> None:
    """Wait until a process has ended. The processes in these tests do not end unless they are killed."""
    wait_until(lambda: not is_alive(pid), f"the end of process {pid}")


def test_run_returns_output_errors_and_status() -> None:
    done = sh("echo out; echo err >&2; exit 7")
    assert (done.returncode, done.output, done.errors) == (7, "out\n", "err\n")
    assert done.argv == ("/bin/sh", "-c", "echo out; echo err >&2; exit 7")


def test_child_has_exactly_the_given_environment(tmp_path: Path) -> None:
    done = RUNNER.run(["/usr/bin/env"], env={"ONLY": "this"}, cwd=tmp_path)
    assert done.output == "ONLY=this\n"
    assert RUNNER.run(["/bin/pwd"], env={}, cwd=tmp_path).output == f"{tmp_path.resolve()}\n"


def test_child_has_no_standard_input() -> None:
    assert sh("cat; echo end", timeout=TIMEOUT).output == "end\n"


def test_undecodable_output_is_replaced() -> None:
    assert sh(r"printf 'a\377b'").output == "a�b"


def test_signal_is_a_negative_status() -> None:
    assert sh("kill -TERM $$").returncode == -signal.SIGTERM


def test_timeout_kills_the_child_and_its_children() -> None:
    for timeout in (0.2, 2.0, 20.0):
        done = sh("sleep 600 & echo $!; sleep 600", timeout=timeout)
        assert done.returncode == -signal.SIGKILL
        if done.output:  # on a busy machine, the shell may not have started within a short timeout
            break
    wait_for_end(int(done.output))


@pytest.mark.parametrize("program", ["/no/such/program", "/etc/passwd", "/"])
def test_run_of_a_file_that_is_not_a_program_is_an_error(program: str) -> None:
    with pytest.raises(MachineError, match="could not be started") as caught:
        RUNNER.run([program], env=ENV)
    assert caught.value.message.startswith(program)
    with pytest.raises(MachineError, match="could not be started"):
        replace_process([program], ENV)


@pytest.mark.parametrize("program", ["/no/such/program", "/etc/passwd"])
def test_watch_of_a_file_that_is_not_a_program_is_an_error(program: str) -> None:
    with pytest.raises(MachineError, match="could not be started"):
        RUNNER.watch([program], env=ENV, on_output=print)


def test_watched_child_has_a_terminal_and_its_output_arrives_in_pieces(tmp_path: Path) -> None:
    pieces: list[str] = []

    def on_output(text: str) -> None:
        pieces.append(text)
        (tmp_path / "received").touch()  # the child waits for this file

    code = "test -t 1 && echo terminal; stty size; until test -e $0; do sleep 0.02; done; echo later; exit 3"
    done = RUNNER.watch(["/bin/sh", "-c", code, str(tmp_path / "received")], env=ENV, on_output=on_output)
    assert done.returncode == 3
    assert done.output == "terminal\r\n50 160\r\nlater\r\n"
    assert "".join(pieces) == done.output
    assert len(pieces) > 1


def test_watched_child_killed_by_a_signal_has_a_negative_status() -> None:
    done = RUNNER.watch(["/bin/sh", "-c", "kill -KILL $$"], env=ENV, on_output=print)
    assert done.returncode == -signal.SIGKILL


def test_interrupt_while_watching_kills_the_child() -> None:
    pids: list[int] = []

    def interrupt(text: str) -> None:
        pids.append(int(text))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RUNNER.watch(["/bin/sh", "-c", "echo $$; sleep 600"], env=ENV, on_output=interrupt)
    wait_for_end(pids[0])


PARENT = """
import os, sys, threading, time
from colabenv.system.process import SystemRunner
runner, argv = SystemRunner(), ["/bin/sh", "-c", "echo $$ > $0; exec sleep 600", sys.argv[1]]
env = {"PATH": "/usr/bin:/bin"}
runner.run(argv, env=env) if sys.argv[2] == "run" else runner.watch(argv, env=env, on_output=print)
"""


@pytest.mark.parametrize("method", ["run", "watch"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_child_is_killed_with_colabenv(tmp_path: Path, method: str, number: signal.Signals) -> None:
    pid_file = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, pid_file, method], stderr=subprocess.DEVNULL)
    wait_until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"), "the child writes its PID")
    child = int(pid_file.read_text())
    assert is_alive(child)
    os.kill(parent.pid, number)
    parent.wait(timeout=TIMEOUT)
    wait_for_end(child)


def test_replaced_process_keeps_its_pid() -> None:
    code = (
        "import os\nfrom colabenv.system.process import replace_process\n"
        "print(os.getpid(), flush=True)\nreplace_process(['sh', '-c', 'echo $$ $A'], {'A': 'x', 'PATH': '/bin'})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=TIMEOUT
    )
    pid, output = done.stdout.splitlines()
    assert output == f"{pid} x"


def test_recorded_runner_matches_the_first_arguments() -> None:
    completed = CompletedProcess(("uv",), 0, "0.13")
    runner = RecordedRunner([(("uv", "--version"), completed)])
    output: list[str] = []
    assert runner.run(["uv", "--version", "-q"], env={"A": "1"}) is completed
    assert runner.watch(["uv", "--version"], env={}, on_output=output.append) is completed
    assert output == ["0.13"]
    assert runner.calls == [(("uv", "--version", "-q"), {"A": "1"}), (("uv", "--version"), {})]
    with pytest.raises(MachineError, match="could not be started"):
        runner.run(["pip"], env={})
