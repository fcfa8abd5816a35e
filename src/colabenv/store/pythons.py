"""Which managed Python a store has for a tag: a manifest with no layers but that one. Pure."""

from __future__ import annotations

import re

from colabenv.errors import StoreError
from colabenv.store.model import Layer, Manifest, dump, parse

_FOLDER = re.compile(r"cpython-(?P<version>3\.[0-9]+\.[0-9]+)-[a-z0-9_.-]+")
_NO_LOCK = "0" * 64


def version_in(folder: str) -> str:
    """The version that the folder of a managed Python names, such as "3.10.20"; "" where it is none of a CPython."""
    match = _FOLDER.fullmatch(folder)
    return match["version"] if match else ""


def dump_python(layer: Layer, tag: str, made: int) -> bytes:
    """What `pythons_name(tag)` holds.

    Args:
        layer: of the managed Python, as `pack_python` made it.
        tag: of Python and platform.
        made: seconds since the epoch.
    """
    return dump(Manifest(_NO_LOCK, tag, "python", "cpu", version_in(layer.version), made, (), layer))


def parse_python(data: bytes, tag: str, name: str) -> Layer:
    """Read what `dump_python` wrote.

    Args:
        data: from whoever can write to the store.
        tag: that was asked for.
        name: of the object, for errors.

    Raises:
        StoreError: it is damaged, or of another tag, or names no CPython.
    """
    manifest = parse(data, name)
    layer = manifest.interpreter
    if manifest.tag != tag or layer is None or not version_in(layer.version):
        raise StoreError(f"{name} in the store cannot be used: it names no Python of {tag}.")
    return layer
