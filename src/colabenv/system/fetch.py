"""Small files from the web whose digest is known beforehand: downloaded once, then taken from the cache."""

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

#: Seconds for the whole of it.
LIMIT = 10.0
MAX_BYTES = 1024 * 1024
_PIECE = 1 << 14


def fetch_file(url: str, digest: str, cache: Path) -> bytes:
    """The bytes at an http or https address.

    Args:
        url: without a fragment.
        digest: the sha256 in hex that they should have. Bytes that have it are kept in `cache` and never asked for
            again; others are returned all the same and not kept, so that the caller can say what was found.
        cache: folder, made where it is missing.

    Raises:
        NetworkError: there was no answer within 10 seconds, or a refusal, or more than 1 MiB.
    """
    kept = cache / digest
    with contextlib.suppress(OSError):  # not there, or not to be read: the network has it
        found = kept.read_bytes()
        if hashlib.sha256(found).hexdigest() == digest:
            return found
    data = download_file(url)
    if hashlib.sha256(data).hexdigest() == digest:
        with contextlib.suppress(DiskError):  # it is asked for again next time
            write_atomically(kept, data)
    return data


def download_file(url: str, limit: float = LIMIT) -> bytes:
    """The bytes at an http or https address; see `fetch_file`.

    Args:
        url: the address.
        limit: seconds for the whole of it.
    """
    import http.client  # noqa: PLC0415 - 30 ms that most runs save
    import urllib.request  # noqa: PLC0415

    ends = time.monotonic() + limit
    try:
        with urllib.request.urlopen(url, timeout=limit) as answer:  # noqa: S310 - the caller checked the scheme
            return _read(answer, url, ends, limit)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise NetworkError(
            f"{url} could not be downloaded: {reason}.",
            hint="Check the address and the network, and try again.",
        ) from error


def _read(answer: HTTPResponse, url: str, ends: float, limit: float) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := answer.read(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_BYTES:
            raise NetworkError(f"{url} is larger than 1 MiB, and no profile is.", hint="Check the address.")
        if time.monotonic() > ends:
            raise NetworkError(
                f"{url} could not be downloaded within {limit:.0f} seconds.",
                hint="Try again, or download the file by hand and name its path.",
            )
    if answer.length:  # of the length it told, so much is missing
        raise NetworkError(f"{url} could not be downloaded: the connection was cut.", hint="Try again.")
    return b"".join(pieces)
