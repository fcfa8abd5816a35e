"""Write src/colabenv/importers/pythons.toml: which CPython the wheels of much pinned packages are for.

Run by scripts/refresh-pythons.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from packaging.version import Version

from stacktable.index import Index, Wheel, address

_ROOT = Path(__file__).resolve().parents[2]
#: Compiled for each Python, and often pinned.
NAMES = (
    *(
        "h5py",
        "jaxlib",
        "lxml",
        "matplotlib",
        "numba",
        "numpy",
        "pandas",
        "pillow",
        "scikit-image",
        "scikit-learn",
    ),
    *("scipy", "spacy", "statsmodels", "tensorflow", "torch", "torchaudio", "torchvision"),
)
#: Before these there are none for the Pythons that colabenv builds; of TensorFlow the whole past is told.
OLDEST = {
    "tensorflow": "1.4",
    "numpy": "1.17",
    "pandas": "0.25",
    "scipy": "1.3",
    "matplotlib": "3.1",
    "pillow": "6",
}
_HEADER = """\
# For which CPython there are wheels on Linux x86-64: each line holds from that release up to the one on the next line.
# Final releases, yanked files left out; "any" is a wheel for every Python. Read from the names of the files on the
# package index.
# Written by scripts/refresh-pythons; do not edit.
"""


def steps(wheels: list[Wheel], oldest: str) -> dict[str, list[str]]:
    """The releases with which the Pythons change, oldest first, and those from there on.

    Args:
        wheels: of one distribution.
        oldest: the first release to hold.
    """
    found: dict[Version, set[str]] = {}
    for wheel in wheels:
        if Version(wheel.version) >= Version(oldest):
            found.setdefault(Version(wheel.version), set()).update(wheel.pythons)
    kept: dict[str, list[str]] = {}
    for version, pythons in sorted(found.items()):
        ordered = ["any"] if "any" in pythons else sorted(pythons, key=Version)
        if not kept or list(kept.values())[-1] != ordered:
            kept[str(version)] = ordered
    return kept


def text(found: dict[str, dict[str, list[str]]]) -> str:
    """The file's text.

    Args:
        found: distribution to its steps.
    """
    parts = [_HEADER]
    for name, by_release in found.items():
        rows = [
            f'"{release}" = [{", ".join(json.dumps(one) for one in pythons)}]\n'
            for release, pythons in by_release.items()
        ]
        parts.append(f"\n[{name}]\n{''.join(rows)}")
    return "".join(parts)


def main() -> None:
    """Read the index and write the file."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cache", type=Path, default=_ROOT / ".cache" / "stack-table")
    options.add_argument("--out", type=Path, default=_ROOT / "src/colabenv/importers/pythons.toml")
    given = options.parse_args()
    index = Index(address(), given.cache)
    found = {name: steps(index.wheels(name), OLDEST.get(name, "0")) for name in NAMES}
    given.out.write_text(text(found), encoding="utf-8")
    print(f"{given.out.name}: {', '.join(f'{name} {len(rows)}' for name, rows in found.items())}")


if __name__ == "__main__":
    main()
