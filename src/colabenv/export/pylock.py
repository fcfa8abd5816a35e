"""The lock as a pylock.toml (PEP 751, "pylock.toml specification" of PyPA). Pure.

The specification demands a URL or a path for each file. The lock has neither, so they come from the index (`Found`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from packaging.utils import canonicalize_name

from colabenv.errors import LockError
from colabenv.export.model import Export, ExportRequest, about, variables_note
from colabenv.lock.lockfile import Pin


@dataclass(frozen=True)
class Found:
    """A file on an index.

    Attributes:
        url: where, without credentials.
        sha256: hex digest.
        size: bytes, or None where the index does not say.
        wheel: whether it is a wheel; else a source archive.
    """

    url: str
    sha256: str
    size: int | None
    wheel: bool

    @property
    def name(self) -> str:
        """Its file name."""
        return urlsplit(self.url).path.rsplit("/", 1)[-1]


def found(document: Mapping[str, Any]) -> dict[str, tuple[Found, ...]]:
    """The files of each distribution in another pylock document, such as uv writes."""
    return {
        canonicalize_name(package["name"]): (
            *(_found(one, wheel=True) for one in package.get("wheels", ())),
            *(_found(one, wheel=False) for one in [package.get("sdist")] if one),
        )
        for package in document.get("packages", ())
    }


def _found(entry: Mapping[str, Any], *, wheel: bool) -> Found:
    return Found(_public(entry["url"]), entry["hashes"].get("sha256", ""), entry.get("size"), wheel)


def _public(url: str) -> str:
    """The URL without user, password and query: an index may put its credentials into any of them."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def export(subject: ExportRequest, files: Mapping[str, Sequence[Found]]) -> Export:
    """Write it.

    Args:
        subject: what to export.
        files: what the index has for each distribution; of these only those count whose hash is in the lock.

    Raises:
        LockError: an index has none of the files that the lock admits.
    """
    minor = subject.python_minor
    upper = f"{minor.split('.')[0]}.{int(minor.split('.')[1]) + 1}"
    lines = [
        *about(subject, "The environment"),
        'lock-version = "1.0"',
        f"environments = [{_text(_marker(minor))}]",
        f"requires-python = {_text(f'>={minor},<{upper}')}",
        'created-by = "colabenv"',
    ]
    for pin in subject.lock.pins:
        lines += ["", *_package(pin, files.get(pin.name, ()), from_source=pin.name in subject.source_builds)]
    return Export(
        text="\n".join(lines) + "\n",
        file_name=f"pylock.{subject.name}.toml" if "." not in subject.name else "pylock.toml",
        use=("uv pip sync FILE", "or, with pip 26.1 or newer: pip install --no-deps -r FILE"),
        notes=variables_note(subject),
    )


def _marker(minor: str) -> str:
    return f"sys_platform == 'linux' and platform_machine == 'x86_64' and python_version == '{minor}'"


def _package(pin: Pin, files: Sequence[Found], *, from_source: bool) -> list[str]:
    admitted = [file for file in files if f"sha256:{file.sha256}" in pin.hashes]
    wheels = sorted((file for file in admitted if file.wheel), key=lambda file: file.name)
    sources = [file for file in admitted if not file.wheel and (from_source or not wheels)]
    if not wheels and not sources:
        raise LockError(
            f"The index has no file of {pin.name} {pin.version} with a hash that the lock admits, and a pylock.toml "
            "needs its address.",
            hint="Is it the index that the lock was made with? --format requirements needs no addresses.",
        )
    lines = ["[[packages]]", f"name = {_text(pin.name)}", f"version = {_text(pin.version)}"]
    if sources:
        lines.append(f"sdist = {_file(sources[0])}")
    if wheels and not from_source:
        lines += ["wheels = [", *(f"    {_file(wheel)}," for wheel in wheels), "]"]
    return lines


def _file(file: Found) -> str:
    size = "" if file.size is None else f"size = {file.size}, "
    return (
        f"{{ name = {_text(file.name)}, url = {_text(file.url)}, {size}"
        f"hashes = {{ sha256 = {_text(file.sha256)} }} }}"
    )


def _text(value: str) -> str:
    """A basic string of TOML."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'
