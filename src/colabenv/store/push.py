"""`store push`: which packages of a built environment a store can hold, and uploading them."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colabenv.environment.build import Environment, read_environment, read_lock_copy
from colabenv.environment.distributions import find_damage, find_distributions
from colabenv.environment.installers.select import find_uv
from colabenv.errors import ColabenvError, ModifiedPackageError, StoreError
from colabenv.frameworks.plan import make_plan
from colabenv.host.interpreters import minor_version
from colabenv.lock.lockfile import Lock
from colabenv.profile.load import LoadedProfile
from colabenv.profile.urls import index_urls
from colabenv.store.installed_wheels import (
    InstalledWheel,
    Wheel,
    find_overlaps,
    parse_pylock_wheels,
    rank_tags,
    read_installed_wheels,
    select_wheels,
    tag_here,
)
from colabenv.store.inventory import find_complete_layers
from colabenv.store.open import open_store, require_store_url
from colabenv.store.upload import UploadReport, UploadRequest, require_writable, upload_layers
from colabenv.system.units import format_bytes, format_count, format_names
from colabenv.system.workspace import Workspace


@dataclass(frozen=True)
class PushReport:
    """What a push did; `store push --json` has the same fields. Sizes are in bytes."""

    name: str
    store: str
    variant: str
    tag: str
    packages: int  # how many of the environment's distributions the store has now
    sent: int  # how many of them are new
    sent_python: bool
    sent_bytes: int  # stored size of what was new
    bytes: int  # stored size of everything
    unpacked: int  # its size on disk
    wheel_bytes: int  # size of the wheels whose size the index reports
    kept_bytes: int  # stored size of the same packages
    python: str  # the managed Python in the store, or ""
    left_out: Mapping[str, str]  # why distributions are not in the store, by name
    seconds: Mapping[str, float]  # by step
    profile: str  # the argument for `up`

    @property
    def ratio(self) -> float | None:
        """Stored bytes for each byte of a wheel, or None if no wheel's size is known."""
        return self.kept_bytes / self.wheel_bytes if self.wheel_bytes else None

    def summary(self) -> str:
        """The result in a few words."""
        new = f"{format_bytes(self.sent_bytes)} of it new" if self.sent_bytes else "nothing new"
        return f"{format_count(self.packages, 'package')} in {self.store}, {new}"


def push_after_build(
    prefix: Path, loaded: LoadedProfile, option: str, workspace: Workspace
) -> dict[str, Any]:
    """Push the environment that `up` has just built. If this fails, a note says so; `up` has still succeeded.

    Returns the `pushed` of an `UpResult`: the report's fields, "notes" and "said", or only "trouble".
    """
    try:
        environment = read_environment(prefix)
        if environment is None:
            raise StoreError(f"{prefix} does not exist any more.")
        url = require_store_url(option, loaded.profile, workspace.environ)
        report = push_environment(environment, loaded, url, workspace)
    except ColabenvError as error:
        problem = (
            f"{loaded.profile.name} is ready, but was not pushed to the store: {error.message} {error.hint}"
        )
        workspace.progress.note(problem.strip())
        return {"trouble": error.message}
    return {**dataclasses.asdict(report), "notes": workspace.notes(), "said": report.summary()}


def push_environment(
    environment: Environment, loaded: LoadedProfile, url: str, workspace: Workspace, *, force: bool = False
) -> PushReport:
    """Push an environment to the store at a URL; with `force`, also upload what the store has.

    Raises:
        UsageError: the URL is invalid.
        LockError: the environment's lock is missing.
        ColabenvError: those of `upload_layers`.
    """
    backend = open_store(url, workspace.environ, workspace.certificates)
    require_writable(backend)
    started = time.monotonic()
    workspace.progress.stage("Examining the environment")
    lock = read_lock_copy(environment)
    _refuse_damage(environment, lock)
    _note_unlocked_packages(environment, lock, workspace)
    tag = tag_here(minor_version(environment.stamp.python))
    on_disk = read_installed_wheels(environment.prefix)
    complete = None if force else find_complete_layers(backend, lock, tag)
    if complete is not None:
        # After most restores the store has everything, which saves the second that the index takes.
        left_out: dict[str, str] = {}
        wheels = {name: Wheel("", layer.wheel) for name, layer in complete.items()}
    else:
        wheels, left_out = _select_wheels(lock, loaded, on_disk, workspace)
    if not wheels:
        reason = next(iter(left_out.values()), "it is empty")
        raise StoreError(
            f"Nothing of {environment.stamp.name} can be pushed: {reason}.",
            hint="Run the same command again when the package index is available.",
        )
    examined = time.monotonic() - started
    request = UploadRequest(
        prefix=environment.prefix,
        lock=lock,
        tag=tag,
        profile=environment.stamp.name,
        python=environment.stamp.python,
        wheels={name: wheel.sha256 for name, wheel in wheels.items()},
        sizes={name: distribution.bytes for name, distribution in on_disk.items()},
        interpreter=find_managed_python(environment, workspace.home.pythons),
        force=force,
    )
    upload = upload_layers(backend, request, workspace.progress, scratch=workspace.home.cache / "parcels")
    return _report(upload, environment, backend.url, wheels, left_out, examined)


