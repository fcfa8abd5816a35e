"""Export a lock as a pylock.toml (PEP 751), which requires the URL of each file; the URLs come from the index."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from packaging.utils import canonicalize_name

from colabenv.errors import LockError
from colabenv.export.model import ExportedFile, ExportRequest, note_variables, render_header
from colabenv.lock.lockfile import Pin


@dataclass(frozen=True)
class IndexFile:
    """A file on an index."""

    url: str  #: its URL without credentials
    sha256: str  #: hex digest
    size: int | None  #: bytes, or None if the index does not say
    wheel: bool  #: it is a wheel, not a source archive

    @property
    def name(self) -> str:
        """The file's name."""
        return urlsplit(self.url).path.rsplit("/", 1)[-1]


def parse_index_files(document: Mapping[str, Any]) -> dict[str, tuple[IndexFile, ...]]:
    """The files of each distribution in a pylock document of uv, by normalized name."""
    return {
        canonicalize_name(package["name"]): (
            *(_parse_file(entry, wheel=True) for entry in package.get("wheels", ())),
            *(_parse_file(entry, wheel=False) for entry in [package.get("sdist")] if entry),
        )
        for package in document.get("packages", ())
    }


def _parse_file(entry: Mapping[str, Any], *, wheel: bool) -> IndexFile:
    return IndexFile(
        _drop_credentials(entry["url"]), entry["hashes"].get("sha256", ""), entry.get("size"), wheel
    )


def _drop_credentials(url: str) -> str:
    """The URL without user, password and query, any of which may contain credentials."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def export(request: ExportRequest, files: Mapping[str, Sequence[IndexFile]]) -> ExportedFile:
    """Export a lock; `files` are the index's by distribution, and those without a hash in the lock are ignored.

    Raises:
        LockError: the index has no file of a package with a hash in the lock.
    """
    minor = request.python_minor
    upper = f"{minor.split('.')[0]}.{int(minor.split('.')[1]) + 1}"
    lines = [
        *render_header(request, "The environment"),
        'lock-version = "1.0"',
        f"environments = [{_quote(_environment_marker(minor))}]",
        f"requires-python = {_quote(f'>={minor},<{upper}')}",
        'created-by = "colabenv"',
    ]
    for pin in request.lock.pins:
        lines += [
            "",
            *_package_lines(pin, files.get(pin.name, ()), from_source=pin.name in request.source_builds),
        ]
    return ExportedFile(
        text="\n".join(lines) + "\n",
        file_name=f"pylock.{request.name}.toml" if "." not in request.name else "pylock.toml",
        use=("uv pip sync FILE", "or, with pip 26.1 or newer: pip install --no-deps -r FILE"),
        notes=note_variables(request),
    )


def _environment_marker(minor: str) -> str:
    return f"sys_platform == 'linux' and platform_machine == 'x86_64' and python_version == '{minor}'"


def _package_lines(pin: Pin, files: Sequence[IndexFile], *, from_source: bool) -> list[str]:
    locked = [file for file in files if f"sha256:{file.sha256}" in pin.hashes]
    wheels = sorted((file for file in locked if file.wheel), key=lambda file: file.name)
    sources = [file for file in locked if not file.wheel and (from_source or not wheels)]
    if not wheels and not sources:
        raise LockError(
            f"The index has no file of {pin.name} {pin.version} with a hash of the lock, and a pylock.toml "
            "needs its URL.",
            hint="Use the index that the lock was made with, or --format requirements, which needs no URLs.",
        )
    lines = ["[[packages]]", f"name = {_quote(pin.name)}", f"version = {_quote(pin.version)}"]
    if sources:
        lines.append(f"sdist = {_file_entry(sources[0])}")
    if wheels and not from_source:
        lines += ["wheels = [", *(f"    {_file_entry(wheel)}," for wheel in wheels), "]"]
    return lines


def _file_entry(file: IndexFile) -> str:
    size = "" if file.size is None else f"size = {file.size}, "
    return (
        f"{{ name = {_quote(file.name)}, url = {_quote(file.url)}, {size}"
        f"hashes = {{ sha256 = {_quote(file.sha256)} }} }}"
    )


def _quote(value: str) -> str:
    """A TOML string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\u{ord(match[0]):04x}", escaped) + '"'
