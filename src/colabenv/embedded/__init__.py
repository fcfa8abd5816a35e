"""Files that other Pythons run: standard library only, Python 3.6 syntax. Most of them are copied into environments."""

from pathlib import Path

FOLDER = Path(__file__).parent