def find_managed_python(environment: Environment, pythons: Path) -> Path | None:
    """The folder of the environment's Python if uv downloaded it for colabenv, below `pythons`."""
    python, pythons = Path(os.path.realpath(environment.python)), Path(os.path.realpath(pythons))
    return pythons / python.relative_to(pythons).parts[0] if python.is_relative_to(pythons) else None


def _refuse_damage(environment: Environment, lock: Lock) -> None:
    damage = find_damage(environment.prefix, {pin.name: pin.version for pin in lock.pins})
    if damage is None:
        return
    name, profile = environment.stamp.name, environment.stamp.profile
    raise ModifiedPackageError(
        f"{name} is not what was installed: {damage}. A store holds only what the lock says.",
        hint=f"To keep versions that you installed: colabenv save {name}, colabenv up {profile}, then push again. "
        f"To rebuild what the lock says: colabenv down {name}, colabenv up {profile}, then push again.",
    )


def _note_unlocked_packages(environment: Environment, lock: Lock, workspace: Workspace) -> None:
    pinned = {pin.name for pin in lock.pins}
    others = [
        package.name for package in find_distributions(environment.prefix) if package.name not in pinned
    ]
    if others:
        workspace.progress.note(
            f"Packages that are not in the lock are not pushed: {format_names(others)}. "
            f"colabenv save {environment.stamp.name} adds them to the lock."
        )


def _select_wheels(
    lock: Lock, loaded: LoadedProfile, on_disk: Mapping[str, InstalledWheel], workspace: Workspace
) -> tuple[dict[str, Wheel], dict[str, str]]:
    """The wheel of each distribution that can be pushed, and why the others cannot."""
    from_source = make_plan(loaded, lock.header.variant).source_builds
    index: dict[str, tuple[Wheel, ...]] = {}
    if any(len(pin.hashes) > 1 and pin.name not in from_source for pin in lock.pins):
        index = _query_index(lock, loaded, from_source, workspace)
    wheels, left_out = select_wheels(lock, index, on_disk, rank_tags(lock.header.python), from_source)
    for name, path in find_overlaps(on_disk).items():
        if wheels.pop(name, None):
            left_out[name] = f"another package also installs {path}, with different content"
    return wheels, left_out


def _query_index(
    lock: Lock, loaded: LoadedProfile, from_source: tuple[str, ...], workspace: Workspace
) -> dict[str, tuple[Wheel, ...]]:
    """The wheels that the index has of each pin; {} and a note if it cannot be reached."""
    workspace.progress.stage("Asking the index which wheels were installed")
    try:
        indexes = index_urls(loaded.profile, workspace.environ)
        return parse_pylock_wheels(find_uv(workspace).find_wheel_urls(lock, from_source, indexes))
    except ColabenvError as error:
        problem = error.message.removesuffix(".")
        workspace.progress.note(f"Could not ask the index which wheels were installed: {problem}.")
        return {}


def _report(
    upload: UploadReport,
    environment: Environment,
    url: str,
    wheels: Mapping[str, Wheel],
    left_out: Mapping[str, str],
    examined: float,
) -> PushReport:
    manifest = upload.manifest
    layers = manifest.all_layers()
    sized = [layer for layer in manifest.layers if layer.name in wheels and wheels[layer.name].bytes]
    stored = {layer.name for layer in layers}
    return PushReport(
        name=environment.stamp.name,
        store=url,
        variant=manifest.variant,
        tag=manifest.tag,
        packages=len(manifest.layers),
        sent=sum(1 for layer in upload.sent if layer.wheel),
        sent_python=any(not layer.wheel for layer in upload.sent),
        sent_bytes=sum(layer.bytes for layer in upload.sent),
        bytes=sum(layer.bytes for layer in layers),
        unpacked=sum(layer.unpacked for layer in layers),
        wheel_bytes=sum(wheels[layer.name].bytes for layer in sized),
        kept_bytes=sum(layer.bytes for layer in sized),
        python=f"Python {manifest.python}" if manifest.interpreter else "",
        left_out={name: why for name, why in left_out.items() if name not in stored} | dict(upload.refused),
        seconds={step: round(value, 3) for step, value in {"look": examined, **upload.seconds}.items()},
        profile=environment.stamp.profile,
    )
