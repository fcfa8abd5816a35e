"""Small files from the web: those whose digest is known are downloaded once, then read from the cache."""

from __future__ import annotations

import contextlib
import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from colabenv.errors import DiskError, NetworkError
from colabenv.system.files import write_atomically

if TYPE_CHECKING:
    from http.client import HTTPResponse

LIMIT = 10.0  # seconds for the whole download
MAX_BYTES = 1024 * 1024
_CHUNK_BYTES = 1 << 14


def fetch_file(url: str, digest: str, cache: Path, limit: float = LIMIT, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes at an http or https address without a fragment, cached if they have the digest (sha256 in hex).

    Without a `digest`, they are downloaded, and cached under the digest they have. Bytes with another digest are
    returned as well, so that the caller can report them. Limits and errors are those of `download_file`.
    """
    if digest:
        with contextlib.suppress(OSError):  # not cached, or not readable
            data = (cache / digest).read_bytes()
            if hashlib.sha256(data).hexdigest() == digest:
                return data
    data = download_file(url, limit, max_bytes)
    actual = hashlib.sha256(data).hexdigest()
    if not digest or actual == digest:
        with contextlib.suppress(DiskError):
            write_atomically(cache / actual, data)
    return data


def download_file(url: str, limit: float = LIMIT, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes at an http or https address; `limit` is in seconds.

    Raises:
        NetworkError: no answer within the limit, an error, or more than `max_bytes`.
    """
    import http.client  # noqa: PLC0415 - 30 ms that most runs save
    import urllib.request  # noqa: PLC0415

    deadline = time.monotonic() + limit
    try:
        with urllib.request.urlopen(url, timeout=limit) as response:  # noqa: S310 - the caller checked the scheme
            return _read(response, url, deadline, limit, max_bytes)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise NetworkError(
            f"{url} could not be downloaded: {reason}.",
            hint="Check the address and the network, and try again.",
        ) from error


def _read(response: HTTPResponse, url: str, deadline: float, limit: float, max_bytes: int) -> bytes:
    data = bytearray()
    while chunk := response.read(_CHUNK_BYTES):
        data += chunk
        if len(data) > max_bytes:
            size = f"{max_bytes >> 20} MiB"
            raise NetworkError(
                f"{url} is larger than {size}, the limit for such a file.", hint="Check the address."
            )
        if time.monotonic() > deadline:
            raise NetworkError(
                f"{url} could not be downloaded within {limit:.0f} seconds.",
                hint="Try again, or download the file yourself and use its path.",
            )
    if response.length:  # the rest of the announced length
        raise NetworkError(f"{url} could not be downloaded: the connection was lost.", hint="Try again.")
    return bytes(data)
