"""What an installer does, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from colabenv.host.interpreters import Interpreter
from colabenv.lock.lockfile import Lock
from colabenv.lock.request import Resolver


@dataclass(frozen=True)
class Job:
    """One installation.

    Attributes:
        lock: what to install, all of it and nothing else.
        interpreter: what to build on.
        prefix: folder of the environment; absent or empty.
        source_builds: distributions that may be built from source.
        indexes: (name, URL) of the profile's indexes, credentials included.
    """

    lock: Lock
    interpreter: Interpreter
    prefix: Path
    source_builds: tuple[str, ...]
    indexes: tuple[tuple[str, str], ...]


class Installer(Resolver, Protocol):
    """Creates virtual environments and fills them from locks."""

    @property
    def name(self) -> str:
        """The name: "uv" or "pip"."""
        ...

    @property
    def reason(self) -> str:
        """Why this one was chosen, for the user; "" for the default."""
        ...

    def download_python(self, version: str) -> Path:
        """Download an interpreter and return its executable.

        Raises:
            InterpreterError: this installer cannot, or no such Python is available.
            NetworkError: the mirror could not be reached.
        """
        ...

    def create(self, job: Job) -> None:
        """Make an empty virtual environment at the job's prefix.

        Raises:
            MachineError: it could not be made.
        """
        ...

    def install(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """Install every pin of the lock, with hashes checked, wheels only but for `source_builds`.

        Raises:
            DiskError, NetworkError, CorruptError, InstallError: why it could not be done.
        """
        ...

    def add(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """As `install`, beside whatever else is in the environment; the lock may hold a part of the pins only.

        Raises:
            DiskError, NetworkError, CorruptError, InstallError: why it could not be done.
        """
        ...

    def has_all(self, job: Job) -> bool:
        """Whether every wheel of the lock lies in a cache on this machine, so that nothing would be fetched.

        The job's environment is there. Says no where it cannot tell.
        """
        ...
