"""`export`: a lock in the format of another tool, to leave Colab with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from colabenv.commands.context import Context
from colabenv.environment.build import Environment, read_lock_copy
from colabenv.environment.distributions import find_distributions
from colabenv.environment.installers.select import find_uv
from colabenv.errors import LockError, MachineError
from colabenv.export import conda, dockerfile, pylock, ray, requirements
from colabenv.export.model import Export, ExportRequest
from colabenv.frameworks.plan import make_plan
from colabenv.frameworks.requirements import choose_variant
from colabenv.kernel.lookup import find_environment
from colabenv.kernel.register import read_settings
from colabenv.lock.lockfile import Lock, is_same_version
from colabenv.lock.service import find_lock
from colabenv.output.export import ExportResult
from colabenv.profile.load import LoadedProfile, load
from colabenv.profile.urls import index_urls
from colabenv.system.files import write_atomically

FORMATS = ("requirements", "pylock", "conda", "dockerfile", "ray")
_OFFLINE: dict[str, Callable[[ExportRequest], Export]] = {
    "requirements": requirements.export,
    "conda": conda.export,
    "dockerfile": dockerfile.export,
    "ray": ray.export,
}


def export(
    context: Context,
    name: str,
    *,
    format: str,  # noqa: A002 - named as the option
    output: str = "",
    variant: str = "auto",
) -> ExportResult:
    """Export an environment, or a profile's lock.

    Args:
        context: the machine.
        name: an environment, a profile's path, or `builtin:NAME`.
        format: one of `FORMATS`.
        output: path of the file to write, or "" for the screen.
        variant: "cpu", "gpu" or "auto".

    Raises:
        UsageError: there is no such environment.
        LockError: the profile has no lock that fits.
        MachineError, NetworkError: a pylock needs the index, which cannot be asked.
        DiskError: it cannot be written.
    """
    loaded, subject = _subject(name, variant, context)
    if format == "pylock":
        made = pylock.export(subject, pylock.found(_located(subject, loaded, context)))
    else:
        made = _OFFLINE[format](subject)
    files: tuple[str, ...] = ()
    if output:
        files = _write(made, Path(output))
    else:
        for note in made.notes:  # beside the file, which alone goes to the screen's standard output
            context.progress.note(note)
    shown = output or made.file_name
    return ExportResult(
        name=subject.name,
        format=format,
        variant=subject.variant,
        packages=len(subject.lock.pins),
        text="" if files else made.text,
        files=files,
        use=tuple(
            line.replace("FOLDER_OF_FILE", str(Path(shown).parent)).replace("FILE", shown)
            for line in made.use
        ),
        notes=made.notes,
    )


def _subject(wanted: str, variant: str, context: Context) -> tuple[LoadedProfile, ExportRequest]:
    if not is_profile(wanted):
        environment = find_environment(wanted, context)
        loaded = load(environment.stamp.profile, context.outside())
        if variant in {"auto", environment.stamp.variant}:
            _say_what_is_missing(wanted, environment, context)
            return loaded, _of_environment(environment, loaded)
    else:
        loaded = load(wanted, context.outside())
    return loaded, _of_profile(wanted, loaded, variant, context)


def is_profile(wanted: str) -> bool:
    """Whether a text names a profile, by its form; else it is the name of an environment."""
    return wanted.startswith("builtin:") or "/" in wanted or wanted.endswith((".yaml", ".yml"))


def _of_environment(environment: Environment, loaded: LoadedProfile) -> ExportRequest:
    """What the environment was built from, also where the profile has changed since."""
    variables: dict[str, str] = read_settings(environment.prefix).get("variables", {})
    return _assembled(read_lock_copy(environment), environment.stamp.python, variables, loaded)


def _say_what_is_missing(name: str, environment: Environment, context: Context) -> None:
    """Say so where more was installed since than the lock has."""
    versions = {pin.name: pin.version for pin in read_lock_copy(environment).pins}
    others = [
        one.name
        for one in find_distributions(environment.prefix)
        if not is_same_version(versions.get(one.name, ""), one.version)
    ]
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        context.progress.note(
            f"What was installed by hand since is not in it: {', '.join(others[:5])}{more}. "
            f"colabenv save {name} puts it into the lock."
        )


def _of_profile(wanted: str, loaded: LoadedProfile, asked: str, context: Context) -> ExportRequest:
    variant = choose_variant(loaded.profile.stack.accelerator, asked, context.host().variant)
    plan = make_plan(loaded, variant)
    existing = find_lock(plan, loaded, context)
    if existing.lock is None or not existing.fits:
        raise LockError(
            f"{existing.problem[:1].upper()}{existing.problem[1:]}, and `export` writes what the lock pins.",
            hint=f"Run colabenv lock {wanted} first.",
        )
    variables = {**dict(plan.requirements.variables), **loaded.profile.env}
    return _assembled(existing.lock, plan.requirements.python, variables, loaded)


def _assembled(lock: Lock, python: str, variables: dict[str, str], loaded: LoadedProfile) -> ExportRequest:
    return ExportRequest(
        lock=lock,
        python=python,
        variables=variables,
        indexes=tuple((index.name, index.url) for index in loaded.profile.indexes),
        source_builds=make_plan(loaded, lock.header.variant).source_builds,
    )


def _located(subject: ExportRequest, loaded: LoadedProfile, context: Context) -> dict[str, Any]:
    """Where the index has the lock's files; only uv can tell, so it is asked even where pip installs."""
    try:
        uv = find_uv(context)
    except MachineError as error:
        raise MachineError(
            f"A pylock.toml contains the URL of each file, which only uv can find. {error.message}",
            hint="--format requirements exports the same pins without URLs.",
        ) from error
    context.progress.stage("Asking the index for the files' addresses")
    return uv.find_wheel_urls(
        subject.lock, subject.source_builds, index_urls(loaded.profile, context.environ)
    )


def _write(made: Export, path: Path) -> tuple[str, ...]:
    """Write the export and what has to lie beside it."""
    beside = [(path.parent / name, text) for name, text in made.beside]
    for place, text in [*beside, (path, made.text)]:
        write_atomically(place, text)
    return (str(path), *(str(place) for place, _ in beside))
