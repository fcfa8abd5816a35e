"""Write src/colabenv/importers/companions.toml: which TensorFlow packages around it need, for `init`.

Run by scripts/refresh-pythons, for packages that table.toml does not have.
"""

from __future__ import annotations

import json
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from stacktable.index import Index, Wheel

NAMES: Final = (  # noqa: SIM905
    "autokeras larq mediapipe-model-maker neural-structured-learning tensorflow-compression tensorflow-data-validation "
    "tensorflow-decision-forests tensorflow-federated tensorflow-gan tensorflow-io tensorflow-lattice "
    "tensorflow-model-optimization tensorflow-privacy tensorflow-quantum tensorflow-ranking tensorflow-recommenders "
    "tensorflow-similarity tensorflow-transform tensorflowjs tf-agents tf-models-official tfx"
).split()
_TENSORFLOWS: Final = {"tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tf-nightly"}
_HEADER: Final = """\
# The TensorFlow that packages around it need: each line applies from that release up to the one on the next line.
# `tensorflow`: Requires-Dist in METADATA, with or without an extra; "" if a release declares none. `pythons`: as in
# pythons.toml. Written by scripts/refresh-pythons; do not edit.
"""


def render_companions(index: Index) -> str:
    """The text of companions.toml."""
    parts = [_HEADER]
    for name in NAMES:
        by_version: dict[Version, list[Wheel]] = {}
        for wheel in index.wheels(name):
            by_version.setdefault(Version(wheel.version), []).append(wheel)
        rows: list[tuple[str, str, list[str]]] = []
        for version, wheels in sorted(by_version.items()):
            pythons = sorted(
                {python for wheel in wheels for python in wheel.pythons if python != "any"}, key=Version
            )
            row = (_read_range(index, wheels[-1]), pythons or ["any"])
            if not rows or rows[-1][1:] != row:
                rows.append((str(version), *row))
        lines = [
            f"{json.dumps(first)} = {{ tensorflow = {json.dumps(needs)}, pythons = {json.dumps(pythons)} }}\n"
            for first, needs, pythons in rows
        ]
        parts.append(f"\n[{name}]\n{''.join(lines)}")
    return "".join(parts)


def _read_range(index: Index, wheel: Wheel) -> str:
    """The range of TensorFlow that a wheel's metadata declares; that of tensorflow itself if it has several."""
    ranges: dict[str, str] = {}
    for line in index.metadata(wheel).get_all("Requires-Dist") or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        name = str(canonicalize_name(requirement.name))
        # The first line without an extra counts.
        if name in _TENSORFLOWS and requirement.specifier and "extra" not in str(requirement.marker or ""):
            ranges.setdefault(name, str(requirement.specifier))
        elif name in _TENSORFLOWS and requirement.specifier:
            ranges.setdefault(f"extra {name}", str(requirement.specifier))
    order = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "extra tensorflow", "extra tensorflow-cpu")
    return next((ranges[name] for name in order if name in ranges), "")
