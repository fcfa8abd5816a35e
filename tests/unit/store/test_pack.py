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
    """Install a wheel with these files in site-packages, as an installer does."""
    site = prefix / SITE
    info = f"{name}-1.0.dist-info"
    files = files | {
        f"{info}/METADATA": b"Name: demo\n",
        "../../../bin/demo": f"#!{prefix}/bin/python\nx".encode(),
    }
    for path, data in files.items():
        file = Path(os.path.normpath(site / path))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        if file.suffix == ".py":
            os.utime(file, ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    (prefix / "bin" / "demo").chmod(0o755)
    lines = [f"{path},{hash_for_record(data)},{len(data)}" for path, data in sorted(files.items())]
    (site / info / "RECORD").write_text("\n".join([*lines, f"{info}/RECORD,,"]) + "\n")


def read_tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, time and content of every file in a folder, by path."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def unpack(packed: PackedLayer, folder: Path, prefix: Path, *, interpreter: bool = False) -> LayerTree:
    """Unpack a layer, with its chunks in reverse order."""
    data, position = packed.file.read_bytes(), 0
    chunks = []
    for number, chunk in enumerate(packed.layer.chunks):
        chunks.append((number, data[position : position + chunk.bytes]))
        position += chunk.bytes
    assert position == len(data)
    chunks.reverse()
    tree = LayerTree(packed.layer, folder, interpreter=interpreter)
    for number, content in chunks:
        tree.unpack(number, content)
    tree.finish(str(prefix))
    return tree


def make_layer(*pieces: tuple[Piece, bytes], files: int | None = None) -> tuple[Layer, bytes]:
    """A layer with one chunk, and the bytes of the chunk."""
    raw = encode_chunk(pieces)
    data = zstandard.ZstdCompressor().compress(raw)
    chunk = Chunk(len(data), len(raw), hashlib.sha256(data).hexdigest())
    return Layer("demo", "1.0", WHEEL, len(pieces) if files is None else files, (chunk,)), data


def piece(path: str, data: bytes, kind: str = "f", **fields: int) -> tuple[Piece, bytes]:
    regular = Piece(path, "f", 0o644, 0, len(data), 0, len(data))
    return dataclasses.replace(regular, kind=kind, **fields), data  # type: ignore[arg-type]


def test_unpacking_restores_the_packed_files(tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    large = os.urandom(3 * CHUNK_BYTES + 7)
    install(
        prefix,
        {"demo/__init__.py": b"x = 1\n", "demo/large.so": large, "demo/empty": b"", "demo/ü.txt": b"y"},
    )
    py_compile.compile(str(prefix / SITE / "demo/__init__.py"), doraise=True)
    before = read_tree(prefix)
    packed = pack_distribution(prefix, "demo", "1.0", WHEEL, tmp_path)
    assert packed.layer.files == len(before)
    assert packed.layer.bytes == packed.file.stat().st_size
    assert len(packed.layer.chunks) >= 4
    assert max(chunk.unpacked for chunk in packed.layer.chunks) <= CHUNK_BYTES + 1024
    unpacked = unpack(packed, tmp_path / "stage", prefix)
    assert read_tree(unpacked.folder) == before
    # Packing again gives the same object, so two machines store one.
    assert pack_distribution(prefix, "demo", "1.0", WHEEL, tmp_path).layer == packed.layer


def test_scripts_and_record_are_adapted_to_another_prefix(tmp_path: Path) -> None:
    prefix, other = tmp_path / "env", tmp_path / "other" / "longer"
    install(prefix, {"demo/__init__.py": b"", "demo/where.py": f"HERE = '{prefix}'\n".encode()})
    for name in ("__init__", "where"):
        py_compile.compile(str(prefix / SITE / "demo" / f"{name}.py"), doraise=True)
    unpacked = unpack(pack_distribution(prefix, "demo", "1.0", WHEEL, tmp_path), other, other)
    script = (other / "bin/demo").read_bytes()
    assert script == f"#!{other}/bin/python\nx".encode()
    record = (other / SITE / "demo-1.0.dist-info/RECORD").read_text()
    assert f"../../../bin/demo,{hash_for_record(script)},{len(script)}\n" in record
    assert (other / SITE / "demo/where.py").read_text() == f"HERE = '{other}'\n"
    # The size of where.py depends on the prefix, so its bytecode is not packed.
    assert [path.name.split(".")[0] for path in other.rglob("*.pyc")] == ["__init__"]
    assert unpacked.layer.files == len(read_tree(other))


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
def test_modified_package_is_not_packed(
    tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    install(tmp_path / "env", {"demo/__init__.py": b"x = 1\n", "demo/large.so": b"1" * (5 << 20)})
    change(tmp_path / "env" / SITE)
    with pytest.raises(StoreError, match=message):
        pack_distribution(tmp_path / "env", "demo", "1.0", WHEEL, tmp_path)


def test_outdated_bytecode_is_not_packed(tmp_path: Path) -> None:
    install(tmp_path / "env", {"demo/__init__.py": b"x = 1\n"})
    source = tmp_path / "env" / SITE / "demo/__init__.py"
    py_compile.compile(str(source), doraise=True)
    os.utime(source, ns=(0, 0))
    assert pack_distribution(tmp_path / "env", "demo", "1.0", WHEEL, tmp_path).layer.files == 4


def test_managed_python_is_packed_with_its_links(tmp_path: Path) -> None:
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
    unpack(packed, other, other, interpreter=True)
    assert (other / "bin/python3").readlink() == Path("python3.11")
    assert (other / "lib/here/python3.11").stat().st_mode & 0o777 == 0o755
    assert (other / "lib/_sysconfigdata.py").read_text() == f"prefix = '{other}'\n"
    with pytest.raises(StoreError, match="damaged"):
        unpack(packed, tmp_path / "as-wheel", other)
    (root / "lib/out").symlink_to("/etc")
    with pytest.raises(StoreError, match="outside"):
        pack_python(root, tmp_path)


def test_changed_chunk_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    layer, data = make_layer(piece("lib/x", b"content"))
    for position in range(len(data)):
        flipped_bit = bytearray(data)
        flipped_bit[position] ^= 0x10
        tree = LayerTree(layer, tmp_path / "stage")
        for changed in (bytes(flipped_bit), data[:position], data + b"x"):
            with pytest.raises(StoreError, match="not those that were pushed"):
                tree.unpack(0, changed)
    assert not (tmp_path / "stage").exists()


def test_decompression_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """The size in the frame header would be allocated: 1 GB from a few kB."""
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 30))
    for claimed_size in (1 << 20, CHUNK_BYTES):
        chunk = Chunk(len(bomb), claimed_size, hashlib.sha256(bomb).hexdigest())
        with pytest.raises(StoreError, match="wrong size"):
            LayerTree(Layer("demo", "1.0", WHEEL, 1, (chunk,)), tmp_path / "s").unpack(0, bomb)
    # A frame without a size in its header, two frames, and no frame.
    small = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1000))
    for data in (small, zstandard.ZstdCompressor().compress(bytes(500)) * 2, b"no frame at all"):
        chunk = Chunk(len(data), 1000, hashlib.sha256(data).hexdigest())
        with pytest.raises(StoreError, match="damaged"):
            LayerTree(Layer("demo", "1.0", WHEEL, 1, (chunk,)), tmp_path / "s").unpack(0, data)


