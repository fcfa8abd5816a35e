"""Save unmanaged packages of an environment to its profile and locks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from colabenv.environment.build import Environment, read_lock_copy
from colabenv.environment.distributions import InstalledDistribution, find_distributions
from colabenv.environment.source import PackageSource
from colabenv.environment.unmanaged_packages import UnmanagedPackages, find_unmanaged
from colabenv.errors import ColabenvError, DiskError, UnsatisfiableError, UsageError
from colabenv.frameworks.plan import make_plan
from colabenv.host.interpreters import minor_version
from colabenv.lock import files as lock_files
from colabenv.lock.kernel_packages import ALWAYS_INSTALLED
from colabenv.lock.lockfile import Lock, Pin, is_same_version
from colabenv.lock.service import ExistingLock, find_lock, resolve_lock
from colabenv.profile.edit import UneditableError
from colabenv.profile.extends import ProfileSources
from colabenv.profile.load import LoadedProfile, load
from colabenv.profile.rewrite import ProfileRewrite, encode_text, list_own_files, read_texts
from colabenv.profile.validators import parse_specifier
from colabenv.system.files import write_atomically
from colabenv.system.workspace import Workspace

#: Keys of `stack` that are distributions with a version.
_FRAMEWORKS = ("tensorflow", "keras", "torch", "jax")


@dataclass(frozen=True)
class EnvironmentChanges:
    """What was installed since an environment was built, and the files to save it to."""

    environment: Environment
    loaded: LoadedProfile  #: its profile
    installed: tuple[InstalledDistribution, ...]  #: its distributions
    packages: UnmanagedPackages  #: what differs from its lock
    markers: Mapping[str, str]  #: PEP 508 variables of its Python
    pins: tuple[Pin, ...]  #: the pins of the current lock
    texts: Mapping[Path, tuple[str, bytes]]  #: text and bytes of the profile's own files

    @property
    def requirements(self) -> str:
        """The changed packages as items of `packages`."""
        changed = [change.installed for change in self.packages.changed]
        versions = {package.name: package.version for package in (*self.packages.added, *changed)}
        return ", ".join(f'"{name}=={version}"' for name, version in versions.items())


@dataclass(frozen=True)
class LockUpdate:
    """A variant's current lock and the new one."""

    old: ExistingLock
    new: Lock


def find_changes(environment: Environment, loaded: LoadedProfile, workspace: Workspace) -> EnvironmentChanges:
    """Compare an environment with its lock; a note says if that lock has changed since."""
    stamp = environment.stamp
    markers = {
        **{key: str(value) for key, value in default_environment().items()},
        "python_version": minor_version(stamp.python),
        "python_full_version": stamp.python,
        "implementation_version": stamp.python,
        "extra": "",
    }
    installed = find_distributions(environment.prefix)
    built = read_lock_copy(environment)
    packages = find_unmanaged(installed, built, loaded.requirement_lines, markers)
    current = find_lock(make_plan(loaded, stamp.variant), loaded, workspace)
    if current.lock is not None and current.lock.pins_digest != built.pins_digest:
        workspace.progress.note(f"{current.path} has changed since {stamp.name} was built; save adds to it.")
    texts = read_texts(list_own_files(loaded.path, loaded.profile.requirements))
    pins = current.pins or built.pins
    return EnvironmentChanges(environment, loaded, installed, packages, markers, pins, texts)


