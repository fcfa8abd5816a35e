"""Addresses as users paste them, and the files that they stand for."""

from __future__ import annotations

import pytest

from colabenv.errors import NetworkError, UsageError
from colabenv.profile.addresses import is_address, parse_address, require_digest

RAW = "https://raw.githubusercontent.com"
GIST = "0123456789abcdef0123"
DIGEST = "a" * 64


def test_addresses_stand_for_raw_files() -> None:
    for reference, url in {
        "gh:owner/repo/lesson.ipynb": f"{RAW}/owner/repo/HEAD/lesson.ipynb",
        "gh:o/r/a b/x.yaml": "",
        "gh:o/r/course/x.yaml@v1.2": f"{RAW}/o/r/v1.2/course/x.yaml",
        "gh:o/r/x.yaml@feature/branch": f"{RAW}/o/r/feature/branch/x.yaml",
        "https://github.com/o/r/blob/main/a/lesson.ipynb": f"{RAW}/o/r/main/a/lesson.ipynb",
        "https://www.github.com/o/r/raw/main/x.yaml?raw=true#L3": f"{RAW}/o/r/main/x.yaml",
        "https://github.com/o/r/blob/main/a%20b.ipynb?plain=1": f"{RAW}/o/r/main/a%20b.ipynb",
        "https://colab.research.google.com/github/o/r/blob/v1/x.ipynb#scrollTo=1": f"{RAW}/o/r/v1/x.ipynb",
        "https://nbviewer.org/github/o/r/blob/main/x.ipynb": f"{RAW}/o/r/main/x.ipynb",
        f"https://gist.github.com/user/{GIST}": f"https://gist.githubusercontent.com/user/{GIST}/raw",
        f"https://gist.github.com/{GIST}": f"https://gist.github.com/{GIST}/raw",
        f"https://colab.research.google.com/gist/user/{GIST}/x.ipynb": (
            f"https://gist.githubusercontent.com/user/{GIST}/raw/x.ipynb"
        ),
        "https://example.org/course/x.ipynb?download=1#top": "https://example.org/course/x.ipynb?download=1",
        "http://127.0.0.1:8000/x.yaml": "http://127.0.0.1:8000/x.yaml",
    }.items():
        assert is_address(reference)
        if url:
            address = parse_address(f"{reference}")
            assert (address.url, address.digest) == (url, ""), reference
        else:
            with pytest.raises(UsageError, match="Invalid GitHub reference"):
                parse_address(reference)


def test_digest_pins_the_content() -> None:
    address = parse_address(f"gh:o/r/x.yaml#sha256={DIGEST}")
    assert address.digest == DIGEST
    assert address.pin(DIGEST) == f"{RAW}/o/r/HEAD/x.yaml#sha256={DIGEST}"
    with pytest.raises(NetworkError, match="does not match"):
        require_digest(address, b"name: x\n")
    assert len(require_digest(parse_address("gh:o/r/x.yaml"), b"name: x\n")) == 64


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("gh:owner/repo", "Invalid GitHub reference"),
        ("gh:o/r/../x.yaml", "Invalid GitHub reference"),
        ("gh:o/r/x.yaml#sha256=abc", "invalid #sha256="),
        ("https://github.com/o/r", "not the page of a file"),
        ("https://github.com/o/r/tree/main/folder", "not the page of a file"),
        ("https://colab.research.google.com/drive/1AbC", "only in your own browser"),
        ("https://drive.google.com/file/d/1AbC/view", "only in your own browser"),
        (f"https://gist.github.com/user/{GIST}#file-x-ipynb", "exact name"),
        ("https://user:secret@example.org/x.yaml", "a user name or a password"),
        ("https:///x.yaml", "Invalid address"),
        ("https://[::1/x.yaml", "Invalid address"),
        ("https://example.org:port/x.yaml", "Invalid address"),
        ("https://example.org/a b", "Invalid address"),
    ],
)
def test_address_without_a_file_is_refused_with_a_remedy(reference: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_address(reference)
    assert caught.value.hint
    assert "secret" not in str(caught.value)


def test_paths_and_builtin_profiles_are_no_addresses() -> None:
    for reference in ("profile.yaml", "/a/b.ipynb", "builtin:tf-2.15", "ghost.yaml"):
        assert not is_address(reference), reference
