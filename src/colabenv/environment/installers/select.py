"""Which installer to use, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from colabenv.environment.installers.base import Installer
from colabenv.environment.installers.pip import PipInstaller
from colabenv.environment.installers.uv import UvInstaller
from colabenv.errors import MachineError, UsageError
from colabenv.system.home import Home
from colabenv.system.process import Runner


def select_installer(
    environ: Mapping[str, str], runner: Runner, home: Home, log: Callable[[str], None]
) -> Installer:
    """uv, unless COLABENV_INSTALLER says pip or uv does not run here.

    Raises:
        UsageError: COLABENV_INSTALLER names neither.
        MachineError: it says uv, and uv does not run.
    """
    wanted = environ.get("COLABENV_INSTALLER", "")
    if wanted not in {"", "uv", "pip"}:
        raise UsageError(f"COLABENV_INSTALLER is {wanted!r}.", hint="Set it to uv or pip, or unset it.")
    if wanted == "pip":
        return PipInstaller(runner, environ, home, log, reason="COLABENV_INSTALLER=pip")
    binary, trouble = find_uv(environ, runner)
    if binary is not None:
        return UvInstaller(binary, runner, environ, home, log)
    if wanted == "uv":
        raise MachineError(
            f"uv does not run here: {trouble}.", hint="Unset COLABENV_INSTALLER, and pip is used."
        )
    return PipInstaller(runner, environ, home, log, reason=f"uv does not run here: {trouble}")


def find_uv(environ: Mapping[str, str], runner: Runner) -> tuple[Path | None, str]:
    """The uv that was installed with colabenv, or why it cannot be used."""
    try:
        import uv  # noqa: PLC0415 - a missing uv is one of the answers

        binary = Path(uv.find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        return None, str(error)
    try:
        done = runner.run([str(binary), "--version"], env=environ, timeout=20)
    except MachineError as error:
        return None, error.message
    if done.returncode != 0:
        return None, f"exit status {done.returncode}: {done.errors.strip()[:200]}"
    return binary, ""
