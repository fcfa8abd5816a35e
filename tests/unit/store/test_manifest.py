"""Reading and writing manifests, and refusing invalid and changed ones."""

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
    defaults: dict[str, Any] = {
        "lock": "e" * 64,
        "tag": TAG,
        "profile": "demo",
        "variant": "cpu",
        "python": "3.11.7",
        "made": 1_700_000_000,
        "layers": layers or (layer(),),
    }
    return Manifest(**(defaults | fields))


def lock(*pins: Pin) -> Lock:
    return Lock(Header("demo", "0", "3.11", "cpu", "plain", ""), pins)


def dump_changed(change: dict[str, Any], *, update_digest: bool = True) -> bytes:
    """A manifest with changed fields, and with their digest if `update_digest`."""
    document = json.loads(dump_manifest(manifest()))
    document["manifest"] |= change
    if update_digest:
        document["digest"] = compute_digest(document["manifest"])
    return json.dumps(document).encode()


def parse_error(data: bytes, case: object) -> str:
    """The message of the error for an invalid manifest; `case` names it if it can be parsed."""
    try:
        parse_manifest(data, "manifests/x.json")
    except StoreError as error:
        return error.message
    pytest.fail(f"{case!r} is not refused")


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
    # The digest depends on the order of the chunks.
    assert dataclasses.replace(numpy, chunks=numpy.chunks[::-1]).digest != numpy.digest
    python = Layer("python", "cpython-3.11.9", "", 9, (Chunk(1, 2, "f" * 64),))
    assert python.object_name(TAG).startswith(f"layers/{TAG}/python-cpython-3.11.9-")
    assert len(manifest(interpreter=python).objects()) == 2


def test_invalid_fields_are_refused() -> None:
    changes: list[dict[str, Any]] = [
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
    ]
    for change in changes:
        assert "cannot be used" in parse_error(dump_changed(change), change), change


def test_invalid_layers_are_refused() -> None:
    changes: list[dict[str, Any]] = [
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
    ]
    valid = json.loads(dump_manifest(manifest()))["manifest"]["layers"][0]
    for change in changes:
        message = parse_error(dump_changed({"layers": [valid | change]}), change)
        assert "cannot be used" in message, change


def test_truncated_and_changed_manifests_are_refused() -> None:
    data = dump_manifest(manifest())
    for length in range(len(data) - 1):
        parse_error(data[:length], f"the first {length} bytes")
    for position in range(0, len(data) - 1, 3):
        changed = bytearray(data)
        changed[position] ^= 1
        parse_error(bytes(changed), f"a flipped bit at {position}")
    changed_field = dump_changed({"made": 5}, update_digest=False)
    assert "its digest does not match" in parse_error(changed_field, "another time")


def test_other_data_is_refused() -> None:
    for data in (b"", b"null", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"digest": 1}', b"x" * (17 << 20)):
        parse_error(data, data[:20])


def test_select_layers_returns_those_that_the_lock_allows() -> None:
    pins = (
        Pin("numpy", "1.26.4", (f"sha256:{OTHER}", f"sha256:{WHEEL}")),
        Pin("six", "1.16.0", (f"sha256:{OTHER}",)),
    )
    numpy, six = layer(), layer("six", "1.16", OTHER)
    assert select_layers([manifest(numpy, six)], lock(*pins), TAG) == {"numpy": numpy, "six": six}
    for other in (
        layer(wheel="f" * 64),
        layer(version="1.26.5"),
        layer("pandas"),
        # A wheel in the lock, but of another package.
        layer("six", "1.26.4", WHEEL),
    ):
        assert select_layers([manifest(other)], lock(*pins), TAG) == {}, other
    assert select_layers([manifest(numpy, tag="cp312-linux_x86_64")], lock(*pins), TAG) == {}
    later = dataclasses.replace(numpy, files=77)
    assert select_layers([manifest(numpy), manifest(later)], lock(*pins), TAG)["numpy"].files == 2


PYTHON_TAG = "cp310-linux_x86_64"
PYTHON = Layer("python", "cpython-3.10.20-linux-x86_64-gnu", "", 3, (Chunk(10, 20, "a" * 64),))


def python_manifest(layer: Layer | None) -> bytes:
    return dump_manifest(Manifest("0" * 64, PYTHON_TAG, "python", "cpu", "3.10.20", 1, (), layer))


def test_parse_python_manifest() -> None:
    assert parse_python_manifest(python_manifest(PYTHON), PYTHON_TAG, "pythons/x.json") == PYTHON


def test_managed_python_version() -> None:
    versions = {
        "cpython-3.10.20-linux-x86_64-gnu": "3.10.20",
        "cpython-3.13.1-macos-aarch64-none": "3.13.1",
        "pypy-3.10.20-linux-x86_64-gnu": "",
        "cpython-3.10-linux-x86_64-gnu": "",
        "cpython-3.10.20-linux-x86_64-gnu/..": "",
        "..": "",
    }
    assert {folder: managed_python_version(folder) for folder in versions} == versions


def test_python_manifest_of_another_tag_is_refused() -> None:
    with pytest.raises(StoreError, match="does not name a Python of cp311"):
        parse_python_manifest(python_manifest(PYTHON), "cp311-linux_x86_64", "pythons/x.json")


def test_python_manifest_without_the_folder_of_a_python_is_refused() -> None:
    for layer in (Layer("python", "evil", "", 0, ()), None):
        with pytest.raises(StoreError, match="does not name a Python"):
            parse_python_manifest(python_manifest(layer), PYTHON_TAG, "pythons/x.json")


def test_changed_python_manifest_is_refused() -> None:
    data = python_manifest(PYTHON).replace(b'"files":3', b'"files":4')
    with pytest.raises(StoreError, match="digest"):
        parse_python_manifest(data, PYTHON_TAG, "pythons/x.json")
