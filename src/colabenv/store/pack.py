"""Packing an installed wheel as an object for the store: the files that RECORD lists, and their bytecode.

A file that differs from RECORD was changed after the installation, so the distribution is refused.
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
from packaging.utils import canonicalize_name

from colabenv.environment.distributions import DistInfo, find_dist_infos
from colabenv.errors import ModifiedPackageError, StoreError
from colabenv.store.chunk_format import (
    PREFIX_FILE_LIMIT,
    Piece,
    PieceKind,
    encode_chunk,
    index_bytes,
    is_safe_path,
    link_escapes,
)
from colabenv.store.manifest import CHUNK_BYTES, Chunk, Layer
from colabenv.store.relocation import format_record_hash, hash_for_record, mark_prefix
from colabenv.system.files import disk_error

#: On TensorFlow's libraries 3 needs 15 % more space, and 12 takes twice as long for 1 % less.
COMPRESSION_LEVEL = 9
_PART = CHUNK_BYTES - (64 << 10)  # most bytes of a file in one chunk, which leaves room for the index
_THREADS = 2
_AHEAD = 4  # chunks in memory at once, raw or compressed
#: Header of a .pyc that is checked against its source's time: magic, flags, time, size (importlib's
#: _bootstrap_external).
_PYC_HEADER = struct.Struct("<4sIII")
_REBUILD = "Rebuild the environment (colabenv down NAME, then up), and push that."

Pieces = Iterator[tuple[Piece, bytes]]


@dataclass(frozen=True)
class PackedLayer:
    """A layer's entry in a manifest, and the file to upload, which the caller removes."""

    layer: Layer
    file: Path


def pack_distribution(prefix: Path, name: str, version: str, wheel: str, folder: Path) -> PackedLayer:
    """Pack a distribution into a file in `folder`. `wheel` is the sha256 of the wheel that it was installed from.

    Raises:
        ModifiedPackageError: the distribution is not what was installed.
        StoreError: it is missing, or contains something that cannot be stored.
        DiskError: the file could not be written.
    """
    normalized = canonicalize_name(name)
    infos = (info for info in find_dist_infos(prefix) if info.name == normalized)
    dist_info = next((info for info in infos if (info.folder / "RECORD").is_file()), None)
    if dist_info is None:
        raise StoreError(f"{name} is not installed in {prefix}, or has no RECORD.", hint=_REBUILD)
    reader = _FileReader(prefix, f"{name} {version}")
    file = folder / f"{name}.layer"
    chunks = _write_chunks(_join_chunks(reader.read_distribution(dist_info)), file)
    return PackedLayer(Layer(normalized, version, wheel, reader.count, chunks), file)


def pack_python(root: Path, folder: Path) -> PackedLayer:
    """Pack the managed Python in `root` into `folder`; the errors are those of `pack_distribution`."""
    reader = _FileReader(root, root.name, interpreter=True)
    file = folder / "python.layer"
    chunks = _write_chunks(_join_chunks(reader.read_tree()), file)
    return PackedLayer(Layer("python", root.name, "", reader.count, chunks), file)


