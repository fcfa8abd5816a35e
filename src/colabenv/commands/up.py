"""`up`: the whole job, from profile to a proven, registered kernel."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from colabenv import __version__
from colabenv.commands.context import Context, check_environment
from colabenv.commands.store import push_after
from colabenv.environment import up_cache
from colabenv.environment.build import Environment, Stamp, build, environment_digest, rebuild
from colabenv.environment.bytecode import compiling
from colabenv.environment.distributions import find_damage
from colabenv.environment.installers.base import Installer, Job
from colabenv.errors import CheckError, LockError
from colabenv.frameworks import plan as rules
from colabenv.host.interpreters import Interpreter
from colabenv.host.probe import Host, require_fit_disk
from colabenv.kernel import default_kernel, register
from colabenv.kernel.check import CheckReport
from colabenv.kernel.preload import keep_warm
from colabenv.kernel.spec import kernel_name, kernelspec, launcher_settings
from colabenv.lock import files as lock_files
from colabenv.lock import service
from colabenv.lock.lockfile import Lock
from colabenv.lock.resolve import Plan
from colabenv.output.results import DryRunResult, Result, UpResult
from colabenv.profile.load import LoadedProfile, load
from colabenv.store import restore_source
from colabenv.store.open import require_store_url
from colabenv.store.restore import RestoreSession
from colabenv.system.files import locked, sha256_of


@dataclass(frozen=True)
class Decision:
    """All that is known before the environment is built."""

    loaded: LoadedProfile
    host: Host
    plan: Plan
    interpreter: Interpreter
    lock: Lock
    lock_path: Path
    lock_state: str
    installer: Installer
    indexes: tuple[tuple[str, str], ...]
    seconds: dict[str, float]


def up(
    context: Context,
    profile: str,
    *,
    variant: str = "auto",
    frozen: bool = False,
    dry_run: bool = False,
    switch: bool = False,
    store: str = "",
    push: bool = False,
) -> Result:
    """Build, prove and register the environment of `profile`.

    Args:
        context: the machine.
        profile: path, URL or `builtin:NAME`.
        variant: "cpu", "gpu" or "auto".
        frozen: fail where there is no lock that fits, instead of resolving.
        dry_run: stop before anything is built or written.
        switch: make the environment the session's default kernel as well.
        store: URL of the store, "none" for no store, or "" for the one that COLABENV_STORE or the profile names.
        push: keep in the store what it lacks, once the environment is proven.

    Returns:
        An `UpResult`, or a `DryRunResult`.

    Raises:
        ColabenvError: why it could not be done. What worked before still does.
    """
    if dry_run:
        loaded = load(profile, context.outside())
        with restore_source.open_session(store, loaded, context) as session:
            decision = decide(loaded, context, session, variant=variant, frozen=frozen, dry_run=True)
            return _dry_run(decision, session, context)
    pushed = _to_push(profile, store, context) if push else None
    result = up_cache.read_if_unchanged(context.home, profile, variant, context.environ)
    if result is None:
        result = _up_under_lock(profile, variant, store, context, frozen=frozen)
    if pushed is not None:
        result = push_after(result, pushed, store, context)
    result = dataclasses.replace(result, warming=keep_warm(result, context))
    if not switch:
        return result
    made = default_kernel.switch_default_kernel(result.name, Path(result.environment), context.home, profile)
    return dataclasses.replace(result, switched_by=str(made.file))


def _to_push(profile: str, store: str, context: Context) -> LoadedProfile:
    """The profile, once it is sure that there is a store to push to; better said now than after the build."""
    loaded = load(profile, context.outside())
    require_store_url(store, loaded.profile, context.environ)
    return loaded


def _up_under_lock(profile: str, variant: str, store: str, context: Context, *, frozen: bool) -> UpResult:
    loaded = load(profile, context.outside())
    require_fit_disk(context.home.root)
    name = loaded.profile.name
    with locked(
        context.home.lock_file(name),
        lambda: context.progress.note(f"Another colabenv is working on {name}; waiting for it."),
    ):
        # Whoever held the lock may have done the job.
        same = up_cache.read_if_unchanged(context.home, profile, variant, context.environ)
        if same is not None:
            return same
        with restore_source.open_session(store, loaded, context) as session:
            decision = decide(loaded, context, session, variant=variant, frozen=frozen)
            result = _carry_out(decision, session, context)
        files = {str(path): digest for path, digest in loaded.inputs}
        files[result.lock] = sha256_of(Path(result.lock))
        up_cache.write(context.home, profile, variant, files, result, context.environ)
    return result


def decide(
    loaded: LoadedProfile,
    context: Context,
    session: RestoreSession | None = None,
    *,
    variant: str = "auto",
    frozen: bool = False,
    dry_run: bool = False,
) -> Decision:
    """Choose variant, interpreter and versions; writes nothing but a Python that had to be fetched.

    What a store has for a lock that is there already is fetched meanwhile.

    Args:
        loaded: the profile.
        context: the machine.
        session: with the store, or None.
        variant: as of `up`, like `frozen` and `dry_run`.
        frozen: see there.
        dry_run: see there.

    Raises:
        ColabenvError: a choice cannot be made.
    """
    started = time.monotonic()
    host = context.host()
    variant = rules.choose_variant(loaded.profile.stack.accelerator, variant, host.variant)
    wanted = service.requirements_of(loaded, variant, host.gpus)
    for note in (*wanted.notes, *_host_notes(host, variant)):
        context.progress.note(note)
    plan = service.plan_of(loaded, wanted, host.platform)
    held = service.find_lock(plan, loaded, context)
    if held.lock is not None and held.fits and not dry_run:
        restore_source.begin(session, held.lock, context)
    tools = service.tools_for(loaded, wanted.python, context, restore_source.pythons_of(session, context))
    seconds = {"look": time.monotonic() - started}
    started = time.monotonic()
    lock, path, state = _lock(plan, held, tools, context, frozen=frozen)
    seconds["lock"] = time.monotonic() - started
    if state != "kept" and not dry_run:
        restore_source.begin(session, lock, context)
    installer = restore_source.installer_with(session, tools.installer, context)
    return Decision(
        loaded, host, plan, tools.interpreter, lock, path, state, installer, tools.indexes, seconds
    )


def _host_notes(host: Host, variant: str) -> list[str]:
    notes = []
    if host.gpu_trouble:
        notes.append(f"The GPU could not be asked ({host.gpu_trouble}).")
    if variant == "gpu" and not host.gpus:
        notes.append("This machine shows no GPU; building the gpu variant all the same.")
    return notes


def _lock(
    plan: Plan, held: service.ExistingLock, tools: service.ResolveTools, context: Context, *, frozen: bool
) -> tuple[Lock, Path, str]:
    """The lock to install, where it lies or will lie, and whether it is "kept", "new" or "changed"."""
    if held.lock is not None and held.fits:
        if held.lock.header.kernel == "plain" and plan.google_colab == "auto":
            context.progress.note(
                "The lock has a plain kernel: google.colab does not go with the profile's pins."
            )
        return held.lock, held.path, "kept"
    if frozen:
        raise LockError(
            f"--frozen was given, but {held.trouble}.",
            hint="Run colabenv up without --frozen once, and commit the lock it writes beside the profile.",
        )
    lock = service.resolve_lock(plan, tools, held.pins, context)
    return lock, held.path, "changed" if held.lock else "new"


def _dry_run(decision: Decision, session: RestoreSession | None, context: Context) -> DryRunResult:
    lock = decision.lock
    restore_source.say_what_it_has(session, lock, context)
    return DryRunResult(
        name=lock.header.profile,
        variant=lock.header.variant,
        python=decision.interpreter.version,
        interpreter=f"Python {decision.interpreter.version} ({decision.interpreter.origin})",
        kernel=lock.header.kernel,
        lock=str(decision.lock_path),
        lock_state=decision.lock_state,
        pins={pin.name: pin.version for pin in lock.pins},
        notes=context.notes(),
    )


def _carry_out(decision: Decision, session: RestoreSession | None, context: Context) -> UpResult:
    """Write the lock, build, prove, publish."""
    profile, lock = decision.loaded.profile, decision.lock
    lock_path = decision.lock_path
    if decision.lock_state != "kept":
        loaded = decision.loaded
        lock_path = lock_files.write(lock, loaded.path, context.home, shipped=loaded.builtin)
    variables = {**dict(decision.plan.requirements.variables), **profile.env}
    digest = environment_digest(lock, decision.interpreter, variables, profile.kernel.google_colab)
    stamp = Stamp(
        name=profile.name,
        digest=digest,
        python=decision.interpreter.version,
        variant=lock.header.variant,
        kernel=lock.header.kernel,
        packages=len(lock.pins),
        installer=decision.installer.name,
        built=0,
        profile=decision.loaded.reference,
        lock=str(lock_path),
    )
    prefix = context.home.environment(profile.name, digest)
    job = Job(lock, decision.interpreter, prefix, decision.plan.source_builds, decision.indexes)
    environment, building = build(job, stamp, decision.installer, context.progress)
    store = restore_source.report(session, decision.installer, context)
    started = time.monotonic()
    try:
        spec, proof = _prove(decision, environment, variables, context)
    except CheckError as error:
        lost = None if building else find_damage(prefix, {pin.name: pin.version for pin in lock.pins})
        if lost is None:
            raise _unpublished(error, profile.name, context) from error
        context.progress.note(f"The environment that was there is damaged: {lost}. Building it anew.")
        environment, building = rebuild(job, stamp, decision.installer, context.progress)
        started = time.monotonic()
        spec, proof = _prove(decision, environment, variables, context)
    up_cache.clear_suspect(prefix)
    published = register.register_kernel(profile.name, spec, register.find_kernels_folder(context.environ))
    decision = dataclasses.replace(decision, lock_path=lock_path)
    seconds = {**decision.seconds, **building, "prove": time.monotonic() - started}
    result = _result(
        decision, environment, proof, published, "built" if building else "published", seconds, context
    )
    return dataclasses.replace(result, store=store)


def _unpublished(error: CheckError, name: str, context: Context) -> CheckError:
    """The error of a proof that failed before its kernel was published."""
    older = register.read_registered_spec(name, register.find_kernels_folder(context.environ))
    said = (
        "The kernel was not published; the older kernel of this name still works."
        if older
        else "No kernel was published."
    )
    return CheckError(error.message, hint=f"{error.hint} {said}".strip(), detail=error.detail)


def _prove(
    decision: Decision, environment: Environment, variables: dict[str, str], context: Context
) -> tuple[dict[str, object], CheckReport]:
    """Make the environment startable and prove its kernel; nothing is published yet."""
    profile, prefix = decision.loaded.profile, environment.prefix
    with_colab = decision.lock.header.kernel == "colab" and decision.host.google_colab is not None
    spec = kernelspec(
        name=profile.name,
        display_name=_display_name(decision),
        environment=str(prefix),
        digest=environment.stamp.digest,
        version=__version__,
        profile=decision.loaded.reference,
    )
    register.install_launcher(
        prefix,
        spec,
        launcher_settings(
            variables=variables,
            google_colab=str(decision.host.google_colab) if with_colab else "",
            bytecode=str(prefix / "colabenv" / "bytecode"),
            base_python=sys.executable,
            preload=profile.kernel.preload,
        ),
        profile.name,
    )
    register.link_uv(prefix, getattr(decision.installer, "binary", None))
    context.progress.stage("Proving the kernel")
    with compiling(environment, restore_source.installed(decision.installer, decision.lock), context.runner):
        return spec, check_environment(profile, environment, decision.lock, decision.host, context)


def _display_name(decision: Decision) -> str:
    profile = decision.loaded.profile
    return profile.kernel.display_name or f"{profile.name} (Python {decision.interpreter.minor})"


def _result(
    decision: Decision,
    environment: Environment,
    proof: CheckReport,
    published: Path,
    action: str,
    seconds: dict[str, float],
    context: Context,
) -> UpResult:
    name = decision.loaded.profile.name
    return UpResult(
        name=name,
        action=action,
        kernel_name=kernel_name(name),
        display_name=_display_name(decision),
        environment=str(environment.prefix),
        python=environment.stamp.python,
        interpreter=str(decision.interpreter.path),
        variant=environment.stamp.variant,
        lock=str(decision.lock_path),
        kernelspec=str(published),
        host=decision.host.kind,
        kernel="colab" if proof.kernel_class.startswith("google.colab.") else "plain",
        packages=environment.stamp.packages,
        tensorflow=proof.tensorflow,
        keras=proof.keras,
        torch=proof.torch,
        jax=proof.jax,
        backend=proof.backend,
        preload=decision.loaded.profile.kernel.preload,
        tensorflow_from=os.path.dirname(proof.origins.get("tensorflow", "")),  # noqa: PTH120
        devices=proof.devices,
        seconds={name: round(value, 3) for name, value in seconds.items()},
        proof_seconds={name: round(value, 3) for name, value in proof.seconds.items()},
        notes=context.notes(),
        inside=context.environ.get("COLABENV_INSIDE", "") == str(environment.prefix),
    )
