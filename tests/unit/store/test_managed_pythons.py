"""Which managed Python a store has for a tag."""

from __future__ import annotations

import pytest

from colabenv.errors import StoreError
from colabenv.store.managed_pythons import managed_python_version, parse_python_manifest
from colabenv.store.manifest import Chunk, Layer, Manifest, dump_manifest

TAG = "cp310-linux_x86_64"
LAYER = Layer("python", "cpython-3.10.20-linux-x86_64-gnu", "", 3, (Chunk(10, 20, "a" * 64),))


def written(layer: Layer | None) -> bytes:
    return dump_manifest(Manifest("0" * 64, TAG, "python", "cpu", "3.10.20", 1, (), layer))


def test_parse_python_manifest() -> None:
    assert parse_python_manifest(written(LAYER), TAG, "pythons/x.json") == LAYER


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
        parse_python_manifest(written(LAYER), "cp311-linux_x86_64", "pythons/x.json")


def test_a_folder_that_is_not_a_pythons_is_refused() -> None:
    for layer in (Layer("python", "evil", "", 0, ()), None):
        with pytest.raises(StoreError, match="does not name a Python"):
            parse_python_manifest(written(layer), TAG, "pythons/x.json")


def test_a_changed_manifest_is_refused() -> None:
    data = written(LAYER).replace(b'"files":3', b'"files":4')
    with pytest.raises(StoreError, match="digest"):
        parse_python_manifest(data, TAG, "pythons/x.json")
