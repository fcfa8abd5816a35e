"""Copy the package lists of Colab's releases, in one compact file for each release.

Writes tests/data/colab, and from it src/colabenv/frameworks/colab, which `like` in a profile uses.

    python scripts/refresh_colab_lists.py FOLDER
    python scripts/refresh_colab_lists.py             only the second step

FOLDER contains a folder for each release, such as `2026.07`, with `pip-freeze.txt` and `pip-freeze.gpu.txt` as Google
publishes them in the googlecolab/backend-info repository. An empty GPU list means that the release has one list for
both kinds of machine.
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
# by scripts/refresh_colab_lists.py. Names are normalized. Sections: both kinds of machine, or one of them.
"""

LIKE_HEADER = """\
# The packages of Colab's {release} release, for `like: colab-{release}`. Base Python {python}.
# Written by scripts/refresh_colab_lists.py from tests/data/colab/{release}.txt; do not edit.
# Without local versions, whose builds the package index does not have ({labels}).
# Without packages that the package index does not have: {left_out}.
"""
# Not on the package index on 2026-11-22. The lists keep other packages that the index lacks, such as those of the
# system: an unavailable version matters only if a profile requires the package.
NOT_ON_THE_INDEX = ("en-core-web-sm", "google-colab")
DATA = Path(__file__).resolve().parent.parent / "tests" / "data" / "colab"
LIKE_FOLDER = Path(__file__).resolve().parent.parent / "src" / "colabenv" / "frameworks" / "colab"


def parse_freeze(text: str) -> dict[str, str]:
    """The version of each package in the output of pip freeze; lines without a version are ignored."""
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


def render_list(release: str, cpu: dict[str, str], gpu: dict[str, str]) -> str:
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


def render_like_list(release: str, full_list: str) -> str:
    """The text of a release's file in src/colabenv/frameworks/colab.

    Args:
        release: "2025.07".
        full_list: the text of its file in tests/data/colab.
    """
    body = [line for line in full_list.splitlines() if not line.startswith("#")]
    kept = [line for line in body if line.partition("==")[0] not in NOT_ON_THE_INDEX]
    labels = sorted({label for line in kept for label in re.findall(r"\+.*", line)})
    header = LIKE_HEADER.format(
        release=release,
        python=PYTHONS[release],
        labels=", ".join(labels),
        left_out=", ".join(NOT_ON_THE_INDEX),
    )
    return header + "".join(f"{line.partition('+')[0]}\n" for line in kept)


def write_like_lists() -> None:
    """Write src/colabenv/frameworks/colab from tests/data/colab."""
    LIKE_FOLDER.mkdir(parents=True, exist_ok=True)
    for release in PYTHONS:
        full_list = (DATA / f"{release}.txt").read_text()
        (LIKE_FOLDER / f"{release}.txt").write_text(render_like_list(release, full_list))


def copy_lists(folder: Path) -> None:
    """Write tests/data/colab from Google's published lists."""
    DATA.mkdir(parents=True, exist_ok=True)
    for release in PYTHONS:
        cpu, gpu = (
            parse_freeze((folder / release / f"pip-freeze{kind}.txt").read_text()) for kind in ("", ".gpu")
        )
        (DATA / f"{release}.txt").write_text(render_list(release, cpu, gpu))
        print(f"{release}: {len(cpu)} packages on cpu, {len(gpu) or len(cpu)} on gpu")


if __name__ == "__main__":
    if sys.argv[1:]:
        copy_lists(Path(sys.argv[1]))
    write_like_lists()
