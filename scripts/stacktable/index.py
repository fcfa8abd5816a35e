"""Read the package index: lists of files, and the METADATA of a wheel without the wheel.

The index's address comes from the settings of pip and uv, else from pip itself: the wheel of pip that virtualenv
carries is asked for its own default.
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
#: Seconds that a list of files is believed. METADATA never changes and is kept for good.
_FRESH = 3600.0
_FIRST_TAIL = 65_536
#: Bytes of a zip member's own header, before its name.
_HEADER = 30
#: Answers after which it is worth trying again.
_BUSY = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Wheel:
    """One wheel on the index.

    Attributes:
        name: normalised name of the distribution.
        version: as in the file's name, normalised.
        pythons: the CPython versions that take it, "3.11", or "any" for pure wheels.
        url: its address.
        sha256: of the whole file.
        has_metadata: whether the index serves the METADATA apart (PEP 658).
        uploaded: the day, "2023-11-29".
    """

    name: str
    version: str
    pythons: tuple[str, ...]
    url: str
    sha256: str
    has_metadata: bool
    uploaded: str


def address() -> str:
    """The simple API's address that this machine's pip or uv would ask."""
    for variable in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if os.environ.get(variable):
            return os.environ[variable].rstrip("/")
    pip = get_embed_wheel("pip", "3.11")
    if pip is None:
        raise RuntimeError("virtualenv carries no pip, so nothing tells where the package index is")
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
        """The final releases' wheels for Linux x86-64 and CPython 3, oldest release first; yanked ones are left out."""
        found = []
        for file in json.loads(self._listing(name))["files"]:
            if file["filename"].endswith(".whl") and not file.get("yanked"):
                wheel = _wheel(file, self._base)
                if wheel is not None:
                    found.append(wheel)
        return sorted(found, key=lambda wheel: (Version(wheel.version), wheel.pythons))

    def metadata(self, wheel: Wheel) -> Message:
        """The core metadata of a wheel: PEP 658 where the index has it, else by ranges from the end of the file."""
        kept = self._cache / f"{wheel.name}-{wheel.version}-{wheel.sha256[:16]}.metadata"
        if not kept.exists():
            if wheel.has_metadata:
                data = _get(wheel.url + ".metadata")
            else:
                data = metadata_by_ranges(lambda part: _get(wheel.url, Range=part))
            _write(kept, data)
        return Parser().parsestr(kept.read_text(encoding="utf-8"))

    def _listing(self, name: str) -> bytes:
        kept = self._cache / f"{name}.json"
        if not kept.exists() or time.time() - kept.stat().st_mtime > _FRESH:
            _write(kept, _get(f"{self._base}/{name}/", Accept=_LISTING))
        return kept.read_bytes()


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{hashlib.sha256(data).hexdigest()[:8]}")
    fresh.write_bytes(data)
    fresh.replace(path)


def _wheel(file: dict[str, Any], base: str) -> Wheel | None:
    try:
        name, version, _, tags = parse_wheel_filename(str(file["filename"]))
    except (InvalidVersion, ValueError):
        return None  # names from before PEP 440
    if version.is_prerelease:
        return None
    pythons = set()
    for tag in tags:
        if not (tag.platform == "any" or (tag.platform.endswith("x86_64") and "linux" in tag.platform)):
            continue
        if tag.interpreter.startswith("cp3") and tag.interpreter[3:].isdigit() and not tag.abi.endswith("t"):
            pythons.add(f"3.{tag.interpreter[3:]}")
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
    """Bytes of an address; tries again a few times where the index is busy."""
    request = urllib.request.Request(url, headers={"User-Agent": _AGENT, **headers})  # noqa: S310 - the index's own
    for wait in (1.0, 2.0, 4.0):
        try:
            return _answer(request)
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:  # noqa: PERF203 - that is the loop
            if isinstance(error, urllib.error.HTTPError) and error.code not in _BUSY:
                raise
            time.sleep(wait)
    return _answer(request)


def _answer(request: urllib.request.Request) -> bytes:
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the index's own
        if request.has_header("Range") and answer.status != 206:
            raise RuntimeError(
                f"{request.full_url}: the index sends no ranges, and a whole wheel is not read"
            )
        data: bytes = answer.read()
        return data


def metadata_by_ranges(read: Callable[[str], bytes]) -> bytes:
    """METADATA of a wheel, from the zip's directory at its end and the one member.

    Args:
        read: the bytes of an HTTP range, such as "bytes=-100" for the last hundred.

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
    # The local header repeats the name and may have extra fields of another length than the directory's.
    data = read(f"bytes={start}-{start + _HEADER + 1024 + size}")
    name, extra = struct.unpack_from("<HH", data, 26)
    body = data[_HEADER + name + extra :][:size]
    return body if method == 0 else zlib.decompress(body, -15)


def _directory_entry(tail: bytes) -> tuple[int, int, int] | None:
    """Offset, compressed size and method of the METADATA, where the directory's entry lies within `tail`."""
    place = tail.rfind(b".dist-info/METADATA")
    while place != -1:
        head = tail.rfind(b"PK\x01\x02", 0, place)
        if head != -1:
            method, size, length, start = struct.unpack_from("<10xH8xI4xH12xI", tail, head)
            name = tail[head + 46 :][:length]
            # A package may carry the METADATA of another in a folder further down.
            if name.endswith(b".dist-info/METADATA") and name.count(b"/") == 1:
                return start, size, method
        place = tail.rfind(b".dist-info/METADATA", 0, place)
    return None
