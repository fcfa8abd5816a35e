"""Carry the package lists of Colab's releases into tests/data/colab, one compact file for each release.

    python scripts/carry_colab.py FOLDER

FOLDER holds a folder for each release, named like `2026.07`, with Google's published `pip-freeze.txt`
and `pip-freeze.gpu.txt` as they are in the googlecolab/backend-info repository. An empty GPU list
means that the release published one list for both kinds of machine.
"""

from __future__ import annotations

import datetime
import re
import sys
from pathlib import Path

# The base Python of each release. The lists do not tell it.
PYTHONS = {
    "2025.07": "3.11",
    "2025.10": "3.12",
    "2026.01": "3.12",
    "2026.04": "3.12",
    "2026.07": "3.12",
    "2026.08": "3.13",
}

HEADER = """\
# Python packages on Colab's {release} release, base Python {python}.
# From Google's published package lists in the googlecolab/backend-info repository; carried on {date}
# by scripts/carry_colab.py. Names are normalised. Sections: on both kinds of machine, on one only.
"""


def pins(text: str) -> dict[str, str]:
    """Name to version for every line of a pip freeze that tells both; an address is dropped."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;@#]+)", line)
        # `name @ address`: the version is told only where the address names a wheel.
        match = match or re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*) @ \S*/[^/-]+-([^/-]+)-\S*\.whl", line)
        if match:
            found[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[2]
    return found


def compact(release: str, cpu: dict[str, str], gpu: dict[str, str]) -> str:
    """The text of the release's data file."""
    gpu = gpu or cpu
    sections = {
        "both": set(cpu.items()) & set(gpu.items()),
        "cpu": set(cpu.items()) - set(gpu.items()),
        "gpu": set(gpu.items()) - set(cpu.items()),
    }
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    lines = [HEADER.format(release=release, python=PYTHONS[release], date=today)]
    for name, rows in sections.items():
        lines.append(f"[{name}]\n" + "".join(f"{package}=={version}\n" for package, version in sorted(rows)))
    return "".join(lines)


def main(folder: Path) -> None:
    target = Path(__file__).resolve().parent.parent / "tests" / "data" / "colab"
    target.mkdir(parents=True, exist_ok=True)
    for release in PYTHONS:
        cpu, gpu = (pins((folder / release / f"pip-freeze{kind}.txt").read_text()) for kind in ("", ".gpu"))
        (target / f"{release}.txt").write_text(compact(release, cpu, gpu))
        print(f"{release}: {len(cpu)} packages on cpu, {len(gpu) or len(cpu)} on gpu")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
