"""Write src/colabenv/frameworks/days.toml: when each release of the frameworks came to the package index.

Run by scripts/refresh-days.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from packaging.version import Version

from stacktable.index import Index, Wheel, address

_ROOT = Path(__file__).resolve().parents[2]
#: What a profile's `stack` names, and the oldest release of each that is held.
FRAMEWORKS = {"tensorflow": "2.4", "keras": "2.4", "torch": "1.10", "jax": "0.2"}
_HEADER = """\
# When the releases of the frameworks came to the package index: the day (UTC) of the first wheel for Linux x86-64 that
# is there today. Final releases, yanked ones left out. Written by scripts/refresh-days; do not edit.
"""


def days(wheels: list[Wheel], oldest: str) -> dict[str, str]:
    """The day of each release, oldest release first.

    Args:
        wheels: of one distribution.
        oldest: the first release to hold.
    """
    found: dict[str, str] = {}
    for wheel in wheels:
        if Version(wheel.version) >= Version(oldest) and wheel.uploaded:
            found[wheel.version] = min(wheel.uploaded, found.get(wheel.version, wheel.uploaded))
    return found


def text(found: dict[str, dict[str, str]]) -> str:
    """The file's text.

    Args:
        found: framework to release to day.
    """
    parts = [_HEADER]
    for name, releases in found.items():
        parts.append(f"\n[{name}]\n" + "".join(f'"{one}" = "{day}"\n' for one, day in releases.items()))
    return "".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/refresh-days")
    parser.add_argument("--out", type=Path, default=_ROOT / "src" / "colabenv" / "stack" / "days.toml")
    parser.add_argument("--cache", type=Path, default=_ROOT / ".cache" / "stack-table")
    options = parser.parse_args()
    index = Index(address(), options.cache)
    found = {name: days(index.wheels(name), oldest) for name, oldest in FRAMEWORKS.items()}
    fresh = options.out.with_name(options.out.name + ".new")
    fresh.write_text(text(found), encoding="utf-8")
    fresh.replace(options.out)
    for name, releases in found.items():
        print(f"{len(releases)} releases of {name}")
    print(options.out)


if __name__ == "__main__":
    main()
