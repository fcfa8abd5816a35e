"""A store in a Google Cloud Storage bucket, over its JSON API (storage/docs/json_api).

Colab has what this needs: requests, and google-auth for the credentials.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode

import requests

from colabenv.errors import StoreError
from colabenv.store import errors
from colabenv.store.backends.base import StoredObject
from colabenv.store.http_client import (
    CONNECT_TIMEOUT,
    READ_TIMEOUT,
    RETRY_AFTER,
    Body,
    HttpClient,
    range_header,
    read_body,
)
from colabenv.store.object_names import check_object_name, check_prefix
from colabenv.store.timeouts import call_with_timeout
from colabenv.system.certificates import SystemCertificates

_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
_SERVER = "https://storage.googleapis.com"
_LOGIN_HINT = (
    "In a notebook, run: from google.colab import auth; auth.authenticate_user() and then this command again. "
    "Elsewhere, set GOOGLE_APPLICATION_CREDENTIALS. The account needs a role for the bucket: Storage Object Viewer "
    "to read, Storage Object User to write."
)


class GcsBackend:
    """The `StoreBackend` of a Google Cloud Storage bucket and a folder in it, which may be empty.

    Credentials are found as by Google's tools; `STORAGE_EMULATOR_HOST` names another server.
    """

    def __init__(
        self,
        bucket: str,
        folder: str,
        environ: Mapping[str, str],
        certificates: SystemCertificates | None = None,
    ) -> None:
        self.url = f"gs://{bucket}/{folder}".rstrip("/")
        self._bucket = quote(bucket, safe="")
        self._folder = f"{folder}/" if folder else ""
        emulator = environ.get("STORAGE_EMULATOR_HOST", "").rstrip("/")
        self._server = (emulator if "://" in emulator else f"http://{emulator}") if emulator else _SERVER
        self._client = HttpClient(self.url, environ, certificates)
        self._tokens = None if emulator else find_token_source(environ)
        self.writable = bool(emulator or self._tokens)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """See `StoreBackend.read`."""
        task = f"read {name} from"
        url = f"{self._object_url(name)}?alt=media"
        with self._request("GET", url, task, range_header(start, length)) as response:
            return read_body(response, start, length, task, self.url)

    def write(self, name: str, data: bytes) -> None:
        """See `StoreBackend.write`."""
        self._put(name, lambda: data)

    def upload(self, name: str, path: Path) -> None:
        """See `StoreBackend.upload`."""
        with path.open("rb") as file:

            def source() -> IO[bytes] | bytes:
                file.seek(0)
                # requests would send an empty file in chunks, which not every server accepts.
                return file if path.stat().st_size else b""

            self._put(name, source)

    def entries(self, prefix: str = "") -> list[StoredObject]:
        """See `StoreBackend.entries`."""
        fields = "items(name,size,updated),nextPageToken"
        query = {"prefix": self._folder + check_prefix(prefix), "fields": fields}
        objects: list[StoredObject] = []
        while True:
            page = self._list_page(query)
            objects += [self._parse_item(item) for item in page.get("items", ())]
            if not page.get("nextPageToken"):
                return sorted(objects, key=lambda stored: stored.name)
            query["pageToken"] = page["nextPageToken"]

    def delete(self, name: str) -> None:
        """See `StoreBackend.delete`."""
        task = f"delete {name} in"
        with self._request("DELETE", self._object_url(name), task) as response:
            if response.status_code not in {200, 204, 404}:
                raise errors.bad_response(task, self.url, response.status_code)

    def _object_url(self, name: str) -> str:
        path = quote(self._folder + check_object_name(name), safe="")
        return f"{self._server}/storage/v1/b/{self._bucket}/o/{path}"

    def _put(self, name: str, body: Body) -> None:
        task = f"write {name} to"
        query = urlencode({"uploadType": "media", "name": self._folder + check_object_name(name)})
        url = f"{self._server}/upload/storage/v1/b/{self._bucket}/o?{query}"
        headers = {"Content-Type": "application/octet-stream"}
        with self._request("POST", url, task, headers, body) as response:
            self._require_success(response, task)

    def _list_page(self, query: Mapping[str, str]) -> dict[str, Any]:
        url = f"{self._server}/storage/v1/b/{self._bucket}/o?{urlencode(query)}"
        with self._request("GET", url, "list") as response:
            self._require_success(response, "list")
            page = response.json()
        if not isinstance(page, dict):
            raise errors.bad_response("list", self.url)
        return page

    def _parse_item(self, item: Mapping[str, Any]) -> StoredObject:
        try:
            written = datetime.fromisoformat(re.sub(r"(\.\d+)?Z$", "+00:00", item["updated"]))
            name = item["name"].removeprefix(self._folder)
            return StoredObject(name, int(item["size"]), written.timestamp())
        except (KeyError, TypeError, ValueError, AttributeError):
            raise errors.bad_response("list", self.url) from None

    @contextlib.contextmanager
    def _request(
        self,
        method: str,
        url: str,
        task: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Iterator[requests.Response]:
        """The server's answer, unless it denies access."""
        headers = {**(headers or {}), **self._auth_header(task)}
        with self._client.request(method, url, task, headers=headers, body=body) as response:
            if response.status_code in {401, 403, 407}:
                raise errors.access_denied(task, self.url, _LOGIN_HINT)
            yield response

    def _require_success(self, response: requests.Response, task: str) -> None:
        if response.status_code == 404:
            raise errors.missing_bucket(task, self.url)
        if response.status_code not in {200, 201}:
            raise errors.bad_response(task, self.url, response.status_code)

    def _auth_header(self, task: str) -> dict[str, str]:
        if self._tokens is None:
            return {}
        try:
            token = self._tokens()
        except _RefusedError:
            raise errors.access_denied(task, self.url, _LOGIN_HINT) from None
        except TimeoutError:
            raise errors.unreachable(task, self.url) from None
        return {"Authorization": f"Bearer {token}"} if token else {}


