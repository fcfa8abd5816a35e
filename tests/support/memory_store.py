"""Small layers, valid and invalid, and a store in memory whose reads can fail."""

from __future__ import annotations

import hashlib
import json
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from colabenv.errors import NotInStoreError, StoreError
from colabenv.store.backends.base import StoreBackend, StoredObject
from colabenv.store.chunk_format import Piece, encode_chunk
from colabenv.store.manifest import Chunk, Layer, Manifest, dump_manifest, manifest_name

TAG = "cp311-linux_x86_64"


def make_chunk(files: Mapping[str, bytes]) -> bytes:
    """An uncompressed chunk with complete files."""
    return encode_chunk(
        (Piece(path, "f", 0o644, 1_700_000_000_000_000_000, len(data), 0, len(data)), data)
        for path, data in files.items()
    )


def make_raw_chunk(rows: Sequence[Sequence[Any]], data: bytes = b"") -> bytes:
    """An uncompressed chunk with any index."""
    index = json.dumps(rows).encode()
    return struct.pack(">I", len(index)) + index + data


def make_layer(
    name: str, version: str, wheel: str, chunks: Sequence[bytes], files: int
) -> tuple[Layer, bytes]:
    """A layer and its object.

    Args:
        name: of the distribution.
        version: of the distribution.
        wheel: sha256 as hex digits.
        chunks: uncompressed chunks.
        files: the number of files in the layer's record.
    """
    packed = [zstandard.compress(chunk) for chunk in chunks]
    described = tuple(
        Chunk(len(data), len(chunk), hashlib.sha256(data).hexdigest())
        for chunk, data in zip(chunks, packed, strict=True)
    )
    return Layer(name, version, wheel, files, described), b"".join(packed)


def make_package_layer(
    name: str, version: str, wheel: str, *, parts: int = 1, size: int = 10
) -> tuple[Layer, bytes]:
    """The layer of a package, and its object: `parts` modules, each in its own chunk, and a dist-info folder."""
    site = "lib/python3.11/site-packages"
    contents = [
        {f"{site}/{name}_{part}.py": (f"# {name} {version} {part} ".encode() * size)[:size]}
        for part in range(parts)
    ]
    contents[0][f"{site}/{name}-{version}.dist-info/METADATA"] = f"Name: {name}\n".encode()
    files = sum(map(len, contents))
    return make_layer(name, version, wheel, [make_chunk(content) for content in contents], files)


@dataclass
class MemoryStore:
    """A `StoreBackend` in memory.

    Attributes:
        objects: content by name.
        url: see `StoreBackend`.
        writable: see `StoreBackend`.
        modified: time of each object; 0 by default.
        broken: part of a name, to the number of times that reads of such names fail.
        waiting: reads of names that contain this text wait until `resume` is set.
        delay: seconds that each read takes.
        reads: name of each read.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    url: str = "memory"
    writable: bool = True
    modified: dict[str, float] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    waiting: str = ""
    resume: threading.Event = field(default_factory=threading.Event)
    delay: float = 0.0
    reads: list[str] = field(default_factory=list)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        self.reads.append(name)
        if self.waiting and self.waiting in name:
            self.resume.wait(60)
        time.sleep(self.delay)
        for part, left in self.broken.items():
            if part in name and left:
                self.broken[part] = left - 1
                raise StoreError(f"{self.url} could not be asked.")
        if name not in self.objects:
            raise NotInStoreError(f"{self.url} has no {name}.")
        data = self.objects[name]
        return data[start:] if length is None else data[start : start + length]

    def write(self, name: str, data: bytes) -> None:
        self.objects[name] = data

    def upload(self, name: str, path: Path) -> None:
        self.objects[name] = path.read_bytes()

    def entries(self, prefix: str = "") -> list[StoredObject]:
        return [
            StoredObject(name, len(data), self.modified.get(name, 0.0))
            for name, data in sorted(self.objects.items())
            if name.startswith(prefix)
        ]

    def delete(self, name: str) -> None:
        self.objects.pop(name, None)


def put_manifest(store: StoreBackend, lock: str, *layers: tuple[Layer, bytes], **fields: Any) -> Manifest:
    """Write a manifest and its layers' objects.

    Args:
        store: the store.
        lock: digest of the lock's pins.
        layers: layers with their objects.
        fields: fields of the manifest that differ from the defaults.
    """
    values = {"profile": "demo", "variant": "cpu", "python": "3.11.7", "made": 1, **fields}
    manifest = Manifest(lock=lock, tag=TAG, layers=tuple(layer for layer, _ in layers), **values)
    for layer, data in layers:
        store.write(layer.object_name(TAG), data)
    store.write(manifest_name(lock, TAG), dump_manifest(manifest))
    return manifest
