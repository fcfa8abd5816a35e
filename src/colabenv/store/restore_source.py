"""What `up` does with a store: which one, when it begins, and what is said of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from colabenv.commands.context import Context
from colabenv.environment.build import LOCK_COPY, find_environments
from colabenv.environment.installers.base import Installer
from colabenv.errors import ColabenvError, LockError
from colabenv.host import interpreters
from colabenv.host.interpreters import minor_version
from colabenv.lock.files import read_at
from colabenv.lock.lockfile import Lock
from colabenv.profile.load import LoadedProfile
from colabenv.store.installed_wheels import tag_here
from colabenv.store.installer import StoreInstaller
from colabenv.store.open import choose_store_url
from colabenv.store.restore import RestoreSession
from colabenv.system.files import remove_tree


@contextlib.contextmanager
def open_session(option: str, loaded: LoadedProfile, context: Context) -> Iterator[RestoreSession | None]:
    """The store to restore from, opened in the background; None where none is named.

    Args:
        option: what stands behind `--store`, or "".
        loaded: the profile.
        context: the machine.

    Raises:
        UsageError: the store needs a variable that is not set.
    """
    url = choose_store_url(option, loaded.profile, context.environ)
    if url is None:
        yield None
        return
    from colabenv.store.open import expand_store_url, open_store  # noqa: PLC0415 - only where there is a store

    expand_store_url(
        url, context.environ
    )  # said now, and not when all else is done: the rest is opened in the background
    session = RestoreSession(lambda: open_store(url, context.environ), context.log)
    try:
        yield session
    finally:
        session.close()


def begin(session: RestoreSession | None, lock: Lock, context: Context) -> None:
    """Have the layers of a lock streamed in, unless an environment of that lock is there already."""
    if session is None:
        return
    name = lock.header.profile
    there = any(_has(environment.prefix, lock) for environment in find_environments(context.home, name))
    session.begin(lock, tag_here(lock.header.python), context.home.envs / name, fetch=not there)


def _has(prefix: Path, lock: Lock) -> bool:
    try:
        copy = read_at(str(prefix / LOCK_COPY))
    except LockError:
        return False
    return copy is not None and copy.pins_digest == lock.pins_digest


def pythons_of(session: RestoreSession | None, context: Context) -> Callable[[str, bool], Path | None] | None:
    """What `locking.tools_for` asks for a Python that the machine lacks; None where there is no store."""
    if session is None:
        return None
    return lambda wanted, patient: python_from(session, wanted, context, patient=patient)


def python_from(
    session: RestoreSession, wanted: str, context: Context, *, patient: bool = False
) -> Path | None:
    """The executable of a managed Python that the store has and that runs here, or None.

    Args:
        session: with the store.
        wanted: "3.10", or a full version such as "3.10.13".
        context: the machine.
        patient: whether it can be had nowhere else.
    """
    minor = minor_version(wanted)
    root = session.restore_python(wanted, tag_here(minor), context.home.pythons, last_resort=patient)
    if root is None:
        return None
    path = root / "bin" / f"python{minor}"
    trouble = interpreters.trouble_with(path, wanted, context.environ, context.runner)
    if trouble:
        context.progress.note(f"The store's Python was not used: it {trouble}.")
        with contextlib.suppress(ColabenvError):
            remove_tree(root)
        return None
    context.progress.note(f"Python {root.name} was restored from {session.url}.")
    return path


def installer_with(session: RestoreSession | None, installer: Installer, context: Context) -> Installer:
    """The installer, with the store in front of it where there is one."""
    return installer if session is None else StoreInstaller(installer, session, context.progress.note)


def say_what_it_has(session: RestoreSession | None, lock: Lock, context: Context) -> None:
    """For `--dry-run`: note what would come from the store. Fetches manifests only."""
    if session is None:
        return
    session.begin(lock, tag_here(lock.header.python), context.home.envs, fetch=False)
    found = session.stored_layers()
    if found is None:
        context.progress.note(f"The store would not be used: {session.problem}")
        return
    size = sum(layer.bytes for layer in found.layers.values())
    context.progress.note(
        f"The store {session.url} has {len(found.layers)} of {len(lock.pins)} packages ({_size(size)} to fetch)."
    )


def report(session: RestoreSession | None, installer: Installer, context: Context) -> dict[str, Any]:
    """What came from the store, for the result; {} where nothing was installed or there is no store."""
    if session is None or not isinstance(installer, StoreInstaller) or not installer.restored.wanted:
        return {}
    for note in session.notes:
        context.progress.note(note)
    restored = installer.restored
    if restored.names:
        session.record_use(time.time())
        said = (
            f"restored {len(restored.names)} of {restored.wanted} packages from {session.url} "
            f"({_size(restored.bytes)} in {restored.seconds:.1f} s)"
        )
    else:
        said = f"nothing came from {session.url or 'the store'}"
    return {
        "url": session.url,
        "said": said,
        "restored": list(restored.names),
        "packages": restored.wanted,
        "bytes": restored.bytes,
        "seconds": round(restored.seconds, 3),
    }


def installed(installer: Installer, lock: Lock) -> set[str]:
    """The distributions that did not come from a store, whose layers have bytecode already."""
    restored = set(installer.restored.names) if isinstance(installer, StoreInstaller) else set()
    return {pin.name for pin in lock.pins} - restored


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
