"""The magics that Colab adds or changes: `%pip`, `%shell`, `%%shell`."""

from __future__ import annotations

from typing import Any

from google.colab import _process


def register(ipython: Any) -> None:
    """Register the magics with a shell."""

    def pip(line: str) -> None:
        # The first pip on PATH, not the kernel's own.
        ipython.system(f"pip {line}")

    def shell(line: str, cell: str | None = None) -> _process.ShellResult:
        done = _process.run(line if cell is None else cell)
        if cell is None or "--ignore-errors" not in line:
            done.check_returncode()
        return done

    ipython.register_magic_function(pip, "line", "pip")
    ipython.register_magic_function(shell, "line_cell", "shell")
