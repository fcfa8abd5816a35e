"""A lock and its text: a requirements file with hashes, which pip can install without colabenv. Pure."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from dataclasses import dataclass

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from colabenv.errors import LockError

_TITLE = "# colabenv lock, format 1"
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)(?P<rest>.*)$")
_FIELD = re.compile(r"# ([\w-]+): (.*)$")
_HASH = re.compile(r"--hash=(?P<hash>[a-z0-9]+:[0-9a-f]+)")
_RESTORE = "Restore the file from Git, or remove it and run colabenv up without --frozen to write a new one."


@dataclass(frozen=True, order=True)
class Pin:
    """One distribution (its canonical name) at one version.

    Attributes:
        hashes: "sha256:…" of every file that may be installed for it, sorted.
    """

    name: str
    version: str
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Header:
    """What the lock was made for.

    Attributes:
        profile: name of the profile.
        digest: digest of what was resolved; a lock fits a profile with the same digest.
        python: minor Python, such as "3.11".
        variant: "cpu" or "gpu".
        kernel: "colab" if it has the packages that `google.colab` needs, else "plain".
        platform: uv's name of the platform, or "" for that of the machine that wrote it.
        as_of: the day whose versions were chosen, or "".
        like: the Colab runtime whose versions were chosen, or "".
    """

    profile: str
    digest: str
    python: str
    variant: str
    kernel: str
    platform: str
    as_of: str = ""
    like: str = ""


@dataclass(frozen=True)
class Lock:
    """Exact pins of one variant, sorted by name."""

    header: Header
    pins: tuple[Pin, ...]

    def version_of(self, name: str) -> str | None:
        """The pinned version of a distribution, or None."""
        return next((pin.version for pin in self.pins if pin.name == name), None)

    @property
    def pins_digest(self) -> str:
        """sha256 of names, versions and hashes, without the header."""
        text = "\n".join(f"{pin.name}=={pin.version} {' '.join(pin.hashes)}" for pin in self.pins)
        return hashlib.sha256(text.encode()).hexdigest()


def compute_digest(data: object) -> str:
    """sha256 of plain data in canonical JSON."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def is_same_version(first: str, second: str) -> bool:
    """Whether two spellings mean one version (PEP 440): metadata may say 2022.07.1 where a lock says 2022.7.1."""
    try:
        return Version(first) == Version(second)
    except InvalidVersion:
        return first == second


def lock_file_name(profile: str, variant: str) -> str:
    """Name of the lock file of a variant."""
    return f"{profile}.{variant}.lock.txt"


def format_lock(lock: Lock) -> str:
    """The lock's text: sorted, with a paragraph for each pin, so that one changed version is a small diff."""
    header = lock.header
    lines = [
        _TITLE,
        f"# profile: {header.profile}",
        f"# digest: sha256:{header.digest}",
        f"# python: {header.python}",
        f"# variant: {header.variant}",
        f"# kernel: {header.kernel}",
        f"# platform: {header.platform or 'this machine'}",
        *([f"# as-of: {header.as_of}"] if header.as_of else []),
        *([f"# like: {header.like}"] if header.like else []),
        "# Install by hand with: pip install --require-hashes -r THIS_FILE",
    ]
    for pin in lock.pins:
        lines.append(f"{pin.name}=={pin.version} \\")
        lines += [f"    --hash={value} \\" for value in pin.hashes[:-1]] + [f"    --hash={pin.hashes[-1]}"]
    return "\n".join(lines) + "\n"


def parse_lock(text: str, source: str) -> Lock:
    """Read a lock.

    Args:
        text: content of the file.
        source: its path, for errors.

    Raises:
        LockError: it is not a colabenv lock, or is damaged.
    """
    lines = text.splitlines()  # Git may have changed the line ends
    if not lines or lines[0] != _TITLE:
        raise LockError(f"{source} is not a colabenv lock: its first line is not '{_TITLE}'.", hint=_RESTORE)
    head = itertools.takewhile(lambda line: line.startswith("#"), lines)
    fields = {match[1]: match[2] for line in head if (match := _FIELD.match(line))}
    for name in ("profile", "digest", "python", "variant", "kernel", "platform"):
        if name not in fields:
            raise LockError(f"{source} lacks the header line '# {name}: …'.", hint=_RESTORE)
    platform = fields["platform"]
    header = Header(
        profile=fields["profile"],
        digest=fields["digest"].removeprefix("sha256:"),
        python=fields["python"],
        variant=fields["variant"],
        kernel=fields["kernel"],
        platform="" if platform == "this machine" else platform,
        as_of=fields.get("as-of", ""),
        like=fields.get("like", ""),
    )
    return Lock(header, parse_pins(text, source))


def parse_pins(text: str, source: str) -> tuple[Pin, ...]:
    """The pins of a requirements text with hashes, sorted; comments are ignored.

    Raises:
        LockError: a line is not a pin, a pin has no hash, or a distribution is pinned twice.
    """
    body = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    pins = []
    for logical_line in body.replace("\\\n", " ").splitlines():
        line = logical_line.strip()
        if not line:
            continue
        match = _PIN.match(line)
        hashes = sorted(_HASH.findall(match["rest"])) if match else []
        if match is None or not hashes:
            raise LockError(f"{source} has a line that is not a pin with hashes: {line[:80]}", hint=_RESTORE)
        pins.append(Pin(canonicalize_name(match["name"]), match["version"], tuple(hashes)))
    duplicates = [name for name, count in Counter(pin.name for pin in pins).items() if count > 1]
    if duplicates:
        raise LockError(f"{source} pins {duplicates[0]} twice.", hint=_RESTORE)
    return tuple(sorted(pins))
