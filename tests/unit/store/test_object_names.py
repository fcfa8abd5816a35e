"""Names of objects in a store."""

from __future__ import annotations

import pytest

from colabenv.errors import StoreError
from colabenv.store.object_names import check_object_name, check_prefix


@pytest.mark.parametrize("name", ["a", "layers/cp311-linux_x86_64/0f-1e.layer", ".hidden", "a..b", "ü"])
def test_valid_names(name: str) -> None:
    assert check_object_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", "..", "a/..", "./a", "a\\b", "a\tb", "ü" * 513, "\udcff"]
)
def test_invalid_names(name: str) -> None:
    with pytest.raises(StoreError, match="is not a valid name"):
        check_object_name(name)


def test_prefixes_are_empty_or_end_with_a_slash() -> None:
    assert check_prefix("") == ""
    assert check_prefix("a/b/") == "a/b/"
    for prefix in ("a", "/", "../", "a//"):
        with pytest.raises(StoreError):
            check_prefix(prefix)
