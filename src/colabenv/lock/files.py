"""Where locks lie: beside the profile, or under COLABENV_HOME where that folder cannot be written to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from colabenv.errors import DiskError, LockError
from colabenv.lock.lockfile import Lock, format_lock, lock_file_name, parse_lock
from colabenv.system.files import write_atomically
from colabenv.system.home import Home

_LIMIT = 8 * 1024 * 1024


def lock_paths(
    profile: Path, name: str, variant: str, home: Home, *, shipped: bool = False
) -> tuple[Path, Path]:
    """The two places of a lock, in the order they are looked at.

    Args:
        profile: its file.
        name: the profile's.
        variant: "cpu" or "gpu".
        home: has the place for locks that cannot lie beside their profile.
        shipped: whether the profile is part of colabenv; one's own lock then counts before the one beside it.
    """
    wanted = lock_file_name(name, variant)
    beside, kept = profile.parent / wanted, home.locks / wanted
    return (kept, beside) if shipped else (beside, kept)


def iterate_locks(
    profile: Path, name: str, variant: str, home: Home, *, shipped: bool = False
) -> Iterator[tuple[Lock, Path]]:
    """The locks of a variant that there are and where they lie; each is read when it is asked for.

    Raises:
        LockError: there is one, and it cannot be read.
    """
    for place in lock_paths(profile, name, variant, home, shipped=shipped):
        lock = read_lock(str(place))
        if lock is not None:
            yield lock, place


def read_first_lock(profile: Path, name: str, variant: str, home: Home) -> tuple[Lock, Path] | None:
    """The first lock of a variant and where it lies, or None where there is none.

    Raises:
        LockError: there is one, and it cannot be read.
    """
    return next(iterate_locks(profile, name, variant, home), None)


def read_lock(path: str) -> Lock | None:
    """The lock at `path`, or None where there is no such file.

    Raises:
        LockError: it cannot be read.
    """
    place = Path(path)
    if not place.is_file():
        return None
    try:
        with place.open("rb") as file:
            raw = file.read(_LIMIT + 1)
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(
            f"{place} cannot be read: {error}.", hint="Restore it from Git, or remove it."
        ) from error
    if len(raw) > _LIMIT:
        raise LockError(f"{place} is over 8 MB, which no lock is.", hint="Restore it from Git, or remove it.")
    return parse_lock(text, str(place))


def write_lock(lock: Lock, profile: Path, home: Home, *, shipped: bool = False) -> Path:
    """Write a lock and return where: beside the profile if that folder may be written to, else under `home`.

    What `shipped` with colabenv stays as it is: its lock goes under `home`.

    Raises:
        DiskError: neither can be written to.
    """
    beside, kept = lock_paths(profile, lock.header.profile, lock.header.variant, home)
    if not shipped:
        try:
            write_atomically(beside, format_lock(lock))
        except DiskError:
            # Trying is the only way to know: permissions say little on mounts, and nothing to root.
            pass
        else:
            return beside
    write_atomically(kept, format_lock(lock))
    return kept
