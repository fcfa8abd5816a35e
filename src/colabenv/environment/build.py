"""Building an environment: in its final folder, since a venv cannot be moved, and stamped last.

A folder without a stamp is incomplete: it is never used, and the next build removes it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from colabenv.environment.distributions import find_damage
from colabenv.environment.installers.base import Installer, Job
from colabenv.environment.source import PackageSource
from colabenv.errors import ColabenvError, LockError
from colabenv.frameworks.plan import Plan
from colabenv.host.interpreters import Interpreter
from colabenv.lock.files import read_lock
from colabenv.lock.lockfile import Lock, compute_digest, format_lock
from colabenv.lock.service import EnsuredLock
from colabenv.profile.load import LoadedProfile
from colabenv.profile.urls import index_urls
from colabenv.system.files import disk_error, remove_tree, write_atomically
from colabenv.system.home import FORMAT, Home
from colabenv.system.progress import Progress
from colabenv.system.workspace import Workspace

_STAMP = "stamp.json"
#: A copy of what was installed; the lock beside the profile may change.
LOCK_COPY = "lock.txt"


@dataclass(frozen=True)
class Stamp:
    """A record of what was built, which is written last."""

    name: str  #: of the profile
    digest: str  #: of lock, Python, variant and kernel settings
    python: str  #: full version
    variant: str  #: "cpu" or "gpu"
    kernel: str  #: "colab" or "plain"
    packages: int  #: how many distributions
    installer: str  #: "uv" or "pip"
    built: float  #: seconds since the epoch
    profile: str  #: path of the profile it was built from
    lock: str  #: path of the lock it was built from


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
    """The name of the folder: 16 hex digits over everything that decides how the environment behaves."""
    return compute_digest(
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
    """The environment at `prefix`, or None if it is missing or incomplete."""
    try:
        fields = json.loads((prefix / _STAMP).read_text(encoding="utf-8"))
        stamp = Stamp(**fields)
    except (OSError, ValueError, TypeError):
        return None
    return Environment(prefix, stamp) if (prefix / "bin" / "python").exists() else None


def find_environments(home: Home, name: str | None = None) -> Iterator[Environment]:
    """All complete environments, or those of one name, the newest first within a name."""
    folders = [home.envs / name] if name else sorted(home.envs.glob("[!.]*"))
    for folder in folders:
        complete = filter(None, map(read_environment, folder.glob("[!.]*")))
        yield from sorted(complete, key=lambda environment: -environment.stamp.built)


@dataclass(frozen=True)
class EnsuredEnvironment:
    """An environment that contains what its lock says."""

    environment: Environment
    seconds: dict[str, float]  #: by step; empty if nothing was built
    variables: dict[str, str]  #: environment variables of its kernel, from the frameworks and the profile


def ensure_environment(
    locked: EnsuredLock, plan: Plan, loaded: LoadedProfile, source: PackageSource, workspace: Workspace
) -> EnsuredEnvironment:
    """Return the environment of a lock: the existing one if it is undamaged, else a new one from `source`.

    The caller holds the file lock of the name.

    Raises:
        ColabenvError: it could not be built. The partial build is removed, and an existing environment is restored.
    """
    profile, lock = loaded.profile, locked.lock
    variables = {**dict(plan.requirements.variables), **profile.env}
    digest = environment_digest(lock, locked.interpreter, variables, profile.kernel.google_colab)
    stamp = Stamp(
        name=profile.name,
        digest=digest,
        python=locked.interpreter.version,
        variant=lock.header.variant,
        kernel=lock.header.kernel,
        packages=len(lock.pins),
        installer=source.installer.name,
        built=0,
        profile=loaded.reference,
        lock=str(locked.path),
    )
    prefix = workspace.home.environment(profile.name, digest)
    indexes = index_urls(profile, workspace.environ)
    job = Job(lock, locked.interpreter, prefix, plan.source_builds, indexes)
    damage = None
    if read_environment(prefix) is not None:
        damage = find_damage(prefix, {pin.name: pin.version for pin in lock.pins})
    if damage is None:
        built = build(job, stamp, source.installer, workspace.progress)
    else:
        workspace.progress.note(f"The existing environment is damaged: {damage}. Rebuilding it.")
        built = rebuild(job, stamp, source.installer, workspace.progress)
    return EnsuredEnvironment(*built, variables)


def build(
    job: Job, stamp: Stamp, installer: Installer, progress: Progress
) -> tuple[Environment, dict[str, float]]:
    """Build the environment at the job's prefix, unless a complete one exists; returns it, and seconds by step.

    Raises:
        ColabenvError: it could not be built. The partial build is removed.
    """
    existing = read_environment(job.prefix)
    if existing is not None:
        return existing, {}
    for leftover in (
        *job.prefix.parent.glob(".trash-*"),
        job.prefix,
    ):  # of builds and removals that were killed
        remove_tree(leftover)
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
        write_atomically(job.prefix / LOCK_COPY, format_lock(job.lock))
        write_stamp(job.prefix, dataclasses.replace(stamp, built=time.time()))
    except BaseException:
        # A removal that fails must not hide the cause. Without a stamp, what is left is never used.
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
    """Build the environment at the job's prefix again; if that fails, the existing one is restored. See `build`."""
    backup = job.prefix.with_name(f".old-{job.prefix.name}")
    remove_tree(backup)
    try:
        job.prefix.rename(backup)
    except OSError as error:
        raise disk_error(error, job.prefix) from error
    try:
        built = build(job, stamp, installer, progress)
    except BaseException:
        with contextlib.suppress(OSError):
            backup.rename(job.prefix)
        raise
    remove_tree(backup)
    return built


def write_stamp(prefix: Path, stamp: Stamp) -> None:
    """Mark the environment at `prefix` as complete."""
    write_atomically(prefix / _STAMP, json.dumps(dataclasses.asdict(stamp), indent=2) + "\n")


def read_lock_copy(environment: Environment) -> Lock:
    """The lock that an environment was built from: its own copy, else the file that its stamp names.

    Raises:
        LockError: neither exists, or it cannot be read.
    """
    stamp = environment.stamp
    lock = read_lock(str(environment.prefix / LOCK_COPY)) or read_lock(stamp.lock)
    if lock is None:
        raise LockError(
            f"The lock of {stamp.name} is missing: {stamp.lock}.",
            hint=f"Restore it, or run: colabenv up {stamp.profile}",
        )
    return lock
