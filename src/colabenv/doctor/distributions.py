"""Installed distributions: which are imported, which of their files matter, and how to reinstall them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from colabenv.doctor.model import Distribution, Facts, Fix

#: Distributions that contain the package `tensorflow`.
TENSORFLOW_BUILDS = (
    *("tensorflow", "tensorflow-cpu", "tf-nightly", "tf-nightly-cpu", "tensorflow-intel", "tensorflow-macos"),
)
#: Popular modules and their distributions, to find folders that no distribution owns.
WELL_KNOWN_PACKAGES = {
    **{name: name.replace("_", "-") for name in ("tensorflow", "keras", "tf_keras", "torch", "jax", "numpy")},
    **{name: name for name in ("scipy", "pandas", "matplotlib", "transformers", "h5py")},
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "cv2": "opencv-python-headless",
}
#: Folders without code of the package itself. Several distributions leave the same ones at the top of site-packages.
_EXTRA_FOLDERS = {"tests", "test", "docs", "doc", "examples", "example", "benchmarks", "samples"}
_EXTRA_AT_TOP = _EXTRA_FOLDERS | {"scripts", "tools", "src", "conftest.py", "setup.py"}
_IMPORT_FILE = re.compile(r"(\.py|\.pyd|\.so(\.\d+)*)$|/[^/]+\.pem$")


def is_import_file(path: str) -> bool:
    """Whether an import can need a file that a RECORD lists: code or a library of the package itself.

    Installers rewrite scripts, and people delete tests and headers to save space.
    """
    if path.startswith(("..", "/")) or not _IMPORT_FILE.search(path):
        return False
    parts = path.split("/")
    if parts[0] in _EXTRA_AT_TOP or parts[0].endswith((".data", ".dist-info", ".egg-info")):
        return False
    return _EXTRA_FOLDERS.isdisjoint(parts[:-1])


def visible_distributions(facts: Facts) -> list[Distribution]:
    """The distributions that are imported: the first of each name on the path."""
    first: dict[str, Distribution] = {}
    for distribution in facts.distributions:
        first.setdefault(distribution.name, distribution)
    return list(first.values())


def installed_tensorflow(facts: Facts) -> Distribution | None:
    """The installed TensorFlow, whichever build it is."""
    return next((each for each in visible_distributions(facts) if each.name in TENSORFLOW_BUILDS), None)


def ships_in_colab(facts: Facts, distributions: Iterable[Distribution]) -> bool:
    """Whether a Colab runtime ships these versions side by side: Google has tested them together."""
    versions = {each.name: each.public_version for each in distributions}
    return any(versions.items() <= runtime.items() for runtime in facts.colab_packages)


def parse_version(version: str) -> Version | None:
    """A version, or None if it is not valid (PEP 440)."""
    try:
        return Version(version)
    except InvalidVersion:
        return None


def is_older(version: str, than: str) -> bool:
    """Whether a version is lower than another; False for an invalid one."""
    parsed = parse_version(version)
    return parsed is not None and parsed < Version(than)


def allows(specifier: SpecifierSet, version: str) -> bool:
    """Whether a range contains a version. Installed pre-releases count, as in `pip check`."""
    parsed = parse_version(version)
    return parsed is not None and specifier.contains(parsed, prereleases=True)


def parse_requirement(text: str) -> Requirement | None:
    """A requirement, or None if it is not valid (PEP 508)."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def exact_requirement(distribution: Distribution) -> str:
    """The requirement that installs the same distribution again: its origin (PEP 610) or its version.

    A local version, such as `+cu124`, is left out: the index has the release under its public version.
    """
    try:
        origin = json.loads(distribution.direct_url or "{}")
    except ValueError:
        origin = {}
    url = origin.get("url", "") if isinstance(origin, dict) else ""
    if url and "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return f"{distribution.name} @ {vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', '')}"
    if url and not origin.get("dir_info", {}).get("editable"):
        return f"{distribution.name} @ {url}"
    is_version = re.fullmatch(r"\d[\w.!-]*", distribution.public_version)
    return f"{distribution.name}=={distribution.public_version}" if is_version else distribution.name


def reinstall(distributions: Collection[Distribution]) -> tuple[Fix, ...]:
    """The fix that reinstalls distributions; empty for none."""
    return (Fix("reinstall", tuple(map(exact_requirement, distributions))),) if distributions else ()


def list_some(items: Collection[object], most: int = 3) -> str:
    """The first items, and how many more there are."""
    first = ", ".join(map(str, list(items)[:most]))
    return first + (f" and {len(items) - most} more" if len(items) > most else "")