def assert_damaged(tree: LayerTree, data: bytes, case: object) -> None:
    """Check that a layer is refused as damaged; `case` names it if not."""
    try:
        tree.unpack(0, data)
        tree.finish("/anywhere")
    except StoreError as error:
        assert "damaged" in str(error), case
    else:
        pytest.fail(f"{case} is not refused")


def test_unsafe_path_is_not_written(tmp_path: Path) -> None:
    for path in (
        "../../evil",
        "/tmp/evil",
        "lib/../../evil",
        "pyvenv.cfg",
        "bin/python",
        "colabenv/settings.json",
    ):
        layer, data = make_layer(piece("lib/fine", b"x"), piece(path, b"evil"))
        with pytest.raises(StoreError, match="damaged"):
            LayerTree(layer, tmp_path / "a" / "b" / "stage").unpack(0, data)
        assert not list(tmp_path.rglob("*evil*")), path


def test_impossible_layers_are_refused(tmp_path: Path) -> None:
    layers = [
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
    ]
    for number, pieces in enumerate(layers):
        layer, data = make_layer(*pieces, files=len({piece.path for piece, _ in pieces}))
        assert_damaged(LayerTree(layer, tmp_path / str(number)), data, pieces)


def test_missing_chunk_or_file_is_reported(tmp_path: Path) -> None:
    layer, data = make_layer(piece("lib/x", b"abc"), files=2)
    tree = LayerTree(layer, tmp_path / "stage")
    with pytest.raises(StoreError, match="incomplete"):
        tree.finish("/anywhere")
    tree.unpack(0, data)
    with pytest.raises(StoreError, match="incomplete"):
        tree.finish("/anywhere")


def test_links_to_outside_a_managed_python_are_refused(tmp_path: Path) -> None:
    layers = [
        [piece("lib/x", b"../..", kind="l")],
        [piece("lib/x", b"/etc", kind="l")],
        # A link below a link: its text stays inside, but its target does not.
        [piece("a/b/up", b"../..", kind="l"), piece("a/b/up/z", b"../x", kind="l")],
        [piece("a/up", b"b", kind="l"), piece("a/up/file", b"x")],
        [piece("a/b/file", b"x"), piece("a/b", b"c", kind="l")],
        [piece("a/b", b"c", kind="l"), piece("a/b", b"d", kind="l")],
    ]
    for number, pieces in enumerate(layers):
        layer, data = make_layer(*pieces)
        top = tmp_path / str(number)
        folder = top / "one" / "two" / "stage"
        assert_damaged(LayerTree(layer, folder, interpreter=True), data, pieces)
        outside = [path for path in top.rglob("*") if path.is_file() and not path.is_relative_to(folder)]
        assert outside == [], pieces


def test_move_tree_merges_folders(tmp_path: Path) -> None:
    for layer, names in (("0", ("google/a.py", "one.py")), ("1", ("google/b.py", "google/deep/c.py"))):
        for name in names:
            file = tmp_path / layer / "lib" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name)
    prefix = tmp_path / "env"
    (prefix / "lib").mkdir(parents=True)
    (prefix / "lib" / "one.py").write_text("older")
    for layer in ("0", "1"):
        move_tree(tmp_path / layer, prefix)
        assert not (tmp_path / layer).exists()
    moved = {str(path.relative_to(prefix)): path.read_text() for path in prefix.rglob("*.py")}
    assert moved == {
        f"lib/{name}": name for name in ("google/a.py", "google/b.py", "google/deep/c.py", "one.py")
    }
