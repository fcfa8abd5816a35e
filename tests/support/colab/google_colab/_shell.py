"""Colab's shell: `!command` runs with bash on a pseudo-terminal and streams its output."""

from __future__ import annotations

from typing import Any

from google.colab import _process
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.utils.text import LSString, SList


class Shell(ZMQInteractiveShell):  # type: ignore[misc]
    """ipykernel's shell, which runs programs as Colab does."""

    def system(self, cmd: str, also_return_output: bool = False) -> Any:
        """`!cmd`: show its output, and store its exit status in `_exit_code`."""
        done = _process.run(self.var_expand(cmd, depth=1))
        self.user_ns["_exit_code"] = done.returncode
        return LSString(done.output) if also_return_output else None

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        """`x = !cmd`: its output, as IPython's list of lines or string."""
        done = _process.run(self.var_expand(cmd, depth=depth + 1))
        return SList(done.output.splitlines()) if split else LSString(done.output)
