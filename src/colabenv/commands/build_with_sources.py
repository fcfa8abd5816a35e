"""`up` of a drafted profile: packages that have no wheels are added to its `source_builds`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from colabenv.commands.context import Context
from colabenv.errors import UnsatisfiableError
from colabenv.output.up import UpResult
from colabenv.profile.edit import UneditableError, add_source_build
from colabenv.system.files import write_atomically

_MAX_SOURCE_BUILDS: Final = 12


def build_with_sources(
    context: Context, profile: Path, run: Callable[[], UpResult | None]
) -> UpResult | None:
    """Build a draft. What the index has only as source is added to its `source_builds`, as pip would build it.

    A resolver names one distribution at a time. Raises as `build`.
    """
    for _ in range(_MAX_SOURCE_BUILDS):
        try:
            return run()
        except UnsatisfiableError as error:
            name = error.source_only
            if not name:
                raise
            try:
                text = add_source_build(profile.read_text(encoding="utf-8"), name)
            except UneditableError:
                raise error from None
        context.progress.note(
            f"{name} has no wheel for this Python, so it is built from source; adding it to `source_builds` in "
            f"{profile}."
        )
        write_atomically(profile, text)
    return run()
