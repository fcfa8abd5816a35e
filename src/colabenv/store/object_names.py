"""Names of objects in a store."""

from __future__ import annotations

import re

from colabenv.errors import StoreError

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: Google's limit for an object's name in bytes, and S3's (both clouds' documentation of object names).
_MAX_BYTES = 1024


def check_object_name(name: str) -> str:
    """Return `name`, which may come from an untrusted manifest, if it is valid.

    Raises `StoreError` if it is empty, absolute, contains `..`, or is not a name that every kind of store can hold.
    """
    is_invalid = (
        any(part in {"", ".", ".."} for part in name.split("/")) or _CONTROL.search(name) or "\\" in name
    )
    if (
        is_invalid
        or len(name.encode(errors="surrogatepass")) > _MAX_BYTES
        or re.search(r"[\ud800-\udfff]", name)
    ):
        raise StoreError(f"{_shorten(name)} is not a valid object name in a store.")
    return name


def check_prefix(prefix: str) -> str:
    """Return `prefix` if it is empty, or a valid name that ends with `/`; raises `StoreError` otherwise."""
    if prefix and not prefix.endswith("/"):
        raise StoreError(f"{_shorten(prefix)} is not a valid folder name in a store.")
    if prefix:
        check_object_name(prefix[:-1])
    return prefix


def _shorten(name: str) -> str:
    text = ascii(name)
    return text if len(text) <= 80 else f"{text[:79]}…"
