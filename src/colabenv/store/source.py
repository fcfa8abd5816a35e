"""A store as a source of packages; what it lacks comes from the package index."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from colabenv.environment.build import LOCK_COPY, find_environments
from colabenv.environment.installers.base import Installer
from colabenv.environment.source import PackageSource
from colabenv.errors import ColabenvError, InterpreterError, LockError, NetworkError
from colabenv.host import interpreters
from colabenv.host.interpreters import minor_version
from colabenv.lock.files import read_lock
from colabenv.lock.lockfile import Lock
from colabenv.store.installed_wheels import tag_here
from colabenv.store.installer import StoreInstaller
from colabenv.store.restore import RestoreSession
from colabenv.system.files import remove_tree
from colabenv.system.units import format_bytes
from colabenv.system.workspace import Workspace


@contextlib.contextmanager
def open_source(url: str | None, installer: Installer, workspace: Workspace) -> Iterator[PackageSource]:
    """The package index, or the store at `url` in front of it, which is opened in the background.

    Raises `UsageError` if the URL needs a variable that is not set.
    """
    if url is None:
        yield PackageSource(installer, workspace)
        return
    from colabenv.store.open import expand_store_url, open_store  # noqa: PLC0415 - only for a store

    # Report a variable that is not set now, not after the build. The store itself is opened in the background.
    expand_store_url(url, workspace.environ)
    session = RestoreSession(
        lambda: open_store(url, workspace.environ, workspace.certificates), workspace.log
    )
    try:
        yield StoreSource(installer, session, workspace)
    finally:
        session.close()


class StoreSource(PackageSource):
    """A store, and an installer for what it lacks."""

    def __init__(self, installer: Installer, session: RestoreSession, workspace: Workspace) -> None:
        self._store_installer = StoreInstaller(installer, session, workspace.progress.note)
        super().__init__(self._store_installer, workspace)
        self._session = session

    @property
    def can_download_python(self) -> bool:
        """Always: the store may have one."""
        return True

    def download_python(self, version: str) -> Path:
        """Restore a Python from the store, else download it, else wait for the store however slow it is."""
        python = self._restore_python(version)
        if python is not None:
            return python
        try:
            return super().download_python(version)
        except (InterpreterError, NetworkError):
            python = self._restore_python(version, last_resort=True)
            if python is None:
                raise
            return python

    def _restore_python(self, version: str, *, last_resort: bool = False) -> Path | None:
        workspace = self._workspace
        minor = minor_version(version)
        root = self._session.restore_python(
            version, tag_here(minor), workspace.home.pythons, last_resort=last_resort
        )
        if root is None:
            return None
        path = root / "bin" / f"python{minor}"
        problem = interpreters.find_interpreter_problem(path, version, workspace.environ, workspace.runner)
        if problem:
            workspace.progress.note(f"The store's Python was not used: it {problem}.")
            with contextlib.suppress(ColabenvError):
                remove_tree(root)
            return None
        workspace.progress.note(f"Restored Python {root.name} from {self._session.url}.")
        return path

    def prefetch(self, lock: Lock) -> None:
        """Start to fetch the layers of a lock, unless an environment of that lock exists."""
        name = lock.header.profile
        home = self._workspace.home
        exists = any(_pins_digest(env.prefix) == lock.pins_digest for env in find_environments(home, name))
        self._session.begin(lock, tag_here(lock.header.python), home.envs / name, fetch=not exists)

    def describe(self, lock: Lock) -> str:
        """What the store has for a lock. Fetches manifests only."""
        staging = self._workspace.home.envs / lock.header.profile
        self._session.begin(lock, tag_here(lock.header.python), staging, fetch=False)
        stored = self._session.stored_layers()
        if stored is None:
            return f"The store would not be used: {self._session.problem}"
        size = format_bytes(sum(layer.bytes for layer in stored.layers.values()))
        count = f"{len(stored.layers)} of {len(lock.pins)}"
        return f"The store {self._session.url} has {count} packages ({size} to download)."

    def needs_bytecode(self, lock: Lock) -> set[str]:
        """The distributions that did not come from the store, whose layers hold bytecode."""
        return super().needs_bytecode(lock) - set(self._store_installer.restored.names)

    def report(self) -> dict[str, Any]:
        """What was restored, for the result; this also records in the store that it is in use."""
        restored = self._store_installer.restored
        if not restored.wanted:
            return {}
        for note in self._session.notes:
            self._workspace.progress.note(note)
        url = self._session.url
        if restored.names:
            self._session.record_use(time.time())
            summary = (
                f"restored {len(restored.names)} of {restored.wanted} packages from {url} "
                f"({format_bytes(restored.bytes)} in {restored.seconds:.1f} s)"
            )
        else:
            summary = f"nothing came from {url or 'the store'}"
        return {
            "url": url,
            "said": summary,
            "restored": list(restored.names),
            "packages": restored.wanted,
            "bytes": restored.bytes,
            "seconds": round(restored.seconds, 3),
        }


def _pins_digest(prefix: Path) -> str | None:
    try:
        lock = read_lock(str(prefix / LOCK_COPY))
    except LockError:
        return None
    return lock.pins_digest if lock else None
