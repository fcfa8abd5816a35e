"""HTTP with an end: every wait is bounded, every fault becomes a `StoreError`, and no credential is in any of them."""

from __future__ import annotations

import contextlib
import functools
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

#: Seconds for a connection, and between two bytes that come.
CONNECT_TIMEOUT = 2.0
READ_TIMEOUT = 4.0
#: Seconds that a server may take over what is sent to it; a slow line needs them.
UPLOAD_TIMEOUT = (10.0, 120.0)
#: Seconds for which a server that could not be reached is not asked again, so that eight threads learn it at once.
RETRY_AFTER = 5.0
#: Bytes read at a time from an answer that begins before the requested range.
_BLOCK = 1 << 20
_AGAIN = {429, 500, 502, 503, 504}


class HttpClient:
    """The way to one server.

    Args:
        shown: the store's address as it may be shown.
        environ: for proxies and certificates, as other tools have them.
        certificates: of the system, shared by all downloads of a run.
        auth: user and password, or None.
        threads: how many connections are kept.
    """

    def __init__(
        self,
        shown: str,
        environ: Mapping[str, str],
        certificates: SystemCertificates | None = None,
        *,
        auth: tuple[str, str] | None = None,
        threads: int = 16,
    ) -> None:
        self._shown = shown
        self._environ = environ
        self._session = requests.Session()
        # The environment is the one that is handed in; requests would look at the process's own.
        self._session.trust_env = False
        self._session.auth = auth
        names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        self._chosen = next((environ[name] for name in names if environ.get(name)), "")
        self._certificates = certificates or SystemCertificates()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=threads))
        self._lock = threading.Lock()
        self._reached: set[tuple[str, int]] = set()
        self._failed = -RETRY_AFTER

    @contextlib.contextmanager
    def answer(
        self,
        method: str,
        url: str,
        task: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], IO[bytes] | bytes] | None = None,
    ) -> Iterator[requests.Response]:
        """The server's answer, whatever its status; its body is not read yet.

        Args:
            method: of HTTP.
            url: whole, with its query.
            task: for messages, before the store's address.
            headers: to send.
            body: gives what to send, anew for a second try.

        Raises:
            StoreError: it cannot be reached or stops answering, here or while the body is read.
        """
        with self._told(task):
            proxies = self._proxies(url)
            self._reach(select_proxy(url, proxies) or url, task)
            response = self._asked(method, url, dict(headers or {}), body, proxies)
        with self._told(task), response:
            yield response

    def _asked(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: Callable[[], IO[bytes] | bytes] | None,
        proxies: dict[str, str],
    ) -> requests.Response:
        """One request, and a second where the first met a closed connection or a busy server."""
        ask = functools.partial(
            self._session.request,
            method,
            url,
            headers={"Accept-Encoding": "identity", **headers},
            timeout=UPLOAD_TIMEOUT if body else (CONNECT_TIMEOUT, READ_TIMEOUT),
            stream=True,
            proxies=proxies,
        )
        system = self._certificates.path
        try:
            response = ask(data=body() if body else None, verify=self._verify())
        except requests.Timeout:
            raise
        except requests.exceptions.SSLError as error:
            if system or not self._certificates.use_if_rejected(str(error), self._environ, "store"):
                raise
            return ask(data=body() if body else None, verify=self._verify())
        except requests.ConnectionError:
            return ask(data=body() if body else None, verify=self._verify())
        if response.status_code not in _AGAIN:
            return response
        response.close()
        time.sleep(0.3)
        return ask(data=body() if body else None, verify=self._verify())

    def _verify(self) -> str | bool:
        """The file of certificate authorities; True for the list that requests brings."""
        return self._chosen or self._certificates.path or True

    def _proxies(self, url: str) -> dict[str, str]:
        def named(name: str) -> str:
            return self._environ.get(name) or self._environ.get(name.upper()) or ""

        if should_bypass_proxies(url, named("no_proxy") or "localhost,127.0.0.1,::1"):
            return {}
        found = {scheme: named(f"{scheme}_proxy") for scheme in ("http", "https", "all")}
        return {scheme: proxy for scheme, proxy in found.items() if proxy}

    def _reach(self, url: str, task: str) -> None:
        """Connect once to the server's port, to learn soon that there is none.

        A name may take long to look up, and it may have many addresses, each of which costs a timeout.
        """
        parts = urlsplit(url)
        place = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        if place in self._reached:
            return
        with self._lock:
            if place in self._reached:
                return
            if time.monotonic() - self._failed < RETRY_AFTER:
                raise errors.unreachable(task, self._shown)
            try:
                call_with_timeout(
                    READ_TIMEOUT, lambda: socket.create_connection(place, timeout=CONNECT_TIMEOUT).close()
                )
            except (OSError, UnicodeError):
                self._failed = time.monotonic()
                raise errors.unreachable(task, self._shown) from None
            self._reached.add(place)

    @contextlib.contextmanager
    def _told(self, task: str) -> Iterator[None]:
        """The libraries' errors as ours; theirs may quote what is secret, so they are not kept."""
        try:
            yield
        except (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
            raise errors.no_response(task, self._shown) from None
        except (requests.exceptions.SSLError, urllib3.exceptions.SSLError):
            raise errors.bad_certificate(task, self._shown) from None
        except (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError):
            raise errors.no_response(task, self._shown) from None
        except requests.ConnectionError:
            raise errors.unreachable(task, self._shown) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException):
            raise errors.bad_response(task, self._shown) from None
        except (OSError, ValueError):
            # A connection reset while reading, certificates that are not there, or a header that cannot be one.
            raise errors.bad_response(task, self._shown) from None


def range_header(start: int, length: int | None) -> dict[str, str]:
    """The Range header for these bytes; {} for all."""
    if length is None:
        return {"Range": f"bytes={start}-"} if start else {}
    return {"Range": f"bytes={start}-{start + max(1, length) - 1}"}


def read_body(response: requests.Response, start: int, length: int | None, task: str, url: str) -> bytes:
    """The requested bytes, whether the server took the range or sent the whole object.

    Raises:
        NotInStoreError: HTTP 404 or 410.
        StoreError: any other status, another range than requested, or fewer bytes than announced.
    """
    status = response.status_code
    if status in {404, 410}:
        raise errors.not_found(task, url)
    if status == 416 or (status == 200 and length == 0):
        return b""
    content_range = re.match(r"bytes (\d+)-(\d+)/", response.headers.get("Content-Range", ""))
    wrong_range = status == 206 and (content_range is None or int(content_range[1]) != start)
    if status not in {200, 206} or wrong_range:
        raise errors.bad_response(task, url, status if status not in {200, 206} else None)
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
    """User and password for a host from netrc, where curl and pip look as well; None where it names none."""
    path = environ.get("NETRC") or os.path.join(environ.get("HOME", ""), ".netrc")  # noqa: PTH118 - may be empty
    try:
        found = netrc.netrc(path).authenticators(host)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return None
    return (found[0], found[2] or "") if found else None
