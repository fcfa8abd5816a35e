"""Where locks are: beside the profile, or under COLABENV_HOME if that folder cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from colabenv.errors import DiskError, LockError
from colabenv.lock.lockfile import Lock, format_lock, lock_file_name, parse_lock
from colabenv.system.files import write_atomically
from colabenv.system.home import Home

_LIMIT = 8 * 1024 * 1024
_RESTORE = "Restore it from Git, or remove it."


def lock_paths(
    profile: Path, name: str, variant: str, home: Home, *, shipped: bool = False
) -> tuple[Path, Path]:
    """The two places of a lock, in the order in which they are read.

    Args:
        profile: its file.
        name: the profile's.
        variant: "cpu" or "gpu".
        home: has the place for locks that cannot be beside their profile.
        shipped: whether the profile is part of colabenv; the user's lock then counts before the one beside it.
    """
    file_name = lock_file_name(name, variant)
    beside, at_home = profile.parent / file_name, home.locks / file_name
    return (at_home, beside) if shipped else (beside, at_home)


def iterate_locks(
    profile: Path, name: str, variant: str, home: Home, *, shipped: bool = False
) -> Iterator[tuple[Lock, Path]]:
    """The existing locks of a variant and their paths; each is read when it is reached.

    Raises:
        LockError: a lock cannot be read.
    """
    for path in lock_paths(profile, name, variant, home, shipped=shipped):
        lock = read_lock(str(path))
        if lock is not None:
            yield lock, path


def read_lock(path: str) -> Lock | None:
    """The lock at `path`, or None if there is no such file.

    Raises:
        LockError: it cannot be read.
    """
    file = Path(path)
    if not file.is_file():
        return None
    try:
        with file.open("rb") as stream:
            raw = stream.read(_LIMIT + 1)
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(f"{path} cannot be read: {error}.", hint=_RESTORE) from error
    if len(raw) > _LIMIT:
        raise LockError(f"{path} is larger than 8 MB, so it is not a lock.", hint=_RESTORE)
    return parse_lock(text, path)


def write_lock(lock: Lock, profile: Path, home: Home, *, shipped: bool = False) -> Path:
    """Write a lock and return its path: beside the profile if possible, else under `home`.

    The lock of a profile that is part of colabenv always goes under `home`.

    Raises:
        DiskError: neither can be written.
    """
    beside, at_home = lock_paths(profile, lock.header.profile, lock.header.variant, home)
    if not shipped:
        try:
            write_atomically(beside, format_lock(lock))
        except DiskError:
            # Trying is the only way to know: permissions say little on mounts, and nothing to root.
            pass
        else:
            return beside
    write_atomically(at_home, format_lock(lock))
    return at_home
