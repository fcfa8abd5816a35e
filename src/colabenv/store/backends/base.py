"""The interface that every kind of store implements."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class StoredObject:
    """An object: its name below the store's URL, its size, and when it was written (epoch seconds, store's clock)."""

    name: str
    bytes: int
    modified: float


@runtime_checkable
class StoreBackend(Protocol):
    """A store's objects by name. Used from several threads at once.

    A name is relative, with `/` between its parts: `layers/cp311-linux_x86_64/….layer`. Each method raises `StoreError`
    if the store is unavailable, too slow or denies access, or if the name is invalid. No call waits for more than about
    4 seconds without receiving a byte.
    """

    @property
    def url(self) -> str:
        """The store's URL without credentials."""

    @property
    def writable(self) -> bool:
        """Whether a write can succeed."""

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """At most `length` bytes of an object (all if None) from `start` on; fewer beyond its end, as with a file.

        Raises `NotInStoreError` if the object does not exist.
        """

    def write(self, name: str, data: bytes) -> None:
        """Create or replace an object, completely or not at all."""

    def upload(self, name: str, path: Path) -> None:
        """Like `write`, with the content of a local file, which is never in memory as a whole."""

    def entries(self, prefix: str = "") -> list[StoredObject]:
        """All objects whose name starts with `prefix`, which is empty or ends with `/`, sorted by name.

        A listing may be some minutes old (Google Drive). You can still read an object that it leaves out.
        """

    def delete(self, name: str) -> None:
        """Remove an object. Does nothing if it does not exist."""
