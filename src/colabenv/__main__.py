"""`python -m colabenv`."""

import sys

from colabenv.cli import main

if __name__ == "__main__":
    sys.exit(main())
