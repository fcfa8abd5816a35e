"""Prepares the kernel of an environment, checks it and registers it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colabenv import __version__
from colabenv.environment.build import EnsuredEnvironment, Environment, read_lock_copy
from colabenv.environment.bytecode import compile_in_background
from colabenv.environment.up_cache import clear_suspect, mark_suspect
from colabenv.errors import CheckError
from colabenv.frameworks.companions import find_later_constraints
from colabenv.host.interpreters import minor_version
from colabenv.host.probe import Host
from colabenv.kernel import register
from colabenv.kernel.check import CheckReport, CheckRequest, check_kernel
from colabenv.kernel.spec import kernelspec
from colabenv.profile.load import LoadedProfile
from colabenv.profile.model import Profile
from colabenv.system.workspace import Workspace

_COLAB_KERNEL = "google.colab._kernel.Kernel"


@dataclass(frozen=True)
class KernelCandidate:
    """A kernel that is ready to start but not registered yet; `spec` is its kernel.json."""

    environment: Environment
    display_name: str
    spec: dict[str, Any]


def prepare_kernel(
    ensured: EnsuredEnvironment, loaded: LoadedProfile, host: Host, uv_binary: Path | None
) -> KernelCandidate:
    """Put the launcher and its settings into an environment; `uv_binary` is for `!uv` there. Raises `DiskError`."""
    profile, environment = loaded.profile, ensured.environment
    stamp, prefix = environment.stamp, environment.prefix
    minor = minor_version(stamp.python)
    display_name = profile.kernel.display_name or f"{profile.name} (Python {minor})"
    spec = kernelspec(
        name=profile.name,
        display_name=display_name,
        environment=str(prefix),
        digest=stamp.digest,
        version=__version__,
        profile=loaded.reference,
    )
    register.install_launcher(
        prefix,
        spec,
        variables=ensured.variables,
        google_colab=None if profile.kernel.google_colab == "off" else host.google_colab,
        colab_kernel=stamp.kernel == "colab",
        preload=profile.kernel.preload,
        constraints=_find_constraints(environment, minor),
    )
    register.link_uv(prefix, uv_binary)
    return KernelCandidate(environment, display_name, spec)


def _find_constraints(environment: Environment, python: str) -> list[str]:
    """Constraints, besides its lock, for what a notebook installs into an environment later."""
    return find_later_constraints(read_lock_copy(environment).version_of("tensorflow") or "", python)


def check_candidate(
    candidate: KernelCandidate,
    profile: Profile,
    host: Host,
    workspace: Workspace,
    compile_: Collection[str],
    statements: Sequence[str] = (),
) -> CheckReport:
    """Check a candidate, while distributions without bytecode are compiled beside it; raises `CheckError`.

    `statements` are imports to try; the report says which failed.
    """
    try:
        with compile_in_background(candidate.environment, compile_, workspace.runner):
            return check_environment(profile, candidate.environment, host, workspace, statements)
    except CheckError as error:
        older = register.read_registered_spec(profile.name, register.find_kernels_folder(workspace.environ))
        outcome = "No kernel was registered."
        if older:
            outcome = "This kernel was not registered; the older kernel of this name still works."
        hint = f"{error.hint} {outcome}".strip()
        raise CheckError(error.message, hint=hint, detail=error.detail) from error


def check_environment(
    profile: Profile,
    environment: Environment,
    host: Host,
    workspace: Workspace,
    statements: Sequence[str] = (),
) -> CheckReport:
    """Start the kernel of an environment, run the profile's check in it, and try import `statements`.

    Raises `CheckError`, after which the next `up` examines the environment again, and `LockError` if its lock is gone.
    """
    lock = read_lock_copy(environment)
    gpu = "required" if profile.verify.gpu == "required" else "none"
    if gpu == "none" and lock.header.variant == "gpu":
        gpu = "expected"
    settings = register.read_settings(environment.prefix)
    expects_colab = bool(settings.get("google_colab") and settings.get("colab_kernel"))
    requires_colab = expects_colab and profile.kernel.google_colab == "on"
    workspace.progress.stage("Checking the kernel")
    try:
        report = check_kernel(
            CheckRequest(
                name=profile.name,
                kernels=environment.prefix / "colabenv" / "kernels",
                prefix=environment.prefix,
                imports=tuple(dict.fromkeys((*profile.verify.imports, *profile.kernel.preload))),
                code=profile.verify.code,
                versions={pin.name: pin.version for pin in lock.pins},
                kernel_class=_COLAB_KERNEL if requires_colab else "",
                gpu=gpu,
                transport=host.transport,
                log=workspace.log_path.with_suffix(".kernel.log"),
                statements=tuple(statements),
                on_step=workspace.progress.update,
            )
        )
    except CheckError:
        mark_suspect(environment.prefix)
        raise
    clear_suspect(environment.prefix)
    for note in report.notes:
        workspace.progress.note(note)
    if expects_colab and report.kernel_class != _COLAB_KERNEL:
        workspace.progress.note(
            "The kernel has ipykernel's own class, because Colab's cannot be imported in this environment. Drive, "
            "secrets, files and forms still work."
        )
    return report


def register_candidate(candidate: KernelCandidate, workspace: Workspace) -> Path:
    """Register a checked kernel; returns its kernel.json. Raises `DiskError`."""
    name = candidate.environment.stamp.name
    return register.register_kernel(name, candidate.spec, register.find_kernels_folder(workspace.environ))
