"""`save`: write the packages that were installed by hand to the profile and its locks."""

from __future__ import annotations

import difflib

from colabenv.commands.context import Context
from colabenv.environment.save import Saver, explain_failure, find_changes, require_editable
from colabenv.environment.source import PackageSource
from colabenv.errors import UsageError
from colabenv.kernel.lookup import find_environment
from colabenv.output.lock import VariantLock
from colabenv.output.save import SaveResult, describe_differences, describe_unsaved
from colabenv.profile.load import load


def save(context: Context, name: str, *, dry_run: bool = False) -> SaveResult:
    """Save what was installed by hand in an environment. Profile and locks are written together, or not at all.

    Raises:
        UsageError: there is no such environment, or its profile cannot be changed.
        ProfileError, LockError: its profile or lock is missing or invalid, or must be changed by hand.
        UnsatisfiableError, NetworkError: the new versions cannot be resolved.
        DiskError: a file cannot be written.
    """
    environment = find_environment(name, context)
    loaded = load(environment.stamp.profile, context.profile_sources())
    if loaded.profile.name != environment.stamp.name:
        raise UsageError(
            f"{loaded.path} now describes {loaded.profile.name}, not {environment.stamp.name}.",
            hint=f"Build it with colabenv up {loaded.path}, and save from that environment.",
        )
    with context.hold_environment(environment.stamp.name):
        changes = find_changes(environment, loaded, context)
        if not changes.packages.can_be_saved:
            unsaved = tuple(describe_unsaved(changes, None))
            return SaveResult(name, dry_run, str(loaded.path), unsaved=unsaved, notes=context.notes())
        require_editable(changes)
        with explain_failure(changes):
            source = PackageSource(context.installer(), context)
            saver = Saver(changes, context.profile_sources(), source, context.host().platform, context)
            rewrite, updates = saver.resolve()
            edited = rewrite.list_changes()
            paths = [update.old.path for update in updates]
            if not dry_run:
                paths = saver.write(edited, [update.new for update in updates])
    diff = [
        line
        for path, text in edited.items()
        for line in difflib.ndiff(changes.texts[path][0].splitlines(), text.splitlines())
    ]
    lock = updates[0].new
    return SaveResult(
        name=environment.stamp.name,
        dry_run=dry_run,
        profile=str(loaded.path),
        files=tuple(map(str, edited)),
        changes=tuple(line for line in diff if line.startswith(("- ", "+ "))),
        locks=tuple(
            VariantLock.compared(update.old.lock, update.new, path)
            for update, path in zip(updates, paths, strict=True)
        ),
        unsaved=tuple(describe_unsaved(changes, lock)),
        differs=tuple(describe_differences(changes, lock)),
        notes=context.notes(),
    )
