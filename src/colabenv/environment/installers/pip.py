"""Installing with virtualenv and pip, where uv does not run or is not wanted."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from colabenv.environment.installer_errors import classify_error
from colabenv.environment.installers.base import (
    Indexes,
    Job,
    lock_as_file,
    require_success,
    run_installer,
    wheel_arguments,
)
from colabenv.environment.installers.index_settings import find_secrets, pip_variables
from colabenv.environment.installers.progress_parser import ProgressParser
from colabenv.errors import InstallError, InterpreterError, MachineError
from colabenv.lock.lockfile import Pin
from colabenv.lock.request import ResolveRequest
from colabenv.system.process import CompletedProcess
from colabenv.system.workspace import Workspace

_FETCH_ERROR = "Could not fetch URL"
#: The last pip for Python 3.7. virtualenv 20.35 contains pip 25.0.1 for it, which needs Python 3.8.
_PIP_FOR_3_7 = "24.0"


@dataclass(frozen=True)
class PipInstaller:
    """The `Installer` that runs virtualenv and the pip that virtualenv puts into the environment."""

    workspace: Workspace  #: the surroundings
    reason: str  #: see `Installer.reason`
    name: str = "pip"

    def resolve(self, request: ResolveRequest) -> tuple[Pin, ...]:
        """See `Resolver.resolve`: pip's report of what it would install (PyPA's installation report format)."""
        if request.as_of:
            # virtualenv brings pip 25.3 at most; `--uploaded-prior-to` came with pip 26.0.
            raise MachineError(
                f"pip cannot choose versions as of a date, and the profile says as_of: {request.as_of}.",
                hint="Unset COLABENV_INSTALLER so that uv chooses them, or run colabenv lock on another machine. "
                "pip can install from that lock.",
            )
        with tempfile.TemporaryDirectory(prefix="colabenv-") as folder:
            prefix, report, log = (Path(folder) / name for name in ("venv", "report.json", "log.txt"))
            requirements, constraints = Path(folder) / "in.txt", Path(folder) / "limits.txt"
            self._create(request.interpreter, prefix, request.python, request.indexes)
            requirements.write_text("\n".join(request.requirements) + "\n", encoding="utf-8")
            # pip cannot prefer versions: try them as constraints, then resolve without any of them.
            preferred = [f"{pin.name}=={pin.version}" for pin in request.preferred]
            for extra in [preferred, []] if preferred else [[]]:
                constraints.write_text("\n".join([*request.constraints, *extra]) + "\n", encoding="utf-8")
                arguments = ["install", "--dry-run", "--ignore-installed", "--quiet", "--report", str(report)]
                arguments += ["--requirement", str(requirements), "--constraint", str(constraints)]
                arguments += ["--log", str(log), *wheel_arguments(request.source_builds)]
                process = self._run_pip(str(prefix / "bin" / "python"), arguments, request.indexes)
                if process.returncode == 0:
                    return _read_pins(report.read_text(encoding="utf-8"))
            output = f"{process.output}{process.errors}\n{read_fetch_errors(log)}"
            raise classify_error("resolving the profile", output, find_secrets(request.indexes))

    def create(self, job: Job) -> None:
        """See `Installer.create`."""
        self._create(job.interpreter.path, job.prefix, job.interpreter.minor, job.indexes)

    def install(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """See `Installer.install`."""
        progress = ProgressParser(len(job.lock.pins))
        with lock_as_file(job.lock) as path:
            # pip reports its progress in this form since 24.1, for Python 3.8.
            form = "off" if job.interpreter.minor == "3.7" else "raw"
            arguments = ["install", "--require-hashes", "--no-deps", "--progress-bar", form]
            arguments += ["--requirement", path, *wheel_arguments(job.source_builds)]
            process = self._run_pip(
                job.python, arguments, job.indexes, lambda piece: on_progress(progress.feed(piece))
            )
        require_success("installing", process, job.indexes)

    def add(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """See `Installer.add`: pip never removes other packages."""
        self.install(job, on_progress)

    def has_all(self, job: Job) -> bool:  # noqa: ARG002 - the protocol's
        """See `Installer.has_all`: pip cannot tell."""
        return False

    def download_python(self, version: str) -> Path:
        """See `Installer.download_python`: pip cannot."""
        raise InterpreterError(
            f"Python {version} is not installed here, and pip cannot download it.",
            hint="Unset COLABENV_INSTALLER so that uv can, or set python in the profile to an installed version.",
        )

    def _create(self, interpreter: Path, prefix: Path, minor: str, indexes: Indexes) -> None:
        variables = pip_variables(self.workspace.environ, indexes, self.workspace.home.cache)
        # By default, virtualenv keeps its bundled wheels in the user's data directory.
        variables["VIRTUALENV_OVERRIDE_APP_DATA"] = str(self.workspace.home.cache / "virtualenv")
        argv = [sys.executable, "-m", "virtualenv", "--python", str(interpreter), "--no-periodic-update"]
        argv += ["--download", "--pip", _PIP_FOR_3_7] if minor == "3.7" else ["--pip", "bundle"]
        argv += ["--quiet", "--no-setuptools", "--no-wheel", str(prefix)]
        process = run_installer(self.workspace, argv, variables, indexes)
        require_success("creating the virtual environment", process, indexes)

    def _run_pip(
        self,
        python: str,
        arguments: list[str],
        indexes: Indexes,
        on_output: Callable[[str], None] | None = None,
    ) -> CompletedProcess:
        variables = pip_variables(self.workspace.environ, indexes, self.workspace.home.cache)
        argv = [python, "-I", "-m", "pip", *arguments]
        return run_installer(self.workspace, argv, variables, indexes, on_output)


def read_fetch_errors(log: Path) -> str:
    """The pages that pip could not fetch, from its log; its output only says that nothing matches."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    errors = [line[line.index(_FETCH_ERROR) :] for line in lines if _FETCH_ERROR in line]
    return "\n".join(dict.fromkeys(errors))


def _read_pins(report: str) -> tuple[Pin, ...]:
    pins = []
    for item in json.loads(report)["install"]:
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        hashes = item["download_info"].get("archive_info", {}).get("hashes", {})
        if "sha256" not in hashes:
            raise InstallError(
                f"pip did not report the hash of {name} {version}, so it cannot be locked.",
                hint="Unset COLABENV_INSTALLER so that uv makes the lock.",
            )
        pins.append(Pin(canonicalize_name(name), version, (f"sha256:{hashes['sha256']}",)))
    return tuple(sorted(pins))
