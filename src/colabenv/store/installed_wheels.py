"""Which wheel each distribution of an environment was installed from.

Installers do not write that down, and a lock often admits wheels for many machines. The index tells which there are,
the Python and the machine which of them an installer takes, and the tags in the distribution's WHEEL file (PyPA's
"Binary distribution format") whether it took that one.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.tags import Tag, compatible_tags, cpython_tags, parse_tag, platform_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from colabenv.environment.distributions import find_dist_infos
from colabenv.lock.lockfile import Lock, Pin, normalised
from colabenv.store.manifest import format_tag

Tags = frozenset[Tag]
_OLD_NAMES = {"manylinux2014": (2, 17), "manylinux2010": (2, 12), "manylinux1": (2, 5)}


@dataclass(frozen=True)
class Wheel:
    """A wheel as an index tells of it.

    Attributes:
        file: its file name; "" where only the lock was asked.
        sha256: as hex digits.
        bytes: its size, or 0 where nobody said.
    """

    file: str
    sha256: str
    bytes: int = 0


@dataclass(frozen=True)
class InstalledWheel:
    """A distribution as its dist-info tells of it.

    Attributes:
        version: from the folder's name.
        tags: of the wheel it was installed from; empty where none are named.
        files: hash by path as the RECORD has them, without those that have none.
        bytes: of all its files, by the RECORD.
    """

    version: str
    tags: Tags
    files: Mapping[str, str]
    bytes: int


def tag_here(minor: str) -> str:
    """The tag under which a store has layers for this machine; see `format_tag`. Wheels for musl are no good for glibc.

    Args:
        minor: of the environment's Python, such as "3.11".
    """
    platform = sysconfig.get_platform()
    if any(name.startswith("musllinux") for name in platform_tags()):
        platform = f"musl{platform}"
    return format_tag(minor, platform)


def parse_pylock_wheels(document: Mapping[str, Any]) -> dict[str, tuple[Wheel, ...]]:
    """The wheels of each distribution in a pylock document (PEP 751)."""
    found = {}
    for package in document.get("packages", ()):
        wheels = [
            Wheel(
                one.get("name") or str(one.get("url", "")).partition("?")[0].rsplit("/", 1)[-1],
                one.get("hashes", {}).get("sha256", ""),
                int(one.get("size") or 0),
            )
            for one in package.get("wheels", ())
        ]
        found[normalised(package["name"])] = tuple(wheels)
    return found


def rank_tags(minor: str) -> dict[Tag, int]:
    """How well each tag suits a CPython on this machine; 0 is the best.

    Args:
        minor: of that Python, such as "3.11".
    """
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
    kept: Mapping[str, InstalledWheel],
    ranks: Mapping[Tag, int],
    from_source: Iterable[str],
) -> tuple[dict[str, Wheel], dict[str, str]]:
    """The wheel of each pin, and why others have none.

    Args:
        lock: what was installed.
        index: what the index has for each distribution; empty where it could not be asked.
        kept: what is installed, by name.
        ranks: from `rank_tags`.
        from_source: distributions that are built from source.

    Returns:
        Wheels by name, and reasons by name.
    """
    wheels: dict[str, Wheel] = {}
    reasons: dict[str, str] = {}
    sources, newest = set(from_source), _glibc(lock.header.platform)
    for pin in lock.pins:
        if pin.name in sources:
            reasons[pin.name] = "it was built from source"
            continue
        about = kept.get(pin.name)
        found = _of(pin, index.get(pin.name), about.tags if about else frozenset(), ranks)
        if not isinstance(found, Wheel):
            reasons[pin.name] = found
        elif newest and found.file and not _runs_on(found, newest):
            reasons[pin.name] = "its wheel needs a newer C library than the lock is for"
        else:
            wheels[pin.name] = found
    return wheels, reasons


def _of(pin: Pin, wheels: tuple[Wheel, ...] | None, tags: Tags, ranks: Mapping[Tag, int]) -> Wheel | str:
    """The wheel of a pin, or why it is not known."""
    if not wheels:
        if len(pin.hashes) == 1:
            return Wheel("", pin.hashes[0].removeprefix("sha256:"))
        return "the index did not say which of its wheels was installed"
    fitting = sorted(
        (rank, wheel.file, wheel)
        for wheel in wheels
        if f"sha256:{wheel.sha256}" in pin.hashes and (rank := _rank(wheel, tags, ranks)) is not None
    )
    if not fitting:
        return "the index has no wheel like the one that was installed"
    if len(fitting) > 1 and fitting[0][0] == fitting[1][0]:
        return "the index has several wheels like the one that was installed"
    return fitting[0][2]


def _rank(wheel: Wheel, tags: Tags, ranks: Mapping[Tag, int]) -> tuple[int, tuple[int, str]] | None:
    """How much an installer prefers the wheel here; None where it was not this one."""
    try:
        _, _, build, own = parse_wheel_filename(wheel.file)
    except InvalidWheelFilename:
        return None
    best = min((ranks[tag] for tag in own if tag in ranks), default=None)
    # A file may have been given more tags than the WHEEL in it has, but hardly quite others.
    if best is None or (tags and not tags & own):
        return None
    number, text = build or (-1, "")
    return best, (-number, text)


def _glibc(platform: str) -> tuple[int, int] | None:
    """The glibc that a platform has, by PEP 600's and its predecessors' names; None where none is named."""
    named = re.search(r"manylinux_(\d+)_(\d+)", platform)
    if named:
        return int(named[1]), int(named[2])
    return next((version for name, version in _OLD_NAMES.items() if name in platform), None)


def _runs_on(wheel: Wheel, newest: tuple[int, int]) -> bool:
    """Whether a wheel needs no newer glibc: the machine it was installed on may be newer than those of the others."""
    *_, own = parse_wheel_filename(wheel.file)
    return any((_glibc(tag.platform) or (0, 0)) <= newest for tag in own)


def read_installed_wheels(prefix: Path) -> dict[str, InstalledWheel]:
    """What the dist-info folders of an environment say, by name.

    Raises:
        ValueError: a RECORD is not CSV.
    """
    found: dict[str, InstalledWheel] = {}
    for dist_info in find_dist_infos(prefix):
        files = dist_info.read_record() or ()
        hashes = {file.path: file.hash for file in files if file.hash}
        tags = _tags(dist_info.read_text("WHEEL") or "")
        size = sum(file.size or 0 for file in files)
        found.setdefault(dist_info.name, InstalledWheel(dist_info.version, tags, hashes, size))
    return found


def _tags(text: str) -> Tags:
    named = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("Tag:")]
    return frozenset(tag for one in named if one.count("-") == 2 for tag in parse_tag(one))


def find_overlaps(kept: Mapping[str, InstalledWheel]) -> dict[str, str]:
    """Distributions that have a file which another one has with other content, each with such a file.

    Which of the two is there depends on the order in which they were installed, so neither can be kept for itself.
    """
    owners: dict[str, list[tuple[str, str]]] = {}
    for name, about in kept.items():
        for path, digest in about.files.items():
            owners.setdefault(path, []).append((name, digest))
    found: dict[str, str] = {}
    for path, several in owners.items():
        if len({digest for _, digest in several}) > 1:
            for name, _ in several:
                found.setdefault(name, path)
    return found
