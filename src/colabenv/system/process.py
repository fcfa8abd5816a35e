"""The only module that starts processes.

A child never outlives colabenv: it is killed by the kernel when colabenv dies (PR_SET_PDEATHSIG, prctl(2)), so that
an installer whose `up` was killed does not continue to write into an environment that the next `up` is building.
A process that such a child forks can outlive colabenv; only the supervisor of a warm process does so
(embedded/warm_supervisor.py).
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
_STOP_LIMIT = 5.0  # seconds that a program in the background has to end after SIGTERM
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class CompletedProcess:
    """A process that ended; its return code is negative for a signal, and under a pty all text is in `output`."""

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

        After `timeout` seconds the child is killed, and the return code is -9.

        Raises:
            MachineError: the program could not be started.
        """

    def watch(
        self, argv: Sequence[str], *, env: Mapping[str, str], on_output: Callable[[str], None]
    ) -> CompletedProcess:
        """Run `argv` under a pty, and pass on its output as it comes; raises `MachineError` as `run` does."""

    def start(self, argv: Sequence[str], *, env: Mapping[str, str]) -> BackgroundProcess:
        """Start `argv` in the background; its output is discarded. Raises `MachineError` as `run` does."""


class BackgroundProcess(Protocol):
    """A program in the background."""

    def stop(self) -> None:
        """Ask it to end (SIGTERM); kill it if it does not."""


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
        child = _spawn(argv, env, cwd, subprocess.PIPE)
        try:
            output, errors = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _kill_group(child.pid)
            output, errors = child.communicate()
        except BaseException:  # Ctrl-C above all: the child has its own session and did not see it
            _kill_group(child.pid)
            child.communicate()
            raise
        texts = output.decode("utf-8", "replace"), errors.decode("utf-8", "replace")
        return CompletedProcess(tuple(argv), child.returncode, *texts)

    def watch(
        self, argv: Sequence[str], *, env: Mapping[str, str], on_output: Callable[[str], None]
    ) -> CompletedProcess:
        """See `Runner.watch`."""
        import pexpect  # noqa: PLC0415 - not needed by an `up` with nothing to do

        try:
            child = pexpect.spawn(
                argv[0],
                list(argv[1:]),
                env=dict(env),
                timeout=None,
                echo=False,
                dimensions=(50, 160),  # wide enough for names and byte counts on one line
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
        return _Child(_spawn(argv, env, None, subprocess.DEVNULL))


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
    """Replace this process with `argv`; raises `MachineError` if the program could not be started."""
    try:
        os.execvpe(argv[0], list(argv), dict(env))  # noqa: S606
    except OSError as error:
        raise _cannot_start(argv, error) from error


def find_processes_using(prefix: Path) -> list[int]:
    """Processes whose command line or VIRTUAL_ENV names an environment, as far as this user may read them (proc(5))."""
    raw_prefix = os.fsencode(prefix)
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        words, variables = (_read_bytes(folder / name).split(b"\0") for name in ("cmdline", "environ"))
        runs = any(word == raw_prefix or word.startswith(raw_prefix + b"/") for word in words)
        if int(folder.name) != os.getpid() and (runs or b"VIRTUAL_ENV=" + raw_prefix in variables):
            pids.append(int(folder.name))
    return sorted(pids)


def _read_bytes(path: Path) -> bytes:
    """The bytes of a file in /proc; empty if the process has ended or belongs to another user."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _spawn(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path | None, output: int
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no lock, no allocation
        )
    except OSError as error:
        raise _cannot_start(argv, error) from error


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _cannot_start(argv: Sequence[str], error: Exception) -> MachineError:
    return MachineError(
        f"{argv[0]} could not be started: {error}.",
        hint="Check that the file exists and is executable.",
    )
