"""A store wherever fsspec reaches: hf://, abfs://, sftp://, ftp:// and what else has a file system for it.

Folders, web servers, Google's buckets and S3 have code of their own, which knows their time limits and credentials
(docs/decisions.md). Here both are the file system's. An object may be seen half-written, which harms nobody: manifests
and layers are checked against their digests.
"""

from __future__ import annotations

import contextlib
import importlib
import queue
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from colabenv.errors import StoreError, UsageError
from colabenv.store import errors
from colabenv.store.backends.base import KNOWN, StoredObject, checked
from colabenv.store.timeouts import call_with_timeout

#: Seconds for a question, and for the few megabytes that a restore reads at once.
_LIMIT = 10.0
#: Seconds for sending one object.
_SEND_LIMIT = 1800.0
#: Under what names file systems tell when a file was changed.
_TIMES = ("mtime", "LastModified", "last_modified", "modified", "modify", "updated", "created")

_T = TypeVar("_T")


class Anywhere:
    """The `Remote` of an fsspec URL.

    Args:
        scheme: of the URL.
        url: all of it; user and password may stand in it. File systems look for other credentials in the process's own
            environment variables.

    Raises:
        UsageError: no file system of that name is known, or the URL is none of its.
        StoreError: what it needs is not installed.
    """

    def __init__(self, scheme: str, url: str) -> None:
        parts = urlsplit(url)
        self.url = f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
        self.writable = True
        self._address = url
        self._spare: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._open = _opener(scheme, url)
        fs, self._root = self._asked("open", lambda: self._open(url, use_listings_cache=False))
        self._spare.put(fs)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """See `Remote.read`."""
        if length == 0:
            return b""
        path, end = self._path(name), None if length is None else start + length

        def get(fs: Any) -> bytes:
            if start and start >= (fs.info(path).get("size") or 0):
                return b""
            return bytes(fs.cat_file(path, start=start, end=end))

        return self._with(f"read {name} from", get)

    def write(self, name: str, data: bytes) -> None:
        """See `Remote.write`."""
        self._send(name, lambda fs, path: fs.pipe_file(path, data))

    def upload(self, name: str, path: Path) -> None:
        """See `Remote.upload`."""
        path.stat()  # so that a parcel that is gone is not taken for an object that is
        self._send(name, lambda fs, target: fs.put_file(str(path), target))

    def _send(self, name: str, put: Callable[[Any, str], object]) -> None:
        path = self._path(name)

        def send(fs: Any) -> None:
            # Where folders are a thing of their own they have to be made.
            with contextlib.suppress(FileExistsError, NotImplementedError):
                fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            put(fs, path)

        self._with(f"write {name} to", send, _SEND_LIMIT)

    def entries(self, prefix: str = "") -> list[StoredObject]:
        """See `Remote.entries`."""
        folder = f"{self._root}/{checked(prefix, prefix=True)}".rstrip("/")

        def find(fs: Any) -> dict[str, Any]:
            fs.invalidate_cache()
            try:
                return dict(fs.find(folder, detail=True))
            except FileNotFoundError:
                return {}

        found = self._with("list", find)
        return sorted(self._entries(found), key=lambda entry: entry.name)

    def delete(self, name: str) -> None:
        """See `Remote.delete`."""

        def remove(fs: Any) -> None:
            with contextlib.suppress(FileNotFoundError):
                fs.rm_file(self._path(name))

        self._with(f"delete {name} in", remove)

    def _entries(self, found: Mapping[str, Any]) -> Iterator[StoredObject]:
        root = self._root.strip("/")
        for path, about in found.items():
            name = path.strip("/").removeprefix(root).lstrip("/")
            if about.get("type", "file") == "file" and name:
                yield StoredObject(name, int(about.get("size") or 0), _seconds(about))

    def _path(self, name: str) -> str:
        return f"{self._root}/{checked(name)}"

    def _with(self, task: str, work: Callable[[Any], _T], limit: float = _LIMIT) -> _T:
        """Do something with a file system that nobody else uses meanwhile: not all of them are made for threads."""

        def run() -> _T:
            try:
                fs = self._spare.get_nowait()
            except queue.Empty:
                fs, _ = self._open(self._address, use_listings_cache=False, skip_instance_cache=True)
            done = work(fs)
            self._spare.put(fs)
            return done

        return self._asked(task, run, limit)

    def _asked(self, task: str, call: Callable[[], _T], limit: float = _LIMIT) -> _T:
        """What the call gives; whatever is wrong is said in our own words, since theirs may hold credentials."""
        try:
            return call_with_timeout(limit, call)
        except FileNotFoundError:
            raise errors.absent(task, self.url) from None
        except PermissionError:
            raise errors.denied(task, self.url, "The file system's own documentation says how.") from None
        except TimeoutError:
            raise errors.silent(task, self.url) from None
        except OSError:
            raise errors.unreachable(task, self.url) from None
        except StoreError:
            raise
        except Exception:  # noqa: BLE001 - there are dozens of file systems, each with errors of its own
            raise errors.failed(task, self.url) from None


def _opener(scheme: str, url: str) -> Callable[..., tuple[Any, str]]:
    """The function of fsspec that opens a URL, once it is known that it can."""
    if "::" in url:
        raise UsageError("A store's URL names one place; it has no '::'.", hint=KNOWN)
    try:
        registry, core = importlib.import_module("fsspec.registry"), importlib.import_module("fsspec.core")
    except ImportError:
        raise errors.missing_library(f"{scheme}://", "fsspec") from None
    try:
        registry.get_filesystem_class(scheme)
    except ValueError:
        raise UsageError(f"A store cannot be at a {scheme}:// address.", hint=KNOWN) from None
    except ImportError:
        told = registry.known_implementations.get(scheme, {}).get("err", "")
        raise StoreError(
            f"Stores at {scheme}:// need a package that is not installed here.",
            hint=f"fsspec says of it: {told or 'nothing'}. In a cell, %pip install brings it.",
        ) from None
    opener: Callable[..., tuple[Any, str]] = core.url_to_fs
    return opener


def _seconds(about: Mapping[str, Any]) -> float:
    """When a file was changed; now where nobody says, so that nothing is removed for its age."""
    for value in (about.get(name) for name in _TIMES):
        if isinstance(value, datetime):
            aware = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
            return aware.timestamp()
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                if re.fullmatch(r"\d{14}(\.\d+)?", value):  # RFC 3659, which FTP servers speak
                    moment = datetime.strptime(value[:14], "%Y%m%d%H%M%S")
                    return moment.replace(tzinfo=timezone.utc).timestamp()
                return datetime.fromisoformat(re.sub(r"Z$", "+00:00", value)).timestamp()
    return time.time()
