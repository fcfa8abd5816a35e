"""Installs the launcher in environments, and registers their kernels with Jupyter."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from colabenv import embedded
from colabenv.embedded.command_wrapper import PROGRAMS
from colabenv.embedded.environ import COMMANDS_VARIABLE
from colabenv.embedded.launcher import COLD_VARIABLE
from colabenv.kernel.spec import PREFIX, kernel_name
from colabenv.system.files import disk_error, remove_tree, write_atomically

_FOLDER = "colabenv"
_FILES = (
    *("launcher.py", "colab_package.py", "handover.py", "warm_supervisor.py", "environ.py"),
    *("kernel_magics.py", "command_wrapper.py", "install_lines.py"),
)
#: A line of a `.pth` file, which each start of the environment's Python runs ("site" in Python's documentation).
_REDIRECT = f"import os; {COMMANDS_VARIABLE!r} in os.environ and __import__('_colabenv_commands').redirect()"
_NOT_IN_PROGRAMS = """\
raise ModuleNotFoundError(
    "google.colab works in the cells of a notebook, not in the programs that they start: move this line into a cell.",
    name="google.colab",
)
"""


def install_launcher(
    prefix: Path,
    spec: Mapping[str, Any],
    *,
    variables: Mapping[str, str],
    google_colab: Path | None = None,
    colab_kernel: bool = False,
    preload: Sequence[str] = (),
    constraints: Sequence[str] = (),
) -> Path:
    """Install all that a kernel of the environment at `prefix` needs, without registering it; raises `DiskError`.

    Args:
        prefix: the environment.
        spec: its kernelspec.
        variables: the profile's.
        google_colab: the folder of the base's package, or None for a kernel without it.
        colab_kernel: whether the kernel has Colab's own class, whose packages the environment has.
        preload: the profile's modules.
        constraints: apply, besides the lock, to what the notebook itself installs.

    Returns:
        A folder with only the kernelspec, for the check.
    """
    folder = prefix / _FOLDER
    for file in _FILES:
        write_atomically(folder / file, (embedded.FOLDER / file).read_bytes())
    settings = {
        "variables": dict(variables),
        "google_colab": str(google_colab or ""),
        "colab_kernel": colab_kernel,
        "base_python": sys.executable,
        "preload": list(preload),
        "constraints": list(constraints),
    }
    write_atomically(folder / "settings.json", _json(settings))
    package = folder / "site" / "colabenv"
    write_atomically(package / "__init__.py", (embedded.FOLDER / "proxy_package.py").read_bytes())
    write_atomically(package / "capture.py", (embedded.FOLDER / "capture.py").read_bytes())
    write_atomically(package / "__main__.py", "from colabenv import main\n\nmain()\n")
    for source, target in (
        ("module_commands.py", "_colabenv_commands.py"),
        ("condacolab.py", "condacolab.py"),
    ):
        write_atomically(folder / "site" / target, (embedded.FOLDER / source).read_bytes())
    if google_colab:
        # Only for programs: a kernel has `google.colab` from the base.
        write_atomically(folder / "site" / "google" / "colab" / "__init__.py", _NOT_IN_PROGRAMS)
    for site_packages in prefix.glob("lib/python3.*/site-packages"):
        write_atomically(site_packages / "_colabenv.pth", f"{folder / 'site'}\n{_REDIRECT}\n")
        _write_wrappers(prefix, f"pip{site_packages.parent.name.removeprefix('python')}")
    # The check needs a kernel that starts cold, and must not use up the warm one.
    candidate = {**spec, "env": {COLD_VARIABLE: "1"}}
    register_kernel(spec["metadata"]["colabenv"]["name"], candidate, folder / "kernels")
    return folder / "kernels"


def _write_wrappers(prefix: Path, own_pip: str) -> None:
    """Write the script that stands before pip, apt and other programs on the kernel's PATH."""
    folder = prefix / _FOLDER / "bin"
    wrapper = [str(prefix / "bin" / "python"), "-I", "-S", str(prefix / _FOLDER / "command_wrapper.py")]
    script = folder / "pip"
    write_atomically(script, f'#!/bin/sh\nexec {shlex.join(wrapper)} "${{0##*/}}" "$@"\n')
    try:
        script.chmod(0o755)
        for program in (*PROGRAMS, own_pip):
            if not (folder / program).exists():
                (folder / program).symlink_to("pip")
    except OSError as error:
        raise disk_error(error, script) from error


def read_settings(prefix: Path) -> dict[str, Any]:
    """The launcher's settings in an environment; empty if there are none."""
    return _read_object(prefix / _FOLDER / "settings.json") or {}


def link_uv(prefix: Path, binary: Path | None) -> None:
    """Link the uv that built an environment into it, so that `!uv` runs it; raises `DiskError`."""
    link = prefix / "bin" / "uv"
    if binary is None or link.exists():
        return
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(binary)
    except OSError as error:
        raise disk_error(error, link) from error


def find_kernels_folder(environ: Mapping[str, str]) -> Path:
    """The user's folder of kernelspecs, as jupyter_core computes it on Linux (its "Data files" documentation)."""
    data = environ.get("JUPYTER_DATA_DIR")
    if not data:
        base = environ.get("XDG_DATA_HOME") or f"{environ.get('HOME', '/root')}/.local/share"
        data = f"{base}/jupyter"
    return Path(data) / "kernels"


def register_kernel(name: str, spec: Mapping[str, Any], folder: Path) -> Path:
    """Register the kernel with one atomic write, and return its kernel.json; raises `DiskError`."""
    path = folder / kernel_name(name) / "kernel.json"
    write_atomically(path, _json(spec))
    return path


def read_registered_spec(name: str, folder: Path) -> dict[str, Any] | None:
    """The registered kernelspec of a name, or None."""
    return _read_object(folder / kernel_name(name) / "kernel.json")


def list_registered_names(folder: Path) -> list[str]:
    """Names of all kernels that colabenv registered."""
    return sorted(path.parent.name[len(PREFIX) :] for path in folder.glob(f"{PREFIX}*/kernel.json"))


def unregister_kernel(name: str, folder: Path) -> bool:
    """Unregister a kernel; False if there was none. Raises `DiskError` if its folder could not be removed."""
    path = folder / kernel_name(name)
    if not path.exists():
        return False
    remove_tree(path)
    return True


def _read_object(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=1) + "\n"