class _FileReader:
    """Reads and checks a layer's files, and counts them."""

    def __init__(self, prefix: Path, title: str, *, interpreter: bool = False) -> None:
        self.count = 0
        self._prefix = str(prefix)
        self._title = title
        self._interpreter = interpreter

    def read_distribution(self, dist_info: DistInfo) -> Pieces:
        """Everything that RECORD lists, and its bytecode."""
        site = os.path.relpath(dist_info.site_packages, self._prefix)
        try:
            recorded = dist_info.read_record() or []
        except ValueError as error:
            raise self._refusal(f"its RECORD cannot be read ({error})") from None
        hashes = {posixpath.normpath(f"{site}/{file.path}"): file.hash for file in recorded}
        record = os.path.relpath(dist_info.folder / "RECORD", self._prefix)
        tag = f"cpython-{site.split('/')[1].removeprefix('python').replace('.', '')}"
        for path in sorted(hashes):
            if not path.endswith(".pyc"):
                yield from self._read_file(path, "" if path == record else hashes[path], tag)

    def read_tree(self) -> Pieces:
        """Everything below the folder."""
        for parent, folders, names in os.walk(self._prefix):
            folders.sort()
            linked = [name for name in folders if os.path.islink(f"{parent}/{name}")]  # noqa: PTH114
            folders[:] = [name for name in folders if name not in (*linked, "__pycache__")]
            for name in sorted([*names, *linked]):
                path = os.path.relpath(f"{parent}/{name}", self._prefix)
                full = f"{self._prefix}/{path}"
                if os.path.islink(full):  # noqa: PTH114
                    yield self._link_piece(path, os.readlink(full))  # noqa: PTH115
                else:
                    yield from self._read_file(path, "", "cpython-*")

    def _link_piece(self, path: str, target: str) -> tuple[Piece, bytes]:
        if link_escapes(path, target):
            raise self._refusal(f"{path} links to {target}, outside of it")
        self.count += 1
        data = os.fsencode(target)
        return Piece(path, "l", 0o777, 0, len(data), 0, len(data)), data

    def _read_file(self, path: str, expected: str, tag: str) -> Pieces:
        """A file with a hash from RECORD or "", and its bytecode if there is a file with this tag."""
        if not is_safe_path(path, interpreter=self._interpreter):
            raise self._refusal(f"it has a file at {path}")
        full = f"{self._prefix}/{path}"
        try:
            status = os.lstat(full)
            if not stat.S_ISREG(status.st_mode):
                raise self._refusal(f"{path} is not a regular file")
            if status.st_size > PREFIX_FILE_LIMIT:
                yield from self._read_large(path, status, expected)
                return
            data = Path(full).read_bytes()
        except OSError as error:
            raise self._modification(f"{path} is missing or cannot be read ({error.strerror})") from None
        if len(data) != status.st_size or (expected and hash_for_record(data) != expected):
            raise self._modification(f"{path} was changed after it was installed")
        try:
            marked = mark_prefix(data, self._prefix)
        except ValueError as error:
            raise self._refusal(f"{path}: {error}") from None
        if marked is not None:
            # No bytecode: the source will have another size, so the bytecode would be outdated or, worse, seem current.
            yield self._file_piece(path, "p", status, marked)
            return
        yield self._file_piece(path, "f", status, data)
        if path.endswith(".py"):
            yield from self._read_bytecode(path, status, tag)

    def _file_piece(
        self, path: str, kind: PieceKind, status: os.stat_result, data: bytes
    ) -> tuple[Piece, bytes]:
        self.count += 1
        mode = stat.S_IMODE(status.st_mode) & 0o777
        return Piece(path, kind, mode, status.st_mtime_ns, len(data), 0, len(data)), data

    def _read_large(self, path: str, status: os.stat_result, expected: str) -> Pieces:
        """A file in parts that each fit into a chunk."""
        self.count += 1
        mode = stat.S_IMODE(status.st_mode) & 0o777
        digest, offset = hashlib.sha256(), 0
        with open(f"{self._prefix}/{path}", "rb") as file:  # noqa: PTH123
            while data := file.read(_PART):
                digest.update(data)
                yield Piece(path, "f", mode, status.st_mtime_ns, status.st_size, offset, len(data)), data
                offset += len(data)
        if offset != status.st_size or (expected and format_record_hash(digest.digest()) != expected):
            raise self._modification(f"{path} was changed after it was installed")

    def _read_bytecode(self, source: str, status: os.stat_result, tag: str) -> Pieces:
        """The bytecode of a module, if Python would use it."""
        parent, _, name = source.rpartition("/")
        folder = Path(self._prefix, parent, "__pycache__")
        for file in sorted(folder.glob(f"{glob.escape(name.removesuffix('.py'))}.{tag}.pyc")):
            try:
                data, file_status = file.read_bytes(), file.stat()
            except OSError:
                continue
            header = (0, int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)
            if len(data) > _PYC_HEADER.size and _PYC_HEADER.unpack(data[: _PYC_HEADER.size])[1:] == header:
                path = f"{parent}/__pycache__/{file.name}".lstrip("/")
                yield self._file_piece(path, "f", file_status, data)

    def _modification(self, why: str) -> ModifiedPackageError:
        return ModifiedPackageError(f"{self._title} cannot be pushed: {why}.", hint=_REBUILD)

    def _refusal(self, why: str) -> StoreError:
        return StoreError(f"{self._title} cannot be pushed: {why}.", hint=_REBUILD)


def _join_chunks(pieces: Iterable[tuple[Piece, bytes]]) -> Iterator[bytes]:
    """Uncompressed chunks of at most `CHUNK_BYTES`."""
    pending: list[tuple[Piece, bytes]] = []
    size = 0
    for piece, data in pieces:
        added = len(data) + index_bytes(piece.path)
        if pending and size + added > CHUNK_BYTES:
            yield encode_chunk(pending)
            pending, size = [], 0
        pending.append((piece, data))
        size += added
    if pending:
        yield encode_chunk(pending)


def _write_chunks(raw_chunks: Iterable[bytes], target: Path) -> tuple[Chunk, ...]:
    """Compress chunks in parallel and write them in order."""
    chunks: list[Chunk] = []
    pending: deque[tuple[int, Future[bytes]]] = deque()
    try:
        with ThreadPoolExecutor(_THREADS) as pool, target.open("wb") as file:

            def write_next() -> None:
                unpacked, future = pending.popleft()
                data = future.result()
                file.write(data)
                chunks.append(Chunk(len(data), unpacked, hashlib.sha256(data).hexdigest()))

            for raw in raw_chunks:
                if len(pending) >= _AHEAD:
                    write_next()
                pending.append((len(raw), pool.submit(zstandard.compress, raw, COMPRESSION_LEVEL)))
            while pending:
                write_next()
    except OSError as error:
        raise disk_error(error, target) from error
    return tuple(chunks)
