"""`store push`: keep a built environment where other machines can restore it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from colabenv.commands.context import Context, find_environment, index_urls, lock_of
from colabenv.commands.store_gc import counted, size_of
from colabenv.environment.build import Environment, find_environments, read_environment
from colabenv.environment.distributions import find_damage, find_distributions
from colabenv.environment.installers.select import find_uv
from colabenv.errors import ColabenvError, ModifiedPackageError, StoreError, UsageError
from colabenv.host.interpreters import minor_version
from colabenv.lock import service
from colabenv.lock.lockfile import Lock
from colabenv.output.results import Result, UpResult
from colabenv.profile.load import LoadedProfile, load
from colabenv.store import installed_wheels as found_wheels
from colabenv.store.installed_wheels import InstalledWheel, Wheel
from colabenv.store.inventory import find_complete_layers
from colabenv.store.open import open_store, require_store_url
from colabenv.store.upload import UploadReport, UploadRequest, require_writable, upload_layers


@dataclass(frozen=True)
class StorePushResult(Result):
    """What was kept.

    Attributes:
        name: of the profile.
        store: its URL, without credentials.
        variant: "cpu" or "gpu".
        tag: of Python and platform.
        packages: how many distributions the store has of the environment now.
        sent: how many of them were new.
        sent_python: whether the managed Python was new.
        sent_bytes: of what was new, as it is kept.
        bytes: of all, as they are kept.
        unpacked: bytes of all once they are unpacked.
        wheel_bytes: size of the wheels of those whose size the index told.
        kept_bytes: of those, as they are kept.
        python: the managed Python that is kept with it, or "".
        left_out: why distributions are not kept, by name.
        seconds: by step.
        profile: what to hand to `up`.
        notes: what the person should know.
    """

    name: str
    store: str
    variant: str
    tag: str
    packages: int
    sent: int
    sent_python: bool
    sent_bytes: int
    bytes: int
    unpacked: int
    wheel_bytes: int
    kept_bytes: int
    python: str
    left_out: Mapping[str, str]
    seconds: Mapping[str, float]
    profile: str
    notes: tuple[str, ...] = ()

    @property
    def ratio(self) -> float | None:
        """Bytes kept for a byte of wheel, or None where no wheel's size is known."""
        return self.kept_bytes / self.wheel_bytes if self.wheel_bytes else None

    def said(self) -> str:
        """What was done, in a few words."""
        new = f"{size_of(self.sent_bytes)} of it new" if self.sent_bytes else "all of it was there already"
        return f"{counted(self.packages, 'package')} in {self.store}, {new}"

    def lines(self) -> list[str]:
        """What is there now, what of it was new, what is not."""
        python = f" and {self.python}" if self.python else ""
        news = [f"{self.sent} of them"] if self.sent else []
        new = " and ".join([*news, *(["the Python"] if self.sent_python else [])])
        timed = [f"{step} {value:.1f} s" for step, value in self.seconds.items() if value >= 0.05]
        ratio = "" if self.ratio is None else f", {self.ratio:.2f} of the wheels' size"
        held = counted(self.packages, "package")
        lines = [
            f"✓ {self.name} is kept in {self.store}: {held}{python}, {size_of(self.bytes)}{ratio}.",
            f"  new     {new}, {size_of(self.sent_bytes)}" if self.sent_bytes else _NOTHING_NEW,
            f"  took    {sum(self.seconds.values()):.1f} s ({', '.join(timed)})",
        ]
        reasons = sorted(set(self.left_out.values()))
        for reason in reasons:
            names = [name for name, why in self.left_out.items() if why == reason]
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            lines.append(f"  without {', '.join(names[:5])}{more}: {reason}; up installs it from the index")
        return [*lines, f"To have it on another machine: colabenv up {self.profile} --store {self.store}"]


def store_push(context: Context, name: str = "", *, store: str = "", force: bool = False) -> StorePushResult:
    """Keep an environment in a store.

    Args:
        context: the machine.
        name: of the environment; "" for the one you are in, or that was built last.
        store: what stands behind `--store`, or "".
        force: send also what the store has already.

    Raises:
        UsageError: there is no such environment, or no store is named.
        ProfileError, LockError: what the environment was built from is gone.
        ChangedError: the environment is not what was installed.
        StoreError: the store cannot be written to.
    """
    environment = find_environment(name, context) if name else _meant(context)
    loaded = load(environment.stamp.profile, context.outside())
    url = require_store_url(store, loaded.profile, context.environ)
    return keep(environment, loaded, url, context, force=force)


