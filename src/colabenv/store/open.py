"""Which store a command uses, and the backend for its URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from colabenv.errors import StoreError, UsageError
from colabenv.profile.model import Profile
from colabenv.store.backends.base import StoreBackend
from colabenv.store.errors import URL_HINT
from colabenv.store.object_names import check_object_name
from colabenv.system.certificates import SystemCertificates

OFF = "none"  # turns off the store that a variable or a profile names
_NAME_STORE = (
    "Name one with --store URL, with the variable COLABENV_STORE, or with `store: URL` in the profile. "
    "A URL is a folder such as /content/drive/MyDrive/colabenv, gs://bucket/folder or s3://bucket/folder."
)
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def choose_store_url(option: str, profile: Profile | None, environ: Mapping[str, str]) -> str | None:
    """The URL of the store to use, or None: `--store` (`option`), COLABENV_STORE or the profile's; "none" is None."""
    url = option or environ.get("COLABENV_STORE", "").strip()
    if not url and profile is not None:
        url = profile.store or ""
    return url if url and url != OFF else None


def require_store_url(option: str, profile: Profile | None, environ: Mapping[str, str]) -> str:
    """The URL that `choose_store_url` gives; raises `UsageError` if there is none."""
    url = choose_store_url(option, profile, environ)
    if url is None:
        off = OFF in {option, environ.get("COLABENV_STORE", "").strip(), profile.store if profile else ""}
        raise UsageError("The store is turned off (none)." if off else "No store is named.", hint=_NAME_STORE)
    return url


def open_store(
    url: str, environ: Mapping[str, str], certificates: SystemCertificates | None = None
) -> StoreBackend:
    """The store at a URL: a folder's path (`~` is the home), file://, gs://, s3://, https:// or http://.

    Each `${NAME}` in it is replaced by that variable. No server is contacted yet.

    Raises:
        UsageError: the URL is invalid, or a variable is not set.
        StoreError: the library for this kind of store is not installed; the hint says how to install it.
    """
    expanded = expand_store_url(url, environ)
    match = _SCHEME.fullmatch(expanded)
    if match is None:
        return _open_folder(expanded, environ)
    scheme = match["scheme"].lower()
    # Each backend is imported only if it is used: their libraries take a while to load.
    if scheme == "file":
        return _open_folder(_file_url_path(expanded), environ)
    if scheme in {"http", "https"}:
        from colabenv.store.backends.http import HttpBackend  # noqa: PLC0415

        return HttpBackend(expanded, environ, certificates)
    if scheme == "gs":
        from colabenv.store.backends.gcs import GcsBackend  # noqa: PLC0415

        return GcsBackend(*_split_bucket(scheme, match["rest"]), environ, certificates)
    if scheme == "s3":
        from colabenv.store.backends.s3 import S3Backend  # noqa: PLC0415

        return S3Backend(*_split_bucket(scheme, match["rest"]), environ)
    raise UsageError(f"Invalid store URL: {scheme}:// is not supported.", hint=URL_HINT)


def expand_store_url(url: str, environ: Mapping[str, str]) -> str:
    """The URL with its variables filled in; no message contains their values.

    Raises:
        UsageError: a variable is not set, or the result is not a URL.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        text = environ.get(name, "")
        if not text or _CONTROL.search(text):
            state = ("contains a line break" if text else "is empty") if name in environ else "is not set"
            raise UsageError(
                f"The store's URL needs the variable {name}, which {state}.",
                hint=f"Set it before this command: in a cell `%env {name}=…`, in a shell `export {name}=…`.",
            )
        return text

    expanded = _VARIABLE.sub(value, url.strip())
    if not expanded:
        raise UsageError("The store's URL is empty.", hint=URL_HINT)
    if _CONTROL.search(expanded):
        raise UsageError(
            "Invalid store URL: it contains a line break or another control character.", hint=URL_HINT
        )
    return expanded


def _split_bucket(scheme: str, rest: str) -> tuple[str, str]:
    """The bucket and the folder in it, from what follows `gs://` or `s3://`."""
    bucket, _, folder = rest.partition("/")
    folder = folder.strip("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}", bucket):
        without_login = "Leave credentials out of the URL; they come from environment variables."
        raise UsageError(
            f"Invalid store URL: write {scheme}://BUCKET/FOLDER.",
            hint=without_login if "@" in bucket else URL_HINT,
        )
    try:
        return bucket, check_object_name(folder) if folder else ""
    except StoreError:
        raise UsageError(f"Invalid store URL: write {scheme}://BUCKET/FOLDER.", hint=URL_HINT) from None


def _file_url_path(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise UsageError("Invalid store URL: write file:///folder, with three slashes.", hint=URL_HINT)
    return unquote(parts.path)


def _open_folder(path: str, environ: Mapping[str, str]) -> StoreBackend:
    from colabenv.store.backends.folder import FolderBackend  # noqa: PLC0415

    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/?[^/\\]", path) and not Path(path).exists():
        raise UsageError("Invalid store URL: it is neither a folder nor a complete address.", hint=URL_HINT)
    if path == "~" or path.startswith("~/"):
        home = environ.get("HOME", "")
        if not home:
            raise UsageError("Invalid store URL: it starts with ~, and HOME is not set.", hint=URL_HINT)
        path = home + path[1:]
    elif path.startswith("~"):
        raise UsageError(f"Invalid store URL: write the full path of {path}.", hint=URL_HINT)
    return FolderBackend(Path(path).absolute())
