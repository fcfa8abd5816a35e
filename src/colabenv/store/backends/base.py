"""Where built environments are kept: one small protocol, and the way from a URL to what speaks it.

What a store can be: a folder (Google Drive's too), a bucket at Google or of the S3 kind, and a web server that is read
only. See docs/store.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import unquote, urlsplit

from colabenv.errors import StoreError, UsageError

#: What is said where a URL cannot be used.
KNOWN = (
    "A store is a folder (/content/drive/MyDrive/colabenv), a bucket (gs://BUCKET/FOLDER or s3://BUCKET/FOLDER), "
    "or, to read only, a web address (https://HOST/FOLDER)."
)
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: Google's limit for an object's name; S3's is the same (both clouds' documentation of object names).
_LONGEST = 1024


@dataclass(frozen=True)
class StoredObject:
    """One object in a store.

    Attributes:
        name: below the store's URL, with `/`.
        bytes: its size.
        modified: when it was written, in seconds since the epoch by the store's clock.
    """

    name: str
    bytes: int
    modified: float


@runtime_checkable
class StoreBackend(Protocol):
    """A store's objects by name. Used from several threads at once.

    A name is relative, with `/` between its parts: `layers/cp311-linux_x86_64/….layer`. Each method raises `StoreError`
    where the store is gone, slow or refuses, and where the name is none. No call waits for more than some 4 seconds
    without a byte moving.
    """

    @property
    def url(self) -> str:
        """The store as it may be shown: without credentials."""

    @property
    def writable(self) -> bool:
        """Whether it is worth trying to write."""

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of an object, all by default. Beyond its end there are none, as with a file.

        Args:
            name: the object.
            start: the first byte, from 0.
            length: how many at most; None for all that follow.

        Raises:
            Absent: there is no such object.
            StoreError: see above.
        """

    def write(self, name: str, data: bytes) -> None:
        """Put an object, or replace it. It is there whole or not at all."""

    def upload(self, name: str, path: Path) -> None:
        """Put a local file as an object, as `write`; it is never in memory as a whole."""

    def entries(self, prefix: str = "") -> list[StoredObject]:
        """All objects whose name starts with `prefix`, which is empty or ends with `/`, sorted by name.

        A listing may be some minutes old (Google Drive); what it leaves out can still be read by its name.
        """

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""


def open_remote(url: str, environ: Mapping[str, str]) -> StoreBackend:
    """The store at a URL. Asks no server yet.

    Args:
        url: a folder's path (`~` is the home) or `file://`, `gs://`, `s3://`, `https://` or `http://`, or whatever
            else fsspec has a file system for. Each `${NAME}` is replaced by that variable.
        environ: the environment variables, for those and for credentials.

    Raises:
        UsageError: no store can be at such a URL, or a variable is not set.
        StoreError: what reads such a store is not installed; the hint says how to install it.
    """
    filled = expand_store_url(url, environ)
    found = _SCHEME.fullmatch(filled)
    if found is None or found["scheme"].lower() == "file":
        return _folder(filled if found is None else _file_path(filled), environ)
    scheme = found["scheme"].lower()
    if scheme in {"http", "https"}:
        from colabenv.store.backends.http import HttpBackend  # noqa: PLC0415 - each kind of store is loaded where it is used

        return HttpBackend(filled, environ)
    if scheme == "gs":
        from colabenv.store.backends.gcs import GcsBackend  # noqa: PLC0415 - see above

        return GcsBackend(*_bucket(scheme, found["rest"]), environ)
    if scheme == "s3":
        from colabenv.store.backends.s3 import S3Backend  # noqa: PLC0415 - see above

        return S3Backend(*_bucket(scheme, found["rest"]), environ)
    from colabenv.store.anywhere import Anywhere  # noqa: PLC0415 - see above

    return Anywhere(scheme, filled)


def checked(name: str, *, prefix: bool = False) -> str:
    """`name` where it is one; names come from manifests too, so from anywhere.

    Args:
        name: an object's name.
        prefix: whether the start of names is meant, which is empty or ends with `/`.

    Raises:
        StoreError: it is empty, absolute, climbs out, or holds what no name of a store holds.
    """
    parts = (name[:-1] if prefix and name.endswith("/") else name).split("/")
    if prefix and not name:
        return name
    if prefix and not name.endswith("/"):
        raise StoreError(f"{_shown(name)} is not the name of a folder in a store.")
    wrong = any(part in {"", ".", ".."} for part in parts) or _CONTROL.search(name) or "\\" in name
    if wrong or len(name.encode(errors="surrogatepass")) > _LONGEST or not _is_text(name):
        raise StoreError(f"{_shown(name)} is not the name of an object in a store.")
    return name


def _shown(name: str) -> str:
    text = ascii(name)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def expand_store_url(url: str, environ: Mapping[str, str]) -> str:
    """The URL with its variables; their values are never shown.

    Raises:
        UsageError: a variable is not set, or what comes of it is no URL.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1]
        text = environ.get(name, "")
        if not text or _CONTROL.search(text):
            state = ("holds a line break" if text else "is empty") if name in environ else "is not set"
            raise UsageError(
                f"The store's URL needs the variable {name}, which {state}.",
                hint=f"Set it before this command: in a cell `%env {name}=…`, in a shell `export {name}=…`.",
            )
        return text

    filled = _VARIABLE.sub(value, url.strip())
    if not filled:
        raise UsageError("The store's URL is empty.", hint=KNOWN)
    if _CONTROL.search(filled):
        raise UsageError("The store's URL holds a line break or another control character.", hint=KNOWN)
    return filled


def _bucket(scheme: str, rest: str) -> tuple[str, str]:
    """The bucket and the folder in it, of what follows `gs://` or `s3://`."""
    bucket, _, folder = rest.partition("/")
    folder = folder.strip("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}", bucket):
        raise UsageError(
            f"The store's address names no bucket that there can be; it is written {scheme}://BUCKET/FOLDER.",
            hint="Credentials do not belong into it; they come from the environment."
            if "@" in bucket
            else KNOWN,
        )
    if folder:
        try:
            checked(folder)
        except StoreError:
            raise UsageError(
                f"The store's address is written {scheme}://BUCKET/FOLDER.", hint=KNOWN
            ) from None
    return bucket, folder


def _file_path(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise UsageError("A file:// store is written with three slashes: file:///folder.", hint=KNOWN)
    return unquote(parts.path)


def _folder(text: str, environ: Mapping[str, str]) -> StoreBackend:
    from colabenv.store.backends.folder import FolderBackend  # noqa: PLC0415 - each kind of store is loaded where it is used

    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/?[^/\\]", text) and not Path(text).exists():
        raise UsageError("The store's URL is neither a folder nor a full address.", hint=KNOWN)
    if text == "~" or text.startswith("~/"):
        home = environ.get("HOME", "")
        if not home:
            raise UsageError("The store's folder starts with ~, and HOME is not set.", hint=KNOWN)
        text = home + text[1:]
    elif text.startswith("~"):
        raise UsageError(f"{text} names another person's home; write the whole path.", hint=KNOWN)
    return FolderBackend(Path(text).absolute())
