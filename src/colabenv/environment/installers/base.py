"""What an installer does, and what uv and pip share."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from colabenv.environment.installer_errors import classify_error, clean_output, redact
from colabenv.environment.installers.index_settings import find_secrets
from colabenv.host.interpreters import Interpreter
from colabenv.lock.lockfile import Lock, format_lock
from colabenv.lock.request import Resolver
from colabenv.system.process import CompletedProcess
from colabenv.system.workspace import Workspace

Indexes = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Job:
    """One installation."""

    lock: Lock  #: what to install, all of it and nothing else
    interpreter: Interpreter  #: what to build on
    prefix: Path  #: folder of the environment; absent or empty
    source_builds: tuple[str, ...]  #: distributions that may be built from source
    indexes: Indexes  #: (name, URL) of the profile's indexes, credentials included

    @property
    def python(self) -> str:
        """The environment's interpreter."""
        return str(self.prefix / "bin" / "python")


class Installer(Resolver, Protocol):
    """Creates virtual environments and installs locks into them."""

    @property
    def name(self) -> str:
        """The name: "uv" or "pip"."""

    @property
    def reason(self) -> str:
        """Why this one was chosen, for the user; "" for the default."""

    def download_python(self, version: str) -> Path:
        """Download an interpreter and return its executable.

        Raises:
            InterpreterError: this installer cannot, or no such Python is available.
            NetworkError: the mirror could not be reached.
        """

    def create(self, job: Job) -> None:
        """Create an empty virtual environment at the job's prefix. Raises MachineError if that fails."""

    def install(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """Install every pin of the lock and check its hash; only `source_builds` are built from source.

        Raises:
            DiskError, NetworkError, CorruptError, InstallError: the installation failed.
        """

    def add(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """As `install`, but leave other packages in the environment; the lock may hold some of the pins only."""

    def has_all(self, job: Job) -> bool:
        """Whether this machine's cache has every wheel of the lock of an existing environment; False if unknown."""


def run_installer(
    workspace: Workspace,
    argv: list[str],
    variables: Mapping[str, str],
    indexes: Indexes = (),
    on_output: Callable[[str], None] | None = None,
) -> CompletedProcess:
    """Run an installer's program and log it; run it again if only the system's certificates include the index's.

    `variables` are its whole environment. The credentials of `indexes` are not logged. With `on_output`, which takes
    its output piece by piece, it runs under a pty. Raises MachineError if the program could not be started.
    """
    certificates = workspace.certificates
    tried_variables = certificates.variables
    while True:
        environ = {**certificates.variables, **variables}
        if on_output is None:
            process = workspace.runner.run(argv, env=environ)
        else:
            process = workspace.runner.watch(argv, env=environ, on_output=on_output)
        output = process.output + process.errors
        entry = f"$ {' '.join(argv)}\n{clean_output(output).strip()}\nexit status {process.returncode}\n"
        workspace.log(redact(entry, find_secrets(indexes)))
        if process.returncode == 0 or tried_variables or not certificates.use_if_rejected(output, variables):
            return process
        tried_variables = certificates.variables


def require_success(task: str, process: CompletedProcess, indexes: Indexes = ()) -> None:
    """Raise the error of a program that failed while `task`, such as "installing"."""
    if process.returncode != 0:
        raise classify_error(task, process.output + process.errors, find_secrets(indexes))


def wheel_arguments(source_builds: tuple[str, ...]) -> list[str]:
    """The arguments that make uv and pip use wheels only, except for the distributions that are built from source."""
    return ["--only-binary=:all:", *(f"--no-binary={name}" for name in source_builds)]


@contextlib.contextmanager
def lock_as_file(lock: Lock) -> Iterator[str]:
    """The path of a temporary file with the lock's text."""
    with tempfile.TemporaryDirectory(prefix="colabenv-") as folder:
        path = Path(folder) / "lock.txt"
        path.write_text(format_lock(lock), encoding="utf-8")
        yield str(path)
