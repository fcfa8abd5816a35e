"""Write src/colabenv/frameworks/days.toml: the day on which each release of the frameworks was uploaded.

Run by scripts/refresh-days.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from packaging.version import Version

from stacktable.index import Index, Wheel, find_index_url

_ROOT = Path(__file__).resolve().parents[2]
#: Frameworks of a profile's `stack`, to the oldest release in the file.
FRAMEWORKS = {"tensorflow": "1.13.1", "keras": "2.2.4", "torch": "1.10", "jax": "0.2"}
_HEADER = """\
# The day (UTC) on which each release of the frameworks was uploaded: that of its oldest wheel for Linux x86-64 that is
# still on the package index. Final releases without yanked ones. Written by scripts/refresh-days; do not edit.
"""


def list_days(wheels: list[Wheel], oldest: str) -> dict[str, str]:
    """The day of each release of a distribution since the release `oldest`, oldest first."""
    days: dict[str, str] = {}
    for wheel in wheels:
        if Version(wheel.version) >= Version(oldest) and wheel.uploaded:
            days[wheel.version] = min(wheel.uploaded, days.get(wheel.version, wheel.uploaded))
    return days


def render_days(frameworks: dict[str, dict[str, str]]) -> str:
    """The text of days.toml, from framework to release to day."""
    parts = [_HEADER]
    for name, releases in frameworks.items():
        lines = [f'"{release}" = "{day}"\n' for release, day in releases.items()]
        parts.append(f"\n[{name}]\n{''.join(lines)}")
    return "".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/refresh-days")
    parser.add_argument("--out", type=Path, default=_ROOT / "src" / "colabenv" / "frameworks" / "days.toml")
    parser.add_argument("--cache", type=Path, default=_ROOT / ".cache" / "stack-table")
    options = parser.parse_args()
    index = Index(find_index_url(), options.cache)
    frameworks = {name: list_days(index.wheels(name), oldest) for name, oldest in FRAMEWORKS.items()}
    fresh = options.out.with_name(options.out.name + ".new")
    fresh.write_text(render_days(frameworks), encoding="utf-8")
    fresh.replace(options.out)
    for name, releases in frameworks.items():
        print(f"{len(releases)} releases of {name}")
    print(options.out)


if __name__ == "__main__":
    main()
