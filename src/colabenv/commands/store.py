"""`store push`, `store ls` and `store gc`."""

from __future__ import annotations

import time

from colabenv.commands.context import Context
from colabenv.environment.build import Environment, find_environments
from colabenv.errors import ColabenvError, UsageError
from colabenv.kernel.lookup import find_environment
from colabenv.output.store import StoreGcResult, StoreLsResult, StorePushResult, StoreRow
from colabenv.profile.load import load
from colabenv.profile.model import Profile
from colabenv.store.gc import RemovedObject, collect_garbage, read_contents
from colabenv.store.open import choose_store_url, open_store, require_store_url
from colabenv.store.push import push_environment
from colabenv.system.units import format_bytes


def store_push(context: Context, name: str = "", *, store: str = "", force: bool = False) -> StorePushResult:
    """Push an environment, by default the one that the command runs in, else the newest.

    With `force`, everything is uploaded again.

    Raises:
        UsageError: there is no such environment, or no store is set.
        ProfileError, LockError: the environment's profile or lock is missing.
        ModifiedPackageError: a package was changed after its installation.
        StoreError: the store cannot be written to.
    """
    environment = find_environment(name, context) if name else _default_environment(context)
    loaded = load(environment.stamp.profile, context.profile_sources())
    url = require_store_url(store, loaded.profile, context.environ)
    report = push_environment(environment, loaded, url, context, force=force)
    return StorePushResult(**vars(report), notes=context.notes())


def store_ls(context: Context, *, store: str = "") -> StoreLsResult:
    """List the environments in a store.

    Raises:
        UsageError: no store is set.
        StoreError: it cannot be listed.
    """
    backend = open_store(_find_store_url(store, context), context.environ, context.certificates)
    context.progress.stage("Listing the store")
    contents = read_contents(backend)
    return StoreLsResult(
        store=backend.url,
        environments=tuple(StoreRow.of(environment) for environment in contents.environments),
        layers=contents.layers,
        bytes=contents.bytes,
        loose_bytes=contents.loose,
        damaged=contents.damaged,
        now=time.time(),
    )


def store_gc(context: Context, *, keep_days: float, store: str = "", dry_run: bool = False) -> StoreGcResult:
    """Remove environments that nobody has used for `keep_days` days, and layers that no environment needs.

    Raises:
        UsageError: no store is set, or the number of days is invalid.
        StoreError: the store cannot be listed or written to.
    """
    if not 0 <= keep_days < 100_000:
        raise UsageError(
            f"Invalid value for --keep-days: {keep_days:g}.",
            hint="Use a number of days from 0 to 99999, such as --keep-days 30.",
        )
    backend = open_store(_find_store_url(store, context), context.environ, context.certificates)
    context.progress.stage("Listing the store")
    sizes: list[int] = []

    def update(removed: RemovedObject) -> None:
        sizes.append(removed.bytes)
        context.progress.update(f"{len(sizes)} objects, {format_bytes(sum(sizes))}")

    removed = collect_garbage(backend, keep_days, dry_run=dry_run, on_removed=update)
    return StoreGcResult(backend.url, removed, sum(sizes), keep_days, dry_run)


def _default_environment(context: Context) -> Environment:
    environments = list(find_environments(context.home))
    if not environments:
        raise UsageError("There is no environment to push.", hint="Build one first with: colabenv up PROFILE")
    inside = context.environ.get("COLABENV_INSIDE", "")
    for environment in environments:
        if str(environment.prefix) == inside:
            return environment
    newest = max(environments, key=lambda environment: environment.stamp.built)
    if len({environment.stamp.name for environment in environments}) > 1:
        context.progress.note(f"Pushing {newest.stamp.name}, which was built last.")
    return find_environment(newest.stamp.name, context)


def _find_store_url(store: str, context: Context) -> str:
    """The store of the option or the variable, else the only one that profiles of this machine's environments set."""
    profile = None if store or choose_store_url("", None, context.environ) else _find_profile(context)
    return require_store_url(store, profile, context.environ)


def _find_profile(context: Context) -> Profile | None:
    profiles: dict[str, Profile] = {}
    for name in dict.fromkeys(environment.stamp.name for environment in find_environments(context.home)):
        try:
            profile = load(find_environment(name, context).stamp.profile, context.profile_sources()).profile
        except ColabenvError:  # the profile is missing or invalid
            continue
        if profile.store is not None:
            profiles[profile.store] = profile
    return next(iter(profiles.values())) if len(profiles) == 1 else None
