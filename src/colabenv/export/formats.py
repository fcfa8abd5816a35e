"""Collect what to export from an environment or a profile, and export it in one of the formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from colabenv.environment.build import Environment, read_lock_copy
from colabenv.environment.distributions import find_distributions
from colabenv.environment.installers.select import find_uv
from colabenv.errors import LockError, MachineError
from colabenv.export import conda, dockerfile, pylock, ray, requirements
from colabenv.export.model import ExportedFile, ExportRequest
from colabenv.frameworks.plan import make_plan
from colabenv.kernel.register import read_settings
from colabenv.lock.lockfile import Lock, is_same_version
from colabenv.lock.service import find_lock
from colabenv.profile.load import LoadedProfile
from colabenv.profile.urls import index_urls
from colabenv.system.files import write_atomically
from colabenv.system.workspace import Workspace

_OFFLINE: Final[dict[str, Callable[[ExportRequest], ExportedFile]]] = {
    "requirements": requirements.export,
    "conda": conda.export,
    "dockerfile": dockerfile.export,
    "ray": ray.export,
}


def is_profile(name: str) -> bool:
    """Whether a name has the form of a profile or a notebook (a path, an address), not of an environment."""
    return name.startswith("builtin:") or "/" in name or name.endswith((".yaml", ".yml", ".ipynb"))


def request_environment(
    environment: Environment, loaded: LoadedProfile, workspace: Workspace
) -> ExportRequest:
    """The request for an environment, with the lock that it was built from; a note names packages installed since."""
    lock = read_lock_copy(environment)
    versions = {pin.name: pin.version for pin in lock.pins}
    unlocked = [
        package.name
        for package in find_distributions(environment.prefix)
        if not is_same_version(versions.get(package.name, ""), package.version)
    ]
    if unlocked:
        more = f" and {len(unlocked) - 5} more" if len(unlocked) > 5 else ""
        workspace.progress.note(
            f"Not included, because installed by hand: {', '.join(unlocked[:5])}{more}. "
            f"To add them to the lock: colabenv save {environment.stamp.name}"
        )
    variables: dict[str, str] = read_settings(environment.prefix).get("variables", {})
    return _make_request(lock, environment.stamp.python, variables, loaded)


def request_profile(
    reference: str, loaded: LoadedProfile, variant: str, workspace: Workspace
) -> ExportRequest:
    """The request for a profile and its lock; messages call the profile `reference`.

    Raises:
        LockError: the profile has no lock, or it is outdated.
    """
    plan = make_plan(loaded, variant)
    existing = find_lock(plan, loaded, workspace)
    if existing.lock is None or not existing.fits:
        problem = f"{existing.problem[:1].upper()}{existing.problem[1:]}"
        raise LockError(
            f"{problem}, and export needs a current lock.", hint=f"Run colabenv lock {reference} first."
        )
    variables = {**dict(plan.requirements.variables), **loaded.profile.env}
    return _make_request(existing.lock, plan.requirements.python, variables, loaded)


def _make_request(
    lock: Lock, python: str, variables: Mapping[str, str], loaded: LoadedProfile
) -> ExportRequest:
    return ExportRequest(
        lock=lock,
        python=python,
        variables=variables,
        indexes=tuple((index.name, index.url) for index in loaded.profile.indexes),
        source_builds=make_plan(loaded, lock.header.variant).source_builds,
    )


def export_lock(
    format_name: str, request: ExportRequest, loaded: LoadedProfile, workspace: Workspace
) -> ExportedFile:
    """Export a lock; LockError, MachineError or NetworkError if a pylock needs URLs that the index cannot provide."""
    if format_name == "pylock":
        return pylock.export(request, pylock.parse_index_files(_find_urls(request, loaded, workspace)))
    return _OFFLINE[format_name](request)


def _find_urls(request: ExportRequest, loaded: LoadedProfile, workspace: Workspace) -> dict[str, Any]:
    """A pylock document with the URLs of the lock's files; only uv can find them, even if pip installs."""
    try:
        uv = find_uv(workspace)
    except MachineError as error:
        raise MachineError(
            f"A pylock.toml contains the URL of each file, which only uv can find. {error.message}",
            hint="--format requirements exports the same pins without URLs.",
        ) from error
    workspace.progress.stage("Asking the index for file URLs")
    return uv.find_wheel_urls(
        request.lock, request.source_builds, index_urls(loaded.profile, workspace.environ)
    )


def write_export(exported: ExportedFile, path: Path) -> tuple[str, ...]:
    """Write an exported file and the files that it needs; returns their paths. Raises DiskError if that fails."""
    beside = [(path.parent / name, text) for name, text in exported.beside]
    for target, text in [*beside, (path, exported.text)]:
        write_atomically(target, text)
    return (str(path), *(str(target) for target, _ in beside))
