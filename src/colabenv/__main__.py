"""`python -m colabenv`."""

import os
import sys


def run() -> int:
    """Import and run the command line. Ctrl-C during the import exits without a traceback, too."""
    try:
        from colabenv.cli import main  # noqa: PLC0415 - inside the `try`

        return main()
    except KeyboardInterrupt:
        return 130


def remove_working_directory() -> None:
    """Remove the working directory, which `python -m` adds, from `sys.path`: a `random.py` there must not run."""
    parent = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100,PTH120 - pathlib imports much
    if sys.path and sys.path[0] in {"", os.getcwd()} and sys.path[0] != parent:  # noqa: PTH109
        del sys.path[0]


if __name__ == "__main__":
    remove_working_directory()
    sys.exit(run())
