"""Read the package index: lists of files, and the METADATA of wheels without the wheels.

The index's URL comes from the settings of pip and uv, or is the default of the pip that virtualenv contains.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version
from virtualenv.seed.wheels.embed import get_embed_wheel

_ASK_PIP = """
import sys
sys.path.insert(0, sys.argv[1])
from pip._internal.configuration import Configuration
from pip._internal.exceptions import ConfigurationError
from pip._internal.models.index import PyPI
settings = Configuration(isolated=False)
settings.load()
for key in ("global.index-url", "install.index-url"):
    try:
        print(settings.get_value(key))
        break
    except ConfigurationError:
        pass
else:
    print(PyPI.simple_url)
"""
_LISTING = "application/vnd.pypi.simple.v1+json"  # PEP 691
_AGENT = "colabenv-refresh-stack-table"
#: Seconds for which a list of files is cached. METADATA never changes.
_FRESH = 3600.0
_FIRST_TAIL = 65_536
#: Bytes of the local header of a zip member, before its name.
_HEADER = 30
#: HTTP statuses after which a request is retried.
_BUSY = frozenset({429, 500, 502, 503, 504})


#: The minor of the newest CPython: wheels with the stable ABI work on all up to it.
_NEWEST_MINOR = 14


@dataclass(frozen=True)
class Wheel:
    """A wheel on the index."""

    name: str  #: normalized
    version: str  #: normalized
    pythons: tuple[str, ...]  #: the CPythons that can install it, "3.11", or "any"
    url: str
    sha256: str
    has_metadata: bool  #: whether the index serves the METADATA separately (PEP 658)
    uploaded: str  #: the day, "2023-11-29"


def find_index_url() -> str:
    """The URL of the simple API that this machine's pip or uv uses."""
    for variable in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if os.environ.get(variable):
            return os.environ[variable].rstrip("/")
    pip = get_embed_wheel("pip", "3.11")
    if pip is None:
        raise RuntimeError("virtualenv contains no pip, so the default package index is unknown")
    done = subprocess.run(
        [sys.executable, "-c", _ASK_PIP, str(pip.path)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip().rstrip("/")


class Index:
    """The package index, with a cache on disk."""

    def __init__(self, base: str, cache: Path) -> None:
        self._base = base
        self._cache = cache
        cache.mkdir(parents=True, exist_ok=True)

    def wheels(self, name: str) -> list[Wheel]:
        """The wheels of final releases for Linux x86-64 and CPython 3, oldest release first, without yanked ones."""
        wheels = []
        for file in json.loads(self._listing(name))["files"]:
            if file["filename"].endswith(".whl") and not file.get("yanked"):
                wheel = _wheel(file, self._base)
                if wheel is not None:
                    wheels.append(wheel)
        return sorted(wheels, key=lambda wheel: (Version(wheel.version), wheel.pythons))

    def metadata(self, wheel: Wheel) -> Message:
        """The core metadata of a wheel, by PEP 658 or else by ranges from the end of the file."""
        cached = self._cache / f"{wheel.name}-{wheel.version}-{wheel.sha256[:16]}.metadata"
        if not cached.exists():
            if wheel.has_metadata:
                data = _get(wheel.url + ".metadata")
            else:
                data = metadata_by_ranges(lambda part: _get(wheel.url, Range=part))
            _write(cached, data)
        return Parser().parsestr(cached.read_text(encoding="utf-8"))

    def _listing(self, name: str) -> bytes:
        cached = self._cache / f"{name}.json"
        if not cached.exists() or time.time() - cached.stat().st_mtime > _FRESH:
            _write(cached, _get(f"{self._base}/{name}/", Accept=_LISTING))
        return cached.read_bytes()


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{hashlib.sha256(data).hexdigest()[:8]}")
    fresh.write_bytes(data)
    fresh.replace(path)


def _wheel(file: dict[str, Any], base: str) -> Wheel | None:
    try:
        name, version, _, tags = parse_wheel_filename(str(file["filename"]))
    except (InvalidVersion, ValueError):
        return None  # from before PEP 440
    if version.is_prerelease:
        return None
    pythons = set()
    for tag in tags:
        if not (tag.platform == "any" or (tag.platform.endswith("x86_64") and "linux" in tag.platform)):
            continue
        if tag.interpreter.startswith("cp3") and tag.interpreter[3:].isdigit() and not tag.abi.endswith("t"):
            minor = int(tag.interpreter[3:])
            last = max(minor, _NEWEST_MINOR) if tag.abi == "abi3" else minor
            pythons.update(f"3.{number}" for number in range(minor, last + 1))
        elif tag.interpreter == "py3":
            pythons.add("any")
    if not pythons:
        return None
    return Wheel(
        canonicalize_name(name),
        str(version),
        tuple(sorted(pythons)),
        urllib.parse.urljoin(f"{base}/{name}/", str(file["url"])),
        file["hashes"].get("sha256", ""),
        bool(file.get("core-metadata") or file.get("data-dist-info-metadata")),
        str(file.get("upload-time", ""))[:10],
    )


def _get(url: str, **headers: str) -> bytes:
    """The bytes at a URL; retries while the index is busy."""
    request = urllib.request.Request(url, headers={"User-Agent": _AGENT, **headers})  # noqa: S310 - the index's own
    for wait in (1.0, 2.0, 4.0):
        try:
            return _open(request)
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:  # noqa: PERF203 - the retries
            if isinstance(error, urllib.error.HTTPError) and error.code not in _BUSY:
                raise
            time.sleep(wait)
    return _open(request)


def _open(request: urllib.request.Request) -> bytes:
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - the index's own
        if request.has_header("Range") and response.status != 206:
            raise RuntimeError(f"{request.full_url}: the index does not support byte ranges")
        data: bytes = response.read()
        return data


def metadata_by_ranges(read: Callable[[str], bytes]) -> bytes:
    """The METADATA of a wheel, from the zip directory at its end and its one member.

    Args:
        read: returns the bytes of an HTTP range, such as "bytes=-100".

    Raises:
        LookupError: the wheel has no METADATA.
    """
    length = _FIRST_TAIL
    while True:
        tail = read(f"bytes=-{length}")
        entry = _directory_entry(tail)
        if entry is not None:
            break
        if len(tail) < length:
            raise LookupError("no METADATA in the wheel")
        length *= 16
    start, size, method = entry
    # The local header repeats the name, and its extra fields may differ in length from the directory's.
    data = read(f"bytes={start}-{start + _HEADER + 1024 + size}")
    name, extra = struct.unpack_from("<HH", data, 26)
    body = data[_HEADER + name + extra :][:size]
    return body if method == 0 else zlib.decompress(body, -15)


def _directory_entry(tail: bytes) -> tuple[int, int, int] | None:
    """Offset, compressed size and method of the METADATA, or None if `tail` does not contain its directory entry."""
    position = tail.rfind(b".dist-info/METADATA")
    while position != -1:
        head = tail.rfind(b"PK\x01\x02", 0, position)
        if head != -1:
            method, size, length, start = struct.unpack_from("<10xH8xI4xH12xI", tail, head)
            name = tail[head + 46 :][:length]
            # A package may contain the METADATA of a vendored one in a subfolder.
            if name.endswith(b".dist-info/METADATA") and name.count(b"/") == 1:
                return start, size, method
        position = tail.rfind(b".dist-info/METADATA", 0, position)
    return None
