"""Manifests are read as they were written, and refused if they were changed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from colabenv.errors import StoreError
from colabenv.lock.lockfile import Header, Lock, Pin, compute_digest
from colabenv.store.manifest import (
    CHUNK_BYTES,
    Chunk,
    Layer,
    Manifest,
    dump_manifest,
    format_tag,
    managed_python_version,
    manifest_name,
    parse_manifest,
    parse_python_manifest,
    python_manifest_name,
    select_layers,
)

WHEEL, OTHER = "a" * 64, "b" * 64
TAG = "cp311-linux_x86_64"


def layer(name: str = "numpy", version: str = "1.26.4", wheel: str = WHEEL) -> Layer:
    return Layer(name, version, wheel, 2, (Chunk(10, 20, "c" * 64), Chunk(5, 9, "d" * 64)))


def manifest(*layers: Layer, **fields: Any) -> Manifest:
    given: dict[str, Any] = {
        "lock": "e" * 64,
        "tag": TAG,
        "profile": "demo",
        "variant": "cpu",
        "python": "3.11.7",
        "made": 1_700_000_000,
        "layers": layers or (layer(),),
    }
    return Manifest(**(given | fields))


def lock(*pins: Pin) -> Lock:
    return Lock(Header("demo", "0", "3.11", "cpu", "plain", ""), pins)


def altered(change: dict[str, Any], *, honest: bool = True) -> bytes:
    """A manifest with other fields, and with a digest that agrees or not."""
    whole = json.loads(dump_manifest(manifest()))
    whole["manifest"] |= change
    if honest:
        whole["digest"] = compute_digest(whole["manifest"])
    return json.dumps(whole).encode()


def test_parse_reads_what_dump_wrote() -> None:
    python = Layer("python", "cpython-3.11.9-linux-x86_64-gnu", "", 9, (Chunk(1, 2, "f" * 64),))
    for written in (manifest(), manifest(layer(), layer("six", "1.16.0", OTHER), interpreter=python)):
        assert parse_manifest(dump_manifest(written), "m") == written


def test_object_names() -> None:
    assert format_tag("3.11", "linux-x86_64") == TAG
    assert format_tag("3.9", "linux-aarch64") == "cp39-linux_aarch64"
    assert python_manifest_name(TAG) == "pythons/cp311-linux_x86_64.json"
    assert manifest_name("e" * 64, TAG) != manifest_name("f" * 64, TAG)
    numpy = layer()
    assert numpy.object_name(TAG) == f"layers/{TAG}/{WHEEL}-{numpy.digest[:32]}.layer"
    assert (numpy.bytes, numpy.unpacked) == (15, 29)
    # The order of the chunks is part of what it is.
    assert dataclasses.replace(numpy, chunks=numpy.chunks[::-1]).digest != numpy.digest
    python = Layer("python", "cpython-3.11.9", "", 9, (Chunk(1, 2, "f" * 64),))
    assert python.object_name(TAG).startswith(f"layers/{TAG}/python-cpython-3.11.9-")
    assert len(manifest(interpreter=python).objects()) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"lock": "e" * 63},
        {"lock": 5},
        {"tag": "../../etc"},
        {"tag": None},
        {"profile": "../x"},
        {"profile": "x\x1b[31m"},
        {"python": "3.11/../.."},
        {"made": "now"},
        {"made": -1},
        {"made": 1e9},
        {"layers": None},
        {"layers": [[]]},
        {"interpreter": {}},
    ],
)
def test_impossible_fields_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="cannot be used"):
        parse_manifest(altered(change), "manifests/x.json")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../numpy"},
        {"name": "Num py"},
        {"version": "1/2"},
        {"wheel": ""},
        {"wheel": WHEEL.upper()},
        {"files": -1},
        {"files": True},
        {"chunks": [[1, 2]]},
        {"chunks": [[-1, 2, "c" * 64]]},
        {"chunks": [[1, 2, "c" * 64 + "/../x"]]},
        {"chunks": [[1, 2 * CHUNK_BYTES, "c" * 64]]},
        {"chunks": [[1, CHUNK_BYTES, "c" * 64]] * 1000},
    ],
)
def test_impossible_layers_are_refused(change: dict[str, Any]) -> None:
    raw = json.loads(dump_manifest(manifest()))["manifest"]["layers"][0] | change
    with pytest.raises(StoreError, match="cannot be used"):
        parse_manifest(altered({"layers": [raw]}), "manifests/x.json")


def test_truncation_and_flipped_bits_are_noticed() -> None:
    whole = dump_manifest(manifest())
    for length in range(len(whole) - 1):
        with pytest.raises(StoreError):
            parse_manifest(whole[:length], "m")
    for place in range(0, len(whole) - 1, 3):
        broken = bytearray(whole)
        broken[place] ^= 1
        with pytest.raises(StoreError):
            parse_manifest(bytes(broken), "m")
    with pytest.raises(StoreError, match="its digest does not match"):
        parse_manifest(altered({"made": 5}, honest=False), "m")


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"digest": 1}', b"x" * (17 << 20)]
)
def test_other_data_is_refused(data: bytes) -> None:
    with pytest.raises(StoreError):
        parse_manifest(data, "m")


def test_select_layers_that_the_lock_allows() -> None:
    pins = (
        Pin("numpy", "1.26.4", (f"sha256:{OTHER}", f"sha256:{WHEEL}")),
        Pin("six", "1.16.0", (f"sha256:{OTHER}",)),
    )
    fits, six = layer(), layer("six", "1.16", OTHER)
    assert select_layers([manifest(fits, six)], lock(*pins), TAG) == {"numpy": fits, "six": six}
    for other in (
        layer(wheel="f" * 64),
        layer(version="1.26.5"),
        layer("pandas"),
        # A wheel of the lock under the name of another pin.
        layer("six", "1.26.4", WHEEL),
    ):
        assert select_layers([manifest(other)], lock(*pins), TAG) == {}
    assert select_layers([manifest(fits, tag="cp312-linux_x86_64")], lock(*pins), TAG) == {}
    later = dataclasses.replace(fits, files=77)
    assert select_layers([manifest(fits), manifest(later)], lock(*pins), TAG)["numpy"].files == 2


PYTHON_TAG = "cp310-linux_x86_64"
PYTHON = Layer("python", "cpython-3.10.20-linux-x86_64-gnu", "", 3, (Chunk(10, 20, "a" * 64),))


def python_manifest(layer: Layer | None) -> bytes:
    return dump_manifest(Manifest("0" * 64, PYTHON_TAG, "python", "cpu", "3.10.20", 1, (), layer))


def test_parse_python_manifest() -> None:
    assert parse_python_manifest(python_manifest(PYTHON), PYTHON_TAG, "pythons/x.json") == PYTHON


@pytest.mark.parametrize(
    ("folder", "version"),
    [
        ("cpython-3.10.20-linux-x86_64-gnu", "3.10.20"),
        ("cpython-3.13.1-macos-aarch64-none", "3.13.1"),
        ("pypy-3.10.20-linux-x86_64-gnu", ""),
        ("cpython-3.10-linux-x86_64-gnu", ""),
        ("cpython-3.10.20-linux-x86_64-gnu/..", ""),
        ("..", ""),
    ],
)
def test_managed_python_version(folder: str, version: str) -> None:
    assert managed_python_version(folder) == version


def test_another_tag_is_refused() -> None:
    with pytest.raises(StoreError, match="does not name a Python of cp311"):
        parse_python_manifest(python_manifest(PYTHON), "cp311-linux_x86_64", "pythons/x.json")


def test_a_folder_that_is_not_a_pythons_is_refused() -> None:
    for layer in (Layer("python", "evil", "", 0, ()), None):
        with pytest.raises(StoreError, match="does not name a Python"):
            parse_python_manifest(python_manifest(layer), PYTHON_TAG, "pythons/x.json")


def test_a_changed_manifest_is_refused() -> None:
    data = python_manifest(PYTHON).replace(b'"files":3', b'"files":4')
    with pytest.raises(StoreError, match="digest"):
        parse_python_manifest(data, PYTHON_TAG, "pythons/x.json")
