"""A store in a bucket of the S3 kind: Amazon's, and what speaks the same (Cloudflare R2, MinIO, Ceph, Wasabi).

Through obstore, which is Rust's object_store: it needs no other package, so it fits every Colab, which s3fs does not
(docs/decisions.md), and it reads without holding Python's lock.
"""

from __future__ import annotations

import configparser
import importlib
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from colabenv.errors import StoreError
from colabenv.store import errors
from colabenv.store.backends.base import StoredObject
from colabenv.store.object_names import check_object_name, check_prefix

#: A bucket that many machines read at once answers 503 for a while (docs/scale.md); pauses grow from 0.1 s.
_TRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=3)}
#: The least time between two bytes, for what is read or small, and for parts that a slow line takes long to send.
_QUICK, _PATIENT = "4s", "120s"
#: Two are in memory while a file is sent; there may be 10,000, so an object may have 80 GB.
_PART = 8 << 20
_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
#: Bytes that any line sends within the quick wait.
_SMALL = 1 << 20
#: Variables and what obstore calls them; they say where else credentials come from.
_ROLES = {
    "AWS_WEB_IDENTITY_TOKEN_FILE": "web_identity_token_file",
    "AWS_ROLE_ARN": "role_arn",
    "AWS_ROLE_SESSION_NAME": "role_session_name",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "container_credentials_relative_uri",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "container_credentials_full_uri",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "container_authorization_token_file",
}
_HINT = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in a notebook with %env or from Colab's secrets, and AWS_REGION; "
    "for a bucket that is not Amazon's also AWS_ENDPOINT_URL. The key needs s3:GetObject and s3:ListBucket to read, "
    "and s3:PutObject to write."
)