@dataclass(frozen=True)
class Saver:
    """Resolves and writes the changes of an environment."""

    changes: EnvironmentChanges  #: what to save
    sources: ProfileSources  #: where extended profiles are read from
    packages: PackageSource  #: resolves the locks
    platform: str  #: the host's platform
    workspace: Workspace  #: receives progress and notes

    def resolve(self) -> tuple[ProfileRewrite, list[LockUpdate]]:
        """The edited profile and its locks, the environment's variant first.

        If the resolver chooses a version that is not installed, the profile pins the installed one too, if that can be
        resolved.
        """
        texts = {path: text for path, (text, _) in self.changes.texts.items()}
        rewrite = ProfileRewrite(self.changes.loaded.path, texts, self.changes.markers)
        self._edit(rewrite)
        updates = self._resolve_locks(rewrite)
        locked = {pin.name: pin.version for pin in updates[0].new.pins}
        missed = {
            name: version
            for name, version in self.changes.packages.versions.items()
            if name not in ALWAYS_INSTALLED and not is_same_version(locked.get(name, ""), version)
        }
        if not missed:
            return rewrite, updates
        pinned = replace(rewrite, after=dict(rewrite.after))
        try:
            pinned.pin_packages(missed)
            return pinned, self._resolve_locks(pinned)
        except UnsatisfiableError:
            return rewrite, updates

    def _edit(self, rewrite: ProfileRewrite) -> None:
        """Add packages, and change versions that the profile excludes."""
        stack = self.changes.loaded.profile.stack
        for change in self.changes.packages.changed:
            name, version = change.installed.name, change.installed.version
            requested = getattr(stack, name, None) if name in _FRAMEWORKS else None
            tensorflow_keras = name == "keras" and stack.tensorflow is not None and change.installed.requested
            if requested is not None:
                if not SpecifierSet(parse_specifier(requested)).contains(version, prereleases=True):
                    rewrite.set_stack(name, version)
            elif tensorflow_keras:
                rewrite.set_stack(name, version)
            elif self._needs_pin(change.installed):
                rewrite.pin_packages({name: version})
        rewrite.pin_packages({package.name: package.version for package in self.changes.packages.added})

    def _needs_pin(self, package: InstalledDistribution) -> bool:
        """Whether the profile excludes the version, or does not list a package that the user requested."""
        requirements = [
            requirement
            for requirement in map(Requirement, self.changes.loaded.requirement_lines)
            if canonicalize_name(requirement.name) == package.name
            and (requirement.marker is None or requirement.marker.evaluate(dict(self.changes.markers)))
        ]
        if not requirements:
            return package.requested and package.name not in ALWAYS_INSTALLED
        return not all(item.specifier.contains(package.version, prereleases=True) for item in requirements)

    def _resolve_locks(self, rewrite: ProfileRewrite) -> list[LockUpdate]:
        """The locks of the edited profile: the environment's variant, and the other one if it has a lock."""
        original = self.changes.loaded
        loaded = load(original.path, replace(self.sources, edited=rewrite.list_changes()))
        own = self.changes.environment.stamp.variant
        accelerator = loaded.profile.stack.accelerator
        others = [
            variant for variant in ("cpu", "gpu") if variant != own and accelerator in {"auto", variant}
        ]
        updates = []
        for variant in (own, *others):
            old = find_lock(make_plan(original, variant), original, self.workspace)
            if variant != own and old.lock is None:
                continue
            plan = make_plan(loaded, variant, platform=self.platform)
            interpreter = self.packages.find_interpreter(plan.requirements.python)
            preferred = self._prefer_installed(self.changes.pins if variant == own else old.pins)
            new = resolve_lock(plan, loaded, self.packages, interpreter, preferred, self.workspace)
            updates.append(LockUpdate(old, new))
        return updates

    def _prefer_installed(self, pins: tuple[Pin, ...]) -> tuple[Pin, ...]:
        versions = self.changes.packages.versions
        unchanged = [pin for pin in pins if pin.name not in versions]
        return tuple(sorted([*unchanged, *(Pin(name, version, ()) for name, version in versions.items())]))

    def write(self, edited: Mapping[Path, str], locks: Sequence[Lock]) -> list[Path]:
        """Write the profile, then its locks; if one cannot be written, restore all. Returns the locks' paths.

        Raises:
            UsageError: a file was edited in the meantime.
            DiskError: a file cannot be written.
        """
        profile, home = self.changes.loaded.path, self.workspace.home
        for path, (_, data) in self.changes.texts.items():
            if path.read_bytes() != data:
                raise UsageError(
                    f"{path} was changed while save was running. Nothing was saved.",
                    hint="Run the command again.",
                )
        headers = [lock.header for lock in locks]
        lock_paths = [
            path
            for header in headers
            for path in lock_files.lock_paths(profile, header.profile, header.variant, home)
        ]
        before = {path: path.read_bytes() if path.is_file() else None for path in [*edited, *lock_paths]}
        try:
            for path, text in edited.items():
                write_atomically(path, encode_text(text, self.changes.texts[path][1]))
            return [lock_files.write_lock(lock, profile, home) for lock in locks]
        except BaseException:
            for path, original in before.items():
                with contextlib.suppress(ColabenvError, OSError):
                    if original is None:
                        path.unlink(missing_ok=True)
                    elif path.read_bytes() != original:
                        write_atomically(path, original)
            raise


def require_editable(changes: EnvironmentChanges) -> None:
    """Raise UsageError for a profile that is not a file of the user's."""
    loaded = changes.loaded
    if loaded.builtin or loaded.url:
        kind = "a built-in profile" if loaded.builtin else "a profile from the web"
        raise UsageError(
            f"{loaded.reference} is {kind}, which save does not change. Nothing was saved.",
            hint=f"Write your own profile:\n    name: my-{loaded.profile.name}\n"
            f'    extends: ["{loaded.reference}"]\n    packages: [{changes.requirements}]',
        )


@contextlib.contextmanager
def explain_failure(changes: EnvironmentChanges) -> Iterator[None]:
    """Add to errors that nothing was saved, and what to write by hand."""
    requirements = changes.requirements
    try:
        yield
    except UneditableError as error:
        raise UneditableError(
            f"{error.message} Nothing was saved.",
            source=str(changes.loaded.path),
            hint=f"Add this to `packages` yourself, then run colabenv lock: {requirements}",
        ) from error
    except UnsatisfiableError as error:
        raise UnsatisfiableError(
            f"{error.message} The profile cannot be resolved with {requirements}. Nothing was saved.",
            hint="Install compatible versions of these packages, then save again.",
            detail=error.detail,
        ) from error
    except DiskError as error:
        raise DiskError(
            f"{error.message} Nothing was saved.",
            hint=f"{error.hint} To save by hand, add this to `packages`: {requirements}",
            detail=error.detail,
        ) from error
