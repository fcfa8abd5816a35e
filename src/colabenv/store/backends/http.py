"""A store on a web server, read only, and the way bytes of an object are read over HTTP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import requests

from colabenv.errors import StoreError, UsageError
from colabenv.store import errors
from colabenv.store.backends.base import KNOWN, StoredObject, checked
from colabenv.store.http_client import HttpClient, netrc_login

_BLOCK = 1 << 20
_RANGE = re.compile(r"bytes (\d+)-(\d+)/")
_HINT = (
    "Put the user and the password into the address as variables, https://${STORE_USER}:${STORE_PASSWORD}@HOST/FOLDER, "
    "and set those variables; or use netrc."
)


class HttpBackend:
    """The `Remote` of a web server: no listing, no writing.

    Args:
        url: with user and password where the server wants them.
        environ: see `HttpClient`.

    Raises:
        UsageError: it is no URL of a server.
    """

    writable = False

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host:
            raise UsageError("The store's web address names no server.", hint=KNOWN)
        if parts.query or parts.fragment:
            raise UsageError(
                "The store's web address holds ? or #, which no folder's address does.",
                hint="Write the address of the folder alone; a password goes before the host, as a variable.",
            )
        place = f"[{host}]" if ":" in host else host
        place += f":{port}" if port else ""
        self._base = urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))
        self.url = self._base
        login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._wire = HttpClient(self.url, environ, login or netrc_login(host, environ))

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """See `Remote.read`."""
        task = f"read {name} from"
        url = f"{self._base}/{quote(checked(name))}"
        with self._wire.answer("GET", url, task, headers=range_header(start, length)) as response:
            if response.status_code in {401, 403, 407}:
                raise errors.denied(task, self.url, _HINT)
            return body(response, start, length, task, self.url)

    def write(self, name: str, data: bytes) -> None:  # noqa: ARG002 - of the protocol
        """No store on a web server is written to."""
        self._read_only()

    def upload(self, name: str, path: Path) -> None:  # noqa: ARG002 - of the protocol
        """No store on a web server is written to."""
        self._read_only()

    def entries(self, prefix: str = "") -> list[StoredObject]:  # noqa: ARG002 - of the protocol
        """A web server does not tell what it holds."""
        raise StoreError(
            f"The store {self.url} is a web server, which does not list what it holds.",
            hint="Use the folder or bucket that it serves, by its own address.",
        )

    def delete(self, name: str) -> None:  # noqa: ARG002 - of the protocol
        """No store on a web server is written to."""
        self._read_only()

    def _read_only(self) -> NoReturn:
        raise StoreError(
            f"The store {self.url} is a web server, which is only read from.",
            hint="Write to the folder or bucket that it serves, by its own address.",
        )


def range_header(start: int, length: int | None) -> dict[str, str]:
    """The header that asks for these bytes; none where all are meant."""
    if length is None:
        return {"Range": f"bytes={start}-"} if start else {}
    return {"Range": f"bytes={start}-{start + max(1, length) - 1}"}


def body(response: requests.Response, start: int, length: int | None, task: str, url: str) -> bytes:
    """The bytes that were asked for, whether the server took the range or sent the whole object.

    Raises:
        Absent: HTTP 404 or 410.
        StoreError: any other status, a range that was not asked for, or fewer bytes than were promised.
    """
    status = response.status_code
    if status in {404, 410}:
        raise errors.absent(task, url)
    if status == 416 or (status == 200 and length == 0):
        return b""
    if status not in {200, 206}:
        raise errors.failed(task, url, status)
    there = response.headers.get("Content-Length", "")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise errors.failed(task, url)
    skip = start if status == 200 else 0
    if status == 206 and _first(response) != start:
        raise errors.failed(task, url)
    left = skip
    while left:
        gone = len(response.raw.read(min(left, _BLOCK), decode_content=False))
        if not gone:
            return b""
        left -= gone
    data: bytes = response.raw.read(length, decode_content=False)
    if there.isdecimal():
        # urllib3 says nothing where a connection ends before the bytes that it promised.
        promised = max(0, int(there) - skip)
        if len(data) < (promised if length is None else min(length, promised)):
            raise errors.silent(task, url)
    return data


def _first(response: requests.Response) -> int | None:
    """Where the range starts that the server says it sends."""
    found = _RANGE.match(response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None
