"""`gc`: free disk space by removing what nothing needs."""

from __future__ import annotations

import contextlib
from pathlib import Path

from colabenv.commands.context import Context
from colabenv.errors import ColabenvError
from colabenv.kernel import warm
from colabenv.kernel.unused_environments import find_unused_environments
from colabenv.output.environments import GcResult, RemovedFolder
from colabenv.system.files import measure_free_space, measure_tree, remove_tree, try_file_lock


def gc(context: Context, *, cache: bool = False, dry_run: bool = False) -> GcResult:
    """Remove environments without a registered kernel that no program uses, and what interrupted runs left behind.

    Profiles, locks and registered environments stay; so do the downloads, unless `cache` is set and no other
    colabenv is working.

    Raises:
        DiskError: something cannot be removed.
    """
    before = measure_free_space(context.home.root)
    removed = [
        _remove(path, "left by an interrupted removal", dry_run=dry_run)
        for path in sorted(context.home.envs.glob(".trash-*"))
    ]
    busy = False
    for folder in sorted(context.home.envs.glob("[!.]*")):
        if not folder.is_dir():
            continue
        with try_file_lock(context.home.file_lock(folder.name)) as acquired:
            if not acquired:
                busy = True
                context.progress.note(f"{folder.name} stays: another colabenv is working on it.")
                continue
            unused = find_unused_environments(folder, context)
            removed += [_remove(path, why, dry_run=dry_run) for path, why in unused]
            with contextlib.suppress(OSError):  # usually it is not empty
                folder.rmdir()
    if cache and context.home.cache.exists() and not busy:
        why = "downloads, which the next up fetches again"
        removed.append(_remove(context.home.cache, why, dry_run=dry_run))
    after = measure_free_space(context.home.root)
    freed = 0 if dry_run else max(0, after - before)
    return GcResult(tuple(removed), freed, after, dry_run, context.notes())


def _remove(path: Path, why: str, *, dry_run: bool) -> RemovedFolder:
    size = measure_tree(path)
    if not dry_run:
        warm.end_warm_process(path)
        try:
            remove_tree(path)
        except ColabenvError:
            if not path.name.startswith(".trash-"):  # the next `gc` tries again
                raise
    return RemovedFolder(str(path), why, size)
