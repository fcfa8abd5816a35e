"""Building an environment: at its final place, since a venv cannot be moved, and stamped last.

A folder without a stamp is half-made and is never used; whoever finds one removes it and starts again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from colabenv.environment.installers.base import Installer, Job
from colabenv.errors import ColabenvError
from colabenv.host.interpreters import Interpreter
from colabenv.lock.lockfile import Lock, digest_of, dump
from colabenv.system.files import disk_error, remove_tree, write_atomically
from colabenv.system.home import FORMAT, Home
from colabenv.system.progress import Progress

_STAMP = "stamp.json"
#: A copy of what was installed: the lock beside the profile moves on.
LOCK_COPY = "lock.txt"


@dataclass(frozen=True)
class Stamp:
    """What was built, written when all of it is there.

    Attributes:
        name: of the profile.
        digest: of lock, Python, variant and kernel settings.
        python: full version.
        variant: "cpu" or "gpu".
        kernel: "colab" or "plain".
        packages: how many distributions.
        installer: "uv" or "pip".
        built: seconds since the epoch.
        profile: path of the profile it was built from.
        lock: path of the lock it was built from.
    """

    name: str
    digest: str
    python: str
    variant: str
    kernel: str
    packages: int
    installer: str
    built: float
    profile: str
    lock: str


@dataclass(frozen=True)
class Environment:
    """A built environment: its folder and its stamp."""

    prefix: Path
    stamp: Stamp

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.prefix / "bin" / "python"


def environment_digest(
    lock: Lock, interpreter: Interpreter, variables: dict[str, str], google_colab: str
) -> str:
    """Names the folder: 16 hex digits over all that decides how the environment behaves."""
    return digest_of(
        {
            "format": FORMAT,
            "pins": lock.pins_digest,
            "python": interpreter.version,
            "variant": lock.header.variant,
            "kernel": [lock.header.kernel, google_colab],
            "variables": variables,
        }
    )[:16]


def read_environment(prefix: Path) -> Environment | None:
    """The environment at `prefix`, or None where there is none or a half-made one."""
    try:
        fields = json.loads((prefix / _STAMP).read_text(encoding="utf-8"))
        stamp = Stamp(**fields)
    except (OSError, ValueError, TypeError):
        return None
    return Environment(prefix, stamp) if (prefix / "bin" / "python").exists() else None


def find_environments(home: Home, name: str | None = None) -> Iterator[Environment]:
    """All whole environments, or those of one name, the newest first within a name."""
    folders = [home.envs / name] if name else sorted(home.envs.glob("[!.]*"))
    for folder in folders:
        found = [
            environment
            for prefix in folder.glob("[!.]*")
            if (environment := read_environment(prefix)) is not None
        ]
        yield from sorted(found, key=lambda environment: -environment.stamp.built)


def build(
    job: Job, stamp: Stamp, installer: Installer, progress: Progress
) -> tuple[Environment, dict[str, float]]:
    """The environment at the job's prefix: as it is where it is whole, else built anew.

    The caller holds the name's lock file.

    Returns:
        The environment, and seconds by stage, empty where nothing was built.

    Raises:
        ColabenvError: it could not be built; what was begun has been removed.
    """
    whole = read_environment(job.prefix)
    if whole is not None:
        return whole, {}
    remove_tree(job.prefix)
    seconds = {}
    try:
        job.prefix.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        progress.stage("Creating the environment")
        installer.create(job)
        seconds["create"] = time.monotonic() - started
        started = time.monotonic()
        progress.stage("Installing")
        installer.install(job, progress.update)
        seconds["install"] = time.monotonic() - started
        write_atomically(job.prefix / LOCK_COPY, dump(job.lock))
        write_stamp(job.prefix, dataclasses.replace(stamp, built=time.time()))
    except BaseException:
        # A removal that fails must not hide why; the stamp is missing, so the rest is never used.
        with contextlib.suppress(ColabenvError):
            remove_tree(job.prefix)
        raise
    environment = read_environment(job.prefix)
    if environment is None:
        raise AssertionError(f"{job.prefix} was just stamped")
    return environment, seconds


def rebuild(
    job: Job, stamp: Stamp, installer: Installer, progress: Progress
) -> tuple[Environment, dict[str, float]]:
    """Build the environment at the job's prefix anew; the one that is there comes back if that fails.

    See `build` for arguments, result and errors.
    """
    aside = job.prefix.with_name(f".old-{job.prefix.name}")
    remove_tree(aside)
    try:
        job.prefix.rename(aside)
    except OSError as error:
        raise disk_error(error, job.prefix) from error
    try:
        made = build(job, stamp, installer, progress)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.rename(job.prefix)
        raise
    remove_tree(aside)
    return made


def write_stamp(prefix: Path, stamp: Stamp) -> None:
    """Declare the environment at `prefix` whole."""
    write_atomically(prefix / _STAMP, json.dumps(dataclasses.asdict(stamp), indent=2) + "\n")
