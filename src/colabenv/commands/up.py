"""`up`: from a profile to a checked, registered kernel."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from colabenv.commands.context import Context
from colabenv.environment.up_cache import read_unchanged
from colabenv.kernel.preload import keep_warm
from colabenv.output.results import Result
from colabenv.output.up import UpResult


def up(
    context: Context,
    profile: str | None = None,
    *,
    variant: str = "auto",
    frozen: bool = False,
    dry_run: bool = False,
    switch: bool = False,
    store: str = "",
    push: bool = False,
) -> Result:
    """Build, check and register the environment of a profile, unless nothing has changed since the last time.

    Args:
        context: the command's workspace.
        profile: path or address of a profile or a notebook, or `builtin:NAME`; by default, the open notebook, or the
            only profile or notebook in the working folder.
        variant: "cpu", "gpu" or "auto".
        frozen: fail if no lock fits, instead of resolving.
        dry_run: choose versions and stop; nothing is written.
        switch: also make the environment the session's default kernel.
        store: URL of the store, "none" for no store, or "" for the one in COLABENV_STORE or the profile.
        push: upload what the store lacks.

    Returns:
        An `UpResult`, or a `DryRunResult`.

    Raises:
        ColabenvError: the environment cannot be built. One that worked before still does.
    """
    found = context.find_profile(profile, write=not dry_run)
    reference = found.reference
    # Importing the stages takes longer than the rest of an `up` with nothing to do, so it waits until they are needed.
    if dry_run:
        from colabenv.commands.build import plan_build  # noqa: PLC0415

        return plan_build(context, reference, variant=variant, frozen=frozen, store=store)
    if push:
        from colabenv.profile.load import load  # noqa: PLC0415
        from colabenv.store.open import require_store_url  # noqa: PLC0415

        loaded = load(reference, context.profile_sources())
        require_store_url(store, loaded.profile, context.environ)
    fields = read_unchanged(context.home, reference, variant, context.environ)
    if fields is not None:
        result = UpResult.unchanged(fields, context.environ)
    else:
        from colabenv.commands.build_draft import build_found  # noqa: PLC0415

        built = build_found(context, found, variant=variant, frozen=frozen, store=store)
        if built is None:  # another colabenv was building it, so look again
            return up(
                context, reference, variant=variant, frozen=frozen, switch=switch, store=store, push=push
            )
        result = built
    if push:
        from colabenv.store.push import push_after_build  # noqa: PLC0415

        pushed = push_after_build(Path(result.environment), loaded, store, context)
        notes = tuple(dict.fromkeys((*result.notes, *context.notes())))
        result = dataclasses.replace(result, pushed=pushed, notes=notes)
    prefix = Path(result.environment)
    changed = result.action != "unchanged"
    warming = keep_warm(prefix, result.preload, context, changed=changed, inside=result.inside)
    result = dataclasses.replace(result, warming=warming)
    if switch:
        from colabenv.kernel.default_kernel import switch_default_kernel  # noqa: PLC0415

        switched = switch_default_kernel(result.name, prefix, context.home, reference)
        result = dataclasses.replace(result, switched_by=str(switched.file))
    return result
