"""Which installer to use, and why."""

from __future__ import annotations

from pathlib import Path

from colabenv.environment.installers.base import Installer
from colabenv.environment.installers.pip import PipInstaller
from colabenv.environment.installers.uv import UvInstaller
from colabenv.errors import MachineError, UsageError
from colabenv.system.workspace import Workspace


def select_installer(workspace: Workspace) -> Installer:
    """uv, or pip if COLABENV_INSTALLER is "pip" or uv does not run here.

    Raises:
        UsageError: COLABENV_INSTALLER is neither "uv" nor "pip".
        MachineError: it is "uv", and uv does not run.
    """
    setting = workspace.environ.get("COLABENV_INSTALLER", "")
    if setting not in {"", "uv", "pip"}:
        raise UsageError(f"COLABENV_INSTALLER is {setting!r}.", hint="Set it to uv or pip, or unset it.")
    if setting == "pip":
        return PipInstaller(workspace, reason="COLABENV_INSTALLER=pip")
    try:
        return find_uv(workspace)
    except MachineError as error:
        if setting == "uv":
            raise
        return PipInstaller(workspace, reason=error.message.rstrip("."))


def find_uv(workspace: Workspace) -> UvInstaller:
    """The uv that was installed with colabenv. Raises MachineError if it does not run here."""
    hint = "Unset COLABENV_INSTALLER to use pip."
    try:
        import uv  # noqa: PLC0415 - uv may be missing

        binary = Path(uv.find_uv_bin())
        process = workspace.runner.run([str(binary), "--version"], env=workspace.environ, timeout=20)
    except (ImportError, FileNotFoundError, MachineError) as error:
        raise MachineError(f"uv does not run here: {str(error).rstrip('.')}.", hint=hint) from error
    if process.returncode != 0:
        cause = f"exit status {process.returncode}: {process.errors.strip()[:200]}"
        raise MachineError(f"uv does not run here: {cause}.", hint=hint)
    return UvInstaller(binary, workspace)
