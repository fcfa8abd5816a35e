"""Which managed Python a store has for a tag: a manifest with no layers but that one. Pure."""

from __future__ import annotations

import re

from colabenv.errors import StoreError
from colabenv.store.manifest import Layer, parse_manifest

_FOLDER = re.compile(r"cpython-(?P<version>3\.[0-9]+\.[0-9]+)-[a-z0-9_.-]+")


def managed_python_version(folder: str) -> str:
    """The version that the folder of a managed Python names, such as "3.10.20"; "" where it is none of a CPython."""
    match = _FOLDER.fullmatch(folder)
    return match["version"] if match else ""


def parse_python_manifest(data: bytes, tag: str, name: str) -> Layer:
    """Read what `pythons_name(tag)` holds.

    Args:
        data: from whoever can write to the store.
        tag: that was asked for.
        name: of the object, for errors.

    Raises:
        StoreError: it is damaged, or of another tag, or names no CPython.
    """
    manifest = parse_manifest(data, name)
    layer = manifest.interpreter
    if manifest.tag != tag or layer is None or not managed_python_version(layer.version):
        raise StoreError(f"{name} in the store cannot be used: it names no Python of {tag}.")
    return layer
