"""A warm kernel for a profile that names modules under `kernel.preload`."""

from __future__ import annotations

from pathlib import Path

from colabenv.system.workspace import Workspace


def keep_warm(
    prefix: Path, modules: tuple[str, ...], workspace: Workspace, *, changed: bool, inside: bool
) -> bool:
    """Start a process that imports modules in the background, for the next kernel; returns whether one was started.

    If `up` has `changed` something, the warm kernels of all environments of the name end; otherwise a waiting one is
    kept. With `inside`, the notebook that runs `up` is already in the environment, so no kernel will start.
    """
    if not modules and not changed:
        return False
    from colabenv.kernel import warm  # noqa: PLC0415 - not needed by an `up` with nothing to do

    if changed:
        for environment in prefix.parent.glob("[!.]*"):
            warm.end_warm_process(environment)
    elif inside or warm.find_warm_process(prefix) is not None:
        return False
    if not modules:
        return False
    problem = warm.start_warm_process(prefix, workspace.environ, workspace.runner)
    if problem:
        workspace.progress.note(f"No warm kernel was started: {problem}")
    return not problem
