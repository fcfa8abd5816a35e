"""From chunks to files: every byte is checked before it is used, and nothing is written outside of one folder.

Each layer is unpacked into a staging folder of its own. One that turns out to be damaged is dropped with its folder;
whole ones are moved into the environment by renames.
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

from colabenv.errors import ColabenvError, StoreError
from colabenv.store.chunk_format import Piece, decode_chunk, link_escapes
from colabenv.store.manifest import Layer
from colabenv.store.relocation import fill_prefix, update_record
from colabenv.system.files import disk_error

_T = TypeVar("_T")
_IMPOSSIBLE = {
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
    """One layer on its way to disk.

    Args:
        layer: as a manifest that was checked against the lock describes it.
        folder: of its own, below the environments' folder so that renames are possible. Made where it is missing.
        interpreter: whether it is a managed Python.
    """

    def __init__(self, layer: Layer, folder: Path, *, interpreter: bool = False) -> None:
        self.layer = layer
        self.folder = folder
        self._root = str(folder)
        self._interpreter = interpreter
        self._lock = threading.Lock()
        self._made: set[str] = set()
        self._taken: set[int] = set()
        self._parts: dict[str, tuple[Piece, int]] = {}
        self._marked: dict[str, tuple[Piece, bytes]] = {}
        self._links: dict[str, str] = {}
        self._files = 0

    @property
    def whole(self) -> bool:
        """Whether every chunk has been taken."""
        return len(self._taken) == len(self.layer.chunks)

    def take(self, number: int, data: bytes) -> None:
        """Check a chunk and write its files. May be called from several threads at once.

        Args:
            number: of the chunk in the layer.
            data: its bytes, as the store gave them.

        Raises:
            StoreError: it is not what the manifest says, or holds what must not be written.
            DiskError: it could not be written.
        """
        chunk = self.layer.chunks[number]
        if len(data) != chunk.bytes or hashlib.sha256(data).hexdigest() != chunk.digest:
            raise self._refused("its bytes are not those that were pushed")
        try:
            # The size is in the frame's head, and all of it would be allocated.
            if zstandard.frame_content_size(data) != chunk.unpacked:
                raise ValueError("a chunk of another size than it claims")
            opened = zstandard.ZstdDecompressor().decompress(data, max_output_size=chunk.unpacked)
            if len(opened) != chunk.unpacked:
                raise ValueError("a chunk of another size than it claims")
            for piece, content in decode_chunk(memoryview(opened), interpreter=self._interpreter):
                self._put(piece, content)
        except (ValueError, RecursionError, zstandard.ZstdError) as error:
            raise self._refused(f"it has {error}") from None
        except OSError as error:
            raise self._unwritten(error) from error
        with self._lock:
            self._taken.add(number)

    def seal(self, prefix: str) -> None:
        """See that the layer is whole and write what depends on where it will lie.

        Args:
            prefix: folder of the environment, or of the managed Python.

        Raises:
            StoreError: something of it is missing.
            DiskError: it could not be written.
        """
        cut = next((path for path, (piece, written) in self._parts.items() if written != piece.size), None)
        if not self.whole or cut or self._files != self.layer.files:
            raise self._refused(f"{cut or 'a file'} is not whole")
        try:
            for piece, _ in self._parts.values():
                self._finish(piece)
            self._fill(prefix)
            for path, target in sorted(self._links.items()):
                self._link(path, target)
        except OSError as error:
            raise self._unwritten(error) from error

    def _put(self, piece: Piece, content: memoryview) -> None:
        if piece.kind == "l":
            target = bytes(content).decode("utf-8", "surrogateescape")
            if link_escapes(piece.path, target):
                raise ValueError(f"the link {piece.path[:80]!r} that leads outside")
            with self._lock:
                self._once(piece.path, self._links, target)
        elif piece.kind == "p":
            with self._lock:
                self._once(piece.path, self._marked, (piece, bytes(content)))
        elif piece.length == piece.size:
            self._write_whole(piece, content)
        else:
            self._write_part(piece, content)

    def _once(self, path: str, where: dict[str, _T], value: _T) -> None:
        if path in self._links or path in self._marked:
            raise ValueError(f"{path[:80]!r} twice")
        where[path] = value
        self._files += 1

    def _write_whole(self, piece: Piece, content: memoryview) -> None:
        try:
            handle = os.open(self._place(piece.path), _NEW | os.O_EXCL, piece.mode | 0o200)
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
                raise ValueError(f"{piece.path[:80]!r} with parts that do not go together")
            self._files += piece.path not in self._parts
            self._parts[piece.path] = (first, written + piece.length)
        handle = os.open(self._place(piece.path), _NEW, piece.mode | 0o200)
        try:
            _write(handle, content, piece.offset)
        finally:
            os.close(handle)

    def _place(self, path: str) -> str:
        """Where a file goes; its folder is there."""
        parent = path.rpartition("/")[0]
        if parent not in self._made:
            os.makedirs(f"{self._root}/{parent}", exist_ok=True)  # noqa: PTH103 - 30,000 times, so no Path
            self._made.add(parent)
        return f"{self._root}/{path}"

    def _finish(self, piece: Piece) -> None:
        """Give a file that came in parts its time and its mode."""
        path = f"{self._root}/{piece.path}"
        if os.stat(path).st_size != piece.size:  # noqa: PTH116
            raise self._refused(f"{piece.path[:80]!r} is not whole")
        os.utime(path, ns=(piece.mtime, piece.mtime))
        if not piece.mode & 0o200:
            os.chmod(path, piece.mode)  # noqa: PTH101

    def _fill(self, prefix: str) -> None:
        """Write the files that name the environment's folder, and correct the RECORD that lists them."""
        changed = {}
        for path, (piece, content) in self._marked.items():
            made = fill_prefix(content, prefix)
            changed[path] = made
            whole = Piece(path, "f", piece.mode, piece.mtime, len(made), 0, len(made))
            self._unless_there(whole, made)
        for record in self.folder.glob("lib/python3.*/site-packages/*.dist-info/RECORD") if changed else ():
            site = os.path.relpath(record.parent.parent, self.folder)
            listed = {os.path.relpath(path, site): made for path, made in changed.items()}
            times = record.stat()
            try:
                record.write_bytes(update_record(record.read_bytes(), listed))
            except ValueError as error:
                raise self._refused(f"its RECORD cannot be read ({error})") from None
            os.utime(record, ns=(times.st_mtime_ns, times.st_mtime_ns))

    def _unless_there(self, piece: Piece, content: bytes) -> None:
        try:
            self._write_whole(piece, memoryview(content))
        except ValueError as error:
            raise self._refused(f"it has {error}") from None

    def _link(self, path: str, target: str) -> None:
        """Make a link, below folders that are none themselves."""
        place = self._place(path)
        parent = os.path.dirname(place)  # noqa: PTH120
        if os.path.realpath(parent) != os.path.realpath(self._root) + parent[len(self._root) :]:
            raise self._refused(f"the link {path[:80]!r} lies below a link")
        try:
            os.symlink(target, place)  # noqa: PTH211
        except FileExistsError:
            raise self._refused(f"it has {path[:80]!r} twice") from None

    def _unwritten(self, error: OSError) -> ColabenvError:
        """What a failed write means: names that cannot be are the layer's fault, all else is the disk's."""
        if error.errno in _IMPOSSIBLE:
            return self._refused(f"it has a file that cannot be ({error.strerror})")
        return disk_error(error, self.folder)

    def _refused(self, why: str) -> StoreError:
        return StoreError(
            f"The store's layer of {self.layer.name} {self.layer.version} is damaged: {why}.",
            hint="It was not used. `colabenv store push NAME` on a machine that has it writes it anew.",
        )


def _write(handle: int, content: memoryview, offset: int) -> None:
    while content.nbytes:
        done = os.pwrite(handle, content, offset)
        content, offset = content[done:], offset + done


def move_tree(folder: Path, prefix: Path) -> None:
    """Move everything below `folder` into `prefix`: whole folders where they are new there, else what is in them.

    Raises:
        DiskError: something could not be moved.
    """
    try:
        _merge(str(folder), str(prefix))
        shutil.rmtree(folder)
    except OSError as error:
        raise disk_error(error, prefix) from error


def _merge(source: str, target: str) -> None:
    with os.scandir(source) as entries:
        for entry in entries:
            there = f"{target}/{entry.name}"
            if entry.is_dir(follow_symlinks=False) and os.path.isdir(there):  # noqa: PTH112
                _merge(entry.path, there)
            else:
                os.replace(entry.path, there)  # noqa: PTH105
