"""`up` of a drafted profile: what the notebook's imports lack is added to it, a few times."""

from __future__ import annotations

import dataclasses
import shlex
from functools import partial
from pathlib import Path
from typing import Final

from colabenv.commands.build import build
from colabenv.commands.build_relaxed import build_relaxed
from colabenv.commands.build_with_sources import build_with_sources
from colabenv.commands.context import Context
from colabenv.errors import ColabenvError
from colabenv.importers.draft import is_draft
from colabenv.importers.notebook_source import NotebookSource
from colabenv.importers.references import FoundProfile
from colabenv.importers.tried_imports import FailedImport, add_to_draft, find_additions, list_tried_imports
from colabenv.lock.files import read_lock
from colabenv.output.up import UpResult
from colabenv.profile.edit import UneditableError, list_packages
from colabenv.system.files import write_atomically

_MAX_ROUNDS: Final = 3
_MAX_LISTED: Final = 5


def build_found(
    context: Context, found: FoundProfile, *, variant: str, frozen: bool, store: str
) -> UpResult | None:
    """Build a profile as `build` does. If it is a notebook's draft, its check tries the notebook's imports.

    Raises:
        ColabenvError: the environment cannot be built. One that worked before still does.
    """
    profile, notebook = Path(found.reference), found.notebook
    statements = _list_imports(context, notebook, profile) if notebook else ()
    run = partial(
        build, context, found.reference, variant=variant, frozen=frozen, store=store, statements=statements
    )
    if notebook and is_draft(profile) and not frozen:
        run = partial(build_with_sources, context, profile, run)
    if found.relaxations and not frozen:
        run = partial(build_relaxed, context, profile, found.relaxations, run)
    result = run()
    for _ in range(0 if frozen else _MAX_ROUNDS):
        extended = _add_missing(context, profile, result) if result and result.failed_imports else ""
        if result is None or not extended:
            break
        files = {path: path.read_text(encoding="utf-8") for path in (profile, Path(result.lock))}
        write_atomically(profile, extended)
        try:
            result = run()
        except ColabenvError as error:
            for path, text in files.items():
                write_atomically(path, text)
            context.progress.note(f"{profile} stays as it was, because this did not work: {error.message}")
            break
    if result is None:
        return None
    _report_failures(context, profile, result)
    return dataclasses.replace(result, notes=context.notes())


def _list_imports(context: Context, notebook: NotebookSource, profile: Path) -> tuple[str, ...]:
    """The imports to try; none if the notebook cannot be read, because the profile exists without it."""
    try:
        return list_tried_imports(notebook, profile)
    except ColabenvError as error:
        context.progress.note(f"The notebook's imports are not tried: {error.message}")
        return ()


def _add_missing(context: Context, profile: Path, result: UpResult) -> str:
    """The profile with the packages that provide missing modules; "" if none is known."""
    lock = read_lock(result.lock)
    locked = {pin.name for pin in lock.pins} if lock else set()
    before = profile.read_text(encoding="utf-8")
    failed = [FailedImport(*item) for item in result.failed_imports]
    additions = find_additions(failed, locked, list_packages(before))
    if not additions:
        return ""
    needs = ", ".join(f"{name} (`{item.statement}`)" for name, item in additions.items())
    try:
        text = add_to_draft(before, additions)
    except UneditableError:
        context.progress.note(f"The notebook's imports need {needs}; add this to `packages` in {profile}.")
        return ""
    context.progress.note(f"The notebook's imports need more packages; adding to {profile}: {needs}.")
    return text


def _report_failures(context: Context, profile: Path, result: UpResult) -> None:
    """Say which imports of the notebook still fail, and what to do."""
    for statement, missing, error in result.failed_imports[:_MAX_LISTED]:
        advice = (
            f" If {missing} is a package, add it to `packages` in {shlex.quote(str(profile))}."
            if missing
            else ""
        )
        context.progress.note(f"In this environment, `{statement}` fails: {error}.{advice}")
    more = len(result.failed_imports) - _MAX_LISTED
    if more > 0:
        context.progress.note(f"{more} more imports of the notebook fail; `--json` lists them.")
