"""`save`: what was installed by hand since the environment was built, back into the profile and its locks."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from colabenv.commands.context import Context
from colabenv.environment.build import Environment, read_lock_copy
from colabenv.environment.distributions import InstalledDistribution, find_distributions
from colabenv.environment.source import PackageSource
from colabenv.environment.unmanaged_packages import UnmanagedPackages, find_unmanaged
from colabenv.errors import ColabenvError, DiskError, UnsatisfiableError, UsageError
from colabenv.frameworks.plan import make_plan
from colabenv.host.interpreters import minor_version
from colabenv.kernel.lookup import find_environment
from colabenv.lock import files as lock_files
from colabenv.lock import service
from colabenv.lock.lockfile import Lock, Pin, is_same_version
from colabenv.lock.resolve import ALWAYS_INSTALLED
from colabenv.output.lock import VariantLock
from colabenv.output.save import SaveResult, differing, unsaved
from colabenv.profile.edit import UneditableError
from colabenv.profile.load import LoadedProfile, load
from colabenv.profile.rewrite import ProfileRewrite, encode_text, list_own_files, read_texts
from colabenv.profile.validators import parse_specifier
from colabenv.system.files import write_atomically

#: Keys of `stack` that are distributions with a version.
_STACK = ("tensorflow", "keras", "torch", "jax")


@dataclass(frozen=True)
class _Job:
    """All that is known before anything is resolved."""

    environment: Environment
    loaded: LoadedProfile
    found: tuple[InstalledDistribution, ...]
    changes: UnmanagedPackages
    markers: Mapping[str, str]
    base: tuple[Pin, ...]
    texts: Mapping[Path, tuple[str, bytes]]


@dataclass(frozen=True)
class _Made:
    """A variant's lock, before and after."""

    old: service.ExistingLock
    new: Lock


def save(context: Context, name: str, *, dry_run: bool = False) -> SaveResult:
    """Write what was installed by hand in an environment to its profile and locks.

    Args:
        context: the machine.
        name: of the environment.
        dry_run: resolve, say what would change, and write nothing.

    Returns:
        What changed. Profile and locks are written together, after all of it has been resolved.

    Raises:
        UsageError: there is no such environment, or its profile is not the person's to change.
        ProfileError, LockError: its profile or its lock is gone, broken, or has to be changed by a person.
        UnsatisfiableError, NetworkError: why there is no lock of it; nothing has changed.
        DiskError: it cannot be written; nothing has changed.
    """
    environment = find_environment(name, context)
    loaded = load(environment.stamp.profile, context.outside())
    if loaded.profile.name != environment.stamp.name:
        raise UsageError(
            f"{loaded.path} now describes {loaded.profile.name}, not {environment.stamp.name}.",
            hint=f"Build that with colabenv up {loaded.path}, and save from it.",
        )
    with context.hold_environment(environment.stamp.name):
        job = _look(environment, loaded, context)
        if not job.changes.can_be_saved:
            return SaveResult(
                name, dry_run, str(loaded.path), unsaved=_unsaved(job, None), notes=context.notes()
            )
        if loaded.builtin:
            raise _shipped(job)
        with _told_by_hand(job):
            rewriting, made = _resolve(job, context)
            return _finish(job, rewriting, made, context, dry_run=dry_run)


def _look(environment: Environment, loaded: LoadedProfile, context: Context) -> _Job:
    stamp = environment.stamp
    markers = {
        **{key: str(value) for key, value in default_environment().items()},
        "python_version": minor_version(stamp.python),
        "python_full_version": stamp.python,
        "implementation_version": stamp.python,
        "extra": "",
    }
    found = find_distributions(environment.prefix)
    lock = read_lock_copy(environment)
    changes = find_unmanaged(found, lock, loaded.requirement_lines, markers)
    held = _held(loaded, stamp.variant, context)
    if held.lock is not None and held.lock.pins_digest != lock.pins_digest:
        context.progress.note(
            f"{held.path} has changed since {stamp.name} was built; what was installed by hand is added to it as it is."
        )
    texts = read_texts(list_own_files(loaded.path, loaded.profile.requirements))
    return _Job(environment, loaded, found, changes, markers, held.pins or lock.pins, texts)


