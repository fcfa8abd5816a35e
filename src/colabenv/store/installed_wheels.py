"""Which wheel each distribution of an environment was installed from.

Installers do not record it, and a lock often allows several. The index has the list of wheels, the machine determines
which one an installer prefers, and the tags in WHEEL (PyPA's "Binary distribution format") confirm it.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.tags import Tag, compatible_tags, cpython_tags, parse_tag, platform_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from colabenv.environment.distributions import DistInfo, find_dist_infos
from colabenv.lock.lockfile import Lock, Pin
from colabenv.store.manifest import format_tag

Tags = frozenset[Tag]
_OLD_NAMES = {"manylinux2014": (2, 17), "manylinux2010": (2, 12), "manylinux1": (2, 5)}


@dataclass(frozen=True)
class Wheel:
    """A wheel: its file name ("" if only the lock is known), its sha256 as hex digits, and its size (0 if unknown)."""

    file: str
    sha256: str
    bytes: int = 0


@dataclass(frozen=True)
class InstalledWheel:
    """What a dist-info says about its wheel: the tags, RECORD's hash by path, and the bytes of all files."""

    tags: Tags
    files: Mapping[str, str]
    bytes: int


def tag_here(minor: str) -> str:
    """The tag of this machine's layers for a Python such as "3.11". Wheels for musl do not work with glibc."""
    platform = sysconfig.get_platform()
    if any(name.startswith("musllinux") for name in platform_tags()):
        platform = f"musl{platform}"
    return format_tag(minor, platform)


def parse_pylock_wheels(document: Mapping[str, Any]) -> dict[str, tuple[Wheel, ...]]:
    """The wheels of each distribution in a pylock document (PEP 751)."""
    return {
        canonicalize_name(package["name"]): tuple(
            Wheel(
                wheel.get("name") or str(wheel.get("url", "")).partition("?")[0].rsplit("/", 1)[-1],
                wheel.get("hashes", {}).get("sha256", ""),
                int(wheel.get("size") or 0),
            )
            for wheel in package.get("wheels", ())
        )
        for package in document.get("packages", ())
    }


def rank_tags(minor: str) -> dict[Tag, int]:
    """How well each tag suits a CPython such as "3.11" on this machine; 0 is the best."""
    major, _, rest = minor.partition(".")
    version = (int(major), int(rest))
    platforms = list(platform_tags())
    ranked = [
        *cpython_tags(version, platforms=platforms),
        *compatible_tags(version, interpreter=f"cp{major}{rest}", platforms=platforms),
    ]
    return {tag: rank for rank, tag in reversed(list(enumerate(ranked)))}


def select_wheels(
    lock: Lock,
    index: Mapping[str, tuple[Wheel, ...]],
    installed: Mapping[str, InstalledWheel],
    ranks: Mapping[Tag, int],
    from_source: Iterable[str],
) -> tuple[dict[str, Wheel], dict[str, str]]:
    """The wheel that each pin was installed from, and why it is unknown for others; both by name.

    `index` has the index's wheels by distribution, `installed` what the dist-infos say, and `ranks` is from
    `rank_tags`.
    """
    wheels: dict[str, Wheel] = {}
    reasons: dict[str, str] = {}
    sources, glibc = set(from_source), _glibc(lock.header.platform)
    for pin in lock.pins:
        if pin.name in sources:
            reasons[pin.name] = "it was built from source"
            continue
        tags = installed[pin.name].tags if pin.name in installed else frozenset()
        wheel = _select_wheel(pin, index.get(pin.name), tags, ranks)
        if not isinstance(wheel, Wheel):
            reasons[pin.name] = wheel
        elif glibc and wheel.file and not _runs_on(wheel, glibc):
            reasons[pin.name] = "its wheel needs a newer C library than the lock targets"
        else:
            wheels[pin.name] = wheel
    return wheels, reasons


def _select_wheel(
    pin: Pin, wheels: tuple[Wheel, ...] | None, tags: Tags, ranks: Mapping[Tag, int]
) -> Wheel | str:
    """The wheel of a pin, or why it is unknown."""
    if not wheels:
        if len(pin.hashes) == 1:
            return Wheel("", pin.hashes[0].removeprefix("sha256:"))
        return "the index did not say which of its wheels was installed"
    candidates = sorted(
        (rank, wheel.file, wheel)
        for wheel in wheels
        if f"sha256:{wheel.sha256}" in pin.hashes and (rank := _rank(wheel, tags, ranks)) is not None
    )
    if not candidates:
        return "the index has no wheel like the installed one"
    if len(candidates) > 1 and candidates[0][0] == candidates[1][0]:
        return "the index has several wheels like the installed one"
    return candidates[0][2]


def _rank(wheel: Wheel, tags: Tags, ranks: Mapping[Tag, int]) -> tuple[int, tuple[int, str]] | None:
    """How much an installer prefers a wheel; None if it cannot be the installed one."""
    try:
        _, _, build, own = parse_wheel_filename(wheel.file)
    except InvalidWheelFilename:
        return None
    best = min((ranks[tag] for tag in own if tag in ranks), default=None)
    # A file name may have more tags than the WHEEL file, but at least one in common.
    if best is None or (tags and not tags & own):
        return None
    number, text = build or (-1, "")
    return best, (-number, text)


def _glibc(platform: str) -> tuple[int, int] | None:
    """The glibc of a platform, from PEP 600's and older names; None if it has none."""
    match = re.search(r"manylinux_(\d+)_(\d+)", platform)
    if match:
        return int(match[1]), int(match[2])
    return next((version for name, version in _OLD_NAMES.items() if name in platform), None)


def _runs_on(wheel: Wheel, glibc: tuple[int, int]) -> bool:
    """Whether a wheel needs no newer glibc. The machine that installed it may be newer than the lock's platform."""
    *_, own = parse_wheel_filename(wheel.file)
    return any((_glibc(tag.platform) or (0, 0)) <= glibc for tag in own)


def read_installed_wheels(prefix: Path) -> dict[str, InstalledWheel]:
    """What the dist-infos of an environment say, by name."""
    installed: dict[str, InstalledWheel] = {}
    for dist_info in find_dist_infos(prefix):
        installed.setdefault(dist_info.name, _read_installed_wheel(dist_info))
    return installed


def _read_installed_wheel(dist_info: DistInfo) -> InstalledWheel:
    lines = (dist_info.read_text("WHEEL") or "").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("Tag:")]
    tags = frozenset(tag for name in names if name.count("-") == 2 for tag in parse_tag(name))
    try:
        files = dist_info.read_record() or []
    except ValueError:
        files = []
    hashes = {file.path: file.hash for file in files if file.hash}
    return InstalledWheel(tags, hashes, sum(file.size or 0 for file in files))


def find_overlaps(installed: Mapping[str, InstalledWheel]) -> dict[str, str]:
    """Distributions that share a file whose content differs between them, each with such a file.

    Which content is on disk depends on the order of installation, so neither can be stored separately.
    """
    owners: dict[str, dict[str, str]] = {}
    for name, wheel in installed.items():
        for path, digest in wheel.files.items():
            owners.setdefault(path, {})[name] = digest
    overlaps: dict[str, str] = {}
    for path, hashes in owners.items():
        if len(set(hashes.values())) > 1:
            for name in hashes:
                overlaps.setdefault(name, path)
    return overlaps
