"""`python -m colabenv`."""

import os
import sys


def run() -> int:
    """Import and run the command line; Ctrl-C while it is still being imported is no traceback either."""
    try:
        from colabenv.cli import main  # noqa: PLC0415 - see above

        return main()
    except KeyboardInterrupt:
        return 130


def leave_working_directory() -> None:
    """Take the working directory off the path, where `python -m` puts it: a `random.py` there is not ours to run."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100,PTH120 - pathlib imports much
    if sys.path and sys.path[0] in {"", os.getcwd()} and sys.path[0] != own:  # noqa: PTH109
        del sys.path[0]


if __name__ == "__main__":
    leave_working_directory()
    sys.exit(run())