def keep(
    environment: Environment, loaded: LoadedProfile, url: str, context: Context, *, force: bool = False
) -> StorePushResult:
    """Keep an environment in the store at a URL.

    Raises:
        UsageError, ChangedError, StoreError, LockError, DiskError: see `store_push`.
    """
    remote = open_store(url, context.environ)
    require_writable(remote)
    started = time.monotonic()
    context.progress.stage("Looking at the environment")
    lock = lock_of(environment)
    _refuse_damage(environment, lock)
    _say_what_is_by_hand(environment, lock, context)
    tag = found_wheels.tag_here(minor_version(environment.stamp.python))
    kept = found_wheels.read_installed_wheels(environment.prefix)
    there = None if force else find_complete_layers(remote, lock, tag)
    if there is not None:
        # As it is after most restores: the index, which takes a second, has nothing to tell.
        chosen = {name: Wheel("", layer.wheel) for name, layer in there.items()}
        left_out: dict[str, str] = {}
    else:
        chosen, left_out = _wheels(lock, loaded, kept, context)
    if not chosen:
        raise StoreError(
            f"Nothing of {environment.stamp.name} can be kept: {next(iter(left_out.values()), 'it is empty')}.",
            hint="Run the same command again where the package index can be reached.",
        )
    looked = time.monotonic() - started
    subject = UploadRequest(
        prefix=environment.prefix,
        lock=lock,
        tag=tag,
        profile=environment.stamp.name,
        python=environment.stamp.python,
        wheels={name: wheel.sha256 for name, wheel in chosen.items()},
        sizes={name: one.bytes for name, one in kept.items()},
        interpreter=managed_python(environment, context),
        anew=force,
    )
    pushed = upload_layers(remote, subject, context.progress, scratch=context.home.cache / "parcels")
    return _result(pushed, environment, remote.url, chosen, left_out, looked, context)


def _wheels(
    lock: Lock, loaded: LoadedProfile, kept: Mapping[str, InstalledWheel], context: Context
) -> tuple[dict[str, Wheel], dict[str, str]]:
    """The wheel of each distribution that can be kept, and why others cannot."""
    from_source = _from_source(loaded, lock)
    index = _listed(lock, loaded, from_source, context)
    ranks = found_wheels.rank_tags(lock.header.python)
    chosen, left_out = found_wheels.select_wheels(lock, index, kept, ranks, from_source)
    for name, path in found_wheels.find_overlaps(kept).items():
        if chosen.pop(name, None):
            left_out[name] = f"another package has {path} too, with other content"
    return chosen, left_out


def _refuse_damage(environment: Environment, lock: Lock) -> None:
    lost = find_damage(environment.prefix, {pin.name: pin.version for pin in lock.pins})
    if lost is None:
        return
    name, profile = environment.stamp.name, environment.stamp.profile
    raise ModifiedPackageError(
        f"{name} is not what was installed: {lost}. A store keeps only what a lock says.",
        hint=f"If that is meant to stay: colabenv save {name}, colabenv up {profile}, and push again. "
        f"Else build it anew: colabenv down {name}, colabenv up {profile}, and push that.",
    )


def _say_what_is_by_hand(environment: Environment, lock: Lock, context: Context) -> None:
    pinned = {pin.name for pin in lock.pins}
    others = [one.name for one in find_distributions(environment.prefix) if one.name not in pinned]
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        context.progress.note(
            f"What was installed by hand is not kept: {', '.join(others[:5])}{more}. "
            f"colabenv save {environment.stamp.name} puts it into the lock."
        )


def _from_source(loaded: LoadedProfile, lock: Lock) -> tuple[str, ...]:
    needs = service.requirements_of(loaded, lock.header.variant)
    return tuple(dict.fromkeys((*loaded.profile.source_builds, *needs.from_source)))


