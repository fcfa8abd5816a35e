"""`lock`: pin a profile for CPU and GPU machines, from a machine with or without a GPU."""

from __future__ import annotations

from collections.abc import Sequence

from colabenv.commands.context import Context
from colabenv.environment.source import PackageSource
from colabenv.errors import UsageError
from colabenv.frameworks.plan import choose_supported_variant, make_plan
from colabenv.frameworks.requirements import choose_variant
from colabenv.lock.service import check_locks, update_locks
from colabenv.output.lock import LockResult, VariantLock
from colabenv.profile.load import load


def lock(
    context: Context,
    profile: str,
    *,
    variant: str = "both",
    upgrade: Sequence[str] | None = None,
    check: bool = False,
) -> LockResult:
    """Write the locks of a profile, or check that they fit.

    Args:
        context: the command's workspace.
        profile: path or address of a profile or a notebook, or `builtin:NAME`.
        variant: "cpu", "gpu" or "both", which is every variant that the profile allows.
        upgrade: None keeps pins where they fit; names let those change; an empty sequence lets all change.
        check: compare and write nothing.

    Raises:
        LockError: with `check`, a lock is missing or does not fit.
        UsageError: the options contradict each other, or a package to upgrade is in no lock.
        ColabenvError: the profile cannot be locked. Its locks stay unchanged.
    """
    if check and upgrade is not None:
        raise UsageError("--check and --upgrade cannot be used together.", hint="Leave one out.")
    found = context.find_profile(profile, write=not check)
    loaded = load(found.reference, context.profile_sources())
    accelerator = loaded.profile.stack.accelerator
    if variant == "both":
        on_gpu = choose_supported_variant(loaded, "auto", "gpu")
        variants = list(dict.fromkeys(["cpu", on_gpu])) if accelerator == "auto" else [accelerator]
    else:
        variants = [choose_variant(accelerator, variant, variant)]
    # Whether a lock fits does not depend on the platform, so a check does not probe the machine.
    platform = "" if check else context.host().platform
    plans = [make_plan(loaded, name, platform=platform) for name in variants]
    for note in dict.fromkeys(note for plan in plans for note in plan.requirements.notes):
        context.progress.note(note)
    if check:
        existing = check_locks(plans, loaded, context)
        locks = [VariantLock.compared(lock.lock, lock.lock, lock.path) for lock in existing if lock.lock]
    else:
        with context.hold_environment(loaded.profile.name):
            source = PackageSource(context.installer(), context)
            updated = update_locks(plans, loaded, source, context, upgrade)
        locks = [VariantLock.compared(old.lock, new, path) for old, new, path in updated]
    return LockResult(loaded.profile.name, checked=check, locks=tuple(locks), notes=context.notes())
