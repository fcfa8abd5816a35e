"""Installing with our own pinned uv."""

from __future__ import annotations

import contextlib
import datetime
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from colabenv.environment.as_of_errors import explained
from colabenv.environment.installer_errors import error_from, plain, redacted
from colabenv.environment.installers.base import Job
from colabenv.environment.installers.index_settings import secrets_of, uv_variables
from colabenv.environment.installers.progress_parser import ProgressParser
from colabenv.errors import CorruptError, DiskError, InterpreterError, NetworkError, UnsatisfiableError
from colabenv.lock.lockfile import Pin, dump, parse_pins
from colabenv.lock.request import ResolveRequest
from colabenv.system.home import Home
from colabenv.system.process import Completed, Runner


@dataclass(frozen=True)
class UvInstaller:
    """Drives uv.

    Attributes:
        binary: the uv of colabenv's own dependency, never the one on PATH.
        runner: starts it.
        environ: what colabenv inherited.
        home: gives cache and interpreters a place.
        log: takes what uv said, for the log file.
    """

    binary: Path
    runner: Runner
    environ: Mapping[str, str]
    home: Home
    log: Callable[[str], None]
    name: str = "uv"
    reason: str = ""

    def resolve(self, request: ResolveRequest) -> tuple[Pin, ...]:
        """See `Resolver.resolve`: `uv pip compile`, which reads metadata only."""
        with tempfile.TemporaryDirectory(prefix="colabenv-") as folder:
            asked, limits, answer = (Path(folder) / name for name in ("asked.in", "limits.in", "answer.txt"))
            asked.write_text("\n".join(request.requirements) + "\n", encoding="utf-8")
            limits.write_text("\n".join(request.constraints) + "\n", encoding="utf-8")
            if request.preferred:
                # uv keeps the versions of an output file that is already there.
                answer.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in request.preferred))
            arguments = [
                "pip",
                "compile",
                str(asked),
                "--constraints",
                str(limits),
                "--output-file",
                str(answer),
            ]
            arguments += [
                "--python-version",
                request.python,
                "--generate-hashes",
                "--no-annotate",
                "--no-header",
            ]
            arguments += ["--python-platform", request.platform] if request.platform else []
            arguments += [*_dated(request), *_only_wheels(request.source_builds), "--quiet"]
            done = self._run(arguments, request.indexes)
            if done.returncode != 0:
                said, secrets = done.output + done.errors, secrets_of(request.indexes)
                error = error_from("resolving the profile", said, secrets)
                if request.as_of and isinstance(error, UnsatisfiableError):
                    raise explained(error, redacted(plain(said), secrets), request.as_of)
                raise error
            return parse_pins(answer.read_text(encoding="utf-8"), "uv's answer")

    def create(self, job: Job) -> None:
        """See `Installer.create`."""
        arguments = [
            "venv",
            "--python",
            str(job.interpreter.path),
            "--no-project",
            "--quiet",
            str(job.prefix),
        ]
        done = self._run(arguments, ())
        if done.returncode != 0:
            raise error_from("creating the virtual environment", done.output + done.errors)

    def install(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """See `Installer.install`: `uv pip sync`."""
        self._install(["sync"], job, on_progress)

    def add(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """See `Installer.add`: `uv pip install`, which leaves alone what it was not asked for."""
        self._install(["install", "--no-deps", "--requirement"], job, on_progress)

    def _install(self, verb: list[str], job: Job, on_progress: Callable[[str], None]) -> None:
        """Run one of the verbs under a pty, since uv draws its progress nowhere else."""
        meter = ProgressParser(len(job.lock.pins))
        with _arguments(verb, job) as arguments:
            done = self.runner.watch(
                [str(self.binary), *arguments],
                env=self._variables(job.indexes),
                on_output=lambda piece: on_progress(meter.feed(piece)),
            )
        self._note(done, secrets_of(job.indexes))
        if done.returncode != 0:
            raise error_from("installing", done.output, secrets_of(job.indexes))

    def has_all(self, job: Job) -> bool:
        """See `Installer.has_all`: uv says what it would download, in some 0.1 s."""
        with _arguments(
            ["install", "--no-deps", "--offline", "--dry-run", "--requirement"], job
        ) as arguments:
            done = self._run(arguments, job.indexes)
        said = plain(done.output + done.errors)
        return done.returncode == 0 and "Would install" in said and "Would download" not in said

    def download_python(self, version: str) -> Path:
        """See `Installer.download_python`."""
        # Not --quiet: uv 0.13 then says neither why a download failed nor, below, where the interpreter is.
        done = self._run(["python", "install", version, "--no-progress"], ())
        if done.returncode != 0:
            error = error_from(f"downloading Python {version}", done.output + done.errors)
            if isinstance(error, NetworkError):
                raise NetworkError(
                    f"Python {version} is not on this machine, and the place to download it from could not be reached.",
                    hint="Name a Python that is here, or set UV_PYTHON_INSTALL_MIRROR to a mirror that can be reached.",
                    detail=error.detail,
                )
            if isinstance(error, DiskError):
                raise error
            if isinstance(error, CorruptError):
                raise CorruptError(
                    f"The Python {version} that was downloaded is damaged; it was not used.",
                    hint="Run the same command again. If it stays so, set UV_PYTHON_INSTALL_MIRROR to another mirror.",
                    detail=error.detail,
                )
            raise InterpreterError(
                f"Python {version} is not on this machine, and uv could not download it.",
                hint="Check the version in the profile; colabenv knows 3.8 to 3.13.",
                detail=error.detail,
            )
        found = self._run(["python", "find", version, "--managed-python", "--no-project"], ())
        if found.returncode != 0 or not found.output.strip():
            raise InterpreterError(
                f"uv said it downloaded Python {version}, but it cannot be found.",
                hint=f"Remove {self.home.pythons} and try again.",
                detail=plain(found.errors),
            )
        return Path(found.output.strip())

    def _run(self, arguments: list[str], indexes: tuple[tuple[str, str], ...]) -> Completed:
        done = self.runner.run([str(self.binary), *arguments], env=self._variables(indexes))
        self._note(done, secrets_of(indexes))
        return done

    def _variables(self, indexes: tuple[tuple[str, str], ...]) -> dict[str, str]:
        variables = uv_variables(self.environ, indexes, self.home.cache, self.home.pythons)
        # uv draws no progress on a terminal that it does not know.
        variables.setdefault("TERM", "xterm")
        return variables

    def _note(self, done: Completed, secrets: tuple[str, ...]) -> None:
        said = plain(done.output + done.errors).strip()
        self.log(redacted(f"$ {' '.join(done.argv)}\n{said}\nexit status {done.returncode}\n", secrets))


@contextlib.contextmanager
def _arguments(verb: list[str], job: Job) -> Iterator[list[str]]:
    """Arguments for a verb of `uv pip` that takes a lock; the lock's file is there meanwhile."""
    with tempfile.TemporaryDirectory(prefix="colabenv-") as folder:
        lock = Path(folder) / "lock.txt"
        lock.write_text(dump(job.lock), encoding="utf-8")
        python = str(job.prefix / "bin" / "python")
        yield [
            "pip",
            *verb,
            str(lock),
            "--require-hashes",
            "--python",
            python,
            *_only_wheels(job.source_builds),
        ]


def _dated(request: ResolveRequest) -> list[str]:
    """The day of the request, and of what is exempt from it.

    uv reads a bare date in the machine's own time zone, so the moment at which the day ends in UTC is written out. It
    takes a file without an upload time for too new.
    """
    if not request.as_of:
        return []
    arguments = ["--exclude-newer", _end_of(request.as_of)]
    for name, day in request.exempt:
        arguments += ["--exclude-newer-package", f"{name}={_end_of(day) if day else 'false'}"]
    return arguments


def _end_of(day: str) -> str:
    return f"{datetime.date.fromisoformat(day) + datetime.timedelta(days=1)}T00:00:00Z"


def _only_wheels(source_builds: tuple[str, ...]) -> list[str]:
    arguments = ["--only-binary", ":all:"]
    for name in source_builds:
        arguments += ["--no-binary", name]
    return arguments
