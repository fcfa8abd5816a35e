"""What `up` does for a profile that names modules under `kernel.preload`: a warm kernel is made ready."""

from __future__ import annotations

from pathlib import Path

from colabenv.commands.context import Context
from colabenv.output.results import UpResult


def keep_warm(result: UpResult, context: Context) -> bool:
    """Have a process import the modules that the profile names, in the background.

    Those of the name's other environments go away. Where nothing has changed one that waits is kept, and where the
    notebook that asks runs in the environment already there is nobody to wait for.

    Returns:
        Whether one was started.
    """
    prefix = Path(result.environment)
    changed = result.action != "unchanged"
    if not result.preload and not changed:
        return False
    from colabenv.kernel import warm  # noqa: PLC0415 - not needed by an `up` with nothing to do

    if changed:
        for other in prefix.parent.glob("[!.]*"):
            warm.end_warm_process(other)
    elif result.inside or warm.find_warm_process(prefix) is not None:
        return False
    if not result.preload:
        return False
    trouble = warm.start_warm_process(prefix, context.environ, context.runner)
    if trouble:
        context.progress.note(f"No warm kernel is kept ready: {trouble}")
    return not trouble
