"""Finds the folders of environments that nothing needs any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from colabenv.environment.build import read_environment
from colabenv.kernel import default_kernel, warm
from colabenv.kernel.register import find_kernels_folder, read_registered_spec
from colabenv.store.restore import STAGING
from colabenv.system.process import find_processes_using
from colabenv.system.workspace import Workspace


def find_unused_environments(folder: Path, workspace: Workspace) -> Iterator[tuple[Path, str]]:
    """The environments of one name that can be removed, each with the reason. The caller holds the name's file lock.

    Environments in use stay, and a note says so.
    """
    spec = read_registered_spec(folder.name, find_kernels_folder(workspace.environ)) or {}
    registered = spec.get("metadata", {}).get("colabenv", {}).get("digest")
    switch = default_kernel.find_switch(workspace.home)
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".trash-", ".old-")):
            yield path, "left by an interrupted build"
        elif path.name.startswith(STAGING):
            yield path, "left by an interrupted restore"
        elif path.name == registered or (switch is not None and switch.prefix == path):
            continue
        elif users := _find_users(path):
            workspace.progress.note(f"{path} stays: process {users[0]} uses it.")
        elif read_environment(path) is None:
            yield path, "an unfinished build"
        else:
            yield path, "an environment without a registered kernel"


def _find_users(path: Path) -> list[int]:
    """Processes that run in an environment, except a warm kernel that only waits."""
    waiting = warm.find_warm_process(path)
    return [pid for pid in find_processes_using(path) if waiting is None or pid not in waiting.pids]
