"""Runs in Colab's own kernel after a failed switch: says in the first cell what happened and how to mend it.

Standard library and IPython only. A copy lies in COLABENV_HOME/switch.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def show() -> None:
    """Have the notice printed when the first cell runs."""
    from IPython import get_ipython

    shell: Any = get_ipython()
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "notice.json")

    def first_cell(*_: object) -> None:
        shell.events.unregister("pre_run_cell", first_cell)
        sys.stdout.write(format_notice(path))
        sys.stdout.flush()

    shell.events.register("pre_run_cell", first_cell)


def format_notice(path: str) -> str:
    """The notice in words."""
    with open(path, encoding="utf-8") as file:
        notice = json.load(file)
    return (
        "colabenv: this is Colab's own Python, not the environment %(name)s: %(reason)s.\n"
        "  To mend it:    !python -m colabenv up %(profile)s --switch     then Restart session\n"
        "  To stay here:  !python -m colabenv switch --base\n"
    ) % notice
