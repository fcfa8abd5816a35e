"""What `up` and `lock` share: from a profile to the question, and from the question to a lock."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from colabenv.commands.context import Context, index_urls
from colabenv.environment.installers.base import Installer
from colabenv.errors import InterpreterError, NetworkError, UnsatisfiableError
from colabenv.frameworks import plan as rules
from colabenv.frameworks.as_of import PointInTime, python_trouble
from colabenv.frameworks.facts import table
from colabenv.frameworks.plan import Requirements
from colabenv.frameworks.refusals import no_such_release
from colabenv.frameworks.runtimes import runtime
from colabenv.host import interpreters
from colabenv.host.interpreters import Interpreter
from colabenv.host.probe import Gpu
from colabenv.lock import files as lock_files
from colabenv.lock.colab_versions import differing
from colabenv.lock.conflict_text import summarize_conflict
from colabenv.lock.lockfile import Lock, Pin
from colabenv.lock.resolve import KERNEL_PARTS, Plan, fits, resolve
from colabenv.profile.load import LoadedProfile
from colabenv.profile.validators import parse_specifier


@dataclass(frozen=True)
class ExistingLock:
    """The lock of a variant as it lies on the disk.

    Attributes:
        lock: what it says, or None where there is none.
        path: where it lies, or would.
        fits: whether it was made for the profile as it is now.
        same_time: whether it was made for the `as_of` and `like` that the profile has now.
    """

    lock: Lock | None
    path: Path
    fits: bool
    same_time: bool = True

    @property
    def pins(self) -> tuple[Pin, ...]:
        """Its pins, to keep where they still fit; none where there is no lock, or one of another time."""
        return self.lock.pins if self.lock and self.same_time else ()

    @property
    def trouble(self) -> str:
        """Why it cannot be installed, as part of a sentence; "" where it can."""
        if self.lock is None:
            return f"there is no lock {self.path}"
        return "" if self.fits else f"{self.path} was made for another profile than this one"


@dataclass(frozen=True)
class ResolveTools:
    """What a lock is made with.

    Attributes:
        installer: resolves.
        interpreter: of the plan's Python.
        indexes: (name, URL) of the profile's indexes, credentials included.
    """

    installer: Installer
    interpreter: Interpreter
    indexes: tuple[tuple[str, str], ...]


def requirements_of(loaded: LoadedProfile, variant: str, gpus: tuple[Gpu, ...] = ()) -> Requirements:
    """What the profile asks for in a variant.

    Args:
        loaded: the profile.
        variant: "cpu" or "gpu".
        gpus: what it has to run on; none where it is only written down.

    Raises:
        UnsatisfiableError: the stack cannot work on the profile's Python, or on those GPUs, or was not there as of the
            profile's day.
        ProfileError: `like` and `as_of` contradict each other.
    """
    stack = loaded.profile.stack
    era = _era(loaded, variant)

    def ask(python: str | None, versions: Mapping[str, str | None]) -> Requirements:
        return rules.requirements(
            python=python,
            **versions,
            backend=stack.backend,
            lines=loaded.requirement_lines,
            variant=variant,
            default_python=era.default_python(f"{sys.version_info.major}.{sys.version_info.minor}"),
            gpus=gpus,
            table=era.table(),
        )

    asked = {"tensorflow": stack.tensorflow, "keras": stack.keras, "torch": stack.torch, "jax": stack.jax}
    versions = {name: parse_specifier(text) if text else None for name, text in asked.items()}
    return era.requirements(loaded.profile.python, versions, ask)


def _era(loaded: LoadedProfile, variant: str) -> PointInTime:
    """The time that the profile means."""
    like = loaded.profile.like
    return PointInTime(loaded.profile.as_of or "", runtime(like) if like else None, variant)


def plan_of(loaded: LoadedProfile, requirements: Requirements, platform: str) -> Plan:
    """All that decides what the lock holds; `platform` as of `Host`."""
    profile = loaded.profile
    return Plan(
        name=profile.name,
        requirements=requirements,
        google_colab=profile.kernel.google_colab,
        source_builds=tuple(dict.fromkeys((*profile.source_builds, *requirements.from_source))),
        index_names=tuple(index.name for index in profile.indexes),
        platform=platform,
        as_of=profile.as_of or "",
        like=profile.like or "",
        shipped=_era(loaded, requirements.variant).shipped,
    )


def tools_for(
    loaded: LoadedProfile,
    python: str,
    context: Context,
    stored: Callable[[str, bool], Path | None] | None = None,
) -> ResolveTools:
    """The installer, an interpreter of that Python, downloaded where there is none, and the indexes.

    Args:
        loaded: the profile.
        python: "3.10", or a full version.
        context: the machine.
        stored: gives a store's Python, or None; also told whether it can be had nowhere else.

    Raises:
        InterpreterError, NetworkError: there is no such Python to be had.
        ProfileError: a variable of an index is not set.
    """
    installer = context.installer()
    interpreter = _interpreter(python, installer, context, stored)
    return ResolveTools(installer, interpreter, index_urls(loaded.profile, context.environ))


def find_lock(plan: Plan, loaded: LoadedProfile, context: Context) -> ExistingLock:
    """The lock that fits, else the first that is there, else where one would be written.

    Raises:
        LockError: there is one, and it cannot be read.
    """
    where = (loaded.path, plan.name, plan.requirements.variant, context.home)
    other: ExistingLock | None = None
    for lock, path in lock_files.found(*where, shipped=loaded.builtin):
        if fits(lock, plan):
            return ExistingLock(lock, path, fits=True)
        times = (lock.header.as_of, lock.header.like)
        other = other or ExistingLock(lock, path, fits=False, same_time=times == (plan.as_of, plan.like))
    return other or ExistingLock(None, lock_files.places(*where, shipped=loaded.builtin)[0], fits=False)


def resolve_lock(plan: Plan, tools: ResolveTools, preferred: tuple[Pin, ...], context: Context) -> Lock:
    """Resolve; says so where google.colab had to be left out. Nothing is written.

    Args:
        plan: what to resolve.
        tools: what with.
        preferred: pins to keep where they still fit.
        context: takes progress and notes.

    Raises:
        UnsatisfiableError, NetworkError: why there is no lock.
    """
    context.progress.stage("Choosing versions")
    try:
        lock, why_plain = resolve(plan, tools.installer, tools.interpreter.path, tools.indexes, preferred)
    except UnsatisfiableError as error:
        trouble = no_such_release(plan.requirements.lines, table())
        if plan.as_of and not trouble:
            trouble = python_trouble(plan.python_minor, plan.as_of)
        if not trouble:
            raise
        raise UnsatisfiableError(error.message, hint=trouble, detail=error.detail) from error
    # That the kernel's own parts are others says nothing about what the notebook imports.
    others = [one for one in differing(lock.pins, plan.shipped) if one[0] not in KERNEL_PARTS]
    if others:
        listed = ", ".join(f"{name} {version} (there {had})" for name, version, had in others)
        context.progress.note(f"Other than on {plan.like}, as the profile's own versions want it: {listed}.")
    if why_plain:
        context.progress.note(
            "The kernel is a plain one: the profile's pins exclude the ipykernel 6.17.1 and ipython 7.34.0 that "
            f"google.colab needs, so Drive, secrets and forms will not work in it ({summarize_conflict(why_plain)})."
        )
    return lock


def _interpreter(
    wanted: str, installer: Installer, context: Context, stored: Callable[[str, bool], Path | None] | None
) -> Interpreter:
    def download(version: str) -> Path:
        context.progress.stage(f"Downloading Python {version}")
        found = stored(version, False) if stored else None
        if found is not None:
            return found
        try:
            return installer.download_python(version)
        except (InterpreterError, NetworkError):
            found = stored(version, True) if stored else None
            if found is None:
                raise
            return found

    found = interpreters.find(
        wanted,
        environ=context.environ,
        runner=context.runner,
        pythons=context.home.pythons,
        download=download if installer.name == "uv" or stored else None,
    )
    context.progress.note(f"Python {found.version} from {found.path} ({found.origin}).")
    if installer.reason:
        context.progress.note(f"Installing with {installer.name}: {installer.reason}.")
    return found