class S3Backend:
    """The `StoreBackend` of a bucket.

    Args:
        bucket: its name.
        folder: what all names start with, without a slash at either end; may be empty.
        environ: for credentials, region and endpoint, as Amazon's tools look for them.

    Raises:
        StoreError: obstore is not installed, or the settings are none.
    """

    def __init__(self, bucket: str, folder: str, environ: Mapping[str, str]) -> None:
        self.url = f"s3://{bucket}/{folder}".rstrip("/")
        try:
            self._obstore: Any = importlib.import_module("obstore")
            make: Any = importlib.import_module("obstore.store").S3Store
        except ImportError:
            raise errors.missing_library("s3://", "s3") from None
        config, self.writable = _config(environ)

        def opened(wait: str) -> Any:
            return make(
                bucket,
                prefix=folder or None,
                config=config,
                client_options={
                    "connect_timeout": "2s",
                    "read_timeout": wait,
                    "timeout": "1d",
                    "allow_http": config.get("endpoint", "").startswith("http://"),
                },
                retry_config=_TRIES,
            )

        try:
            self._store, self._patient = opened(_QUICK), opened(_PATIENT)
        except Exception:  # noqa: BLE001 - whatever obstore finds wrong with them, it quotes them
            raise StoreError(f"The settings for the store {self.url} are not right.", hint=_HINT) from None

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """See `StoreBackend.read`."""
        task = f"read {name} from"
        check_object_name(name)
        if length == 0:
            return b""
        try:
            if length is not None:
                return bytes(self._obstore.get_range(self._store, name, start=start, length=length))
            options = {"range": {"offset": start}} if start else None
            return bytes(self._obstore.get(self._store, name, options=options).bytes())
        except Exception as error:  # noqa: BLE001 - see _raise
            if "416 Range Not Satisfiable" in str(error):
                return b""
            self._raise(error, task)

    def write(self, name: str, data: bytes) -> None:
        """See `StoreBackend.write`."""
        store = self._store if len(data) < _SMALL else self._patient
        try:
            self._obstore.put(store, check_object_name(name), data, use_multipart=False)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - see _raise
            self._raise(error, f"write {name} to")

    def upload(self, name: str, path: Path) -> None:
        """See `StoreBackend.upload`. Two parts are in memory at a time; parts of a failed one are removed."""
        check_object_name(name)
        with path.open("rb") as file:
            try:
                self._obstore.put(self._patient, name, file, chunk_size=_PART, max_concurrency=2)
            except Exception as error:  # noqa: BLE001 - see _raise
                self._raise(error, f"write {name} to")

    def entries(self, prefix: str = "") -> list[StoredObject]:
        """See `StoreBackend.entries`."""
        check_prefix(prefix)
        try:
            found = [one for page in self._obstore.list(self._store, prefix=prefix or None) for one in page]
        except Exception as error:  # noqa: BLE001 - see _raise
            self._raise(error, "list")
        entries = [StoredObject(one["path"], one["size"], one["last_modified"].timestamp()) for one in found]
        return sorted(entries, key=lambda entry: entry.name)

    def delete(self, name: str) -> None:
        """See `StoreBackend.delete`."""
        check_object_name(name)
        try:
            self._obstore.delete(self._store, name)
        except FileNotFoundError:
            return
        except Exception as error:  # noqa: BLE001 - see _raise
            self._raise(error, f"delete {name} in")

    def _raise(self, error: Exception, task: str) -> NoReturn:
        """What obstore says as our own words.

        Its errors are told apart by their text, and some of its classes derive from `Exception` alone. The text quotes
        addresses and answers, so none of it is kept.
        """
        text = str(error)
        if "NoSuchBucket" in text:
            raise errors.missing_bucket(task, self.url) from None
        if isinstance(error, FileNotFoundError):
            raise errors.not_found(task, self.url) from None
        if re.search(
            r"AuthorizationHeaderMalformed|PermanentRedirect|301 Moved|307 Temp|without a redirect", text
        ):
            hint = "Set AWS_REGION to the region of the bucket, such as eu-central-1."
            raise errors.access_denied(task, self.url, hint) from None
        if type(error).__name__ in {"PermissionDeniedError", "UnauthenticatedError"} or re.search(
            r"\b40[013]\b.*(Forbidden|Unauthorized|ExpiredToken|InvalidToken)", text, re.DOTALL
        ):
            raise errors.access_denied(task, self.url, _HINT) from None
        if "certificate" in text:
            raise errors.bad_certificate(task, self.url) from None
        if re.search(r"kind: (Connect|Dns)|dns error|Connect\(|ConnectError", text):
            raise errors.unreachable(task, self.url) from None
        if re.search(
            r"TimedOut|kind: (Timeout|Interrupted|Decode|Body)|IncompleteMessage|connection closed", text
        ):
            raise errors.no_response(task, self.url) from None
        status = re.search(r"status code: (\d{3})", text)
        raise errors.bad_response(task, self.url, int(status[1]) if status else None) from None


def _config(environ: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """Settings for obstore, and whether there are credentials; variables win over the files, as with boto3."""
    profile = _profile(environ)

    def setting(key: str, *names: str) -> str:
        return next((environ[name] for name in names if environ.get(name)), "") or profile.get(key, "")

    config = {"region": setting("region", "AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1"}
    endpoint = setting("endpoint_url", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    if endpoint:
        config |= {"endpoint": endpoint, "virtual_hosted_style_request": "false"}
    # A key, its secret and its token belong together, so all come from one place.
    named = {key: environ.get(key.upper(), "") for key in _KEYS}
    keys = named if named["aws_access_key_id"] else {key: profile.get(key, "") for key in _KEYS}
    if keys["aws_access_key_id"] and keys["aws_secret_access_key"]:
        return config | {key.removeprefix("aws_"): value for key, value in keys.items() if value}, True
    roles = {name: environ[variable] for variable, name in _ROLES.items() if environ.get(variable)}
    if roles:
        return config | roles, True
    return config | {"skip_signature": "true"}, False


def _profile(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of the chosen profile in Amazon's two files; nothing where there is none."""
    home = environ.get("HOME", "")
    name = environ.get("AWS_PROFILE") or "default"
    result: dict[str, str] = {}
    for variable, file, section in (
        ("AWS_CONFIG_FILE", "config", name if name == "default" else f"profile {name}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", name),
    ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(environ.get(variable) or os.path.join(home, ".aws", file), encoding="utf-8")  # noqa: PTH118
        except (configparser.Error, UnicodeDecodeError):
            continue
        if parser.has_section(section):
            result |= dict(parser.items(section))
    return result