def _held(loaded: LoadedProfile, variant: str, context: Context) -> service.ExistingLock:
    return service.find_lock(make_plan(loaded, variant), loaded, context)


def _resolve(job: _Job, context: Context) -> tuple[ProfileRewrite, list[_Made]]:
    """The changed texts and the locks that go with them.

    Where the resolver would choose another version than was installed, that version is named in the profile as well,
    if there is a lock with it.
    """
    rewriting = ProfileRewrite(
        job.loaded.path, {path: text for path, (text, _) in job.texts.items()}, job.markers
    )
    _rewrite(rewriting, job)
    first = _make(job, rewriting, context)
    new = {pin.name: pin.version for pin in first[0].new.pins}
    missed = {
        name: version
        for name, version in job.changes.versions.items()
        if name not in ALWAYS_INSTALLED and not is_same_version(new.get(name, ""), version)
    }
    if not missed:
        return rewriting, first
    again = replace(rewriting, after=dict(rewriting.after))
    try:
        again.pin_packages(missed)
        return again, _make(job, again, context)
    except UnsatisfiableError:
        return rewriting, first  # and `differs` tells which


def _rewrite(rewriting: ProfileRewrite, job: _Job) -> None:
    """What the profile has to say: added packages, and other versions where it excludes the one that is installed."""
    stack = job.loaded.profile.stack
    for one in job.changes.changed:
        name, version = one.installed.name, one.installed.version
        said = getattr(stack, name, None) if name in _STACK else None
        brought = name == "keras" and stack.tensorflow is not None and one.installed.requested
        if said is not None:
            if not SpecifierSet(parse_specifier(said)).contains(version, prereleases=True):
                rewriting.set_stack(name, version)
        elif brought:
            rewriting.set_stack(name, version)
        elif _has_to_be_named(one.installed, job):
            rewriting.pin_packages({name: version})
    rewriting.pin_packages({one.name: one.version for one in job.changes.added})


def _has_to_be_named(one: InstalledDistribution, job: _Job) -> bool:
    """Whether the profile excludes the version, or does not name what a person asked for by name."""
    lines = [Requirement(line) for line in job.loaded.requirement_lines]
    said = [
        line
        for line in lines
        if canonicalize_name(line.name) == one.name
        and (line.marker is None or line.marker.evaluate(dict(job.markers)))
    ]
    if not said:
        return one.requested and one.name not in ALWAYS_INSTALLED
    return not all(line.specifier.contains(one.version, prereleases=True) for line in said)


def _make(job: _Job, rewriting: ProfileRewrite, context: Context) -> list[_Made]:
    """The locks of the changed profile: the environment's variant, then the other one where it has a lock."""
    outside = replace(context.outside(), edited=rewriting.list_changes())
    loaded = load(job.loaded.path, outside)
    variant = job.environment.stamp.variant
    accelerator = loaded.profile.stack.accelerator
    others = [other for other in ("cpu", "gpu") if other != variant and accelerator in {"auto", other}]
    made = []
    source = PackageSource(context.installer(), context)
    for one in (variant, *others):
        old = _held(job.loaded, one, context)
        if one != variant and old.lock is None:
            continue
        plan = make_plan(loaded, one, platform=context.host().platform)
        interpreter = source.find_interpreter(plan.requirements.python)
        preferred = _preferred(job.base if one == variant else old.pins, job)
        made.append(_Made(old, service.resolve_lock(plan, loaded, source, interpreter, preferred, context)))
    return made


def _preferred(base: tuple[Pin, ...], job: _Job) -> tuple[Pin, ...]:
    """A lock's pins, with the versions that were installed by hand."""
    versions = job.changes.versions
    kept = [pin for pin in base if pin.name not in versions]
    return tuple(sorted([*kept, *(Pin(name, version, ()) for name, version in versions.items())]))