class _RefusedError(Exception):
    """The credentials were refused."""


class _TokenSource:
    """Returns a token for the next requests, or "" without an account. Without a file it asks the metadata server."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._auth = importlib.import_module("google.auth")
        transport = importlib.import_module("google.auth.transport.requests")
        exceptions = importlib.import_module("google.auth.exceptions")
        self._failures = (
            *(exceptions.GoogleAuthError, OSError),
            *(ValueError, KeyError, TypeError, AttributeError),
        )
        self._transport = functools.partial(transport.Request(), timeout=(CONNECT_TIMEOUT, READ_TIMEOUT))
        self._credentials: Any = None
        self._lock = threading.Lock()
        self._failed_at = -RETRY_AFTER
        self._failure: Exception = _RefusedError()
        self._anonymous = False

    def __call__(self) -> str:
        """The token. A `TimeoutError` is raised again for some seconds without a further request."""
        with self._lock:
            if self._anonymous:
                return ""
            if self._credentials is not None and self._credentials.valid:
                return str(self._credentials.token)
            if time.monotonic() - self._failed_at < RETRY_AFTER:
                raise self._failure
            try:
                return call_with_timeout(READ_TIMEOUT, self._refresh)
            except (_RefusedError, TimeoutError) as error:
                if self._path is None:
                    self._anonymous = True  # no account, and the bucket may be public
                    return ""
                self._failed_at, self._failure = time.monotonic(), error
                raise

    def _refresh(self) -> str:
        try:
            credentials = self._credentials or (_from_file(self._path) if self._path else None)
            self._credentials = credentials or self._auth.default(scopes=_SCOPES)[0]
            self._credentials.refresh(self._transport)
        except self._failures:
            raise _RefusedError from None
        return str(self._credentials.token)


def find_token_source(environ: Mapping[str, str]) -> _TokenSource | None:
    """The source of tokens, or None without credentials (see Google's "Application Default Credentials").

    Colab's `authenticate_user()` sets `GOOGLE_APPLICATION_CREDENTIALS`, or with `USE_AUTH_EPHEM` lets the machine's
    metadata server answer.
    """
    path = _credentials_file(environ)
    if path is None and not _has_metadata(environ):
        return None
    try:
        return _TokenSource(path)
    except ImportError:
        raise errors.missing_library("gs://", "gcs") from None


def _from_file(path: str) -> Any:
    """The credentials in a file of the two usual types, without google-auth's warning; None for others."""
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    if content.get("type") == "authorized_user":
        users = importlib.import_module("google.oauth2.credentials")
        return users.Credentials.from_authorized_user_info(content, _SCOPES)
    if content.get("type") == "service_account":
        services = importlib.import_module("google.oauth2.service_account")
        return services.Credentials.from_service_account_info(content, scopes=_SCOPES)
    return None


def _credentials_file(environ: Mapping[str, str]) -> str | None:
    path = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if path:
        if not os.path.isfile(path):  # noqa: PTH113 - the unmodified string
            raise StoreError(
                "GOOGLE_APPLICATION_CREDENTIALS names a file that does not exist.",
                hint="Set it to the file with the credentials, or unset it.",
            )
        return path
    config = environ.get("CLOUDSDK_CONFIG") or os.path.join(environ.get("HOME", ""), ".config", "gcloud")  # noqa: PTH118
    path = os.path.join(config, "application_default_credentials.json")  # noqa: PTH118
    return path if os.path.isfile(path) else None  # noqa: PTH113


def _has_metadata(environ: Mapping[str, str]) -> bool:
    """Whether Google's metadata server may have tokens: on Colab after `authenticate_user()`, and at Google."""
    if environ.get("USE_AUTH_EPHEM") == "1" or environ.get("GCE_METADATA_HOST"):
        return True
    if environ.get("NO_GCE_CHECK", "").lower() == "true" or environ.get("COLAB_RELEASE_TAG"):
        return False
    try:
        return Path("/sys/class/dmi/id/product_name").read_text(encoding="ascii").startswith("Google")
    except (OSError, UnicodeDecodeError):
        return False
