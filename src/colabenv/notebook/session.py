"""Remembers what a notebook is attached to, so that its kernel attaches again when it is restarted.

The state is one file for each attached notebook, named after the connection file that a kernel keeps when its server
restarts it. A `.pth` file calls `embedded/attach_hook.py` when a kernel starts; while no notebook is attached, there is
no such file.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from colabenv import embedded
from colabenv.errors import ColabenvError
from colabenv.kernel.default_kernel import build_pth_line, find_pth_folder
from colabenv.system.files import write_atomically
from colabenv.system.home import Home

_PTH_NAME = "colabenv-attached.pth"
_HOOK_NAME = "hook.py"


class NotebookSession:
    """The kernel of a notebook, by its connection file; `folder` holds the states, and `pth` is the `.pth` file."""

    def __init__(self, connection: Path, folder: Path, pth: Path) -> None:
        self._connection = connection
        self._folder = folder
        self._pth = pth

    @property
    def _state(self) -> Path:
        return self._folder / self._connection.name

    def remember(self, kernel_name: str) -> None:
        """Attach to this kernel again after a restart. Attaching works without that, so no error is raised."""
        with contextlib.suppress(OSError, ColabenvError):
            self._remove_ended()
            write_atomically(self._folder / _HOOK_NAME, (embedded.FOLDER / "attach_hook.py").read_bytes())
            content = {"kernel": kernel_name, "connection": str(self._connection)}
            write_atomically(self._state, json.dumps(content))
            self._state.with_name(self._state.name + ".tried").unlink(missing_ok=True)
            line = build_pth_line(self._folder / _HOOK_NAME, self._folder)
            if not self._pth.exists() or self._pth.read_text(encoding="utf-8") != line:
                write_atomically(self._pth, line)

    def forget(self) -> None:
        """Start in Colab's own Python after a restart."""
        with contextlib.suppress(OSError):
            self._state.unlink(missing_ok=True)
            self._remove_ended()
            if not any(self._folder.glob("*.json")):
                self._pth.unlink(missing_ok=True)

    def _remove_ended(self) -> None:
        """Remove the states of kernels that have ended; a server removes the connection file of such a kernel."""
        for state in self._folder.glob("*.json*"):
            try:
                ended = not os.path.exists(json.loads(state.read_text(encoding="utf-8"))["connection"])  # noqa: PTH110
            except (ValueError, KeyError, TypeError):
                ended = True
            if ended:
                state.unlink(missing_ok=True)


def open_session() -> NotebookSession | None:
    """The session of this process's kernel, or None if its connection file is not known."""
    try:
        from ipykernel.connect import get_connection_file  # noqa: PLC0415 - only a notebook has it

        connection = Path(get_connection_file())
        folder = Home.from_environ(os.environ).root / "attached"
        return NotebookSession(connection, folder, find_pth_folder() / _PTH_NAME)
    except Exception:  # noqa: BLE001 - kernels of other kinds may have no such file; attaching works without it
        return None


def resume(kernel_name: str) -> None:
    """Attach the kernel of this process again, when its first cell runs. Called in a kernel that was restarted."""
    from IPython import get_ipython  # noqa: PLC0415

    shell: Any = get_ipython()
    shell.extension_manager.load_extension("colabenv")
    shell._colabenv.resume(kernel_name)
    session = open_session()
    if session:
        session.remember(kernel_name)
