"""colabenv from a notebook cell, as Python."""

from __future__ import annotations

import os
from typing import Any

from colabenv.commands.common import Context
from colabenv.commands.results import UpResult
from colabenv.commands.up import UpOptions
from colabenv.commands.up import up as run_up
from colabenv.report import Screen


def up(profile: str, **options: Any) -> UpResult:
    """See `colabenv.up`: the same job as the command line's, printing what it prints."""
    screen = Screen()
    result = run_up(profile, UpOptions(**options), Context(os.environ, screen))
    screen.result(result)
    if not isinstance(result, UpResult):
        raise TypeError("a dry run builds nothing; use the command line for it")
    return result
