"""Real file systems for tests: small, read-only, or in user space (FUSE)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MNT_DETACH = 1, 32, 4096, 2
# Operation codes and layouts of the FUSE protocol (linux/fuse.h).
_LOOKUP, _GETATTR, _STATFS, _INIT, _ACCESS = 1, 3, 17, 26, 34
_HEADER, _ANSWER = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ")
_ENOENT, _ENOSYS = 2, 38


def _mount(source: str, target: Path, kind: str | None, flags: int, data: str | None) -> None:
    kind_raw, data_raw = kind and kind.encode(), data and data.encode()
    if _LIBC.mount(source.encode(), os.fsencode(target), kind_raw, ctypes.c_ulong(flags), data_raw):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), str(target))


@contextlib.contextmanager
def _mounted(source: str, target: Path, kind: str | None, flags: int, data: str | None) -> Iterator[None]:
    try:
        _mount(source, target, kind, flags, data)
    except PermissionError as error:
        pytest.skip(f"this process may not mount: {error}")
    try:
        yield
    finally:
        _LIBC.umount2(os.fsencode(target), _MNT_DETACH)


class SmallDisk:
    """A disk in memory with a limited size, mounted at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, megabytes: int) -> None:
        """Change its size."""
        _mount("tmpfs", self.folder, None, _MS_REMOUNT, f"size={megabytes}m")

    def fill(self, leave: int) -> None:
        """Use all free bytes except this number."""
        with (self.folder / "ballast").open("wb") as file:
            while not self._allocate(file.fileno(), leave):
                pass

    def _allocate(self, file: int, leave: int) -> bool:
        """Allocate the free space; returns False if the program under test has used some of it in between."""
        free = shutil.disk_usage(self.folder).free
        try:
            os.posix_fallocate(file, 0, max(1, free - leave))
        except OSError as error:
            if error.errno != errno.ENOSPC or not free:
                raise
            return False
        return True


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a tmpfs at `folder`; skips the test if this process may not mount."""
    folder.mkdir(parents=True, exist_ok=True)
    with _mounted("tmpfs", folder, "tmpfs", 0, f"size={megabytes}m,mode=755"):
        yield SmallDisk(folder)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make `folder` read-only, even for root."""
    with _mounted(str(folder), folder, None, _MS_BIND, None):
        _mount(str(folder), folder, None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY, None)
        yield


@contextlib.contextmanager
def fuse(folder: Path) -> Iterator[None]:
    """Mount an empty FUSE file system at `folder`, like that of Google Drive; skips the test if this is impossible."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        pytest.skip(f"FUSE is not available: {error}")
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    server = threading.Thread(target=_serve, args=(device,), daemon=True)
    try:
        with _mounted("tests", folder, "fuse.tests", 0, options):
            server.start()
            yield
        server.join(10)
    finally:
        os.close(device)


def _serve(device: int) -> None:
    """Serve an empty root folder until the file system is unmounted."""
    while True:
        try:
            request = os.read(device, 1 << 17)
        except OSError:
            return  # unmounted
        _, code, unique, *_ = _HEADER.unpack_from(request)
        error, body = _answer(code)
        with contextlib.suppress(OSError):  # an interrupted request expects no answer
            os.write(device, _ANSWER.pack(_ANSWER.size + len(body), -error, unique) + body)


def _answer(code: int) -> tuple[int, bytes]:
    if code == _INIT:
        # Protocol 7.31 (fuse_init_out): version, readahead, flags, background, congestion, write size, granularity.
        return 0, struct.pack("<IIIIHHII8I", 7, 31, 65536, 0, 12, 9, 65536, 1, *([0] * 8))
    if code == _GETATTR:
        # fuse_attr_out: valid for a second; inode 1 is a folder.
        attributes = struct.pack("<QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
        return 0, struct.pack("<QII", 1, 0, 0) + attributes
    if code == _STATFS:
        return 0, struct.pack(
            "<QQQQQIIII6I", 1 << 24, 1 << 23, 1 << 23, 1000, 900, 4096, 255, 4096, 0, *([0] * 6)
        )
    if code == _ACCESS:
        return 0, b""
    return (_ENOENT if code == _LOOKUP else _ENOSYS), b""
