"""A store in a bucket of Google Cloud Storage, over its JSON API.

Colab has what this needs: requests, and google-auth for the credentials. The API is Google's documented one
(storage/docs/json_api): one request reads a range, and one request puts an object, whole or not at all.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode

import requests

from colabenv.errors import StoreError
from colabenv.store import errors as troubles
from colabenv.store.backends.base import StoredObject
from colabenv.store.http_client import (
    CONNECT_TIMEOUT,
    READ_TIMEOUT,
    RETRY_AFTER,
    HttpClient,
    range_header,
    read_body,
)
from colabenv.store.object_names import check_object_name, check_prefix
from colabenv.store.timeouts import call_with_timeout
from colabenv.system.certificates import SystemCertificates

_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
_SERVER = "https://storage.googleapis.com"
_HINT = (
    "In a notebook, run: from google.colab import auth; auth.authenticate_user() and then this command again. "
    "Elsewhere, set GOOGLE_APPLICATION_CREDENTIALS. The account needs a role for the bucket: Storage Object Viewer "
    "to read, Storage Object User to write."
)


class GcsBackend:
    """The `StoreBackend` of a bucket at Google.

    Args:
        bucket: its name.
        folder: what all names start with, without a slash at either end; may be empty.
        environ: for credentials as Google's tools look for them, and `STORAGE_EMULATOR_HOST`.
        certificates: see `HttpClient`.
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
        self._wire = HttpClient(self.url, environ, certificates)
        self._tokens = None if emulator else _tokens(environ)
        self.writable = bool(emulator or self._tokens)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """See `StoreBackend.read`."""
        task = f"read {name} from"
        headers = range_header(start, length) | self._login(task)
        with self._wire.answer("GET", f"{self._object(name)}?alt=media", task, headers=headers) as response:
            self._check(response, task)
            return read_body(response, start, length, task, self.url)

    def write(self, name: str, data: bytes) -> None:
        """See `StoreBackend.write`."""
        self._put(name, lambda: data)

    def upload(self, name: str, path: Path) -> None:
        """See `StoreBackend.upload`."""
        with path.open("rb") as file:

            def source() -> IO[bytes] | bytes:
                file.seek(0)
                # requests sends a file that is empty in chunks, which not every server takes.
                return file if path.stat().st_size else b""

            self._put(name, source)

    def entries(self, prefix: str = "") -> list[StoredObject]:
        """See `StoreBackend.entries`."""
        query = {
            "prefix": self._folder + check_prefix(prefix),
            "fields": "items(name,size,updated),nextPageToken",
        }
        found: list[StoredObject] = []
        while True:
            page = self._page(query)
            found += [self._entry(item) for item in page.get("items", ())]
            token = page.get("nextPageToken")
            if not token:
                return sorted(found, key=lambda entry: entry.name)
            query["pageToken"] = token

    def delete(self, name: str) -> None:
        """See `StoreBackend.delete`."""
        task = f"delete {name} in"
        with self._wire.answer("DELETE", self._object(name), task, headers=self._login(task)) as response:
            self._check(response, task)
            if response.status_code not in {200, 204, 404}:
                raise troubles.bad_response(task, self.url, response.status_code)

    def _object(self, name: str) -> str:
        return f"{self._server}/storage/v1/b/{self._bucket}/o/{quote(self._folder + check_object_name(name), safe='')}"

    def _put(self, name: str, source: Callable[[], IO[bytes] | bytes]) -> None:
        task = f"write {name} to"
        query = urlencode({"uploadType": "media", "name": self._folder + check_object_name(name)})
        url = f"{self._server}/upload/storage/v1/b/{self._bucket}/o?{query}"
        headers = {"Content-Type": "application/octet-stream"} | self._login(task)
        with self._wire.answer("POST", url, task, headers=headers, body=source) as response:
            self._check(response, task)
            if response.status_code == 404:
                raise troubles.missing_bucket(task, self.url)
            if response.status_code not in {200, 201}:
                raise troubles.bad_response(task, self.url, response.status_code)

    def _page(self, query: Mapping[str, str]) -> dict[str, Any]:
        task = "list"
        url = f"{self._server}/storage/v1/b/{self._bucket}/o?{urlencode(query)}"
        with self._wire.answer("GET", url, task, headers=self._login(task)) as response:
            self._check(response, task)
            if response.status_code == 404:
                raise troubles.missing_bucket(task, self.url)
            if response.status_code != 200:
                raise troubles.bad_response(task, self.url, response.status_code)
            page = response.json()
        if not isinstance(page, dict):
            raise troubles.bad_response(task, self.url)
        return page

    def _entry(self, item: Mapping[str, Any]) -> StoredObject:
        try:
            written = datetime.fromisoformat(re.sub(r"(\.\d+)?Z$", "+00:00", item["updated"]))
            return StoredObject(
                item["name"].removeprefix(self._folder), int(item["size"]), written.timestamp()
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise troubles.bad_response("list", self.url) from None

    def _login(self, task: str) -> dict[str, str]:
        if self._tokens is None:
            return {}
        try:
            token = self._tokens()
        except _RefusedError:
            raise troubles.access_denied(task, self.url, _HINT) from None
        except TimeoutError:
            raise troubles.unreachable(task, self.url) from None
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _check(self, response: requests.Response, task: str) -> None:
        """Tell what any request may meet: Google answers 401 to who is nobody, and 403 to who may not."""
        if response.status_code in {401, 403, 407}:
            raise troubles.access_denied(task, self.url, _HINT)


class _RefusedError(Exception):
    """The credentials that are there give no token."""


class _Tokens:
    """Gives a token that is good for the next requests, or "" where there is no account.

    Args:
        path: the file with the credentials; None to ask the machine's metadata server.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._auth = importlib.import_module("google.auth")
        transport = importlib.import_module("google.auth.transport.requests")
        errors = importlib.import_module("google.auth.exceptions")
        self._wrong = (errors.GoogleAuthError, OSError, ValueError, KeyError, TypeError, AttributeError)
        self._ask = functools.partial(transport.Request(), timeout=(CONNECT_TIMEOUT, READ_TIMEOUT))
        self._held: Any = None
        self._lock = threading.Lock()
        self._failed = -RETRY_AFTER
        self._why: Exception = _RefusedError()
        self._nobody = False

    def __call__(self) -> str:
        """The token.

        Raises:
            _RefusedError: the credentials are none, or not good any more.
            TimeoutError: nobody answered; for some seconds nobody is asked again.
        """
        with self._lock:
            if self._nobody:
                return ""
            if self._held is not None and self._held.valid:
                return str(self._held.token)
            if time.monotonic() - self._failed < RETRY_AFTER:
                raise self._why
            try:
                return call_with_timeout(READ_TIMEOUT, self._fresh)
            except (_RefusedError, TimeoutError) as error:
                if (
                    self._path is None
                ):  # a machine of Google's need not have an account; the bucket may be public
                    self._nobody = True
                    return ""
                self._failed, self._why = time.monotonic(), error
                raise

    def _fresh(self) -> str:
        try:
            held = self._held or (_from_file(self._path) if self._path else None)
            self._held = held or self._auth.default(scopes=_SCOPES)[0]
            self._held.refresh(self._ask)
        except self._wrong:
            raise _RefusedError from None
        return str(self._held.token)


def _tokens(environ: Mapping[str, str]) -> _Tokens | None:
    """What gives tokens; None where there are no credentials.

    Where they lie is documented by Google (Application Default Credentials). `authenticate_user()` of Colab sets
    `GOOGLE_APPLICATION_CREDENTIALS`, or with `USE_AUTH_EPHEM` has the machine's metadata server answer.
    """
    path = _credentials_file(environ)
    if path is None and not _has_metadata(environ):
        return None
    try:
        return _Tokens(path)
    except ImportError:
        raise troubles.missing_library("gs://", "gcs") from None


def _from_file(path: str) -> Any:
    """The credentials in a file, of the two kinds that people have; None for the others, which google-auth finds.

    google-auth warns of its own way to load any kind from a path.
    """
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    if content.get("type") == "authorized_user":
        people = importlib.import_module("google.oauth2.credentials")
        return people.Credentials.from_authorized_user_info(content, _SCOPES)
    if content.get("type") == "service_account":
        services = importlib.import_module("google.oauth2.service_account")
        return services.Credentials.from_service_account_info(content, scopes=_SCOPES)
    return None


def _credentials_file(environ: Mapping[str, str]) -> str | None:
    named = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        if not os.path.isfile(named):  # noqa: PTH113 - a string as it came
            raise StoreError(
                "GOOGLE_APPLICATION_CREDENTIALS names a file that is not there.",
                hint="Set it to the file of the credentials, or unset it.",
            )
        return named
    config = environ.get("CLOUDSDK_CONFIG") or os.path.join(environ.get("HOME", ""), ".config", "gcloud")  # noqa: PTH118
    path = os.path.join(config, "application_default_credentials.json")  # noqa: PTH118
    return path if os.path.isfile(path) else None  # noqa: PTH113


def _has_metadata(environ: Mapping[str, str]) -> bool:
    """Whether Google's metadata server may give tokens: on Colab once it was told to, and on Google's machines."""
    if environ.get("USE_AUTH_EPHEM") == "1" or environ.get("GCE_METADATA_HOST"):
        return True
    if environ.get("NO_GCE_CHECK", "").lower() == "true" or environ.get("COLAB_RELEASE_TAG"):
        return False
    try:
        return Path("/sys/class/dmi/id/product_name").read_text(encoding="ascii").startswith("Google")
    except (OSError, UnicodeDecodeError):
        return False
