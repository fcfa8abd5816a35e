"""The lock's text: read back as written, stable, small in its differences, and refused when damaged."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import itertools
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


def test_lock_is_a_requirements_file_of_pip() -> None:
    first, second = sorted((A, B))
    assert format_lock(LOCK) == (
        "# colabenv lock, format 1\n# profile: vision-2023\n"
        f"# digest: sha256:{'0f' * 32}\n# python: 3.11\n# variant: cpu\n# kernel: colab\n"
        "# platform: x86_64-manylinux_2_35\n# Install by hand with: pip install --require-hashes -r THIS_FILE\n"
        f"numpy==1.26.4 \\\n    --hash={first} \\\n    --hash={second}\ntensorflow==2.15.1 \\\n    --hash={C}\n"
    )


def test_lock_round_trip() -> None:
    assert parse_lock(format_lock(LOCK), "x") == LOCK
    here = dataclasses.replace(LOCK, header=dataclasses.replace(HEADER, platform="", kernel="plain"))
    assert parse_lock(format_lock(here), "x") == here
    assert "# platform: this machine\n" in format_lock(here)


def test_header_contains_as_of_and_like_only_if_set() -> None:
    header = dataclasses.replace(HEADER, as_of="2025-08-01", like="colab-2025.07")
    lock = dataclasses.replace(LOCK, header=header)
    assert "# as-of: 2025-08-01\n# like: colab-2025.07\n" in format_lock(lock)
    assert parse_lock(format_lock(lock), "x") == lock
    assert "as-of" not in format_lock(LOCK)


names = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True)
versions = st.from_regex(
    r"[0-9]+(\.[0-9]+){0,3}((a|b|rc)[0-9]+)?(\.post[0-9]+)?(\+[a-z0-9]+)?", fullmatch=True
)
hashes = st.sets(st.sampled_from([A, B, C]), min_size=1).map(lambda found: tuple(sorted(found)))
pins = st.lists(st.builds(Pin, names, versions, hashes), max_size=6, unique_by=lambda pin: pin.name)


@settings(max_examples=25, deadline=None)
@given(pins)
def test_any_lock_round_trips(found: list[Pin]) -> None:
    lock = Lock(HEADER, tuple(sorted(found)))
    text = format_lock(lock)
    assert parse_lock(text, "x") == lock
    assert format_lock(parse_lock(text, "x")) == text


def test_the_order_of_pins_and_hashes_in_a_file_does_not_matter() -> None:
    blocks = [f"numpy==1.26.4 --hash={A} --hash={B}", f"tensorflow==2.15.1 --hash={C}"]
    found = {parse_pins("\n".join(order), "x") for order in itertools.permutations(blocks)}
    found |= {parse_pins(f"numpy==1.26.4 \\\n --hash={B} \\\n --hash={A}\n\n{blocks[1]}", "x")}
    assert found == {LOCK.pins}


def test_one_moved_package_is_a_small_difference() -> None:
    many = tuple(Pin(f"p{number:03}", "1.0", (A, B)) for number in range(100))
    moved = (*many[:50], dataclasses.replace(many[50], version="2.0", hashes=(C,)), *many[51:])
    difference = [
        line
        for line in difflib.unified_diff(
            format_lock(Lock(HEADER, many)).splitlines(),
            format_lock(Lock(HEADER, moved)).splitlines(),
            lineterm="",
            n=0,
        )
        if not line.startswith(("---", "+++", "@@"))
    ]
    assert len(difference) == 5


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_crlf_line_ends_are_accepted(end: str) -> None:
    assert parse_lock(format_lock(LOCK).replace("\n", end), "x") == LOCK


def test_missing_final_newline_is_accepted() -> None:
    assert parse_lock(format_lock(LOCK).rstrip("\n"), "x") == LOCK


def test_comments_are_ignored() -> None:
    text = format_lock(LOCK).replace("tensorflow==", "# pinned for the exam\n   # really\ntensorflow==")
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
    "a hash that is none": TEXT.replace(C, "sha256:not-hex"),
    "a range": TEXT.replace("tensorflow==2.15.1", "tensorflow>=2.15.1"),
    "an address": TEXT.replace("tensorflow==2.15.1", "tensorflow @ https://host/x.whl"),
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


def test_versions_are_found_by_name() -> None:
    assert LOCK.version_of("numpy") == "1.26.4"
    assert LOCK.version_of("keras") is None


def test_hashes_after_a_marker_are_read() -> None:
    (pin,) = parse_pins(f"colorama==0.4.6 ; sys_platform == 'win32' \\\n    --hash={A}\n", "x")
    assert (pin.version, pin.hashes) == ("0.4.6", (A,))


def test_the_digest_of_the_pins_covers_names_versions_and_hashes_only() -> None:
    def digest(*found: Pin, **header: Any) -> str:
        return Lock(dataclasses.replace(HEADER, **header), found).pins_digest

    numpy = LOCK.pins[0]
    others = {
        digest(numpy),
        digest(dataclasses.replace(numpy, version="1.26.3")),
        digest(dataclasses.replace(numpy, name="numpy2")),
        digest(dataclasses.replace(numpy, hashes=(A,))),
        digest(*LOCK.pins),
    }
    assert len(others) == 5
    assert digest(numpy) == digest(numpy, profile="other", variant="gpu", platform="")


def test_the_digest_of_data_does_not_depend_on_the_order_of_keys() -> None:
    assert compute_digest({"a": 1, "b": [2]}) == compute_digest({"b": [2], "a": 1})
    assert compute_digest({"a": 1}) != compute_digest({"a": "1"})
    assert len(compute_digest(None)) == 64


def test_each_variant_has_a_file_of_its_own() -> None:
    assert lock_file_name("vision-2023", "gpu") == "vision-2023.gpu.lock.txt"


def test_each_pin_is_a_requirement_of_pep_508() -> None:
    for line in format_lock(LOCK).splitlines():
        if "==" in line:
            Requirement(line.removesuffix(" \\"))
