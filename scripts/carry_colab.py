"""Copy the package lists of Colab's releases, in one compact file for each release.

Writes tests/data/colab, and from it src/colabenv/frameworks/colab, which `like` in a profile uses.

    python scripts/carry_colab.py FOLDER
    python scripts/carry_colab.py             only the second step

FOLDER contains a folder for each release, named like `2026.07`, with Google's published `pip-freeze.txt`
and `pip-freeze.gpu.txt` from the googlecolab/backend-info repository. An empty GPU list means that the release has one
list for both kinds of machine.
"""

from __future__ import annotations

import datetime
import re
import sys
from pathlib import Path

# The base Python of each release, which the lists do not contain.
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
# From Google's published package lists in the googlecolab/backend-info repository; copied on {date}
# by scripts/carry_colab.py. Names are normalized. Sections: both kinds of machine, or one of them.
"""

LIKE_HEADER = """\
# The packages of Colab's {release} release, for `like: colab-{release}`. Base Python {python}.
# Written by scripts/carry_colab.py from tests/data/colab/{release}.txt; do not edit.
# Without local versions, whose builds the package index does not have ({labels}).
# Without packages that the package index does not have: {left_out}.
"""
# Not on the package index on 2026-11-22. Other packages that the index lacks, such as those of the system, may stay in
# the list: an unavailable version matters only if a profile requires the package.
NOT_ON_THE_INDEX = ("en-core-web-sm", "google-colab")
DATA = Path(__file__).resolve().parent.parent / "tests" / "data" / "colab"
LIKE = Path(__file__).resolve().parent.parent / "src" / "colabenv" / "frameworks" / "colab"


def pins(text: str) -> dict[str, str]:
    """The versions by name in the output of pip freeze; lines without a version are left out."""
    versions = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;@#]+)", line)
        # `name @ URL` has a version only if the URL is that of a wheel.
        match = match or re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*) @ \S*/[^/-]+-([^/-]+)-\S*\.whl", line)
        if match:
            versions[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[2]
    return versions


def compact(release: str, cpu: dict[str, str], gpu: dict[str, str]) -> str:
    """The text of a release's file in tests/data/colab."""
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


def like(release: str, carried: str) -> str:
    """The text of a release's file in src/colabenv/frameworks/colab.

    Args:
        release: "2025.07".
        carried: the text of its file in tests/data/colab.
    """
    body = [line for line in carried.splitlines() if not line.startswith("#")]
    kept = [line for line in body if line.partition("==")[0] not in NOT_ON_THE_INDEX]
    labels = sorted({label for line in kept for label in re.findall(r"\+.*", line)})
    header = LIKE_HEADER.format(
        release=release,
        python=PYTHONS[release],
        labels=", ".join(labels),
        left_out=", ".join(NOT_ON_THE_INDEX),
    )
    return header + "".join(f"{line.partition('+')[0]}\n" for line in kept)


def write_like() -> None:
    """Write src/colabenv/frameworks/colab from tests/data/colab."""
    LIKE.mkdir(parents=True, exist_ok=True)
    for release in PYTHONS:
        (LIKE / f"{release}.txt").write_text(like(release, (DATA / f"{release}.txt").read_text()))


def carry(folder: Path) -> None:
    """Write tests/data/colab from Google's published lists."""
    DATA.mkdir(parents=True, exist_ok=True)
    for release in PYTHONS:
        cpu, gpu = (pins((folder / release / f"pip-freeze{kind}.txt").read_text()) for kind in ("", ".gpu"))
        (DATA / f"{release}.txt").write_text(compact(release, cpu, gpu))
        print(f"{release}: {len(cpu)} packages on cpu, {len(gpu) or len(cpu)} on gpu")


if __name__ == "__main__":
    if sys.argv[1:]:
        carry(Path(sys.argv[1]))
    write_like()
