"""Unpacking chunks into files: every byte is verified before use, and nothing is written outside one folder.

Each layer is unpacked into a separate folder. A damaged layer is removed, a complete one moved into the environment.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
from pathlib import Path
from typing import TypeVar

import zstandard

from colabenv.environment.distributions import find_dist_infos
from colabenv.errors import ColabenvError, StoreError
from colabenv.store.chunk_format import Piece, decode_chunk, link_escapes
from colabenv.store.manifest import Layer
from colabenv.store.relocation import fill_prefix, update_record
from colabenv.system.files import disk_error

_T = TypeVar("_T")
#: A write that fails with one of these is the fault of a name in the layer, not of the disk.
_INVALID_NAME = {
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.EINVAL,
    errno.EILSEQ,
}
_NEW = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class LayerTree:
    """The files of one layer from a checked manifest while it is unpacked; `interpreter`: it is a managed Python."""

    def __init__(self, layer: Layer, folder: Path, *, interpreter: bool = False) -> None:
        self.layer = layer
        self.folder = folder
        self._root = str(folder)
        self._interpreter = interpreter
        self._lock = threading.Lock()
        self._created_folders: set[str] = set()
        self._unpacked: set[int] = set()
        self._parts: dict[str, tuple[Piece, int]] = {}
        self._marked: dict[str, tuple[Piece, bytes]] = {}
        self._links: dict[str, str] = {}
        self._files = 0

    def unpack(self, number: int, data: bytes) -> None:
        """Verify the chunk with this number and write its files. Several threads may call this at once.

        Raises:
            StoreError: it differs from the manifest, or contains something that must not be written.
            DiskError: it could not be written.
        """
        chunk = self.layer.chunks[number]
        if len(data) != chunk.bytes or hashlib.sha256(data).hexdigest() != chunk.digest:
            raise self._damage("its bytes are not those that were pushed")
        try:
            # zstandard allocates the size in the frame's header.
            if zstandard.frame_content_size(data) != chunk.unpacked:
                raise ValueError("a chunk with a wrong size")
            raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=chunk.unpacked)
            if len(raw) != chunk.unpacked:
                raise ValueError("a chunk with a wrong size")
            for piece, content in decode_chunk(memoryview(raw), interpreter=self._interpreter):
                self._add_piece(piece, content)
        except (ValueError, RecursionError, zstandard.ZstdError) as error:
            raise self._damage(f"it has {error}") from None
        except OSError as error:
            raise self._write_error(error) from error
        with self._lock:
            self._unpacked.add(number)

    def finish(self, prefix: str) -> None:
        """Check that the layer is complete, and write the files that contain `prefix`, its final place.

        Raises `StoreError` if a part is missing, and `DiskError`.
        """
        truncated = next((path for path, (piece, size) in self._parts.items() if size != piece.size), None)
        all_unpacked = len(self._unpacked) == len(self.layer.chunks)
        if not all_unpacked or truncated or self._files != self.layer.files:
            raise self._damage(f"{truncated or 'a file'} is incomplete")
        try:
            for piece, _ in self._parts.values():
                self._finish_parts(piece)
            self._write_marked(prefix)
            for path, target in sorted(self._links.items()):
                self._create_link(path, target)
        except OSError as error:
            raise self._write_error(error) from error

    def _add_piece(self, piece: Piece, content: memoryview) -> None:
        if piece.kind == "l":
            target = bytes(content).decode("utf-8", "surrogateescape")
            if link_escapes(piece.path, target):
                raise ValueError(f"the link {piece.path[:80]!r} that leads outside")
            with self._lock:
                self._add_once(piece.path, self._links, target)
        elif piece.kind == "p":
            with self._lock:
                self._add_once(piece.path, self._marked, (piece, bytes(content)))
        elif piece.length == piece.size:
            self._write_file(piece, content)
        else:
            self._write_part(piece, content)

    def _add_once(self, path: str, where: dict[str, _T], value: _T) -> None:
        if path in self._links or path in self._marked:
            raise ValueError(f"{path[:80]!r} twice")
        where[path] = value
        self._files += 1

    def _write_file(self, piece: Piece, content: memoryview) -> None:
        try:
            handle = os.open(self._prepare_path(piece.path), _NEW | os.O_EXCL, piece.mode | 0o200)
        except FileExistsError:
            raise ValueError(f"{piece.path[:80]!r} twice") from None
        try:
            if content.nbytes:
                _write(handle, content, 0)
            os.utime(handle, ns=(piece.mtime, piece.mtime))
            if not piece.mode & 0o200:
                os.fchmod(handle, piece.mode)
        finally:
            os.close(handle)
        with self._lock:
            self._files += 1

    def _write_part(self, piece: Piece, content: memoryview) -> None:
        with self._lock:
            first, written = self._parts.get(piece.path, (piece, 0))
            if (first.size, first.mode, first.mtime) != (piece.size, piece.mode, piece.mtime):
                raise ValueError(f"{piece.path[:80]!r} with parts that contradict each other")
            self._files += piece.path not in self._parts
            self._parts[piece.path] = (first, written + piece.length)
        handle = os.open(self._prepare_path(piece.path), _NEW, piece.mode | 0o200)
        try:
            _write(handle, content, piece.offset)
        finally:
            os.close(handle)

    def _prepare_path(self, path: str) -> str:
        """The absolute path of a file, whose folder is created."""
        parent = path.rpartition("/")[0]
        if parent not in self._created_folders:
            os.makedirs(f"{self._root}/{parent}", exist_ok=True)  # noqa: PTH103 - 30,000 times, so no Path
            self._created_folders.add(parent)
        return f"{self._root}/{path}"

    def _finish_parts(self, piece: Piece) -> None:
        """Give a file that was written in parts its time and its mode."""
        path = f"{self._root}/{piece.path}"
        if os.stat(path).st_size != piece.size:  # noqa: PTH116
            raise self._damage(f"{piece.path[:80]!r} is incomplete")
        os.utime(path, ns=(piece.mtime, piece.mtime))
        if not piece.mode & 0o200:
            os.chmod(path, piece.mode)  # noqa: PTH101

    def _write_marked(self, prefix: str) -> None:
        """Write the files that contain the prefix, and update RECORD."""
        changed: dict[str, bytes] = {}
        try:
            for path, (piece, content) in self._marked.items():
                changed[path] = data = fill_prefix(content, prefix)
                filled = Piece(path, "f", piece.mode, piece.mtime, len(data), 0, len(data))
                self._write_file(filled, memoryview(data))
            for dist_info in find_dist_infos(self.folder) if changed else ():
                site = os.path.relpath(dist_info.site_packages, self.folder)
                record = dist_info.folder / "RECORD"
                if record.is_file():
                    recorded = {os.path.relpath(path, site): data for path, data in changed.items()}
                    status = record.stat()
                    record.write_bytes(update_record(record.read_bytes(), recorded))
                    os.utime(record, ns=(status.st_mtime_ns, status.st_mtime_ns))
        except ValueError as error:
            raise self._damage(f"it has {error}") from None

    def _create_link(self, path: str, target: str) -> None:
        """Create a link; its folder must not be below another link."""
        full = self._prepare_path(path)
        parent = os.path.dirname(full)  # noqa: PTH120
        if os.path.realpath(parent) != os.path.realpath(self._root) + parent[len(self._root) :]:
            raise self._damage(f"the link {path[:80]!r} is below a link")
        try:
            os.symlink(target, full)  # noqa: PTH211
        except FileExistsError:
            raise self._damage(f"it has {path[:80]!r} twice") from None

    def _write_error(self, error: OSError) -> ColabenvError:
        if error.errno in _INVALID_NAME:
            return self._damage(f"it has a file that cannot be written ({error.strerror})")
        return disk_error(error, self.folder)

    def _damage(self, why: str) -> StoreError:
        return StoreError(
            f"The store's layer of {self.layer.name} {self.layer.version} is damaged: {why}.",
            hint="It was not used. To replace it, run `colabenv store push NAME --force` on a machine that has it.",
        )


def _write(handle: int, content: memoryview, offset: int) -> None:
    while content.nbytes:
        written = os.pwrite(handle, content, offset)
        content, offset = content[written:], offset + written


def move_tree(folder: Path, prefix: Path) -> None:
    """Move what is below `folder` into `prefix`, as whole folders if they are new there; raises `DiskError`."""
    try:
        _move_entries(str(folder), str(prefix))
        shutil.rmtree(folder)
    except OSError as error:
        raise disk_error(error, prefix) from error


def _move_entries(source: str, target: str) -> None:
    with os.scandir(source) as entries:
        for entry in entries:
            destination = f"{target}/{entry.name}"
            if entry.is_dir(follow_symlinks=False) and os.path.isdir(destination):  # noqa: PTH112
                _move_entries(entry.path, destination)
            else:
                os.replace(entry.path, destination)  # noqa: PTH105
