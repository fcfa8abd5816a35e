"""From an installed wheel to an object of the store: its files as RECORD lists them, and their bytecode.

A file that is not what RECORD says was changed after it was installed, by hand or by another wheel; then the layer
would not be that wheel, and it is not kept.
"""

from __future__ import annotations

import glob
import hashlib
import os
import posixpath
import stat
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import zstandard

from colabenv.environment.distributions import DistInfo, find_dist_infos
from colabenv.errors import ModifiedPackageError, StoreError
from colabenv.lock.lockfile import normalised
from colabenv.store.chunk_format import (
    PREFIX_FILE_LIMIT,
    Piece,
    encode_chunk,
    index_bytes,
    is_safe_path,
    link_escapes,
)
from colabenv.store.manifest import CHUNK_BYTES, Chunk, Layer
from colabenv.store.relocation import format_record_hash, hash_for_record, mark_prefix
from colabenv.system.files import disk_error

#: Where zstd's curve bends on TensorFlow's libraries: 3 keeps 15 % more, 12 takes twice as long for 1 % less.
COMPRESSION_LEVEL = 9
#: Most of a file that one chunk takes, with room for its index.
_PART = CHUNK_BYTES - (64 << 10)
_THREADS = 2
#: Chunks in memory at once, raw or compressed.
_AHEAD = 4
#: Head of a .pyc that is checked against its source's time: magic, flags, time, size (importlib's _bootstrap_external).
_HEAD = struct.Struct("<4sIII")

Pieces = Iterator[tuple[Piece, bytes]]


@dataclass(frozen=True)
class PackedLayer:
    """A layer that is ready to be sent.

    Attributes:
        layer: what a manifest says about it.
        file: its object. Whoever asked for it removes it.
    """

    layer: Layer
    file: Path


def pack_distribution(prefix: Path, name: str, version: str, wheel: str, folder: Path) -> PackedLayer:
    """Pack a distribution of an environment.

    Args:
        prefix: folder of the environment.
        name: of the distribution.
        version: of the distribution.
        wheel: sha256 of the wheel it was installed from, as hex digits.
        folder: for the object.

    Raises:
        ChangedError: the distribution is not what was installed.
        StoreError: it is not there, or holds what cannot be kept.
        DiskError: the object could not be written.
    """
    files = _Files(prefix, f"{name} {version}")
    chunks = _written(_chunked(files.of(_find_dist_info(prefix, name))), folder / f"{name}.layer")
    return PackedLayer(Layer(normalised(name), version, wheel, files.count, chunks), folder / f"{name}.layer")


def pack_python(root: Path, folder: Path) -> PackedLayer:
    """Pack a managed Python.

    Args:
        root: its folder.
        folder: for the object.

    Raises:
        StoreError: it holds what cannot be kept.
        DiskError: the object could not be written.
    """
    files = _Files(root, root.name, interpreter=True)
    chunks = _written(_chunked(files.below()), folder / "python.layer")
    return PackedLayer(Layer("python", root.name, "", files.count, chunks), folder / "python.layer")


def _find_dist_info(prefix: Path, name: str) -> DistInfo:
    for dist_info in find_dist_infos(prefix):
        if dist_info.name == normalised(name) and (dist_info.folder / "RECORD").exists():
            return dist_info
    raise StoreError(f"{name} is not installed in {prefix}, or has no RECORD.", hint=_ANEW)


