"""A store in an S3 bucket: Amazon's or a compatible service's (Cloudflare R2, MinIO, Ceph, Wasabi).

It uses obstore, Rust's object_store, which depends on no other package, so it can be installed on every Colab release,
unlike s3fs (docs/decisions.md), and which releases the GIL while it reads.
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

#: A bucket that many machines read at once answers 503 for a while (docs/scale.md); the pauses grow from 0.1 s.
_RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=3)}
#: Longest time between two bytes: of reads and small writes, and of uploads, which a slow connection needs.
_READ_TIMEOUT, _UPLOAD_TIMEOUT = "4s", "120s"
_PART = 8 << 20  # Two parts are in memory during an upload. There may be 10,000, so an object may have 80 GB.
_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_SMALL = 1 << 20  # bytes that any connection sends within the read timeout
#: Variables that name other sources of credentials, and their names in obstore.
_ROLES = {
    "AWS_WEB_IDENTITY_TOKEN_FILE": "web_identity_token_file",
    "AWS_ROLE_ARN": "role_arn",
    "AWS_ROLE_SESSION_NAME": "role_session_name",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "container_credentials_relative_uri",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "container_credentials_full_uri",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "container_authorization_token_file",
}
_LOGIN_HINT = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in a notebook with %env or from Colab's secrets, and AWS_REGION; "
    "for a bucket at another service also AWS_ENDPOINT_URL. The key needs s3:GetObject and s3:ListBucket to read, "
    "and s3:PutObject to write."
)


class S3Backend:
    """The `StoreBackend` of a bucket and a folder in it, which may be empty, with settings as Amazon's tools find them.

    Raises `StoreError` if obstore is not installed, or the settings are invalid.
    """

    def __init__(self, bucket: str, folder: str, environ: Mapping[str, str]) -> None:
        self.url = f"s3://{bucket}/{folder}".rstrip("/")
        try:
            self._obstore: Any = importlib.import_module("obstore")
            store_type: Any = importlib.import_module("obstore.store").S3Store
        except ImportError:
            raise errors.missing_library("s3://", "s3") from None
        config, self.writable = _read_config(environ)

        def open_bucket(timeout: str) -> Any:
            return store_type(
                bucket,
                prefix=folder or None,
                config=config,
                client_options={
                    "connect_timeout": "2s",
                    "read_timeout": timeout,
                    "timeout": "1d",
                    "allow_http": config.get("endpoint", "").startswith("http://"),
                },
                retry_config=_RETRIES,
            )

        try:
            self._store, self._upload_store = open_bucket(_READ_TIMEOUT), open_bucket(_UPLOAD_TIMEOUT)
        except Exception:  # noqa: BLE001 - its text may quote credentials
            raise StoreError(
                f"The settings for the store {self.url} are invalid.", hint=_LOGIN_HINT
            ) from None

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
        store = self._store if len(data) < _SMALL else self._upload_store
        try:
            self._obstore.put(store, check_object_name(name), data, use_multipart=False)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - see _raise
            self._raise(error, f"write {name} to")

    def upload(self, name: str, path: Path) -> None:
        """See `StoreBackend.upload`. If it fails, the uploaded parts are removed."""
        check_object_name(name)
        with path.open("rb") as file:
            try:
                self._obstore.put(self._upload_store, name, file, chunk_size=_PART, max_concurrency=2)
            except Exception as error:  # noqa: BLE001 - see _raise
                self._raise(error, f"write {name} to")

    def entries(self, prefix: str = "") -> list[StoredObject]:
        """See `StoreBackend.entries`."""
        check_prefix(prefix)
        try:
            items = [item for page in self._obstore.list(self._store, prefix=prefix or None) for item in page]
        except Exception as error:  # noqa: BLE001 - see _raise
            self._raise(error, "list")
        objects = [
            StoredObject(item["path"], item["size"], item["last_modified"].timestamp()) for item in items
        ]
        return sorted(objects, key=lambda stored: stored.name)

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
        """Raise obstore's error as a `StoreError`. Its text identifies the error, but quotes addresses: drop it."""
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
            raise errors.access_denied(task, self.url, _LOGIN_HINT) from None
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


def _read_config(environ: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """Settings for obstore, and whether there are credentials. Variables win over files, as with boto3."""
    profile = _read_profile(environ)

    def setting(key: str, *names: str) -> str:
        return next((environ[name] for name in names if environ.get(name)), "") or profile.get(key, "")

    config = {"region": setting("region", "AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1"}
    endpoint = setting("endpoint_url", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    if endpoint:
        config |= {"endpoint": endpoint, "virtual_hosted_style_request": "false"}
    # A key, its secret and its token belong together, so all come from one source.
    variables = {key: environ.get(key.upper(), "") for key in _KEYS}
    keys = variables if variables["aws_access_key_id"] else {key: profile.get(key, "") for key in _KEYS}
    if keys["aws_access_key_id"] and keys["aws_secret_access_key"]:
        return config | {key.removeprefix("aws_"): value for key, value in keys.items() if value}, True
    roles = {name: environ[variable] for variable, name in _ROLES.items() if environ.get(variable)}
    if roles:
        return config | roles, True
    return config | {"skip_signature": "true"}, False


def _read_profile(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of the selected profile in Amazon's two files; {} if there is none."""
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
