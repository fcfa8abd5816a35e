"""`gc`: give disk back that nothing uses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from colabenv.commands.context import Context
from colabenv.environment.build import read_environment
from colabenv.errors import ColabenvError
from colabenv.kernel import default_kernel, warm
from colabenv.kernel.register import find_kernels_folder, read_registered_spec
from colabenv.output.results import Result
from colabenv.store.restore import STAGING
from colabenv.system.files import measure_free_space, measure_tree, remove_tree, try_file_lock
from colabenv.system.process import find_processes_using


@dataclass(frozen=True)
class RemovedFolder:
    """One folder.

    Attributes:
        path: of the folder.
        why: what it was, for people.
        bytes: of the files in it; those that uv links to its cache count although they stay there.
    """

    path: str
    why: str
    bytes: int


@dataclass(frozen=True)
class GcResult(Result):
    """What was removed.

    Attributes:
        removed: a row each; with `dry_run` what would be.
        freed_bytes: what the disk got back, by its own account; 0 with `dry_run`.
        free_bytes: free disk where colabenv keeps its things.
        dry_run: whether nothing was removed.
        notes: what was left alone, and why.
    """

    removed: tuple[RemovedFolder, ...]
    freed_bytes: int
    free_bytes: int
    dry_run: bool
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The sum, then a line each."""
        rows = [f"  {one.bytes / 1e9:6.2f} GB  {one.path}  ({one.why})" for one in self.removed]
        free = f"{self.free_bytes / 1e9:.1f} GB are free"
        if not rows:
            return [f"✓ There is nothing to remove; {free}."]
        if self.dry_run:
            return ["Would remove:", *rows, "Nothing was removed."]
        return [f"✓ {self.freed_bytes / 1e9:.2f} GB given back; {free}.", *rows]


def gc(context: Context, *, cache: bool = False, dry_run: bool = False) -> GcResult:
    """Remove environments that no kernel is registered for and no program runs in, and what broken runs left behind.

    Profiles, locks and registered environments stay. Of an environment in use nothing is touched,
    and the downloads stay while another colabenv is working.

    Args:
        context: the machine.
        cache: remove the downloads too.
        dry_run: remove nothing.

    Raises:
        DiskError: something could not be removed.
    """
    before = measure_free_space(context.home.root)
    removed: list[RemovedFolder] = []
    busy = False
    for path, why in _leftovers(context.home.envs):
        removed.append(_remove(path, why, dry_run=dry_run))
    for folder in sorted(context.home.envs.glob("[!.]*")):
        if not folder.is_dir():
            continue
        with try_file_lock(context.home.file_lock(folder.name)) as free:
            if not free:
                busy = True
                context.progress.note(f"Another colabenv is working on {folder.name}; it was left alone.")
                continue
            removed += [_remove(path, why, dry_run=dry_run) for path, why in _unused(folder, context)]
            with contextlib.suppress(OSError):  # it is not empty, as a rule
                folder.rmdir()
    if cache and context.home.cache.exists() and not busy:
        removed.append(
            _remove(context.home.cache, "downloads; the next up fetches them again", dry_run=dry_run)
        )
    after = measure_free_space(context.home.root)
    freed = 0 if dry_run else max(0, after - before)
    return GcResult(tuple(removed), freed, after, dry_run, context.notes())


def _leftovers(folder: Path) -> Iterator[tuple[Path, str]]:
    """What a removal that was killed left behind."""
    for path in sorted(folder.glob(".trash-*")):
        yield path, "left by a removal that was interrupted"


def _unused(folder: Path, context: Context) -> Iterator[tuple[Path, str]]:
    """The environments of one name that may go; the caller holds the name's lock."""
    spec = read_registered_spec(folder.name, find_kernels_folder(context.environ)) or {}
    registered = spec.get("metadata", {}).get("colabenv", {}).get("digest")
    switch = default_kernel.find_switch(context.home)
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".trash-", ".old-")):
            yield path, "left by a build that was interrupted"
        elif path.name.startswith(STAGING):
            yield path, "left by a restore that was interrupted"
        elif path.name == registered or (switch is not None and switch.prefix == path):
            continue
        elif users := _users(path):
            context.progress.note(f"{path} is in use by process {users[0]}; it was left alone.")
        elif read_environment(path) is None:
            yield path, "half-made"
        else:
            yield path, "an environment that no kernel is registered for"


def _users(path: Path) -> list[int]:
    """Processes that run in an environment; a kernel that only waits to be taken is no use of it."""
    waiting = warm.find_warm_process(path)
    return [pid for pid in find_processes_using(path) if waiting is None or pid not in waiting.pids]


def _remove(path: Path, why: str, *, dry_run: bool) -> RemovedFolder:
    size = measure_tree(path)
    if not dry_run:
        warm.end_warm_process(path)
        with (
            contextlib.suppress(ColabenvError)
            if path.name.startswith(".trash-")
            else contextlib.nullcontext()
        ):
            remove_tree(path)
    return RemovedFolder(str(path), why, size)
