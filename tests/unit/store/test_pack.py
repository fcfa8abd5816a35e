"""Packing installed packages into layers, and unpacking them safely."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import py_compile
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from colabenv.errors import StoreError
from colabenv.store.chunk_format import PREFIX_MARKER, Piece, encode_chunk
from colabenv.store.manifest import CHUNK_BYTES, Chunk, Layer
from colabenv.store.pack import PackedLayer, pack_distribution, pack_python
from colabenv.store.relocation import hash_for_record
from colabenv.store.unpack import LayerTree, move_tree

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE = f"lib/python{MINOR}/site-packages"
WHEEL = "a" * 64


def install(prefix: Path, files: dict[str, bytes], name: str = "demo") -> None:
    """What an installer leaves behind, for a wheel with these files below site-packages."""
    site = prefix / SITE
    info = f"{name}-1.0.dist-info"
    files = files | {
        f"{info}/METADATA": b"Name: demo\n",
        "../../../bin/demo": f"#!{prefix}/bin/python\nx".encode(),
    }
    for path, data in files.items():
        place = Path(os.path.normpath(site / path))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        if place.suffix == ".py":
            os.utime(place, ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    (prefix / "bin" / "demo").chmod(0o755)
    lines = [f"{path},{hash_for_record(data)},{len(data)}" for path, data in sorted(files.items())]
    (site / info / "RECORD").write_text("\n".join([*lines, f"{info}/RECORD,,"]) + "\n")


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file: mode, time and content."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def unpacked(packed: PackedLayer, folder: Path, prefix: Path, *, interpreter: bool = False) -> LayerTree:
    """The layer, unpacked with its chunks in reverse order."""
    data, at = packed.file.read_bytes(), 0
    chunks = []
    for number, chunk in enumerate(packed.layer.chunks):
        chunks.append((number, data[at : at + chunk.bytes]))
        at += chunk.bytes
    assert at == len(data)
    chunks.reverse()
    made = LayerTree(packed.layer, folder, interpreter=interpreter)
    for number, part in chunks:
        made.unpack(number, part)
    made.finish(str(prefix))
    return made


def of(*pieces: tuple[Piece, bytes], files: int | None = None) -> tuple[Layer, bytes]:
    """A layer with one chunk."""
    raw = encode_chunk(pieces)
    data = zstandard.ZstdCompressor().compress(raw)
    chunk = Chunk(len(data), len(raw), hashlib.sha256(data).hexdigest())
    return Layer("demo", "1.0", WHEEL, len(pieces) if files is None else files, (chunk,)), data


def piece(path: str, data: bytes, kind: str = "f", **fields: int) -> tuple[Piece, bytes]:
    made = Piece(path, "f", 0o644, 0, len(data), 0, len(data))
    return dataclasses.replace(made, kind=kind, **fields), data  # type: ignore[arg-type]


def test_unpacking_gives_what_was_packed(tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    noise = os.urandom(3 * CHUNK_BYTES + 7)
    install(
        prefix,
        {"demo/__init__.py": b"x = 1\n", "demo/large.so": noise, "demo/empty": b"", "demo/ü.txt": b"y"},
    )
    py_compile.compile(str(prefix / SITE / "demo/__init__.py"), doraise=True)
    before = tree(prefix)
    packed = pack_distribution(prefix, "demo", "1.0", WHEEL, tmp_path)
    assert packed.layer.files == len(before)
    assert packed.layer.bytes == packed.file.stat().st_size
    assert len(packed.layer.chunks) >= 4
    assert max(chunk.unpacked for chunk in packed.layer.chunks) <= CHUNK_BYTES + 1024
    made = unpacked(packed, tmp_path / "stage", prefix)
    assert tree(made.folder) == before
    # Twice the same object, so that two machines keep one.
    assert pack_distribution(prefix, "demo", "1.0", WHEEL, tmp_path).layer == packed.layer


def test_scripts_and_record_fit_another_prefix(tmp_path: Path) -> None:
    prefix, other = tmp_path / "env", tmp_path / "other" / "longer"
    install(prefix, {"demo/__init__.py": b"", "demo/where.py": f"HERE = '{prefix}'\n".encode()})
    for name in ("__init__", "where"):
        py_compile.compile(str(prefix / SITE / "demo" / f"{name}.py"), doraise=True)
    made = unpacked(pack_distribution(prefix, "demo", "1.0", WHEEL, tmp_path), other, other)
    script = (other / "bin/demo").read_bytes()
    assert script == f"#!{other}/bin/python\nx".encode()
    record = (other / SITE / "demo-1.0.dist-info/RECORD").read_text()
    assert f"../../../bin/demo,{hash_for_record(script)},{len(script)}\n" in record
    assert (other / SITE / "demo/where.py").read_text() == f"HERE = '{other}'\n"
    # Bytecode of a file that has changed its size must not come along.
    assert [path.name.split(".")[0] for path in other.rglob("*.pyc")] == ["__init__"]
    assert made.layer.files == len(tree(other))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda site: (site / "demo/__init__.py").write_text("y = 2\n"),
            "was changed after it was installed",
        ),
        (lambda site: (site / "demo/__init__.py").unlink(), "is missing"),
        (
            lambda site: (site / "demo/large.so").write_bytes(b"0" * (5 << 20)),
            "was changed after it was installed",
        ),
        (lambda site: (site / "demo-1.0.dist-info/RECORD").write_text('"'), "RECORD cannot be read"),
        (lambda site: (site / "demo-1.0.dist-info/RECORD").unlink(), "has no RECORD"),
        (lambda site: (site / "demo-1.0.dist-info/RECORD").write_text("../../../../x,,\n"), "a file at ../x"),
        (lambda site: (site / "demo-1.0.dist-info/RECORD").write_text("/etc/hosts,,\n"), "cannot be pushed"),
        (
            lambda site: (
                (site / "demo/__init__.py").unlink(),
                (site / "demo/__init__.py").symlink_to("/etc/hosts"),
            ),
            "not a regular file",
        ),
    ],
)
def test_modified_packages_are_refused(
    tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    install(tmp_path / "env", {"demo/__init__.py": b"x = 1\n", "demo/large.so": b"1" * (5 << 20)})
    change(tmp_path / "env" / SITE)
    with pytest.raises(StoreError, match=message):
        pack_distribution(tmp_path / "env", "demo", "1.0", WHEEL, tmp_path)


def test_outdated_bytecode_is_left_out(tmp_path: Path) -> None:
    install(tmp_path / "env", {"demo/__init__.py": b"x = 1\n"})
    source = tmp_path / "env" / SITE / "demo/__init__.py"
    py_compile.compile(str(source), doraise=True)
    os.utime(source, ns=(0, 0))
    assert pack_distribution(tmp_path / "env", "demo", "1.0", WHEEL, tmp_path).layer.files == 4


def test_a_managed_python(tmp_path: Path) -> None:
    root, other = tmp_path / "cpython-3.11.9", tmp_path / "elsewhere" / "cpython-3.11.9"
    (root / "bin").mkdir(parents=True)
    (root / "lib").mkdir()
    (root / "bin/python3.11").write_bytes(b"\x7fELF" + bytes(100))
    (root / "bin/python3.11").chmod(0o755)
    (root / "bin/python3").symlink_to("python3.11")
    (root / "lib/here").symlink_to("../bin")
    (root / "lib/_sysconfigdata.py").write_text(f"prefix = '{root}'\n")
    packed = pack_python(root, tmp_path)
    assert (packed.layer.name, packed.layer.version, packed.layer.wheel) == ("python", "cpython-3.11.9", "")
    unpacked(packed, other, other, interpreter=True)
    assert (other / "bin/python3").readlink() == Path("python3.11")
    assert (other / "lib/here/python3.11").stat().st_mode & 0o777 == 0o755
    assert (other / "lib/_sysconfigdata.py").read_text() == f"prefix = '{other}'\n"
    with pytest.raises(StoreError, match="damaged"):
        unpacked(packed, tmp_path / "as-wheel", other)
    (root / "lib/out").symlink_to("/etc")
    with pytest.raises(StoreError, match="outside"):
        pack_python(root, tmp_path)


def test_flipped_bits_are_noticed_before_anything_is_written(tmp_path: Path) -> None:
    layer, data = of(piece("lib/x", b"content"))
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] ^= 0x10
        made = LayerTree(layer, tmp_path / "stage")
        for wrong in (bytes(broken), data[:place], data + b"x"):
            with pytest.raises(StoreError, match="not those that were pushed"):
                made.unpack(0, wrong)
    assert not (tmp_path / "stage").exists()


def test_a_decompression_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """What a frame's head promises would be allocated: here 1 GB, from a few kB."""
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 30))
    for claimed in (1 << 20, CHUNK_BYTES):
        chunk = Chunk(len(bomb), claimed, hashlib.sha256(bomb).hexdigest())
        with pytest.raises(StoreError, match="wrong size"):
            LayerTree(Layer("demo", "1.0", WHEEL, 1, (chunk,)), tmp_path / "s").unpack(0, bomb)
    # Without a size in its head, and as two frames.
    small = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1000))
    for data in (small, zstandard.ZstdCompressor().compress(bytes(500)) * 2, b"no frame at all"):
        chunk = Chunk(len(data), 1000, hashlib.sha256(data).hexdigest())
        with pytest.raises(StoreError, match="damaged"):
            LayerTree(Layer("demo", "1.0", WHEEL, 1, (chunk,)), tmp_path / "s").unpack(0, data)


