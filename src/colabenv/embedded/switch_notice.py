"""Shows, in the first cell of Colab's own kernel, why the switch to an environment failed and how to fix it.

Standard library and IPython only, Python 3.6 syntax. A copy lies in COLABENV_HOME/switch.
"""

import json
import os
import sys


def show() -> None:
    """Print the notice when the first cell runs."""
    from IPython import get_ipython

    shell = get_ipython()
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "notice.json")

    def print_notice(*_: object) -> None:
        shell.events.unregister("pre_run_cell", print_notice)
        sys.stdout.write(format_notice(path))
        sys.stdout.flush()

    shell.events.register("pre_run_cell", print_notice)


def format_notice(path: str) -> str:
    """The text of the notice."""
    with open(path, encoding="utf-8") as file:
        notice = json.load(file)
    return (
        f"colabenv: environment {notice['name']} did not start: {notice['reason']}.\n"
        "This notebook runs in Colab's own Python instead.\n"
        f"  To fix it:           !python -m colabenv up {notice['profile']} --switch     then restart the session\n"
        "  To keep this Python: !python -m colabenv switch --base\n"
    )
