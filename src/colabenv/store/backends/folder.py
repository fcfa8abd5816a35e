"""A store in a folder: the machine's own disk, a network mount, Google Drive.

Drive's mount is slow by file and quick by byte, lists late what another machine wrote, and goes away while programs
read. So an object is opened by its name and never looked up in a listing first, and errors of a mount that went are
told as such.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from colabenv.errors import NotInStoreError, StoreError
from colabenv.store import errors
from colabenv.store.backends.base import StoredObject
from colabenv.store.object_names import check_object_name, check_prefix
from colabenv.store.timeouts import call_with_stall_timeout
from colabenv.system.files import mount_of

#: Where an object is while it is written: outside every prefix that is listed.
PARTIAL_FOLDER = ".part"
#: Seconds after which what is there was left behind by a process that ended.
PARTIAL_MAX_AGE = 24 * 3600.0
#: What Drive calls the folders at the top of its mount.
_DRIVES = ("MyDrive", "Shareddrives", "Othercomputers")
_BLOCK = 8 << 20
#: Seconds that a mount may take without a byte moving; an open on Drive takes one or two.
STALL_SECONDS = 4.0
#: Bytes read at a time from a mount, so that one that is slow is told from one that hangs.
_STEP = 1 << 20
#: Seconds for which a mount that hung is not asked again.
_REMEMBERED = 5.0
_T = TypeVar("_T")
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT}
#: What a FUSE or network mount says once its other side is gone.
_GONE = {errno.ENOTCONN, errno.EIO, errno.ESTALE, errno.EHOSTDOWN, errno.ETIMEDOUT, errno.ENODEV}


class FolderBackend:
    """The `StoreBackend` of a folder; it is made with the first object.

    Args:
        root: absolute.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)
        self._swept = False
        # A disk answers or fails; a mount may do neither. Watching costs a thread for each call.
        self._watched = _on_a_mount(root)
        self._hung = -_REMEMBERED

    @property
    def writable(self) -> bool:
        """Whether the folder, or the nearest above it that is there, may be written to."""
        try:
            with self._told("look into"):
                return self._within(lambda _: self._unmounted() is None and _may_write(self.root))
        except StoreError:
            return False

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """See `StoreBackend.read`."""
        path = self._path(name)
        with self._told(f"read {name} from"):
            return self._within(lambda beat: _read(path, start, length, beat if self._watched else None))

    def write(self, name: str, data: bytes) -> None:
        """See `StoreBackend.write`."""
        with self._told(f"write {name} to"), self._part(name) as part, part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def upload(self, name: str, path: Path) -> None:
        """See `StoreBackend.upload`."""
        with (
            path.open("rb") as source,
            self._told(f"write {name} to"),
            self._part(name) as part,
            part.open("xb") as file,
        ):
            shutil.copyfileobj(source, file, _BLOCK)
            file.flush()
            os.fsync(file.fileno())

    def entries(self, prefix: str = "") -> list[StoredObject]:
        """See `StoreBackend.entries`."""
        check_prefix(prefix)
        with self._told("list"):
            found = self._within(lambda beat: list(self._below(self.root / prefix, prefix, beat)))
            return sorted(found, key=lambda entry: entry.name)

    def delete(self, name: str) -> None:
        """See `StoreBackend.delete`. On Drive it goes to the bin, which counts as used space until it is emptied."""
        path = self._path(name)
        with contextlib.suppress(NotInStoreError), self._told(f"delete {name} in"):
            path.unlink()

    def _path(self, name: str) -> Path:
        parts = check_object_name(name).split("/")
        if parts[0] == PARTIAL_FOLDER:
            raise StoreError(f"{name} is not the name of an object in a store.")
        return self.root.joinpath(*parts)

    def _within(self, call: Callable[[Callable[[], None]], _T]) -> _T:
        """What `call` returns; on a mount, not longer than it gets on."""
        if not self._watched:
            return call(lambda: None)
        if time.monotonic() - self._hung < _REMEMBERED:
            raise TimeoutError
        try:
            return call_with_stall_timeout(STALL_SECONDS, call)
        except TimeoutError:
            self._hung = time.monotonic()
            raise

    def _below(self, folder: Path, prefix: str, beat: Callable[[], None]) -> Iterator[StoredObject]:
        """The objects in a folder and those below it; one that goes meanwhile is left out."""
        try:
            found = list(os.scandir(folder))
        except OSError as error:
            if error.errno in _NOT_THERE and self._unmounted() is None:
                return
            raise
        for one in found:
            beat()
            if one.name == PARTIAL_FOLDER and not prefix:
                continue
            try:
                if one.is_dir(follow_symlinks=False):
                    yield from self._below(folder / one.name, f"{prefix}{one.name}/", beat)
                elif one.is_file():
                    facts = one.stat()
                    yield StoredObject(f"{prefix}{one.name}", facts.st_size, facts.st_mtime)
            except FileNotFoundError:
                continue

    @contextlib.contextmanager
    def _part(self, name: str) -> Iterator[Path]:
        """A path to write the object at, which then gets its own name."""
        final = self._path(name)
        if self._unmounted() is not None:
            raise FileNotFoundError(errno.ENOENT, "not mounted")
        parts = self.root / PARTIAL_FOLDER
        parts.mkdir(parents=True, exist_ok=True)
        self._sweep(parts)
        part = parts / secrets.token_hex(8)
        try:
            yield part
            final.parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, final)  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise

    def _sweep(self, parts: Path) -> None:
        """Once, remove what pushes that were ended by force have left."""
        if self._swept:
            return
        self._swept = True
        with contextlib.suppress(OSError):
            for one in os.scandir(parts):
                if one.stat().st_mtime < time.time() - PARTIAL_MAX_AGE:
                    Path(one.path).unlink()

    def _unmounted(self) -> Path | None:
        """Where Drive would be mounted, if the folder is of a Drive that is not.

        Writing would make an ordinary folder there, which is lost with the machine and stops a later mount.
        """
        for folder in (self.root, *self.root.parents):
            if folder.name in _DRIVES and not os.path.isdir(folder):  # noqa: PTH112 - is_dir() raises where a mount is dead
                return folder.parent
        return None

    @contextlib.contextmanager
    def _told(self, task: str) -> Iterator[None]:
        """Errors of the system as the store's.

        Args:
            task: what is done, before the store's name.
        """
        try:
            yield
        except OSError as error:
            raise self._error(error, task) from error

    def _error(self, error: OSError, task: str) -> StoreError:
        if isinstance(error, TimeoutError) and error.errno is None:
            return errors.mount_stalled(task, self.url)
        drive = self._unmounted()
        if drive is not None or error.errno in _GONE:
            point = drive or Path("/content/drive")
            return StoreError(
                f"Could not {task} the store {self.url}: its drive is not mounted or no longer answers.",
                hint="In a notebook, mount Google Drive again: "
                f"from google.colab import drive; drive.mount('{point}', force_remount=True)",
                detail=error.strerror or "",
            )
        if error.errno in _NOT_THERE:
            return errors.not_found(task, self.url)
        if error.errno in _FULL:
            return StoreError(
                f"Could not {task} the store {self.url}: there is no space left.",
                hint="Remove what is old with colabenv store gc; on Google Drive also empty the bin.",
            )
        if error.errno in _REFUSED:
            return StoreError(
                f"Could not {task} the store {self.url}: {error.strerror}.",
                hint="Choose a folder you may write to, or ask whoever owns it.",
            )
        return StoreError(f"Could not {task} the store {self.url}: {error.strerror or error}.")


def _on_a_mount(root: Path) -> bool:
    """Whether it lies on a network or user-space file system, or on one that does not even say."""
    try:
        mount = call_with_stall_timeout(STALL_SECONDS, lambda _: mount_of(root))
    except OSError:
        return True
    return mount is not None and mount.unfit


def _may_write(root: Path) -> bool:
    for folder in (root, *root.parents):
        if folder.is_dir():
            return os.access(folder, os.W_OK)
    return False


def _read(path: Path, start: int, length: int | None, beat: Callable[[], None] | None) -> bytes:
    """What the file holds from `start` on: at most `length` bytes, as many as there are.

    Args:
        path: the file.
        start: the first byte.
        length: None for all.
        beat: called after each step; None to read at once.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, "not a file")
        left = max(0, found.st_size - start)
        left = left if length is None else min(left, length)
        pieces = []  # a mount may give less than was asked for, and Linux gives at most 2 GiB
        while left > 0:
            data = os.pread(handle, min(left, _STEP) if beat else left, start)
            if not data:
                break
            pieces.append(data)
            start += len(data)
            left -= len(data)
            if beat:
                beat()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    finally:
        os.close(handle)
