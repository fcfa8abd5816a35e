"""Files: written atomically, locked, measured, removed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from colabenv.errors import DiskError

#: File systems on which an environment breaks: no hard links, no exec bit, stale or empty reads, or a network
#: round trip per file. FUSE as a whole counts, except for the overlays of containers.
_UNFIT = (
    *("nfs", "cifs", "smb", "9p", "fuse", "sshfs"),
    *("afs", "ceph", "glusterfs", "lustre", "vboxsf", "drvfs"),
)
#: How mountinfo writes blank, tab, newline and backslash (proc(5)).
_OCTAL = re.compile(r"\\(040|011|012|134)")
_FIT_FUSE = ("fuse.fuse-overlayfs", "fuse.overlayfs", "fuseblk")


@dataclass(frozen=True)
class Mount:
    """Where a path is mounted: the mount point and the file system's type as the kernel names it."""

    point: Path
    kind: str

    @property
    def unfit(self) -> bool:
        """Whether environments break on such a file system."""
        return self.kind not in _FIT_FUSE and self.kind.startswith(_UNFIT)


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write `path` whole: readers see the old content or the new, also after a crash.

    Raises:
        DiskError: the disk is full or the folder cannot be written to.
    """
    raw = data.encode() if isinstance(data, str) else data
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # noqa: PTH101 - mkstemp made it private, locks are shared
        os.replace(temporary, path)  # noqa: PTH105
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
        raise disk_error(error, path) from error


def disk_error(error: OSError, path: Path) -> DiskError:
    """The error to show for a failed write to `path`."""
    import errno  # noqa: PLC0415 - only for an error

    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskError(
            f"The disk is full: {path} could not be written.",
            hint="Free disk space (colabenv status shows the size of each environment, colabenv down NAME removes "
            "one), or set COLABENV_HOME to a folder on a larger disk. Then run the command again.",
        )
    return DiskError(
        f"{path} could not be written: {error.strerror or error}.",
        hint="Set COLABENV_HOME to a folder that you can write to.",
    )


def hash_file(path: Path) -> str:
    """Hex digest of a file's bytes, or "" if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def measure_free_space(path: Path) -> int:
    """Free bytes on the disk of `path`, which need not exist."""
    return shutil.disk_usage(find_existing_ancestor(path)).free


def find_existing_ancestor(path: Path) -> Path:
    """`path`, or the nearest folder above it that exists."""
    for candidate in (path, *path.parents):
        if candidate.exists():
            return candidate
    return Path("/")


def find_mount(path: Path, mountinfo: str | None = None) -> Mount | None:
    """The mount that holds `path`, which need not exist, or None if the system does not report mounts.

    `mountinfo` is text in the format of Linux's /proc/self/mountinfo (proc(5)), which is read by default.
    """
    if mountinfo is None:
        try:
            mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
    real = find_existing_ancestor(path).resolve()
    best: Mount | None = None
    for line in mountinfo.splitlines():
        fields, separator, rest = line.partition(" - ")
        columns = fields.split(" ")
        if not separator or len(columns) < 5:
            continue
        point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), columns[4]))
        # A later line for the same point lies on top of an earlier one.
        if real.is_relative_to(point) and (best is None or len(point.parts) >= len(best.point.parts)):
            best = Mount(point, rest.split(" ", 1)[0])
    return best


def remove_tree(path: Path) -> None:
    """Remove a folder, a file or a link; raises `DiskError`. A folder is renamed first: nobody uses half of it."""
    if not path.exists() and not path.is_symlink():
        return
    trash = path.with_name(f".trash-{path.name}-{os.getpid()}-{time.time_ns()}")
    try:
        path.rename(trash)
        if trash.is_dir() and not trash.is_symlink():
            shutil.rmtree(trash)
        else:
            trash.unlink()
    except OSError as error:
        raise disk_error(error, path) from error


@contextlib.contextmanager
def hold_file_lock(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the file lock `path`, an empty file that is not removed; it is released when its holder dies.

    `on_wait` is called once if another process holds it. Raises `DiskError` if the file cannot be created.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - not needed by an `up` with nothing to do

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait()
            lock.acquire(poll_interval=0.1)
    except OSError as error:
        raise disk_error(error, path) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def try_file_lock(path: Path) -> Iterator[bool]:
    """Hold the file lock `path` unless another process does; yields whether it is held. Raises `DiskError`."""
    from filelock import FileLock, Timeout  # noqa: PLC0415 - see `hold_file_lock`

    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    except OSError as error:
        raise disk_error(error, path) from error
    try:
        yield True
    finally:
        lock.release()


def measure_tree(path: Path) -> int:
    """Bytes of the files below `path`; links are not followed, and files that vanish meanwhile are not counted."""
    total = 0
    pending = [str(path)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # noqa: PERF203 - one folder that vanished must not end the count
            continue
    return total