class _Files:
    """Reads a layer's files, each checked, and counts them."""

    def __init__(self, prefix: Path, title: str, *, interpreter: bool = False) -> None:
        self.count = 0
        self._prefix = str(prefix)
        self._title = title
        self._interpreter = interpreter

    def of(self, dist_info: DistInfo) -> Pieces:
        """Everything that a RECORD lists, and the bytecode that belongs to it."""
        site = os.path.relpath(dist_info.site_packages, self._prefix)
        try:
            files = dist_info.read_record() or ()
        except ValueError as error:
            raise self._refused(f"its RECORD cannot be read ({error})") from None
        hashes = {posixpath.normpath(f"{site}/{file.path}"): file.hash for file in files}
        sources = [path for path in sorted(hashes) if not path.endswith(".pyc")]
        own = os.path.relpath(dist_info.folder / "RECORD", self._prefix)
        tag = f"cpython-{site.split('/')[1].removeprefix('python').replace('.', '')}"
        for path in sources:
            yield from self._file(path, "" if path == own else hashes[path], tag)

    def below(self) -> Pieces:
        """Everything below the folder."""
        for parent, folders, names in os.walk(self._prefix):
            folders.sort()
            linked = [name for name in folders if os.path.islink(f"{parent}/{name}")]  # noqa: PTH114
            folders[:] = [name for name in folders if name not in (*linked, "__pycache__")]
            for name in sorted([*names, *linked]):
                path = os.path.relpath(f"{parent}/{name}", self._prefix)
                place = f"{self._prefix}/{path}"
                if os.path.islink(place):  # noqa: PTH114
                    yield self._link(path, os.readlink(place))  # noqa: PTH115
                else:
                    yield from self._file(path, "", "cpython-*")

    def _link(self, path: str, target: str) -> tuple[Piece, bytes]:
        if link_escapes(path, target):
            raise self._refused(f"{path} links to {target}, outside of it")
        self.count += 1
        data = os.fsencode(target)
        return Piece(path, "l", 0o777, 0, len(data), 0, len(data)), data

    def _file(self, path: str, expected: str, tag: str) -> Pieces:
        """A file, and its bytecode where there is some."""
        if not is_safe_path(path, interpreter=self._interpreter):
            raise self._refused(f"it has a file at {path}")
        place = f"{self._prefix}/{path}"
        try:
            found = os.lstat(place)
            if not stat.S_ISREG(found.st_mode):
                raise self._refused(f"{path} is no plain file")
            if found.st_size > PREFIX_FILE_LIMIT:
                yield from self._large(path, found, expected)
                return
            data = Path(place).read_bytes()
        except OSError as error:
            raise self._changed(f"{path} is missing or cannot be read ({error.strerror})") from None
        if len(data) != found.st_size or (expected and hash_for_record(data) != expected):
            raise self._changed(f"{path} was changed after it was installed")
        changed = self._marked(path, data)
        yield self._whole(path, "f" if changed is None else "p", found, data if changed is None else changed)
        # Bytecode of a file that will have another size would be out of date, or worse, seem not to be.
        if path.endswith(".py") and changed is None:
            yield from self._bytecode(path, found, tag)

    def _marked(self, path: str, data: bytes) -> bytes | None:
        try:
            return mark_prefix(data, self._prefix)
        except ValueError as error:
            raise self._refused(f"{path}: {error}") from None

    def _whole(self, path: str, kind: str, found: os.stat_result, data: bytes) -> tuple[Piece, bytes]:
        self.count += 1
        mode = stat.S_IMODE(found.st_mode) & 0o777
        made = Piece(path, "p" if kind == "p" else "f", mode, found.st_mtime_ns, len(data), 0, len(data))
        return made, data

    def _large(self, path: str, found: os.stat_result, expected: str) -> Pieces:
        """A file in parts that each fit into a chunk."""
        self.count += 1
        mode = stat.S_IMODE(found.st_mode) & 0o777
        digest, offset = hashlib.sha256(), 0
        with open(f"{self._prefix}/{path}", "rb") as file:  # noqa: PTH123
            while data := file.read(_PART):
                digest.update(data)
                yield Piece(path, "f", mode, found.st_mtime_ns, found.st_size, offset, len(data)), data
                offset += len(data)
        if offset != found.st_size or (expected and format_record_hash(digest.digest()) != expected):
            raise self._changed(f"{path} was changed after it was installed")

    def _bytecode(self, source: str, found: os.stat_result, tag: str) -> Pieces:
        """The bytecode of a module, where Python would take it."""
        parent, _, name = source.rpartition("/")
        folder = Path(self._prefix, parent, "__pycache__")
        for place in sorted(folder.glob(f"{glob.escape(name.removesuffix('.py'))}.{tag}.pyc")):
            try:
                data, about = place.read_bytes(), place.stat()
            except OSError:
                continue
            wanted = (0, int(found.st_mtime) & 0xFFFFFFFF, found.st_size & 0xFFFFFFFF)
            if len(data) > _HEAD.size and _HEAD.unpack(data[: _HEAD.size])[1:] == wanted:
                yield self._whole(f"{parent}/__pycache__/{place.name}".lstrip("/"), "f", about, data)

    def _changed(self, why: str) -> ModifiedPackageError:
        return ModifiedPackageError(f"{self._title} cannot be kept: {why}.", hint=_ANEW)

    def _refused(self, why: str) -> StoreError:
        return StoreError(f"{self._title} cannot be kept: {why}.", hint=_ANEW)


def _chunked(pieces: Iterable[tuple[Piece, bytes]]) -> Iterator[bytes]:
    """Raw chunks, none larger than it may be."""
    held: list[tuple[Piece, bytes]] = []
    size = 0
    for piece, data in pieces:
        more = len(data) + index_bytes(piece.path)
        if held and size + more > CHUNK_BYTES:
            yield encode_chunk(held)
            held, size = [], 0
        held.append((piece, data))
        size += more
    if held:
        yield encode_chunk(held)


def _written(raw: Iterable[bytes], target: Path) -> tuple[Chunk, ...]:
    """Compress chunks side by side and write them one after another."""
    chunks: list[Chunk] = []
    waiting: deque[tuple[int, Future[bytes]]] = deque()
    try:
        with ThreadPoolExecutor(_THREADS) as pool, target.open("wb") as file:

            def take() -> None:
                unpacked, future = waiting.popleft()
                data = future.result()
                file.write(data)
                chunks.append(Chunk(len(data), unpacked, hashlib.sha256(data).hexdigest()))

            for each in raw:
                if len(waiting) >= _AHEAD:
                    take()
                waiting.append((len(each), pool.submit(_compressed, each)))
            while waiting:
                take()
    except OSError as error:
        raise disk_error(error, target) from error
    return tuple(chunks)


def _compressed(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=COMPRESSION_LEVEL, write_content_size=True).compress(raw)


_ANEW = "Build the environment anew (colabenv down NAME, then up), and push that."
