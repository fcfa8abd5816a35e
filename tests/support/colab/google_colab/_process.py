"""Runs a command line under bash on a pseudo-terminal."""

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
    """What became of a command: `args`, `returncode`, and all that it wrote as `output`."""

    def __init__(self, args: str, returncode: int, output: str) -> None:
        self.args = args
        self.returncode = returncode
        self.output = output

    def check_returncode(self) -> None:
        """Raise CalledProcessError unless the command succeeded."""
        if self.returncode:
            raise subprocess.CalledProcessError(self.returncode, self.args, self.output)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Nothing: the output has been shown already."""


def run(command: str) -> ShellResult:
    """Run a command line to its end, showing what it writes while it writes it.

    The first interrupt is passed on to the command as SIGINT, the second ends it.

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
        print("^C")  # noqa: T201 - what a cell shows
    return ShellResult(command, process.returncode, output)


def _watch(process: subprocess.Popen[bytes], terminal: int) -> str:
    """Show what the process writes and hand it what the person types, until it ends; return the output."""
    shown: list[str] = []
    signals = itertools.chain([signal.SIGINT], itertools.repeat(signal.SIGKILL))
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    ended = False
    while not ended:
        try:
            ended = _relay(process, terminal, decoder, shown)
        except KeyboardInterrupt:  # noqa: PERF203 - each is passed on
            process.send_signal(next(signals))
    return "".join(shown)


def _relay(process: subprocess.Popen[bytes], terminal: int, decoder: Any, shown: list[str]) -> bool:
    """Show what there is to show and pass on what was typed; return whether the process has ended.

    What it has left running in the background may go on holding the terminal.
    """
    ended = process.poll() is not None
    while select.select([terminal], [], [], 0 if ended else 0.05)[0]:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # the last process that held the terminal has closed it
            process.wait()
            return True
        shown.append(decoder.decode(data))
        sys.stdout.write(shown[-1])
        sys.stdout.flush()
    typed = None if ended else _message.typed_line()
    if typed is not None:
        os.write(terminal, typed.encode())
    return ended
