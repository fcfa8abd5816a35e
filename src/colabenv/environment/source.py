"""Where the Python and the packages of an environment come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from colabenv.environment.installers.base import Installer
from colabenv.host import interpreters
from colabenv.host.interpreters import Interpreter
from colabenv.lock.lockfile import Lock, Pin
from colabenv.lock.request import ResolveRequest
from colabenv.system.workspace import Workspace


class PackageSource:
    """An installer and the package index. `StoreSource` puts a store in front of it."""

    def __init__(self, installer: Installer, workspace: Workspace) -> None:
        self.installer = installer
        self._workspace = workspace
        self._interpreters: dict[str, Interpreter] = {}

    @property
    def uv_binary(self) -> Path | None:
        """The uv program that installs, or None if pip does."""
        return getattr(self.installer, "binary", None)

    @property
    def can_download_python(self) -> bool:
        """Whether a Python that this machine lacks can be downloaded."""
        return self.installer.name == "uv"

    def resolve(self, request: ResolveRequest) -> tuple[Pin, ...]:
        """See `Resolver.resolve`."""
        return self.installer.resolve(request)

    def find_interpreter(self, version: str) -> Interpreter:
        """See `PythonSource.find_interpreter`."""
        if version not in self._interpreters:
            self._interpreters[version] = self._find_interpreter(version)
        return self._interpreters[version]

    def _find_interpreter(self, version: str) -> Interpreter:
        workspace = self._workspace

        def download(version: str) -> Path:
            workspace.progress.stage(f"Downloading Python {version}")
            return self.download_python(version)

        interpreter = interpreters.find_interpreter(
            version,
            environ=workspace.environ,
            runner=workspace.runner,
            pythons=workspace.home.pythons,
            download=download if self.can_download_python else None,
        )
        workspace.progress.note(
            f"Python {interpreter.version} from {interpreter.path} ({interpreter.origin})."
        )
        if self.installer.reason:
            workspace.progress.note(f"Installing with {self.installer.name}: {self.installer.reason}.")
        return interpreter

    def download_python(self, version: str) -> Path:
        """See `Installer.download_python`."""
        return self.installer.download_python(version)

    def prefetch(self, lock: Lock) -> None:
        """Start to fetch the packages of a lock in the background, if the source can."""

    def describe(self, lock: Lock) -> str:
        """What the source has for a lock, in a sentence; "" if it is the package index alone."""
        del lock
        return ""

    def needs_bytecode(self, lock: Lock) -> set[str]:
        """The distributions that were installed without bytecode."""
        return {pin.name for pin in lock.pins}

    def report(self) -> dict[str, Any]:
        """What was restored from a store, for the result; empty if nothing was installed or no store is in use."""
        return {}
