"""`python -m colabenv`."""

import sys


def run() -> int:
    """Import and run the command line; Ctrl-C while it is still being imported is no traceback either."""
    try:
        from colabenv.cli import main  # noqa: PLC0415 - see above

        return main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(run())
