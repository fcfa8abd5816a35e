"""Installing with the uv that colabenv depends on."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from colabenv._compat import tomllib
from colabenv.environment.as_of_errors import explain_as_of, find_too_new, find_without_wheels
from colabenv.environment.installer_errors import clean_output, redact
from colabenv.environment.installers.base import (
    Indexes,
    Job,
    lock_as_file,
    require_success,
    run_installer,
    wheel_arguments,
)
from colabenv.environment.installers.index_settings import find_secrets, uv_variables
from colabenv.environment.installers.invalid_metadata import (
    RepairedMetadata,
    find_unparsable,
    format_uv_configuration,
    repair_metadata,
)
from colabenv.environment.installers.progress_parser import ProgressParser
from colabenv.environment.installers.python_downloads import add_download_list, explain_failed_download
from colabenv.errors import InterpreterError, UnsatisfiableError
from colabenv.frameworks.as_of import explain_new_python
from colabenv.lock.lockfile import Lock, Pin, parse_pins
from colabenv.lock.request import ResolveRequest
from colabenv.system.process import CompletedProcess
from colabenv.system.workspace import Workspace

#: Releases with invalid metadata to repair in one resolution. Each is downloaded.
_REPAIR_LIMIT = 8
#: Packages that are exempt from `as_of` at most, because they had no wheels on that day.
_EXEMPT_LIMIT = 40


@dataclass(frozen=True)
class _NothingOfThatDay:
    """Packages without a suitable file on the day of `as_of`, and the error that they cause."""

    names: tuple[str, ...]
    error: UnsatisfiableError


@dataclass(frozen=True)
class UvInstaller:
    """The `Installer` that runs uv."""

    binary: Path  #: the program in the `uv` package that colabenv depends on, never the one on PATH
    workspace: Workspace  #: the surroundings
    name: str = "uv"
    reason: str = ""

    def resolve(self, request: ResolveRequest) -> tuple[Pin, ...]:
        """See `Resolver.resolve`: `uv pip compile`, which downloads metadata only.

        With `as_of`, packages that had no wheels on that day are exempt from it, and what these then need is too.
        """
        exempt: tuple[tuple[str, str], ...] = ()
        while True:
            found = self._compile(replace(request, exempt=(*request.exempt, *exempt)), retry=bool(exempt))
            if isinstance(found, tuple):
                return found
            missing = {name for name in found.names if (name, "") not in exempt}
            if not missing or len(exempt) > _EXEMPT_LIMIT:
                raise found.error
            exempt = (*exempt, *((name, "") for name in sorted(missing)))

    def _compile(self, request: ResolveRequest, *, retry: bool) -> tuple[Pin, ...] | _NothingOfThatDay:
        """One run of uv; with `retry`, packages are already exempt from `as_of`. Raises as `resolve`."""
        with tempfile.TemporaryDirectory(prefix="colabenv-") as folder:
            requirements, constraints, pins = (
                Path(folder) / name for name in ("in.txt", "limits.txt", "out.txt")
            )
            requirements.write_text("\n".join(request.requirements) + "\n", encoding="utf-8")
            constraints.write_text("\n".join(request.constraints) + "\n", encoding="utf-8")
            if request.preferred:
                # uv keeps the versions of an output file that exists.
                pins.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in request.preferred))
            arguments = ["pip", "compile", str(requirements), "--constraints", str(constraints)]
            arguments += ["--output-file", str(pins), "--python-version", request.python]
            arguments += ["--python-platform", request.platform] if request.platform else []
            arguments += ["--generate-hashes", "--no-annotate", "--no-header", "--quiet"]
            arguments += [*_as_of_arguments(request), *wheel_arguments(request.source_builds)]
            process, repaired = self._run_with_repairs(arguments, Path(folder), request)
            try:
                require_success("resolving the profile", process, request.indexes)
            except UnsatisfiableError as error:
                if not request.as_of:
                    raise
                output = redact(clean_output(process.output + process.errors), find_secrets(request.indexes))
                explained = explain_as_of(error, output, request.as_of)
                names = find_without_wheels(output)
                if not names and retry:
                    names = find_too_new(output)
                if explain_new_python(request.python, request.as_of):
                    raise explained from error
                return _NothingOfThatDay(names, explained)
            locked = parse_pins(pins.read_text(encoding="utf-8"), "uv's answer")
        for pin in locked:
            if (pin.name, pin.version) in repaired:
                self.workspace.progress.note(repaired[pin.name, pin.version].describe())
        return locked

    def _run_with_repairs(
        self, arguments: list[str], folder: Path, request: ResolveRequest
    ) -> tuple[CompletedProcess, dict[tuple[str, str], RepairedMetadata]]:
        """Run uv, and again with the metadata that it cannot parse repaired."""
        process = self._run(arguments, request.indexes)
        repaired: dict[tuple[str, str], RepairedMetadata] = {}
        while process.returncode != 0 and len(repaired) < _REPAIR_LIMIT:
            unparsable = set(find_unparsable(process.output + process.errors)) - set(repaired)
            if not unparsable:
                break
            for release in unparsable:
                repaired[release] = self._repair(*release, request)
            configuration = folder / "uv.toml"
            configuration.write_text(format_uv_configuration(repaired.values()), encoding="utf-8")
            process = self._run([*arguments, "--config-file", str(configuration)], request.indexes)
        return process, repaired

    def _repair(self, name: str, version: str, request: ResolveRequest) -> RepairedMetadata:
        """Download a release whose metadata uv cannot parse, and read it. Raises as `resolve`."""
        with tempfile.TemporaryDirectory(prefix="colabenv-") as folder:
            target = ["--target", folder, "--python", str(request.interpreter), "--no-deps", "--quiet"]
            target += ["--python-platform", request.platform] if request.platform else []
            arguments = ["pip", "install", *target, *wheel_arguments(request.source_builds)]
            process = self._run([*arguments, f"{name}=={version}"], request.indexes)
            require_success(f"downloading {name} {version}", process, request.indexes)
            metadata = next(Path(folder).glob("*.dist-info/METADATA")).read_text(encoding="utf-8")
            return repair_metadata(name, version, HeaderParser().parsestr(metadata))

    def create(self, job: Job) -> None:
        """See `Installer.create`."""
        python = str(job.interpreter.path)
        process = self._run(["venv", "--python", python, "--no-project", "--quiet", str(job.prefix)])
        require_success("creating the virtual environment", process)

    def install(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """See `Installer.install`: `uv pip sync`."""
        self._install(["sync"], job, on_progress)

    def add(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """See `Installer.add`: `uv pip install`, which removes no other packages."""
        self._install(["install", "--no-deps", "--requirement"], job, on_progress)

    def _install(self, verb: list[str], job: Job, on_progress: Callable[[str], None]) -> None:
        # Under a pty, since uv draws its progress nowhere else.
        progress = ProgressParser(len(job.lock.pins))
        process = self._run_with_lock(verb, job, lambda piece: on_progress(progress.feed(piece)))
        require_success("installing", process, job.indexes)

    def has_all(self, job: Job) -> bool:
        """See `Installer.has_all`: uv lists what it would download, within 0.1 s."""
        process = self._run_with_lock(
            ["install", "--no-deps", "--offline", "--dry-run", "--requirement"], job
        )
        output = clean_output(process.output + process.errors)
        return process.returncode == 0 and "Would install" in output and "Would download" not in output

    def download_python(self, version: str) -> Path:
        """See `Installer.download_python`."""
        # Not --quiet: uv 0.13 would report neither why a download failed nor, below, where the interpreter is.
        process = self._run(["python", "install", version, "--no-progress"], download=version)
        if process.returncode != 0:
            raise explain_failed_download(version, clean_output(process.output + process.errors))
        process = self._run(["python", "find", version, "--managed-python", "--no-project"])
        if process.returncode != 0 or not process.output.strip():
            raise InterpreterError(
                f"uv downloaded Python {version} but does not find it.",
                hint="Run the same command again.",
                detail=clean_output(process.output + process.errors).strip(),
            )
        return Path(process.output.strip())

    def find_wheel_urls(self, lock: Lock, source_builds: tuple[str, ...], indexes: Indexes) -> dict[str, Any]:
        """A pylock document (PEP 751) with the URLs of the lock's files; downloads neither metadata nor archives.

        For `source_builds`, it has the URLs of source archives instead of wheels.

        Raises:
            NetworkError: an index could not be reached.
            UnsatisfiableError: no index has a version that the lock pins.
        """
        with lock_as_file(lock) as path:
            pylock = Path(path).with_name("pylock.toml")
            arguments = ["pip", "compile", path, "--no-deps", "--quiet", "--no-header"]
            arguments += ["--format", "pylock.toml", "--output-file", str(pylock)]
            arguments += ["--python-version", lock.header.python]
            arguments += ["--python-platform", lock.header.platform] if lock.header.platform else []
            process = self._run([*arguments, *wheel_arguments(source_builds)], indexes)
            require_success("asking the index", process, indexes)
            return dict(tomllib.loads(pylock.read_text(encoding="utf-8")))

    def _run_with_lock(
        self, verb: list[str], job: Job, on_output: Callable[[str], None] | None = None
    ) -> CompletedProcess:
        """Run a verb of `uv pip` that ends with a requirements file."""
        with lock_as_file(job.lock) as path:
            arguments = ["pip", *verb, path, "--require-hashes", "--python", job.python]
            return self._run([*arguments, *wheel_arguments(job.source_builds)], job.indexes, on_output)

    def _run(
        self,
        arguments: list[str],
        indexes: Indexes = (),
        on_output: Callable[[str], None] | None = None,
        *,
        download: str = "",
    ) -> CompletedProcess:
        home = self.workspace.home
        variables = uv_variables(self.workspace.environ, indexes, home.cache, home.pythons)
        if download:
            variables = add_download_list(download, variables)
        # uv draws no progress on an unknown terminal.
        variables.setdefault("TERM", "xterm")
        return run_installer(self.workspace, [str(self.binary), *arguments], variables, indexes, on_output)


def _as_of_arguments(request: ResolveRequest) -> list[str]:
    """Limit the upload date. uv treats a file without an upload time as too new."""
    if not request.as_of:
        return []
    arguments = ["--exclude-newer", _end_of_day(request.as_of)]
    for name, day in request.exempt:
        arguments += ["--exclude-newer-package", f"{name}={_end_of_day(day) if day else 'false'}"]
    return arguments


def _end_of_day(day: str) -> str:
    """The end of a day in UTC, since uv reads a bare date in the machine's own time zone."""
    return f"{datetime.date.fromisoformat(day) + datetime.timedelta(days=1)}T00:00:00Z"
