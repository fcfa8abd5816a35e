"""The lock file: its format, round trips, small diffs, and errors for damaged files."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import itertools
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from colabenv.errors import LockError
from colabenv.lock.lockfile import (
    Header,
    Lock,
    Pin,
    compute_digest,
    format_lock,
    lock_file_name,
    parse_lock,
    parse_pins,
)

A, B, C = (f"sha256:{hashlib.sha256(letter).hexdigest()}" for letter in (b"a", b"b", b"c"))
HEADER = Header("vision-2023", "0f" * 32, "3.11", "cpu", "colab", "x86_64-manylinux_2_35")
LOCK = Lock(HEADER, (Pin("numpy", "1.26.4", tuple(sorted((A, B)))), Pin("tensorflow", "2.15.1", (C,))))


def test_lock_is_a_requirements_file_for_pip() -> None:
    first, second = sorted((A, B))
    assert format_lock(LOCK) == (
        "# colabenv lock, format 1\n# profile: vision-2023\n"
        f"# digest: sha256:{'0f' * 32}\n# python: 3.11\n# variant: cpu\n# kernel: colab\n"
        "# platform: x86_64-manylinux_2_35\n# Install by hand with: pip install --require-hashes -r THIS_FILE\n"
        f"numpy==1.26.4 \\\n    --hash={first} \\\n    --hash={second}\ntensorflow==2.15.1 \\\n    --hash={C}\n"
    )


def test_lock_round_trip() -> None:
    assert parse_lock(format_lock(LOCK), "x") == LOCK
    local = dataclasses.replace(LOCK, header=dataclasses.replace(HEADER, platform="", kernel="plain"))
    assert parse_lock(format_lock(local), "x") == local
    assert "# platform: this machine\n" in format_lock(local)


def test_header_contains_as_of_and_like_only_if_set() -> None:
    header = dataclasses.replace(HEADER, as_of="2025-08-01", like="colab-2025.07")
    lock = dataclasses.replace(LOCK, header=header)
    assert "# as-of: 2025-08-01\n# like: colab-2025.07\n" in format_lock(lock)
    assert parse_lock(format_lock(lock), "x") == lock
    assert "as-of" not in format_lock(LOCK)


words = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
numbers = st.text(string.digits, min_size=1, max_size=4)
names = st.lists(words, min_size=1, max_size=3).map("-".join)
versions = st.builds(
    "{}{}{}{}".format,
    st.lists(numbers, min_size=1, max_size=4).map(".".join),
    st.just("") | st.builds("{}{}".format, st.sampled_from(["a", "b", "rc"]), numbers),
    st.just("") | numbers.map(".post{}".format),
    st.just("") | words.map("+{}".format),
)
hashes = st.sets(st.sampled_from([A, B, C]), min_size=1).map(lambda values: tuple(sorted(values)))
pin_lists = st.lists(st.builds(Pin, names, versions, hashes), max_size=6, unique_by=lambda pin: pin.name)


@settings(max_examples=25, deadline=None, database=None)
@given(pin_lists)
def test_any_lock_round_trips(pins: list[Pin]) -> None:
    lock = Lock(HEADER, tuple(sorted(pins)))
    text = format_lock(lock)
    assert parse_lock(text, "x") == lock
    assert format_lock(parse_lock(text, "x")) == text


def test_order_of_pins_and_hashes_in_a_file_is_ignored() -> None:
    blocks = [f"numpy==1.26.4 --hash={A} --hash={B}", f"tensorflow==2.15.1 --hash={C}"]
    pins = {parse_pins("\n".join(order), "x") for order in itertools.permutations(blocks)}
    pins |= {parse_pins(f"numpy==1.26.4 \\\n --hash={B} \\\n --hash={A}\n\n{blocks[1]}", "x")}
    assert pins == {LOCK.pins}


def test_upgrade_of_one_package_is_a_small_diff() -> None:
    old = tuple(Pin(f"p{number:03}", "1.0", (A, B)) for number in range(100))
    new = (*old[:50], dataclasses.replace(old[50], version="2.0", hashes=(C,)), *old[51:])
    changed_lines = [
        line
        for line in difflib.unified_diff(
            format_lock(Lock(HEADER, old)).splitlines(),
            format_lock(Lock(HEADER, new)).splitlines(),
            lineterm="",
            n=0,
        )
        if not line.startswith(("---", "+++", "@@"))
    ]
    assert len(changed_lines) == 5


def test_crlf_line_endings_are_accepted() -> None:
    assert parse_lock(format_lock(LOCK).replace("\n", "\r\n"), "x") == LOCK


def test_missing_final_newline_is_accepted() -> None:
    assert parse_lock(format_lock(LOCK).rstrip("\n"), "x") == LOCK


def test_comments_are_ignored() -> None:
    text = format_lock(LOCK).replace("tensorflow==", "# pinned for the exam\n   # indented\ntensorflow==")
    assert parse_lock(text, "x") == LOCK


TEXT = format_lock(LOCK)
DAMAGED = {
    "empty": "",
    "another file": "numpy==1.26.4\n",
    "another format": TEXT.replace("format 1", "format 2"),
    "a byte order mark": "\ufeff" + TEXT,
    "merge conflict": TEXT.replace("tensorflow==", "<<<<<<< HEAD\ntensorflow==2.15.0\n=======\ntensorflow=="),
    "cut in a pin": TEXT[: TEXT.index("tensorflow==") + 14],
    "cut before the hashes": TEXT[: TEXT.index(f"    --hash={C}")],
    "no hash": TEXT.replace(f" \\\n    --hash={C}", ""),
    "an invalid hash": TEXT.replace(C, "sha256:not-hex"),
    "a range": TEXT.replace("tensorflow==2.15.1", "tensorflow>=2.15.1"),
    "a URL": TEXT.replace("tensorflow==2.15.1", "tensorflow @ https://host/x.whl"),
    "an option": TEXT + "--index-url https://elsewhere\n",
    "binary": "\x00\x01\x02",
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_damaged_lock_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(LockError) as caught:
        parse_lock(text, "vision.cpu.lock.txt")
    assert "vision.cpu.lock.txt" in caught.value.message
    assert "Restore the file from Git" in caught.value.hint
    assert len(caught.value.message) < 250


@pytest.mark.parametrize("field", ["profile", "digest", "python", "variant", "kernel", "platform"])
def test_every_header_line_is_required(field: str) -> None:
    text = "".join(line for line in TEXT.splitlines(keepends=True) if not line.startswith(f"# {field}:"))
    with pytest.raises(LockError, match=f"lacks the header line '# {field}: …'"):
        parse_lock(text, "x")


def test_header_after_the_pins_is_ignored() -> None:
    text = format_lock(LOCK).replace("tensorflow==", "# python: 2.7\ntensorflow==")
    assert parse_lock(text, "x").header.python == "3.11"


def test_duplicate_pin_is_refused() -> None:
    with pytest.raises(LockError, match="twice"):
        parse_lock(TEXT + f"NumPy==1.26.3 --hash={C}\n", "x")


def test_version_of_returns_the_pinned_version_or_none() -> None:
    assert LOCK.version_of("numpy") == "1.26.4"
    assert LOCK.version_of("keras") is None


def test_hashes_after_a_marker_are_read() -> None:
    (pin,) = parse_pins(f"colorama==0.4.6 ; sys_platform == 'win32' \\\n    --hash={A}\n", "x")
    assert (pin.version, pin.hashes) == ("0.4.6", (A,))


def test_pins_digest_covers_only_names_versions_and_hashes() -> None:
    def digest(*pins: Pin, **header: Any) -> str:
        return Lock(dataclasses.replace(HEADER, **header), pins).pins_digest

    numpy = LOCK.pins[0]
    digests = {
        digest(numpy),
        digest(dataclasses.replace(numpy, version="1.26.3")),
        digest(dataclasses.replace(numpy, name="numpy2")),
        digest(dataclasses.replace(numpy, hashes=(A,))),
        digest(*LOCK.pins),
    }
    assert len(digests) == 5
    assert digest(numpy) == digest(numpy, profile="other", variant="gpu", platform="")


def test_digest_of_data_ignores_the_order_of_keys() -> None:
    assert compute_digest({"a": 1, "b": [2]}) == compute_digest({"b": [2], "a": 1})
    assert compute_digest({"a": 1}) != compute_digest({"a": "1"})
    assert len(compute_digest(None)) == 64


def test_lock_file_name_contains_the_variant() -> None:
    assert lock_file_name("vision-2023", "gpu") == "vision-2023.gpu.lock.txt"


def test_each_pin_is_a_pep_508_requirement() -> None:
    for line in format_lock(LOCK).splitlines():
        if "==" in line:
            Requirement(line.removesuffix(" \\"))
