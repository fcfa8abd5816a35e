"""Stores that behave like Google Drive's mount on Colab: each open is slow, and listings are out of date.

`mount_drive` mounts a real file system in user space (FUSE), which needs root, /dev/fuse and libfuse. `DriveLike` needs
none of these.
"""

# FUSE passes paths as strings and prescribes the names of arguments.
# ruff: noqa: ARG002, PTH102, PTH105, PTH106, PTH108, PTH110, PTH208

from __future__ import annotations

import contextlib
import ctypes.util
import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from colabenv.store.backends.base import StoreBackend, StoredObject

#: A file in the mounted folder. While it exists, reads and opens block.
HANG = ".hang"


class DriveLike:
    """A wrapper of a `StoreBackend` with slow calls and old listings.

    Args:
        behind: the wrapped store.
        delay: additional seconds of each read and write.
        stale: seconds for which a listing is kept.
    """

    def __init__(self, behind: StoreBackend, *, delay: float = 0.02, stale: float = 2.0) -> None:
        self._behind = behind
        self._delay = delay
        self._stale = stale
        self._listed: dict[str, tuple[float, list[StoredObject]]] = {}
        self.url = behind.url
        self.writable = behind.writable

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        time.sleep(self._delay)
        return self._behind.read(name, start, length)

    def write(self, name: str, data: bytes) -> None:
        time.sleep(self._delay)
        self._behind.write(name, data)

    def upload(self, name: str, path: Path) -> None:
        time.sleep(self._delay)
        self._behind.upload(name, path)

    def entries(self, prefix: str = "") -> list[StoredObject]:
        when, entries = self._listed.get(prefix, (0.0, []))
        if time.monotonic() - when > self._stale:
            entries = self._behind.entries(prefix)
            self._listed[prefix] = (time.monotonic(), entries)
        return entries

    def delete(self, name: str) -> None:
        self._behind.delete(name)


def fuse_unavailable_reason() -> str:
    """Why this process cannot mount FUSE file systems, or ""."""
    if not Path("/dev/fuse").exists():
        return "there is no /dev/fuse"
    if os.geteuid() != 0:
        return "mounting needs root"
    if not (ctypes.util.find_library("fuse") or ctypes.util.find_library("fuse3")):
        return "there is no libfuse (Debian: apt-get install libfuse2)"
    return ""


@contextlib.contextmanager
def mount_drive(
    behind: Path, point: Path, *, delay: float = 0.02, stale: float = 2.0
) -> Iterator[subprocess.Popen[bytes]]:
    """Mount the folder `behind` at `point` like Drive; yields the process that serves it.

    Args:
        behind: the folder with the files. Files written there directly appear as if another machine had written them.
        point: an empty folder.
        delay: seconds that each open takes.
        stale: seconds for which a listing is kept.

    Raises:
        OSError: it cannot be mounted.
    """
    argv = [sys.executable, __file__, str(behind), str(point), str(delay), str(stale)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 15
        while not os.path.ismount(point):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                output = process.communicate()[1].decode(errors="replace")[-500:]
                raise OSError(f"FUSE did not mount: {output}")
            time.sleep(0.02)
        yield process
    finally:
        (behind / HANG).unlink(missing_ok=True)
        subprocess.run(["umount", "-l", str(point)], check=False, stderr=subprocess.DEVNULL)
        process.kill()
        process.communicate()


def serve(behind: str, point: str, delay: float, stale: float) -> None:  # noqa: C901 - one class; its base class needs libfuse
    """Mount a folder and serve it until it is unmounted."""
    import mfusepy

    class Drive(mfusepy.Operations):  # type: ignore[misc]
        def __init__(self) -> None:
            self.listed: dict[str, tuple[float, set[str]]] = {}

        def real(self, path: str) -> str:
            return behind + path

        def wait(self) -> None:
            time.sleep(delay)
            while os.path.exists(self.real(f"/{HANG}")):
                time.sleep(0.05)

        def update_listing(self, path: str, *, exists: bool) -> None:
            folder, _, name = path.rpartition("/")
            if (folder or "/") in self.listed:
                names = self.listed[folder or "/"][1]
                (names.add if exists else names.discard)(name)

        def getattr(self, path: str, fh: int | None = None) -> dict[str, object]:
            try:
                status = os.lstat(self.real(path))
            except OSError as error:
                raise mfusepy.FuseOSError(error.errno) from None
            fields = (
                "st_mode",
                "st_nlink",
                "st_size",
                "st_uid",
                "st_gid",
                "st_mtime",
                "st_atime",
                "st_ctime",
            )
            return {name: getattr(status, name) for name in fields}

        def readdir(self, path: str, fh: int) -> list[str]:
            when, names = self.listed.get(path, (0.0, set()))
            if time.monotonic() - when > stale:
                names = set(os.listdir(self.real(path)))
                self.listed[path] = (time.monotonic(), names)
            return [".", "..", *names]

        def open(self, path: str, flags: int) -> int:
            self.wait()
            return os.open(self.real(path), flags)

        def create(self, path: str, mode: int, fi: object = None) -> int:
            self.wait()
            self.update_listing(path, exists=True)
            return os.open(self.real(path), os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            while os.path.exists(self.real(f"/{HANG}")):
                time.sleep(0.05)
            return os.pread(fh, size, offset)

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            return os.pwrite(fh, data, offset)

        def truncate(self, path: str, length: int, fh: int | None = None) -> None:
            os.truncate(self.real(path), length)

        def flush(self, path: str, fh: int) -> int:
            return 0

        def fsync(self, path: str, datasync: int, fh: int) -> int:
            return 0

        def release(self, path: str, fh: int) -> int:
            os.close(fh)
            return 0

        def rename(self, old: str, new: str) -> None:
            os.replace(self.real(old), self.real(new))
            self.update_listing(old, exists=False)
            self.update_listing(new, exists=True)

        def mkdir(self, path: str, mode: int) -> None:
            os.mkdir(self.real(path), mode)
            self.update_listing(path, exists=True)

        def rmdir(self, path: str) -> None:
            os.rmdir(self.real(path))
            self.update_listing(path, exists=False)

        def unlink(self, path: str) -> None:
            os.unlink(self.real(path))
            self.update_listing(path, exists=False)

        def chmod(self, path: str, mode: int) -> int:
            return 0

        def link(self, target: str, source: str) -> int:
            raise mfusepy.FuseOSError(errno.EPERM)

    mfusepy.FUSE(Drive(), point, foreground=True, nothreads=False, attr_timeout=0, entry_timeout=0)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
