"""Installing with virtualenv and pip, where uv cannot run or is not wanted."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from colabenv.environment.installer_errors import error_from, plain, redacted
from colabenv.environment.installers.base import Job
from colabenv.environment.installers.index_settings import pip_variables, secrets_of
from colabenv.environment.installers.progress_parser import ProgressParser
from colabenv.errors import InstallError, InterpreterError, MachineError
from colabenv.lock.lockfile import Pin, dump, normalised
from colabenv.lock.request import ResolveRequest
from colabenv.system.home import Home
from colabenv.system.process import Completed, Runner

_UNFETCHED = "Could not fetch URL"


@dataclass(frozen=True)
class PipInstaller:
    """Drives virtualenv and the pip it seeds. Attributes as of `UvInstaller`."""

    runner: Runner
    environ: Mapping[str, str]
    home: Home
    log: Callable[[str], None]
    reason: str
    name: str = "pip"

    def resolve(self, request: ResolveRequest) -> tuple[Pin, ...]:
        """See `Resolver.resolve`: pip's own report of what it would install (PyPA's installation report format)."""
        if request.as_of:
            # virtualenv seeds pip 25.3 at most; `--uploaded-prior-to` came with pip 26.0.
            raise MachineError(
                f"pip cannot choose versions as of a day, and the profile says as_of: {request.as_of}.",
                hint="Let uv choose them: unset COLABENV_INSTALLER, or run colabenv lock on another machine. "
                "Installing from the lock then works with pip, too.",
            )
        with tempfile.TemporaryDirectory(prefix="colabenv-") as folder:
            prefix, report = Path(folder) / "venv", Path(folder) / "report.json"
            asked, limits, log = (Path(folder) / name for name in ("asked.txt", "limits.txt", "log.txt"))
            self._virtualenv(request.interpreter, prefix)
            asked.write_text("\n".join(request.requirements) + "\n", encoding="utf-8")
            # pip has no notion of preferred versions, so those still stand as limits, and are given up as a whole.
            kept = [f"{pin.name}=={pin.version}" for pin in request.preferred]
            for extra in [kept, []] if kept else [[]]:
                limits.write_text("\n".join([*request.constraints, *extra]) + "\n", encoding="utf-8")
                arguments = ["install", "--dry-run", "--ignore-installed", "--quiet", "--report", str(report)]
                arguments += ["--requirement", str(asked), "--constraint", str(limits), "--log", str(log)]
                done = self._pip(prefix, [*arguments, *_only_wheels(request.source_builds)], request.indexes)
                if done.returncode == 0:
                    return _pins(report.read_text(encoding="utf-8"))
            said = f"{done.output}{done.errors}\n{unreached(log)}"
            raise error_from("resolving the profile", said, secrets_of(request.indexes))

    def create(self, job: Job) -> None:
        """See `Installer.create`."""
        self._virtualenv(job.interpreter.path, job.prefix)

    def install(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """See `Installer.install`."""
        meter = ProgressParser(len(job.lock.pins))
        with tempfile.TemporaryDirectory(prefix="colabenv-") as folder:
            lock = Path(folder) / "lock.txt"
            lock.write_text(dump(job.lock), encoding="utf-8")
            argv = [
                str(job.prefix / "bin" / "python"),
                "-I",
                "-m",
                "pip",
                "install",
                "--require-hashes",
                "--no-deps",
            ]
            argv += ["--progress-bar", "raw", "--requirement", str(lock), *_only_wheels(job.source_builds)]
            done = self.runner.watch(
                argv,
                env=pip_variables(self.environ, job.indexes, self.home.cache),
                on_output=lambda piece: on_progress(meter.feed(piece)),
            )
        self._note(done, secrets_of(job.indexes))
        if done.returncode != 0:
            raise error_from("installing", done.output, secrets_of(job.indexes))

    def add(self, job: Job, on_progress: Callable[[str], None]) -> None:
        """See `Installer.add`: pip removes nothing anyway."""
        self.install(job, on_progress)

    def has_all(self, job: Job) -> bool:  # noqa: ARG002 - the protocol's
        """See `Installer.has_all`: pip does not tell."""
        return False

    def download_python(self, version: str) -> Path:
        """Pip cannot: see `Installer.download_python`."""
        raise InterpreterError(
            f"Python {version} is not on this machine, and pip cannot download one.",
            hint="Unset COLABENV_INSTALLER so that uv can, or name in the profile a Python that is here.",
        )

    def _virtualenv(self, interpreter: Path, prefix: Path) -> None:
        variables = pip_variables(self.environ, (), self.home.cache)
        # virtualenv would keep its seed wheels in the user's data directory.
        variables["VIRTUALENV_OVERRIDE_APP_DATA"] = str(self.home.cache / "virtualenv")
        argv = [
            sys.executable,
            "-m",
            "virtualenv",
            "--python",
            str(interpreter),
            "--no-periodic-update",
            "--quiet",
        ]
        argv += ["--pip", "bundle", "--no-setuptools", "--no-wheel", str(prefix)]
        done = self.runner.run(argv, env=variables)
        self._note(done, ())
        if done.returncode != 0:
            raise error_from("creating the virtual environment", done.output + done.errors)

    def _pip(self, prefix: Path, arguments: list[str], indexes: tuple[tuple[str, str], ...]) -> Completed:
        argv = [str(prefix / "bin" / "python"), "-I", "-m", "pip", *arguments]
        done = self.runner.run(argv, env=pip_variables(self.environ, indexes, self.home.cache))
        self._note(done, secrets_of(indexes))
        return done

    def _note(self, done: Completed, secrets: tuple[str, ...]) -> None:
        said = plain(done.output + done.errors).strip()
        self.log(redacted(f"$ {' '.join(done.argv)}\n{said}\nexit status {done.returncode}\n", secrets))


def unreached(log: Path) -> str:
    """What pip's log says of pages it could not fetch; on the screen it tells only that nothing matches."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    found = [line[line.index(_UNFETCHED) :] for line in lines if _UNFETCHED in line]
    return "\n".join(dict.fromkeys(found))


def _only_wheels(source_builds: tuple[str, ...]) -> list[str]:
    return ["--only-binary=:all:", *(f"--no-binary={name}" for name in source_builds)]


def _pins(report: str) -> tuple[Pin, ...]:
    pins = []
    for item in json.loads(report)["install"]:
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        hashes = item["download_info"].get("archive_info", {}).get("hashes", {})
        if "sha256" not in hashes:
            raise InstallError(
                f"pip did not say the hash of {name} {version}, so it cannot be locked.",
                hint="Unset COLABENV_INSTALLER so that uv makes the lock.",
            )
        pins.append(Pin(normalised(name), version, (f"sha256:{hashes['sha256']}",)))
    return tuple(sorted(pins))