OUTSIDE = ("../../evil", "/tmp/evil", "lib/../../evil", "pyvenv.cfg", "bin/python", "colabenv/settings.json")


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_outside_the_folder_is_not_written(tmp_path: Path, path: str) -> None:
    layer, data = of(piece("lib/fine", b"x"), piece(path, b"evil"))
    with pytest.raises(StoreError, match="damaged"):
        LayerTree(layer, tmp_path / "a" / "b" / "stage").unpack(0, data)
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize(
    "pieces",
    [
        [piece("lib/x", b"/etc", kind="l")],
        [piece("lib/x", b"abc", kind="b")],
        [piece("lib/x", b"abc", mode=0o6755)],
        [piece("lib/x", b"abc"), piece("lib/x", b"abc")],
        [piece("lib/x", b"abc", kind="p"), piece("lib/x", b"abc", kind="p")],
        [piece("lib/x", b"abc"), piece("lib/x", b"abc", kind="p")],
        [piece("lib/x", b"abc"), piece("lib/x/y", b"abc")],
        [piece("lib/x/y", b"abc"), piece("lib/x", b"abc")],
        [piece(f"lib/{'y' * 300}", b"abc")],
        [piece("lib/x", b"abc", size=9), piece("lib/x", b"abc", size=8, offset=4)],
        [piece("lib/x", b"abc", size=9)],
        [piece("lib/x", b"abc", size=6), piece("lib/x", b"abc", size=6)],
        [piece("lib/x", b"abc", size=6), piece("lib/x", b"ab", size=6, offset=3)],
        [piece("bin/x", PREFIX_MARKER, kind="p"), piece(f"{SITE}/x-1.dist-info/RECORD", b'"not CSV')],
    ],
)
def test_impossible_layers_are_refused(tmp_path: Path, pieces: list[tuple[Piece, bytes]]) -> None:
    layer, data = of(*pieces, files=len({each.path for each, _ in pieces}))
    made = LayerTree(layer, tmp_path / "stage")
    with pytest.raises(StoreError, match="damaged"):
        made.unpack(0, data)
        made.finish("/anywhere")


