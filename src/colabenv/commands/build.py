"""The stages of `up`, top to bottom: profile, host, plan, lock, environment, check, kernel."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

from colabenv.commands.context import Context
from colabenv.environment.build import ensure_environment
from colabenv.environment.up_cache import write_up_cache
from colabenv.frameworks.plan import Plan, choose_supported_variant, make_plan
from colabenv.host.probe import Host, require_suitable_disk
from colabenv.kernel.candidate import check_candidate, prepare_kernel, register_candidate
from colabenv.lock.service import ensure_lock, find_lock
from colabenv.output.up import DryRunResult, UpResult
from colabenv.profile.load import LoadedProfile, load
from colabenv.store.open import choose_store_url
from colabenv.store.source import open_source
from colabenv.system.files import hash_file


def build(
    context: Context, profile: str, *, variant: str, frozen: bool, store: str, statements: Sequence[str] = ()
) -> UpResult | None:
    """Run every stage of `up`; None if another process was building this environment, so that `up` must look again.

    The check tries the import `statements`; those that fail are in the result.

    Raises:
        ColabenvError: the environment cannot be built. One that worked before still does.
    """
    loaded = load(profile, context.profile_sources())
    require_suitable_disk(context.home.root)
    url = choose_store_url(store, loaded.profile, context.environ)
    seconds: dict[str, float] = {}
    with context.hold_environment(loaded.profile.name) as waited:
        if waited:
            return None
        with open_source(url, context.installer(), context) as source:
            started = time.monotonic()
            host = context.host()
            plan = _plan(loaded, host, variant, context)
            existing = find_lock(plan, loaded, context, frozen=frozen)
            if existing.lock is not None and existing.fits:
                source.prefetch(existing.lock)
            interpreter = source.find_interpreter(plan.requirements.python)
            seconds["look"] = time.monotonic() - started
            started = time.monotonic()
            locked = ensure_lock(plan, existing, loaded, source, interpreter, context)
            seconds["lock"] = time.monotonic() - started
            if locked.state != "kept":
                source.prefetch(locked.lock)
            ensured = ensure_environment(locked, plan, loaded, source, context)
            store_report = source.report()
            started = time.monotonic()
            candidate = prepare_kernel(ensured, loaded, host, source.uv_binary)
            report = check_candidate(
                candidate, loaded.profile, host, context, source.needs_bytecode(locked.lock), statements
            )
            kernelspec = register_candidate(candidate, context)
        seconds = {**seconds, **ensured.seconds, "prove": time.monotonic() - started}
        result = UpResult.built(
            candidate, report, locked, kernelspec, host.kind, seconds, store_report, context.environ
        )
        result = dataclasses.replace(
            result,
            action="built" if ensured.seconds else "registered",
            preload=loaded.profile.kernel.preload,
            notes=context.notes(),
        )
        files = {str(path): digest for path, digest in loaded.inputs}
        files[result.lock] = hash_file(locked.path)
        write_up_cache(context.home, profile, variant, files, dataclasses.asdict(result), context.environ)
    return result


def plan_build(context: Context, profile: str, *, variant: str, frozen: bool, store: str) -> DryRunResult:
    """Run the stages that `up --dry-run` needs. Nothing is written, except a Python that has to be downloaded."""
    loaded = load(profile, context.profile_sources())
    url = choose_store_url(store, loaded.profile, context.environ)
    with open_source(url, context.installer(), context) as source:
        plan = _plan(loaded, context.host(), variant, context)
        existing = find_lock(plan, loaded, context, frozen=frozen)
        interpreter = source.find_interpreter(plan.requirements.python)
        locked = ensure_lock(plan, existing, loaded, source, interpreter, context, write=False)
        store_note = source.describe(locked.lock)
        if store_note:
            context.progress.note(store_note)
    return DryRunResult.planned(locked, context.notes())


def _plan(loaded: LoadedProfile, host: Host, requested: str, context: Context) -> Plan:
    """Plan the `requested` variant for this machine, and show the plan's notes."""
    variant = choose_supported_variant(loaded, requested, host.variant)
    plan = make_plan(loaded, variant, gpus=host.gpus, platform=host.platform)
    without_gpu = plan.requirements.cpu_only if host.gpus and variant == "cpu" else ""
    notes = [*([without_gpu] if without_gpu else []), *plan.requirements.notes]
    if host.gpu_trouble:
        notes.append(f"The GPU did not answer ({host.gpu_trouble}).")
    if variant == "gpu" and not host.gpus:
        notes.append("This machine has no GPU; building the gpu variant anyway.")
    for note in notes:
        context.progress.note(note)
    return plan
