"""The only module that starts processes.

A child never outlives colabenv: it is killed by the kernel when colabenv dies (PR_SET_PDEATHSIG, prctl(2)), so that
an installer whose `up` was killed cannot go on writing into an environment that the next `up` is building.
What such a child forks does outlive us; only the supervisor of a warm process does so (embedded/warm_supervisor.py).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from colabenv.errors import MachineError

_PR_SET_PDEATHSIG = 1
#: Seconds that a program in the background has to end after SIGTERM.
_STOP_LIMIT = 5.0
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class CompletedProcess:
    """A process that ended.

    Attributes:
        argv: what was run.
        returncode: exit status, negative for a signal.
        output: what it wrote to standard output, or to the pty, decoded as UTF-8.
        errors: what it wrote to standard error; empty under a pty.
    """

    argv: tuple[str, ...]
    returncode: int
    output: str
    errors: str = ""


class Runner(Protocol):
    """Runs programs to their end."""

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        timeout: float | None = None,
    ) -> CompletedProcess:
        """Run `argv` with exactly `env` and no standard input.

        Args:
            argv: program and arguments.
            env: the whole environment of the child.
            cwd: working directory, by default ours.
            timeout: seconds; the child is killed and the return code is -9 when they are over.

        Raises:
            MachineError: the program could not be started.
        """
        ...

    def watch(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        on_output: Callable[[str], None],
        cwd: Path | None = None,
    ) -> CompletedProcess:
        """Run `argv` under a pty, handing its output over as it comes.

        Raises:
            MachineError: the program could not be started.
        """
        ...

    def start(self, argv: Sequence[str], *, env: Mapping[str, str]) -> BackgroundProcess:
        """Start `argv` and go on; what it says is lost.

        Raises:
            MachineError: the program could not be started.
        """
        ...


class BackgroundProcess(Protocol):
    """A program that runs beside us."""

    def stop(self) -> None:
        """Ask it to end (SIGTERM), and see that it does."""
        ...


class SystemRunner:
    """Runs real programs."""

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        timeout: float | None = None,
    ) -> CompletedProcess:
        """See `Runner.run`."""
        try:
            child = subprocess.Popen(
                list(argv),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no lock, no allocation
            )
        except OSError as error:
            raise _cannot_start(argv, error) from error
        try:
            output, errors = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _kill_group(child.pid)
            output, errors = child.communicate()
        except BaseException:  # Ctrl-C, above all: the child is in a session of its own and did not see it
            _kill_group(child.pid)
            child.communicate()
            raise
        return CompletedProcess(
            tuple(argv),
            child.returncode,
            output.decode("utf-8", "replace"),
            errors.decode("utf-8", "replace"),
        )

    def watch(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        on_output: Callable[[str], None],
        cwd: Path | None = None,
    ) -> CompletedProcess:
        """See `Runner.watch`."""
        import pexpect  # noqa: PLC0415 - not needed by an `up` with nothing to do

        try:
            child = pexpect.spawn(
                argv[0],
                list(argv[1:]),
                env=dict(env),
                cwd=cwd,
                timeout=None,
                echo=False,
                dimensions=(50, 160),  # wide enough that names and byte counts stand on one line
                encoding="utf-8",
                codec_errors="replace",
                preexec_fn=_die_with_parent,
            )
        except pexpect.ExceptionPexpect as error:
            raise _cannot_start(argv, error) from error
        parts: list[str] = []
        try:
            while True:
                try:
                    text = child.read_nonblocking(size=65536, timeout=None)
                except pexpect.EOF:
                    break
                parts.append(text)
                on_output(text)
        finally:
            if child.isalive():
                _kill_group(child.pid)
            child.close(force=True)
        status = (
            child.exitstatus if child.exitstatus is not None else -int(child.signalstatus or signal.SIGKILL)
        )
        return CompletedProcess(tuple(argv), int(status), "".join(parts))

    def start(self, argv: Sequence[str], *, env: Mapping[str, str]) -> BackgroundProcess:
        """See `Runner.start`."""
        try:
            child = subprocess.Popen(
                list(argv),
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no lock, no allocation
            )
        except OSError as error:
            raise _cannot_start(argv, error) from error
        return _Child(child)


@dataclass(frozen=True)
class _Child:
    """A process in the background."""

    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """See `BackgroundProcess.stop`."""
        self.process.terminate()
        try:
            self.process.wait(timeout=_STOP_LIMIT)
        except subprocess.TimeoutExpired:
            _kill_group(self.process.pid)
            self.process.wait()


def replace_process(argv: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Become `argv`.

    Raises:
        MachineError: the program could not be started.
    """
    try:
        os.execvpe(argv[0], list(argv), dict(env))  # noqa: S606
    except OSError as error:
        raise _cannot_start(argv, error) from error


def find_processes_using(prefix: Path, proc: Path = Path("/proc")) -> list[int]:
    """Processes whose command line or VIRTUAL_ENV names the environment; other people's count where one may look.

    Args:
        prefix: folder of the environment.
        proc: where the system tells of processes.
    """
    whole = os.fsencode(prefix)
    found = []
    for folder in proc.glob("[0-9]*"):
        if int(folder.name) == os.getpid():
            continue
        command, variables = _read_proc(folder / "cmdline"), _read_proc(folder / "environ")
        runs = any(word == whole or word.startswith(whole + b"/") for word in command.split(b"\0"))
        if runs or b"VIRTUAL_ENV=" + whole in variables.split(b"\0"):
            found.append(int(folder.name))
    return sorted(found)


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _cannot_start(argv: Sequence[str], error: Exception) -> MachineError:
    return MachineError(
        f"{argv[0]} could not be started: {error}.",
        hint="Check that the file is there and may be executed.",
    )


def _read_proc(path: Path) -> bytes:
    """A file of /proc; nothing where the process is gone or somebody else's."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