def _listed(
    lock: Lock, loaded: LoadedProfile, from_source: tuple[str, ...], context: Context
) -> dict[str, tuple[Wheel, ...]]:
    """What the index has of the pins; nothing where it is not needed or cannot be asked, which is said."""
    if all(len(pin.hashes) == 1 or pin.name in from_source for pin in lock.pins):
        return {}
    context.progress.stage("Asking the index which wheels were installed")
    try:
        uv = find_uv(context.installer_runner)
        urls = uv.find_wheel_urls(lock, from_source, index_urls(loaded.profile, context.environ))
        return found_wheels.parse_pylock_wheels(urls)
    except ColabenvError as error:
        context.progress.note(f"The index could not be asked which wheels were installed: {error.message}")
        return {}


def push_after(result: UpResult, loaded: LoadedProfile, store: str, context: Context) -> UpResult:
    """Keep what `up` has made; where that fails, `up` has succeeded all the same.

    Args:
        result: of `up`.
        loaded: its profile.
        store: what stands behind `--store`, or "".
        context: the machine.
    """
    try:
        environment = read_environment(Path(result.environment))
        if environment is None:
            raise StoreError(f"{result.environment} is gone.")
        url = require_store_url(store, loaded.profile, context.environ)
        pushed = keep(environment, loaded, url, context)
    except ColabenvError as error:
        said = (
            f"{result.name} is ready, but it was not kept in the store: {error.message} {error.hint}".strip()
        )
        context.progress.note(said)
        return replace(result, pushed={"trouble": error.message}, notes=(*result.notes, said))
    about = {**pushed.as_dict(), "said": pushed.said()}
    return replace(result, pushed=about, notes=tuple(dict.fromkeys((*result.notes, *pushed.notes))))


def managed_python(environment: Environment, context: Context) -> Path | None:
    """The folder of the Python that an environment was built on, if uv downloaded it for colabenv."""
    real = Path(os.path.realpath(environment.python))
    pythons = Path(os.path.realpath(context.home.pythons))
    return pythons / real.relative_to(pythons).parts[0] if real.is_relative_to(pythons) else None


def _meant(context: Context) -> Environment:
    """The environment that somebody means who names none: the one they are in, else the one built last.

    Raises:
        UsageError: there is none.
    """
    found = list(find_environments(context.home))
    if not found:
        raise UsageError("There is no environment to keep.", hint="Build one first with: colabenv up PROFILE")
    inside = context.environ.get("COLABENV_INSIDE", "")
    here = next((one for one in found if str(one.prefix) == inside), None)
    chosen = here or find_environment(max(found, key=lambda one: one.stamp.built).stamp.name, context)
    if here is None and len({one.stamp.name for one in found}) > 1:
        context.progress.note(f"Of several environments {chosen.stamp.name} was built last, so that is kept.")
    return chosen


def _result(
    pushed: UploadReport,
    environment: Environment,
    url: str,
    wheels: Mapping[str, Wheel],
    left_out: dict[str, str],
    looked: float,
    context: Context,
) -> StorePushResult:
    manifest = pushed.manifest
    layers = [*manifest.layers, *([manifest.interpreter] if manifest.interpreter else [])]
    sized = [
        (layer, wheels[layer.name].bytes)
        for layer in manifest.layers
        if layer.name in wheels and wheels[layer.name].bytes
    ]
    reasons = {name: why for name, why in left_out.items() if name not in {one.name for one in layers}}
    return StorePushResult(
        name=environment.stamp.name,
        store=url,
        variant=manifest.variant,
        tag=manifest.tag,
        packages=len(manifest.layers),
        sent=sum(1 for layer in pushed.sent if layer.wheel),
        sent_python=any(not layer.wheel for layer in pushed.sent),
        sent_bytes=sum(layer.bytes for layer in pushed.sent),
        bytes=sum(layer.bytes for layer in layers),
        unpacked=sum(layer.unpacked for layer in layers),
        wheel_bytes=sum(size for _, size in sized),
        kept_bytes=sum(layer.bytes for layer, _ in sized),
        python=f"Python {manifest.python}" if manifest.interpreter else "",
        left_out={**reasons, **pushed.refused},
        seconds={step: round(value, 3) for step, value in {"look": looked, **pushed.seconds}.items()},
        profile=environment.stamp.profile,
        notes=context.notes(),
    )


_NOTHING_NEW = "  All of it was there already."
