"""Names of objects in a store."""

from __future__ import annotations

import pytest

from colabenv.errors import StoreError
from colabenv.store.object_names import check_object_name, check_prefix


def test_valid_names() -> None:
    for name in ("a", "layers/cp311-linux_x86_64/0f-1e.layer", ".hidden", "a..b", "ü"):
        assert check_object_name(name) == name


def name_error(name: str) -> str:
    try:
        check_object_name(name)
    except StoreError as error:
        return error.message
    pytest.fail(f"{name!a} is not refused")


def test_invalid_names() -> None:
    for name in ("", "/a", "a/", "a//b", "..", "a/..", "./a", "a\\b", "a\tb", "ü" * 513, "\udcff"):
        assert "is not a valid object name" in name_error(name), ascii(name)


def test_prefixes_are_empty_or_end_with_a_slash() -> None:
    assert check_prefix("") == ""
    assert check_prefix("a/b/") == "a/b/"
    for prefix in ("a", "/", "../", "a//"):
        with pytest.raises(StoreError):
            check_prefix(prefix)
