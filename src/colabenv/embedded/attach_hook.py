"""Lets a restarted notebook kernel attach to its environment again.

Standard library only, Python 3.6 syntax. colabenv puts a copy into COLABENV_HOME/attached while a notebook is attached,
and one `.pth` file into the base, which calls `main` when a kernel process starts. The kernel itself is Colab's own,
with one more argument. Whatever goes wrong, it starts without it.
"""

import json
import os
import sys


def main(folder: str) -> None:
    """Add the argument if this process is the kernel of an attached notebook; `folder` is COLABENV_HOME/attached."""
    try:
        argv = sys.orig_argv  # type: list[str]
        connection = argv[argv.index("-f") + 1]
        state = os.path.join(folder, os.path.basename(connection))
        if not os.path.exists(state):
            return
        # The notebook writes it again once it is attached, so a start that fails is not repeated.
        os.rename(state, state + ".tried")
        with open(state + ".tried", encoding="utf-8") as file:
            kernel_name = json.load(file)["kernel"]
        code = f"__import__('colabenv.notebook.session', fromlist=['resume']).resume({kernel_name!r})"
        sys.argv.append("--InteractiveShellApp.code_to_run=" + code)
    except Exception as error:  # noqa: BLE001 - Colab's own kernel must start in any case
        sys.stderr.write(f"colabenv: the notebook is not attached again ({error!r})\n")
