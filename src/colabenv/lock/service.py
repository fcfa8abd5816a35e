"""Find the lock of a profile that fits, or resolve and write a new one."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from colabenv.errors import LockError, UnsatisfiableError, UsageError
from colabenv.frameworks.as_of import explain_new_python
from colabenv.frameworks.conflicts import explain_unknown_release
from colabenv.frameworks.facts import load_table
from colabenv.frameworks.plan import Plan
from colabenv.host.interpreters import Interpreter
from colabenv.lock import files
from colabenv.lock.colab_versions import find_differences
from colabenv.lock.conflict_text import summarize_conflict
from colabenv.lock.kernel_packages import KERNEL_PARTS
from colabenv.lock.lockfile import Lock, Pin
from colabenv.lock.request import PythonSource, Resolver
from colabenv.lock.resolve import fits_plan, resolve_plan
from colabenv.profile.load import LoadedProfile
from colabenv.profile.urls import index_urls
from colabenv.system.workspace import Workspace


@dataclass(frozen=True)
class ExistingLock:
    """The lock of a variant as it is on disk.

    Attributes:
        lock: its content, or None if there is none.
        path: its path, or the path that a new lock would have.
        fits: whether it was made for the current profile.
        same_time: whether it was made for the profile's current `as_of` and `like`.
    """

    lock: Lock | None
    path: Path
    fits: bool
    same_time: bool = True

    @property
    def pins(self) -> tuple[Pin, ...]:
        """The pins to keep if they still fit; empty without a lock, or if `as_of` or `like` have changed."""
        return self.lock.pins if self.lock and self.same_time else ()

    @property
    def problem(self) -> str:
        """Why it does not fit, as part of a sentence; "" if it does."""
        if self.lock is None:
            return f"there is no lock {self.path}"
        return "" if self.fits else f"{self.path} was made for another version of this profile"


@dataclass(frozen=True)
class EnsuredLock:
    """A lock that fits the plan.

    Attributes:
        lock: its content.
        interpreter: the Python to build on.
        path: its path.
        state: "kept", "new" or "changed".
    """

    lock: Lock
    interpreter: Interpreter
    path: Path
    state: str


def find_lock(
    plan: Plan, loaded: LoadedProfile, workspace: Workspace, *, frozen: bool = False
) -> ExistingLock:
    """Find the lock that fits, else the first that exists, else the path of a new one.

    Raises:
        LockError: a lock cannot be read, or with `frozen`, none fits.
    """
    existing = _find_lock(plan, loaded, workspace)
    if frozen and not existing.fits:
        raise LockError(
            f"--frozen was given, but {existing.problem}.",
            hint="Run colabenv up without --frozen once, and commit the lock that it writes beside the profile.",
        )
    return existing


def _find_lock(plan: Plan, loaded: LoadedProfile, workspace: Workspace) -> ExistingLock:
    key = (loaded.path, plan.name, plan.variant, workspace.home)
    outdated: ExistingLock | None = None
    for lock, path in files.iterate_locks(*key, builtin=loaded.builtin):
        if fits_plan(lock, plan):
            return ExistingLock(lock, path, fits=True)
        same_time = (lock.header.as_of, lock.header.like) == (plan.as_of, plan.like)
        outdated = outdated or ExistingLock(lock, path, fits=False, same_time=same_time)
    return outdated or ExistingLock(None, files.lock_paths(*key, builtin=loaded.builtin)[0], fits=False)


def ensure_lock(
    plan: Plan,
    existing: ExistingLock,
    loaded: LoadedProfile,
    resolver: Resolver,
    interpreter: Interpreter,
    workspace: Workspace,
    *,
    write: bool = True,
) -> EnsuredLock:
    """Return the existing lock if it fits, else resolve a new one and write it.

    Args:
        plan: the plan that the lock must fit.
        existing: see `find_lock`.
        loaded: the profile.
        resolver: the resolver to use.
        interpreter: a Python of the plan's version.
        workspace: for progress and notes.
        write: whether to write a new lock.

    Raises:
        UnsatisfiableError, NetworkError: the plan cannot be resolved.
        DiskError: the lock cannot be written.
    """
    if existing.lock is not None and existing.fits:
        return EnsuredLock(existing.lock, interpreter, existing.path, "kept")
    lock = resolve_lock(plan, loaded, resolver, interpreter, existing.pins, workspace)
    state = "changed" if existing.lock else "new"
    path = existing.path
    if write:
        path = files.write_lock(lock, loaded.path, workspace.home, builtin=loaded.builtin)
    return EnsuredLock(lock, interpreter, path, state)


def resolve_lock(
    plan: Plan,
    loaded: LoadedProfile,
    resolver: Resolver,
    interpreter: Interpreter,
    preferred: tuple[Pin, ...],
    workspace: Workspace,
) -> Lock:
    """Resolve a plan without writing the lock. A note says if google.colab had to be left out.

    Args:
        plan: what to resolve.
        loaded: the profile, for its indexes.
        resolver: the resolver to use.
        interpreter: a Python of the plan's version.
        preferred: pins to keep if they still fit.
        workspace: for progress and notes.

    Raises:
        UnsatisfiableError, NetworkError: the plan cannot be resolved.
        ProfileError: a variable of an index URL is not set.
    """
    workspace.progress.stage("Choosing versions")
    indexes = index_urls(loaded.profile, workspace.environ)
    try:
        lock, conflict = resolve_plan(plan, resolver, interpreter.path, indexes, preferred)
    except UnsatisfiableError as error:
        reason = explain_unknown_release(plan.requirements.lines, load_table())
        if plan.as_of and not reason:
            reason = explain_new_python(plan.python_minor, plan.as_of)
        if not reason:
            raise
        raise UnsatisfiableError(error.message, hint=reason, detail=error.detail) from error
    # A difference in the kernel's own parts does not change what the notebook imports.
    others = [
        difference
        for difference in find_differences(lock.pins, plan.shipped)
        if difference[0] not in KERNEL_PARTS
    ]
    if others:
        listed = ", ".join(f"{name} {version} instead of {shipped}" for name, version, shipped in others)
        workspace.progress.note(
            f"The profile's versions need packages that differ from {plan.like}: {listed}."
        )
    widgets = lock.version_of("ipywidgets")
    if plan.google_colab != "off" and widgets and Version(widgets).major >= 8:
        workspace.progress.note(
            f"Colab's page does not show the widgets of ipywidgets {widgets}, which the profile's versions require; it "
            "shows those of ipywidgets 7. Jupyter shows both."
        )
    if conflict:
        workspace.progress.note(
            "The kernel has ipykernel's own class: Colab's needs ipykernel 6.17.1 and ipython 7.34.0, which the "
            f"profile's versions exclude ({summarize_conflict(conflict)}). Drive, secrets, files and forms still work."
        )
    return lock


def check_locks(plans: Sequence[Plan], loaded: LoadedProfile, workspace: Workspace) -> list[ExistingLock]:
    """Check offline that every plan has a lock that fits, and return the locks.

    Raises:
        LockError: a lock is missing or does not fit.
    """
    existing = [find_lock(plan, loaded, workspace) for plan in plans]
    problems = "; ".join(lock.problem for lock in existing if lock.problem)
    if problems:
        raise LockError(
            f"{problems[0].upper()}{problems[1:]}.",
            hint=f"Run colabenv lock {loaded.reference}, and commit the locks that it writes.",
        )
    return existing


def update_locks(
    plans: Sequence[Plan],
    loaded: LoadedProfile,
    source: PythonSource,
    workspace: Workspace,
    upgrade: Sequence[str] | None,
) -> list[tuple[ExistingLock, Lock, Path]]:
    """Resolve the plans whose locks do not fit. Locks are written only after all plans are resolved.

    Args:
        plans: one for each variant.
        loaded: the profile.
        source: finds Pythons, and resolves.
        workspace: for progress and notes.
        upgrade: None keeps pins where they fit; names let those change; an empty sequence lets all change.

    Returns:
        For each plan the old lock, the new lock, and its path.

    Raises:
        UsageError: a package to upgrade is in no lock.
        UnsatisfiableError, NetworkError, InterpreterError: a plan cannot be resolved. All locks stay unchanged.
    """
    existing = [find_lock(plan, loaded, workspace) for plan in plans]
    names = tuple(canonicalize_name(name) for name in upgrade or ())
    _require_pinned(upgrade or (), [lock.lock for lock in existing if lock.lock])
    locks = []
    for plan, old in zip(plans, existing, strict=True):
        if old.lock and old.fits and upgrade is None:
            locks.append(old.lock)
            continue
        interpreter = source.find_interpreter(plan.requirements.python)
        preferred = (
            ()
            if upgrade is not None and not names
            else tuple(pin for pin in old.pins if pin.name not in names)
        )
        locks.append(resolve_lock(plan, loaded, source, interpreter, preferred, workspace))
    updated = []
    for old, lock in zip(existing, locks, strict=True):
        path = old.path
        if lock != old.lock:
            path = files.write_lock(lock, loaded.path, workspace.home, builtin=loaded.builtin)
        updated.append((old, lock, path))
    return updated


def _require_pinned(packages: Sequence[str], locks: Sequence[Lock]) -> None:
    pinned = sorted({pin.name for lock in locks for pin in lock.pins})
    for package in packages:
        if locks and canonicalize_name(package) not in pinned:
            close = difflib.get_close_matches(canonicalize_name(package), pinned, n=1)
            raise UsageError(
                f"'{package}' is not in the locks of this profile, so it cannot be upgraded.",
                hint=(f"Did you mean {close[0]}? " if close else "")
                + "Name packages that the lock pins, without a version; versions belong in the profile.",
            )


@dataclass(frozen=True)
class VersionChange:
    """A distribution whose version changed; `old` is "" for an added one, `new` for a removed one."""

    name: str
    old: str
    new: str

    def __str__(self) -> str:
        if not self.old:
            return f"{self.name} {self.new} (added)"
        return f"{self.name} {self.old} -> {self.new}" if self.new else f"{self.name} {self.old} (removed)"


def compare_locks(old: Lock | None, new: Lock) -> tuple[tuple[VersionChange, ...], tuple[str, ...]]:
    """The versions that changed, and the names with the same version and other files; both sorted by name."""
    if old is None:
        return (), ()
    old_pins, new_pins = ({pin.name: pin for pin in lock.pins} for lock in (old, new))
    changes, rehashed = [], []
    for name in sorted({*old_pins, *new_pins}):
        old_pin, new_pin = (pins.get(name, Pin(name, "", ())) for pins in (old_pins, new_pins))
        if old_pin.version != new_pin.version:
            changes.append(VersionChange(name, old_pin.version, new_pin.version))
        elif old_pin.hashes != new_pin.hashes:
            rehashed.append(name)
    return tuple(changes), tuple(rehashed)
