"""HTTP with time limits: every wait ends, every fault becomes a `StoreError`, and no error contains credentials."""

from __future__ import annotations

import contextlib
import http.client
import netrc
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import IO
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy, should_bypass_proxies

from colabenv.store import errors
from colabenv.store.timeouts import call_with_timeout
from colabenv.system.certificates import SystemCertificates

#: Seconds for a connection, and between two bytes of an answer.
CONNECT_TIMEOUT = 2.0
READ_TIMEOUT = 4.0
#: Seconds for a connection, and for the server's answer to an upload, which a slow connection needs.
UPLOAD_TIMEOUT = (10.0, 120.0)
#: Seconds for which an unreachable server is not tried again, so that eight threads fail at once.
RETRY_AFTER = 5.0
_BLOCK = 1 << 20  # bytes read at a time from an answer that begins before the requested range
_CONNECTIONS = 16  # connections that stay open
_TEMPORARY = {429, 500, 502, 503, 504}
#: The body of a request; called again for a second try.
Body = Callable[[], IO[bytes] | bytes]


class HttpClient:
    """Requests to one server, with proxies and certificates from `environ`; `store_url` is for messages."""

    def __init__(
        self,
        store_url: str,
        environ: Mapping[str, str],
        certificates: SystemCertificates | None = None,
        *,
        auth: tuple[str, str] | None = None,
    ) -> None:
        self._store_url = store_url
        self._environ = environ
        self._session = requests.Session()
        # Use the given environment; requests would read the process's own.
        self._session.trust_env = False
        self._session.auth = auth
        names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        self._certificates_file = next((environ[name] for name in names if environ.get(name)), "")
        self._certificates = certificates or SystemCertificates()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self._lock = threading.Lock()
        self._reached: set[tuple[str, int]] = set()
        self._failed_at = -RETRY_AFTER

    @contextlib.contextmanager
    def request(
        self,
        method: str,
        url: str,
        task: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Iterator[requests.Response]:
        """The server's answer with any status; its body is not read yet. For `task` see `store.errors`.

        Raises `StoreError` if the server cannot be reached or stops answering, here or while the body is read.
        """
        with self._translate_errors(task):
            proxies = self._proxies(url)
            self._check_reachable(select_proxy(url, proxies) or url, task)
            response = self._send(method, url, dict(headers or {}), body, proxies)
        with self._translate_errors(task), response:
            yield response

    def _send(
        self, method: str, url: str, headers: dict[str, str], body: Body | None, proxies: dict[str, str]
    ) -> requests.Response:
        """Send a request, and again if the connection was closed or the server is busy."""

        def send() -> requests.Response:
            return self._session.request(
                method,
                url,
                data=body() if body else None,
                headers={"Accept-Encoding": "identity", **headers},
                timeout=UPLOAD_TIMEOUT if body else (CONNECT_TIMEOUT, READ_TIMEOUT),
                stream=True,
                proxies=proxies,
                verify=self._certificates_file
                or self._certificates.path
                or True,  # True: the list that requests ships
            )

        system = self._certificates.path
        try:
            response = send()
        except requests.Timeout:
            raise
        except requests.exceptions.SSLError as error:
            if system or not self._certificates.use_if_rejected(str(error), self._environ, "store"):
                raise
            return send()
        except requests.ConnectionError:
            return send()
        if response.status_code not in _TEMPORARY:
            return response
        response.close()
        time.sleep(0.3)
        return send()

    def _proxies(self, url: str) -> dict[str, str]:
        def variable(name: str) -> str:
            return self._environ.get(name) or self._environ.get(name.upper()) or ""

        if should_bypass_proxies(url, variable("no_proxy") or "localhost,127.0.0.1,::1"):
            return {}
        proxies = {scheme: variable(f"{scheme}_proxy") for scheme in ("http", "https", "all")}
        return {scheme: proxy for scheme, proxy in proxies.items() if proxy}

    def _check_reachable(self, url: str, task: str) -> None:
        """Connect once to the port, to find out quickly if nothing listens: each address of a name costs a timeout."""
        parts = urlsplit(url)
        address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        if address in self._reached:
            return
        with self._lock:
            if address in self._reached:
                return
            if time.monotonic() - self._failed_at < RETRY_AFTER:
                raise errors.unreachable(task, self._store_url)
            try:
                call_with_timeout(
                    READ_TIMEOUT, lambda: socket.create_connection(address, timeout=CONNECT_TIMEOUT).close()
                )
            except (OSError, UnicodeError):
                self._failed_at = time.monotonic()
                raise errors.unreachable(task, self._store_url) from None
            self._reached.add(address)

    @contextlib.contextmanager
    def _translate_errors(self, task: str) -> Iterator[None]:
        """Raise the libraries' errors as `StoreError`, without their text, which may quote secrets."""
        try:
            yield
        except (requests.exceptions.SSLError, urllib3.exceptions.SSLError):
            raise errors.bad_certificate(task, self._store_url) from None
        except (
            *(requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError),
            *(requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError),
        ):
            raise errors.no_response(task, self._store_url) from None
        except requests.ConnectionError:
            raise errors.unreachable(task, self._store_url) from None
        # Also a connection reset while reading, missing certificate files, or an invalid header.
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError):
            raise errors.bad_response(task, self._store_url) from None


def range_header(start: int, length: int | None) -> dict[str, str]:
    """The Range header for these bytes; {} for all."""
    if length is None:
        return {"Range": f"bytes={start}-"} if start else {}
    return {"Range": f"bytes={start}-{start + max(1, length) - 1}"}


def read_body(response: requests.Response, start: int, length: int | None, task: str, url: str) -> bytes:
    """The requested bytes, whether the server sent the range or the whole object.

    Raises:
        NotInStoreError: HTTP 404 or 410.
        StoreError: any other status, a range that was not requested, or fewer bytes than announced.
    """
    status = response.status_code
    if status in {404, 410}:
        raise errors.not_found(task, url)
    if status == 416 or (status == 200 and length == 0):
        return b""
    if status not in {200, 206}:
        raise errors.bad_response(task, url, status)
    content_range = re.match(r"bytes (\d+)-(\d+)/", response.headers.get("Content-Range", ""))
    if status == 206 and (content_range is None or int(content_range[1]) != start):
        raise errors.bad_response(task, url)
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise errors.bad_response(task, url)
    skip = left = start if status == 200 else 0
    while left:
        skipped = len(response.raw.read(min(left, _BLOCK), decode_content=False))
        if not skipped:
            return b""
        left -= skipped
    data: bytes = response.raw.read(length, decode_content=False)
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal():
        # urllib3 does not report a connection that ends before the announced number of bytes.
        expected = max(0, int(announced) - skip)
        if len(data) < (expected if length is None else min(length, expected)):
            raise errors.no_response(task, url)
    return data


def netrc_login(host: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """User and password of a host from the netrc file that curl and pip read, or None."""
    path = environ.get("NETRC") or os.path.join(environ.get("HOME", ""), ".netrc")  # noqa: PTH118 - may be empty
    try:
        login = netrc.netrc(path).authenticators(host)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return None
    return (login[0], login[2] or "") if login else None
