"""The profile that `init` writes: its path, its source, and its final validation."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from colabenv.errors import ColabenvError, DiskError, UsageError
from colabenv.frameworks.plan import make_plan
from colabenv.importers.draft import Draft, DraftValue
from colabenv.importers.sources import KINDS, find_sources
from colabenv.profile import diagnostics, document
from colabenv.profile.load import LoadedProfile
from colabenv.profile.model import Profile
from colabenv.profile.problems import profile_error
from colabenv.system.files import write_atomically


def choose_source(source: str | None) -> Path | None:
    """The file to read: `source`, or the only source in that folder or the current one; None for a starter profile.

    Raises:
        UsageError: there are several sources, or none in the folder `source`.
    """
    if source is None:
        return _find_only_source(Path())
    if not source.isprintable():
        raise UsageError(f"Invalid path: {source!r}", hint="Remove the control characters.")
    path = Path(source)
    if not path.is_dir():
        return path
    if only_source := _find_only_source(path):
        return only_source
    raise UsageError(f"{path} contains nothing to make a profile from.", hint=f"Use {KINDS}")


def _find_only_source(folder: Path) -> Path | None:
    paths = find_sources(folder)
    if len(paths) > 1:
        raise UsageError(
            f"There are several files to make a profile from: {', '.join(map(str, paths[:8]))}.",
            hint=f"Name one: colabenv init {shlex.quote(str(paths[0]))}",
        )
    return paths[0] if paths else None


def choose_target(source: Path | None, output: str, *, force: bool) -> Path:
    """The path of the new profile: `output`, or beside the source.

    Raises:
        UsageError: the path is not a profile's, or exists and `force` is not set.
    """
    if output or source is None:
        target = Path(output or "profile.yaml")
    elif source.suffix == ".ipynb":
        target = source.with_suffix(".yaml")
    else:
        target = source.with_name("profile.yaml")
    rename = "Choose another file with -o."
    if target.suffix not in (".yaml", ".yml"):
        raise UsageError(
            f"{target} is not a valid name for a profile.", hint=f"Name it {target.with_suffix('.yaml')}"
        )
    if source is not None and os.path.realpath(target) == os.path.realpath(source):
        raise UsageError(f"{target} is the source itself.", hint=rename)
    if target.is_dir():
        raise UsageError(f"{target} is a folder.", hint=rename)
    if os.path.lexists(target) and not force:
        path = shlex.quote(str(target))
        hint = f"To use it: colabenv up {path}. To overwrite it: --force. To write elsewhere: -o FILE"
        raise UsageError(f"{target} already exists. Nothing was changed.", hint=hint)
    return target


def finish_draft(draft: Draft, target: Path) -> str:
    """The profile's text, after the framework rules were applied: they may limit it to the CPU or add a note.

    Raises:
        ProfileError: the draft is not a valid profile.
    """
    profile = _validate(draft.text(), target)
    refusals = {variant: _find_refusal(profile, target, variant) for variant in ("cpu", "gpu")}
    accelerator = profile.stack.accelerator
    if refusals["cpu"] and accelerator != "gpu":
        draft.note(f"This profile cannot work yet: {refusals['cpu']}")
    elif refusals["gpu"] and accelerator == "auto":
        draft.stack["accelerator"] = DraftValue("cpu", "see the comment at the top")
        draft.note(f"This profile is for the CPU only: {refusals['gpu']}")
    text = draft.text()
    _validate(text, target)
    return text


def _validate(text: str, target: Path) -> Profile:
    top, problems = document.parse_document(text, str(target))
    profile, more = diagnostics.validate_document(top)
    if profile is None or problems or more:
        raise profile_error([*problems, *more])
    return profile


def _find_refusal(profile: Profile, target: Path, variant: str) -> str:
    """The error of the framework rules for a variant, or ""."""
    try:
        make_plan(LoadedProfile(profile, target, profile.packages, ()), variant)
    except ColabenvError as error:
        return f"{error.message} {error.hint}".strip()
    return ""


def write_profile(target: Path, text: str) -> None:
    """Write the profile. Raises DiskError if it cannot be written."""
    try:
        write_atomically(target, text)
    except DiskError as error:
        hint = "Free disk space, or write to another folder: -o FILE"
        raise DiskError(error.message, hint=hint) from error
