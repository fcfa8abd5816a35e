"""Environments to push, stores that fail or change during a push, and consistency checks."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from colabenv.lock.lockfile import Header, Lock, Pin
from colabenv.store.backends.base import StoreBackend, StoredObject
from colabenv.store.inventory import LAYERS, MANIFESTS, PYTHONS
from colabenv.store.manifest import Layer, Manifest, parse_manifest
from colabenv.store.relocation import hash_for_record
from colabenv.store.upload import UploadReport, UploadRequest, upload_layers
from colabenv.system.progress import SilentProgress
from support.memory_store import TAG, MemoryStore

SITE = "lib/python3.11/site-packages"
DAY = 86_400.0


def fake_wheel_hash(name: str) -> str:
    """The made-up sha256 of a package's wheel."""
    return hashlib.sha256(name.encode()).hexdigest()


def make_request(
    folder: Path, *names: str, python: str = "", profile: str = "demo", size: int = 2000
) -> UploadRequest:
    """Create an environment with some packages on disk; returns the request to push it.

    Args:
        folder: contains the environment; existing files stay.
        names: names of packages, all in version 1.0.
        python: folder name of a managed Python to add, or "".
        profile: name of the profile.
        size: size of each package in bytes.
    """
    prefix = folder / profile
    for name in names:
        _install(prefix, name, size)
    root = folder / "pythons" / python if python else None
    if root is not None:
        (root / "bin").mkdir(parents=True, exist_ok=True)
        (root / "bin" / "python3.11").write_bytes(b"\x7fELF" + python.encode())
    pins = tuple(Pin(name, "1.0", (f"sha256:{fake_wheel_hash(name)}",)) for name in sorted(names))
    lock = Lock(Header(profile, "0" * 64, "3.11", "cpu", "plain", ""), pins)
    wheels = {name: fake_wheel_hash(name) for name in names}
    return UploadRequest(prefix, lock, TAG, profile, "3.11.9", wheels, dict.fromkeys(names, size), root)


def _install(prefix: Path, name: str, size: int) -> None:
    site = prefix / SITE
    code = (f"# {name}\n".encode() * size)[:size]
    files = {f"{name}.py": code, f"{name}-1.0.dist-info/METADATA": f"Name: {name}\n".encode()}
    for path, data in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(data)
        os.utime(site / path, ns=(10**18, 10**18))
    lines = [f"{path},{hash_for_record(data)},{len(data)}" for path, data in files.items()]
    (site / f"{name}-1.0.dist-info/RECORD").write_text(
        "\n".join([*lines, f"{name}-1.0.dist-info/RECORD,,", ""])
    )
    os.utime(site / f"{name}-1.0.dist-info/RECORD", ns=(10**18, 10**18))


def push_quietly(
    store: StoreBackend, request: UploadRequest, *, pause: Callable[[float], None] = lambda _: None
) -> UploadReport:
    """Push an environment without progress output."""
    scratch = request.prefix.parent / "parcels"
    return upload_layers(store, request, SilentProgress(), scratch=scratch, pause=pause)


def read_manifests(store: StoreBackend) -> list[Manifest]:
    """Read all manifests, which must be valid."""
    return [parse_manifest(store.read(entry.name), entry.name) for entry in store.entries(MANIFESTS)]


def assert_consistent(store: StoreBackend) -> None:
    """Check that each object that a manifest names exists and has the right content."""
    for entry in [*store.entries(MANIFESTS), *store.entries(PYTHONS)]:
        manifest = parse_manifest(store.read(entry.name), entry.name)
        for layer in manifest.all_layers():
            assert_layer_matches(store, layer)


def assert_layer_matches(store: StoreBackend, layer: Layer) -> None:
    """Check that the object of a layer matches its manifest."""
    data, offset = store.read(layer.object_name(TAG)), 0
    for chunk in layer.chunks:
        assert hashlib.sha256(data[offset : offset + chunk.bytes]).hexdigest() == chunk.digest
        offset += chunk.bytes
    assert offset == len(data)


def layer_names(store: StoreBackend) -> set[str]:
    """The names of all layers in the store."""
    return {entry.name for entry in store.entries(LAYERS)}


@dataclass
class AgingStore(MemoryStore):
    """A store in memory with its own clock, which gives objects an age.

    Attributes:
        now: the store's time, in seconds.
    """

    now: float = 1_000 * DAY

    def write(self, name: str, data: bytes) -> None:
        super().write(name, data)
        self.modified[name] = self.now

    def upload(self, name: str, path: Path) -> None:
        super().upload(name, path)
        self.modified[name] = self.now

    def entries(self, prefix: str = "") -> list[StoredObject]:
        return [
            StoredObject(name, len(data), self.modified.get(name, 0.0))
            for name, data in sorted(self.objects.copy().items())
            if name.startswith(prefix)
        ]


class Killed(BaseException):
    """Stands for the end of a killed process."""


@dataclass
class InterruptedStore:
    """Wraps a store and calls a function before one of its calls.

    Attributes:
        inner: the wrapped store.
        at: the number of the call, counted from 0.
        work: called once, before that call; if None, that call and all later ones raise `Killed`.
        spared: methods before which `work` is not called; it is called before the next other method instead.
        calls: methods that have been called.
        done: whether `work` has been called.
    """

    inner: StoreBackend
    at: int = 1 << 30
    work: Callable[[], object] | None = None
    spared: tuple[str, ...] = ()
    calls: list[str] = field(default_factory=list)
    done: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return self.inner.url

    @property
    def writable(self) -> bool:
        return self.inner.writable

    def _call(self, verb: str) -> None:
        with self.lock:
            self.calls.append(verb)
            if len(self.calls) <= self.at or verb in self.spared:
                return
            if self.work is None:
                raise Killed
            if not self.done:
                self.done = True
                self.work()

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        self._call("read")
        return self.inner.read(name, start, length)

    def write(self, name: str, data: bytes) -> None:
        self._call("write")
        self.inner.write(name, data)

    def upload(self, name: str, path: Path) -> None:
        self._call("upload")
        self.inner.upload(name, path)

    def entries(self, prefix: str = "") -> list[StoredObject]:
        self._call("entries")
        return self.inner.entries(prefix)

    def delete(self, name: str) -> None:
        self._call("delete")
        self.inner.delete(name)
