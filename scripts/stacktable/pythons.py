"""Write pythons.toml, the CPythons that often pinned packages have wheels for, and companions.toml.

Run by scripts/refresh-pythons.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

from packaging.version import Version

from stacktable import companion_ranges
from stacktable.index import Index, Wheel, find_index_url

_ROOT = Path(__file__).resolve().parents[2]
#: Packages that are compiled for each Python and often pinned.
NAMES: Final = (  # noqa: SIM905
    "aiohttp blis catboost cffi cryptography cvxpy cython dm-tree fiona faiss-cpu gensim grpcio h5py jaxlib kiwisolver "
    "lightgbm llvmlite lxml matplotlib mediapipe ml-dtypes netcdf4 numba numexpr numpy onnx onnxruntime "
    "opencv-contrib-python opencv-contrib-python-headless opencv-python opencv-python-headless pandas pillow protobuf "
    "psutil pyarrow pycocotools pyproj pywavelets pyyaml ray regex scikit-image scikit-learn scipy sentencepiece "
    "shapely spacy statsmodels tables tensorflow tensorflow-addons tensorflow-decision-forests tensorflow-io "
    "tensorflow-text thinc tokenizers torch torchaudio torchvision wordcloud wrapt xgboost"
).split()
#: The oldest release to list, where the index has wheels for Python 2 only before it.
OLDEST: Final = {"tensorflow": "1.4"}
_HEADER = """\
# The CPythons that have wheels on Linux x86-64: each line applies from that release up to the one on the next line.
# Final releases without yanked files; "any" is a wheel for every Python. Read from the file names on the package index.
# Written by scripts/refresh-pythons; do not edit.
"""


def list_changes(wheels: list[Wheel], oldest: str) -> dict[str, list[str]]:
    """Each release of a distribution since `oldest` that changes the Pythons, to these Pythons; oldest first."""
    by_version: dict[Version, set[str]] = {}
    for wheel in wheels:
        if Version(wheel.version) >= Version(oldest):
            by_version.setdefault(Version(wheel.version), set()).update(wheel.pythons)
    changes: dict[str, list[str]] = {}
    for version, pythons in sorted(by_version.items()):
        ordered = ["any"] if "any" in pythons else sorted(pythons, key=Version)
        if not changes or list(changes.values())[-1] != ordered:
            changes[str(version)] = ordered
    return changes


def render_pythons(distributions: dict[str, dict[str, list[str]]]) -> str:
    """The text of pythons.toml, from distribution to release to Pythons."""
    parts = [_HEADER]
    for name, by_release in distributions.items():
        rows = [
            f'"{release}" = [{", ".join(json.dumps(python) for python in pythons)}]\n'
            for release, pythons in by_release.items()
        ]
        parts.append(f"\n[{name}]\n{''.join(rows)}")
    return "".join(parts)


def main() -> None:
    """Read the index and write the file."""
    parser = argparse.ArgumentParser(prog="scripts/refresh-pythons")
    parser.add_argument("--cache", type=Path, default=_ROOT / ".cache" / "stack-table")
    parser.add_argument("--out", type=Path, default=_ROOT / "src/colabenv/importers/pythons.toml")
    options = parser.parse_args()
    index = Index(find_index_url(), options.cache)
    companions = options.out.with_name("companions.toml")
    companions.write_text(companion_ranges.render_companions(index), encoding="utf-8")
    distributions = {name: list_changes(index.wheels(name), OLDEST.get(name, "0")) for name in NAMES}
    options.out.write_text(render_pythons(distributions), encoding="utf-8")
    print(f"{options.out.name}: {', '.join(f'{name} {len(rows)}' for name, rows in distributions.items())}")


if __name__ == "__main__":
    main()
