"""Read and write lock files: beside the profile, or under COLABENV_HOME if its folder is not writable."""

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
    profile: Path, name: str, variant: str, home: Home, *, builtin: bool = False
) -> tuple[Path, Path]:
    """The two paths of a lock, in order of precedence.

    Args:
        profile: path of the profile.
        name: name of the profile.
        variant: "cpu" or "gpu".
        home: where locks are that cannot be written beside their profile.
        builtin: whether it is a built-in profile; the user's lock at home then takes precedence over the one beside it.
    """
    file_name = lock_file_name(name, variant)
    beside, at_home = profile.parent / file_name, home.locks / file_name
    return (at_home, beside) if builtin else (beside, at_home)


def iterate_locks(
    profile: Path, name: str, variant: str, home: Home, *, builtin: bool = False
) -> Iterator[tuple[Lock, Path]]:
    """The existing locks of a variant and their paths, read one at a time; arguments as for `lock_paths`.

    Raises:
        LockError: a lock cannot be read.
    """
    for path in lock_paths(profile, name, variant, home, builtin=builtin):
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


def write_lock(lock: Lock, profile: Path, home: Home, *, builtin: bool = False) -> Path:
    """Write a lock and return its path: beside the profile if possible, else under `home`.

    The lock of a built-in profile is always written under `home`.

    Raises:
        DiskError: neither folder can be written to.
    """
    beside, at_home = lock_paths(profile, lock.header.profile, lock.header.variant, home)
    if not builtin:
        try:
            write_atomically(beside, format_lock(lock))
        except DiskError:
            # Permissions do not show whether a folder is writable: mounts may not enforce them, and root ignores them.
            pass
        else:
            return beside
    write_atomically(at_home, format_lock(lock))
    return at_home
