"""Run a command line with bash on a pseudo-terminal."""

from __future__ import annotations

import codecs
import itertools
import locale
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from typing import Any

import IPython
from google.colab import _message

INTERRUPTED = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL)


class ShellResult:
    """The result of a command: `args`, `returncode`, and all its `output`."""

    def __init__(self, args: str, returncode: int, output: str) -> None:
        self.args = args
        self.returncode = returncode
        self.output = output

    def check_returncode(self) -> None:
        """Raise CalledProcessError if the command failed."""
        if self.returncode:
            raise subprocess.CalledProcessError(self.returncode, self.args, self.output)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print nothing: the output has been shown already."""


def run(command: str) -> ShellResult:
    """Run a command line and show its output as it arrives.

    The first interrupt sends SIGINT to the command, the second one kills it.

    Raises:
        NotImplementedError: this process does not use UTF-8.
    """
    encoding = locale.getpreferredencoding()
    if not sys.flags.utf8_mode and encoding.upper() != "UTF-8":
        raise NotImplementedError(f"A UTF-8 locale is required. Got {encoding}")
    ours, theirs = pty.openpty()
    settings = termios.tcgetattr(theirs)
    settings[1] &= ~termios.ONLCR  # a line ends with \n alone
    settings[3] &= ~termios.ECHOCTL
    termios.tcsetattr(theirs, termios.TCSANOW, settings)
    cell = IPython.get_ipython().parent_header
    _message.send_request("cell_display_stdin", {"delayMillis": 500}, cell, expect_reply=False)
    process = subprocess.Popen(["/bin/bash", "-c", command], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        output = _watch(process, ours)
    finally:
        os.close(ours)
        _message.send_request("cell_remove_stdin", {}, cell, expect_reply=False)
    if process.returncode in INTERRUPTED:
        print("^C")  # noqa: T201 - output of the cell
    return ShellResult(command, process.returncode, output)


def _watch(process: subprocess.Popen[bytes], terminal: int) -> str:
    """Show the output of the process and send it what the user types, until it ends; returns the output."""
    shown: list[str] = []
    signals = itertools.chain([signal.SIGINT], itertools.repeat(signal.SIGKILL))
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    ended = False
    while not ended:
        try:
            ended = _relay(process, terminal, decoder, shown)
        except KeyboardInterrupt:  # noqa: PERF203 - every interrupt is sent to the process
            process.send_signal(next(signals))
    return "".join(shown)


def _relay(process: subprocess.Popen[bytes], terminal: int, decoder: Any, shown: list[str]) -> bool:
    """Show new output and send new input; returns whether the process has ended.

    Background processes that it has started may keep the terminal open.
    """
    ended = process.poll() is not None
    while select.select([terminal], [], [], 0 if ended else 0.05)[0]:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # the last process that used the terminal has closed it
            process.wait()
            return True
        shown.append(decoder.decode(data))
        sys.stdout.write(shown[-1])
        sys.stdout.flush()
    typed = None if ended else _message.typed_line()
    if typed is not None:
        os.write(terminal, typed.encode())
    return ended
