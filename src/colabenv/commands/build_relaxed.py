"""`up` of a new draft: if it cannot be built, smaller drafts are tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from colabenv.commands.context import Context
from colabenv.errors import CheckError, InstallError, UnsatisfiableError
from colabenv.importers.relaxation import Relaxation
from colabenv.output.up import UpResult
from colabenv.system.files import write_atomically


def build_relaxed(
    context: Context, profile: Path, relaxations: Sequence[Relaxation], run: Callable[[], UpResult | None]
) -> UpResult | None:
    """Build a draft; if its versions do not exist, do not build or fail the check, a smaller one.

    The first that works stays in the profile. If none does, the profile is as it was, and its error is raised.
    """
    text = profile.read_text(encoding="utf-8")
    try:
        return run()
    except (UnsatisfiableError, InstallError, CheckError) as error:
        first = error
    for relaxation in relaxations:
        context.progress.note(f"{first.message} Trying again: {profile} now {relaxation.what}.")
        write_atomically(profile, relaxation.text)
        try:
            return run()
        except (UnsatisfiableError, InstallError, CheckError):
            continue
    write_atomically(profile, text)
    raise first
