"""A store in a folder: the machine's own disk, a network mount, Google Drive.

Drive's mount has a high latency, lists files from other machines late, and may be unmounted while programs read. So
objects are opened by their name without a listing, and a mount that is gone has its own error.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from colabenv.errors import NotInStoreError, StoreError
from colabenv.store import errors
from colabenv.store.backends.base import StoredObject
from colabenv.store.object_names import check_object_name, check_prefix
from colabenv.store.timeouts import call_with_stall_timeout
from colabenv.system.files import find_mount

PARTIAL_FOLDER = ".part"  # folder for objects that are being written; it is never listed
PARTIAL_MAX_AGE = 24 * 3600.0  # seconds after which an incomplete object is a leftover of an interrupted push
#: Google Drive's names of the folders at the top of its mount.
_DRIVES = ("MyDrive", "Shareddrives", "Othercomputers")
_BLOCK = 8 << 20
#: Seconds without a byte after which a mount counts as stalled; opening a file on Drive takes one or two.
STALL_SECONDS = 4.0
_STEP = 1 << 20  # bytes read at a time from a mount, so that a slow one can be told from one that stalls
_RETRY_AFTER = 5.0  # seconds for which a stalled mount is not tried again
_T = TypeVar("_T")
_NOT_FOUND = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT}
#: Errors of a FUSE or network mount whose other side is gone.
_UNMOUNTED = {errno.ENOTCONN, errno.EIO, errno.ESTALE, errno.EHOSTDOWN, errno.ETIMEDOUT, errno.ENODEV}


class FolderBackend:
    """The `StoreBackend` of a folder (an absolute path), which the first write creates."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)
        self._removed_leftovers = False
        # A mount may never respond, unlike a disk. A time limit costs a thread for each call.
        self._is_mount = _is_on_mount(root)
        self._stalled_at = -_RETRY_AFTER

    @property
    def writable(self) -> bool:
        """Whether the folder, or its nearest parent that exists, is writable."""
        try:
            with self._translate_errors("look into"):
                return self._call(lambda _: self._unmounted_drive() is None and _is_writable(self.root))
        except StoreError:
            return False

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """See `StoreBackend.read`."""
        path = self._path(name)
        with self._translate_errors(f"read {name} from"):
            return self._call(
                lambda on_progress: _read(path, start, length, on_progress if self._is_mount else None)
            )

    def write(self, name: str, data: bytes) -> None:
        """See `StoreBackend.write`."""
        self._write_object(name, io.BytesIO(data))

    def upload(self, name: str, path: Path) -> None:
        """See `StoreBackend.upload`."""
        with path.open("rb") as source:
            self._write_object(name, source)

    def _write_object(self, name: str, source: BinaryIO) -> None:
        with self._translate_errors(f"write {name} to"), self._partial(name) as path, path.open("xb") as file:
            shutil.copyfileobj(source, file, _BLOCK)
            file.flush()
            os.fsync(file.fileno())

    def entries(self, prefix: str = "") -> list[StoredObject]:
        """See `StoreBackend.entries`."""
        check_prefix(prefix)
        with self._translate_errors("list"):
            objects = self._call(
                lambda on_progress: list(self._walk(self.root / prefix, prefix, on_progress))
            )
            return sorted(objects, key=lambda stored: stored.name)

    def delete(self, name: str) -> None:
        """See `StoreBackend.delete`. On Drive the file moves to the bin, which uses space until you empty it."""
        path = self._path(name)
        with contextlib.suppress(NotInStoreError), self._translate_errors(f"delete {name} in"):
            path.unlink()

    def _path(self, name: str) -> Path:
        parts = check_object_name(name).split("/")
        if parts[0] == PARTIAL_FOLDER:
            raise StoreError(f"{name} is not a valid object name in a store.")
        return self.root.joinpath(*parts)

    def _call(self, call: Callable[[Callable[[], None]], _T]) -> _T:
        """The result of `call`; on a mount with a time limit."""
        if not self._is_mount:
            return call(lambda: None)
        if time.monotonic() - self._stalled_at < _RETRY_AFTER:
            raise TimeoutError
        try:
            return call_with_stall_timeout(STALL_SECONDS, call)
        except TimeoutError:
            self._stalled_at = time.monotonic()
            raise

    def _walk(self, folder: Path, prefix: str, on_progress: Callable[[], None]) -> Iterator[StoredObject]:
        """The objects below a folder, without those that are removed meanwhile."""
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            if error.errno in _NOT_FOUND and self._unmounted_drive() is None:
                return
            raise
        for entry in entries:
            on_progress()
            if entry.name == PARTIAL_FOLDER and not prefix:
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(folder / entry.name, f"{prefix}{entry.name}/", on_progress)
                elif entry.is_file():
                    status = entry.stat()
                    yield StoredObject(f"{prefix}{entry.name}", status.st_size, status.st_mtime)
            except FileNotFoundError:
                continue

    @contextlib.contextmanager
    def _partial(self, name: str) -> Iterator[Path]:
        """A path to write an object to; afterwards it is renamed to its final name."""
        final = self._path(name)
        if self._unmounted_drive() is not None:
            raise FileNotFoundError(errno.ENOENT, "not mounted")
        folder = self.root / PARTIAL_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self._remove_leftovers(folder)
        partial = folder / secrets.token_hex(8)
        try:
            yield partial
            final.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(final)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise

    def _remove_leftovers(self, folder: Path) -> None:
        """Remove what killed pushes left behind, once."""
        if self._removed_leftovers:
            return
        self._removed_leftovers = True
        with contextlib.suppress(OSError):
            for entry in os.scandir(folder):
                if entry.stat().st_mtime < time.time() - PARTIAL_MAX_AGE:
                    Path(entry.path).unlink()

    def _unmounted_drive(self) -> Path | None:
        """The mount point of the Drive that the folder is on, if it is not mounted.

        Writing would create an ordinary folder, which is lost with the machine and blocks a later mount.
        """
        for folder in (self.root, *self.root.parents):
            if folder.name in _DRIVES and not os.path.isdir(folder):  # noqa: PTH112 - is_dir() raises on a dead mount
                return folder.parent
        return None

    @contextlib.contextmanager
    def _translate_errors(self, task: str) -> Iterator[None]:
        """Raise errors of the operating system as `StoreError`; for `task` see `store.errors`."""
        try:
            yield
        except OSError as error:
            raise self._translate(error, task) from error

    def _translate(self, error: OSError, task: str) -> StoreError:
        if isinstance(error, TimeoutError) and error.errno is None:
            return errors.mount_stalled(task, self.url)
        drive = self._unmounted_drive()
        if drive is not None or error.errno in _UNMOUNTED:
            point = drive or Path("/content/drive")
            return StoreError(
                f"Could not {task} the store {self.url}: its drive is not mounted or no longer responds.",
                hint="In a notebook, mount Google Drive again: "
                f"from google.colab import drive; drive.mount('{point}', force_remount=True)",
                detail=error.strerror or "",
            )
        if error.errno in _NOT_FOUND:
            return errors.not_found(task, self.url)
        problem, hint = error.strerror or str(error), "Check the folder, or choose another one with --store."
        if error.errno in _FULL:
            problem = "there is no space left"
            hint = "Remove old environments with colabenv store gc; on Google Drive also empty the bin."
        elif error.errno in _DENIED:
            hint = "Choose a folder that you can write to, or ask its owner."
        return errors.store_error(task, self.url, problem, hint)


def _is_on_mount(root: Path) -> bool:
    """Whether a folder is on a network or user-space file system, or on one that does not respond."""
    try:
        mount = call_with_stall_timeout(STALL_SECONDS, lambda _: find_mount(root))
    except OSError:
        return True
    return mount is not None and mount.unfit


def _is_writable(root: Path) -> bool:
    folder = next((folder for folder in (root, *root.parents) if folder.is_dir()), None)
    return folder is not None and os.access(folder, os.W_OK)


def _read(path: Path, start: int, length: int | None, on_progress: Callable[[], None] | None) -> bytes:
    """At most `length` bytes of a file, or all, from `start` on. `on_progress` is called after each step."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "not a file")
        left = max(0, status.st_size - start)
        left = left if length is None else min(left, length)
        pieces = []  # a mount may give less than requested, and Linux gives at most 2 GiB
        while left > 0:
            data = os.pread(handle, min(left, _STEP) if on_progress else left, start)
            if not data:
                break
            pieces.append(data)
            start += len(data)
            left -= len(data)
            if on_progress:
                on_progress()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    finally:
        os.close(handle)
