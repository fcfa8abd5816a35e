"""Makes an environment the session's default kernel, and restores the session's original one.

Colab's server keeps the command line of a running kernel in memory, so a restart always runs the base's
`python3 -m colab_kernel_launcher`. A `.pth` file (documented in the site module) changes what that does without
touching a file of the base: its one line calls `switch_hook` if the process is a kernel, and otherwise does nothing.
"""

from __future__ import annotations

import json
import site
import sys
from dataclasses import dataclass
from pathlib import Path

from colabenv import embedded
from colabenv.errors import DiskError
from colabenv.profile.addresses import is_address
from colabenv.system.files import remove_tree, write_atomically
from colabenv.system.home import Home

_NAME = "colabenv-switch.pth"
#: Modules that start a session's default kernel: Colab's, and Jupyter's own.
_LAUNCHERS = ("colab_kernel_launcher", "ipykernel_launcher")


@dataclass(frozen=True)
class DefaultKernelSwitch:
    """An environment that is the session's default kernel; `file` is the `.pth` file, outside COLABENV_HOME."""

    name: str
    prefix: Path
    file: Path


def find_pth_folder() -> Path:
    """The user's folder of `.pth` files, or the base's own if the base, a virtual environment, ignores the user's."""
    if site.ENABLE_USER_SITE:
        return Path(site.getusersitepackages())
    return Path(next(entry for entry in site.getsitepackages() if entry.startswith(sys.prefix)))


def build_pth_line(hook: Path, folder: Path) -> str:
    """The file's one line. Any Python may read it, even after the hook is gone."""
    return (
        f"import os, sys; m = getattr(sys, 'orig_argv', [])[1:3]; h = {str(hook)!r}; "
        f"m[:1] == ['-m'] and m[1:2] and m[1] in {_LAUNCHERS!r} and os.path.exists(h) "
        "and __import__('runpy').run_path(h)['main'](" + repr(str(folder)) + ")\n"
    )


def switch_default_kernel(
    name: str, prefix: Path, home: Home, profile: str, folder: Path | None = None
) -> DefaultKernelSwitch:
    """Let the session's default kernel start in the environment at `prefix` from its next start on; raises `DiskError`.

    `profile` is its path, its address or `builtin:NAME`, for the notice about a failed start; `folder` is that of the
    `.pth` file, by default one that this Python reads.
    """
    state = home.root / "switch"
    remove_tree(state)
    write_atomically(state / "hook.py", (embedded.FOLDER / "switch_hook.py").read_bytes())
    write_atomically(state / "notice.py", (embedded.FOLDER / "switch_notice.py").read_bytes())
    is_path = not profile.startswith("builtin:") and not is_address(profile)
    reference = str(Path(profile).absolute()) if is_path else profile
    content = {"name": name, "prefix": str(prefix), "profile": reference}
    write_atomically(state / "state.json", json.dumps(content))
    file = (folder or find_pth_folder()) / _NAME
    write_atomically(file, build_pth_line(state / "hook.py", state))
    return DefaultKernelSwitch(name, prefix, file)


def restore_default_kernel(home: Home, folder: Path | None = None) -> Path | None:
    """Restore the session's original default kernel; returns the removed file or None. Raises `DiskError`."""
    file = (folder or find_pth_folder()) / _NAME
    existed = file.exists()
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise DiskError(
            f"{file} could not be removed: {error.strerror}.", hint=f"Remove it: rm {file}"
        ) from error
    remove_tree(home.root / "switch")
    return file if existed else None


def find_switch(home: Home, folder: Path | None = None) -> DefaultKernelSwitch | None:
    """The active switch, or None. None also if its state cannot be read: the hook then starts the base's kernel."""
    file = (folder or find_pth_folder()) / _NAME
    try:
        state = json.loads((home.root / "switch" / "state.json").read_text(encoding="utf-8"))
        switch = DefaultKernelSwitch(state["name"], Path(state["prefix"]), file)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return switch if file.exists() else None
