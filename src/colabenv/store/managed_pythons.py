"""Which managed Python a store has for a tag: a manifest without layers that names an interpreter."""

from __future__ import annotations

import re

from colabenv.errors import StoreError
from colabenv.store.manifest import Layer, parse_manifest

_FOLDER = re.compile(r"cpython-(?P<version>3\.[0-9]+\.[0-9]+)-[a-z0-9_.-]+")


def managed_python_version(folder: str) -> str:
    """The version in the name of a managed Python's folder, such as "3.10.20"; "" if it is not a CPython's."""
    match = _FOLDER.fullmatch(folder)
    return match["version"] if match else ""


def parse_python_manifest(data: bytes, tag: str, name: str) -> Layer:
    """The managed Python that the object `python_manifest_name(tag)` names.

    Args:
        data: the object's content, which is not trusted.
        tag: of Python and platform.
        name: of the object, for errors.

    Raises:
        StoreError: it is damaged, has another tag, or does not name a CPython.
    """
    manifest = parse_manifest(data, name)
    layer = manifest.interpreter
    if manifest.tag != tag or layer is None or not managed_python_version(layer.version):
        raise StoreError(f"{name} in the store cannot be used: it does not name a Python of {tag}.")
    return layer