def _finish(
    job: _Job, rewriting: ProfileRewrite, made: list[_Made], context: Context, *, dry_run: bool
) -> SaveResult:
    changed = rewriting.list_changes()
    paths = [one.old.path for one in made]
    if not dry_run:
        paths = _write(job, changed, made, context)
    return SaveResult(
        name=job.environment.stamp.name,
        dry_run=dry_run,
        profile=str(job.loaded.path),
        files=tuple(str(path) for path in changed),
        changes=tuple(
            line for path, text in changed.items() for line in _changed_lines(job.texts[path][0], text)
        ),
        locks=tuple(
            VariantLock.compared(one.old.lock, one.new, path) for one, path in zip(made, paths, strict=True)
        ),
        unsaved=_unsaved(job, made[0].new),
        differs=tuple(differing(job.found, job.changes, made[0].new)),
        notes=context.notes(),
    )


def _changed_lines(before: str, after: str) -> list[str]:
    diff = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in diff if line.startswith(("- ", "+ "))]


def _write(job: _Job, changed: Mapping[Path, str], made: list[_Made], context: Context) -> list[Path]:
    """Write profile and locks, all or none: what was written is taken back where one cannot be.

    The profile goes first, since a lock that is older than its profile is one that the next `up` or `lock` mends.
    """
    for path, (_, data) in job.texts.items():
        if path.read_bytes() != data:
            raise UsageError(
                f"{path} was changed while its lock was being made; nothing was saved.",
                hint="Run the same command again.",
            )
    places = [
        place
        for one in made
        for place in lock_files.lock_paths(
            job.loaded.path, one.new.header.profile, one.new.header.variant, context.home
        )
    ]
    before = {path: path.read_bytes() if path.is_file() else None for path in [*changed, *places]}
    try:
        for path, text in changed.items():
            write_atomically(path, encode_text(text, job.texts[path][1]))
        return [lock_files.write_lock(one.new, job.loaded.path, context.home) for one in made]
    except BaseException:
        for path, was in before.items():
            with contextlib.suppress(ColabenvError, OSError):
                _restore(path, was)
        raise


def _restore(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink(missing_ok=True)
    elif path.read_bytes() != data:
        write_atomically(path, data)


def _unsaved(job: _Job, new: Lock | None) -> tuple[str, ...]:
    lines = job.loaded.requirement_lines
    return tuple(unsaved(job.found, job.changes, lines, job.markers, new))


def _wanted_lines(job: _Job) -> str:
    """What a person would write into `packages`."""
    found = {
        **{one.name: one for one in job.changes.added},
        **{one.installed.name: one.installed for one in job.changes.changed},
    }
    return ", ".join(f'"{name}=={one.version}"' for name, one in found.items())


def _shipped(job: _Job) -> UsageError:
    return UsageError(
        f"{job.loaded.reference} ships with colabenv and is not changed.",
        hint=f"Write a profile of your own:\n    name: my-{job.loaded.profile.name}\n"
        f'    extends: ["{job.loaded.reference}"]\n    packages: [{_wanted_lines(job)}]',
    )


@contextlib.contextmanager
def _told_by_hand(job: _Job) -> Iterator[None]:
    """Say with an error what to write by hand."""
    try:
        yield
    except UneditableError as error:
        raise UneditableError(
            f"{error.message} Nothing was saved.",
            source=str(job.loaded.path),
            hint=f"Write it under packages yourself, then run colabenv lock: {_wanted_lines(job)}",
        ) from error
    except UnsatisfiableError as error:
        listed = f"The profile with {_wanted_lines(job)} has no lock, so nothing was saved."
        raise UnsatisfiableError(
            f"{error.message} {listed}",
            hint="Install versions that go together, in place of those named above, and save again.",
            detail=error.detail,
        ) from error
    except DiskError as error:
        raise DiskError(
            f"{error.message} Nothing was saved.",
            hint=f"{error.hint} By hand, it would be packages: {_wanted_lines(job)}",
            detail=error.detail,
        ) from error