def test_a_missing_chunk_or_file_is_noticed(tmp_path: Path) -> None:
    layer, data = of(piece("lib/x", b"abc"), files=2)
    made = LayerTree(layer, tmp_path / "stage")
    with pytest.raises(StoreError, match="incomplete"):
        made.finish("/anywhere")
    made.unpack(0, data)
    with pytest.raises(StoreError, match="incomplete"):
        made.finish("/anywhere")


@pytest.mark.parametrize(
    "pieces",
    [
        [piece("lib/x", b"../..", kind="l")],
        [piece("lib/x", b"/etc", kind="l")],
        # A link below a link: the words stay inside, the place does not.
        [piece("a/b/up", b"../..", kind="l"), piece("a/b/up/z", b"../x", kind="l")],
        [piece("a/up", b"b", kind="l"), piece("a/up/file", b"x")],
        [piece("a/b/file", b"x"), piece("a/b", b"c", kind="l")],
        [piece("a/b", b"c", kind="l"), piece("a/b", b"d", kind="l")],
    ],
)
def test_links_of_a_managed_python_stay_inside(tmp_path: Path, pieces: list[tuple[Piece, bytes]]) -> None:
    layer, data = of(*pieces)
    folder = tmp_path / "one" / "two" / "stage"
    made = LayerTree(layer, folder, interpreter=True)
    with pytest.raises(StoreError, match="damaged"):
        made.unpack(0, data)
        made.finish("/anywhere")
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(folder)]
    assert outside == []


def test_move_tree_merges_folders(tmp_path: Path) -> None:
    for part, names in (("0", ("google/a.py", "one.py")), ("1", ("google/b.py", "google/deep/c.py"))):
        for name in names:
            place = tmp_path / part / "lib" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(name)
    prefix = tmp_path / "env"
    (prefix / "lib").mkdir(parents=True)
    (prefix / "lib" / "one.py").write_text("older")
    for part in ("0", "1"):
        move_tree(tmp_path / part, prefix)
        assert not (tmp_path / part).exists()
    found = {str(path.relative_to(prefix)): path.read_text() for path in prefix.rglob("*.py")}
    assert found == {
        f"lib/{name}": name for name in ("google/a.py", "google/b.py", "google/deep/c.py", "one.py")
    }
