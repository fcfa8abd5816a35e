"""Which wheel was installed, from the index, the machine and the WHEEL file."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.tags import Tag, parse_tag

from colabenv.lock.lockfile import Header, Lock, Pin
from colabenv.store.installed_wheels import (
    InstalledWheel,
    Wheel,
    find_overlaps,
    parse_pylock_wheels,
    rank_tags,
    read_installed_wheels,
    select_wheels,
    tag_here,
)

RANKS = {
    tag: rank
    for rank, text in enumerate(
        (
            "cp311-cp311-manylinux_2_28_x86_64",
            "cp311-cp311-manylinux_2_17_x86_64",
            "cp311-abi3-manylinux_2_17_x86_64",
            "py3-none-any",
        )
    )
    for tag in parse_tag(text)
}
NEW, OLD = "a-1-cp311-cp311-manylinux_2_28_x86_64.whl", "a-1-cp311-cp311-manylinux_2_17_x86_64.whl"
ABI, ANY = "a-1-cp311-abi3-manylinux_2_17_x86_64.whl", "a-1-py3-none-any.whl"
FOREIGN = "a-1-cp312-cp312-manylinux_2_17_x86_64.whl"


def tags(*texts: str) -> frozenset[Tag]:
    return frozenset(tag for text in texts for tag in parse_tag(text))


def wheel(file: str) -> Wheel:
    return Wheel(file, f"{abs(hash(file)):064x}"[:64], 10)


def select(
    *files: str,
    installed_tags: frozenset[Tag] = frozenset(),
    hashes: tuple[str, ...] = (),
    source: tuple[str, ...] = (),
) -> tuple[dict[str, str], dict[str, str]]:
    """File of the chosen wheel by name, and reasons by name."""
    admitted = (
        hashes or tuple(sorted(f"sha256:{wheel(file).sha256}" for file in files)) or ("sha256:1", "sha256:2")
    )
    lock = Lock(Header("x", "0" * 64, "3.11", "cpu", "plain", ""), (Pin("a", "1", admitted),))
    index = {"a": tuple(map(wheel, files))} if files else {}
    wheels, reasons = select_wheels(lock, index, {"a": InstalledWheel(installed_tags, {}, 0)}, RANKS, source)
    return {name: wheel.file for name, wheel in wheels.items()}, reasons


@pytest.mark.parametrize(
    ("files", "installed_tags", "best"),
    [
        ((ANY, OLD, NEW, FOREIGN), frozenset[Tag](), NEW),
        ((ANY, OLD, NEW), tags("cp311-cp311-manylinux_2_17_x86_64"), OLD),
        ((ANY, ABI), tags("cp311-abi3-manylinux_2_17_x86_64"), ABI),
        ((ANY,), tags("py3-none-any"), ANY),
        ((ANY, FOREIGN), frozenset[Tag](), ANY),
        (("a-1-py2.py3-none-any.whl",), tags("py2-none-any", "py3-none-any"), "a-1-py2.py3-none-any.whl"),
        (
            ("a-1-1-py3-none-any.whl", "a-1-2-py3-none-any.whl", ANY),
            frozenset[Tag](),
            "a-1-2-py3-none-any.whl",
        ),
    ],
)
def test_select_the_best_wheel_with_the_tags_of_the_dist_info(
    files: tuple[str, ...], installed_tags: frozenset[Tag], best: str
) -> None:
    assert select(*files, installed_tags=installed_tags) == ({"a": best}, {})


def test_wheels_that_the_lock_does_not_allow_are_ignored() -> None:
    assert select(NEW, OLD, hashes=(f"sha256:{wheel(OLD).sha256}", "sha256:0")) == ({"a": OLD}, {})


@pytest.mark.parametrize(
    ("files", "installed_tags"),
    [
        ((FOREIGN,), frozenset[Tag]()),
        ((ANY,), tags("cp311-cp311-linux_x86_64")),
        (("a.whl", "a-1.tar.gz"), frozenset[Tag]()),
    ],
)
def test_no_wheel_like_the_installed_one(files: tuple[str, ...], installed_tags: frozenset[Tag]) -> None:
    assert select(*files, installed_tags=installed_tags) == (
        {},
        {"a": "the index has no wheel like the installed one"},
    )


def test_two_equally_good_wheels() -> None:
    same = ("A-1-py3-none-any.whl", "a-1-py3-none-any.whl")
    assert select(*same)[1] == {"a": "the index has several wheels like the installed one"}


@pytest.mark.parametrize(
    ("platform", "file", "selected"),
    [
        ("x86_64-manylinux_2_35", NEW, True),
        ("x86_64-manylinux_2_27", NEW, False),
        ("x86_64-manylinux2014", NEW, False),
        ("x86_64-manylinux2014", OLD, True),
        ("x86_64-manylinux2014", "a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl", True),
        ("x86_64-manylinux2014", ANY, True),
        ("", NEW, True),
    ],
)
def test_a_wheel_for_a_newer_glibc_than_the_lock_is_left_out(
    platform: str, file: str, selected: bool
) -> None:
    header = Header("x", "0" * 64, "3.11", "cpu", "plain", platform)
    lock = Lock(header, (Pin("a", "1", (f"sha256:{wheel(file).sha256}",)),))
    found, reasons = select_wheels(lock, {"a": (wheel(file),)}, {}, RANKS, ())
    assert (bool(found), "a" in reasons) == (selected, not selected)


def test_one_hash_needs_no_index() -> None:
    lock = Lock(Header("x", "0" * 64, "3.11", "cpu", "plain", ""), (Pin("a", "1", ("sha256:ab",)),))
    assert select_wheels(lock, {}, {}, RANKS, ()) == ({"a": Wheel("", "ab")}, {})
    assert select_wheels(lock, {}, {}, RANKS, ("a",)) == ({}, {"a": "it was built from source"})


def test_without_an_index_the_wheel_is_unknown() -> None:
    found, reasons = select()
    assert (found, list(reasons)) == ({}, ["a"])
    assert "the index did not say" in reasons["a"]


def test_parse_pylock_wheels() -> None:
    document = {
        "packages": [
            {
                "name": "A_b",
                "wheels": [
                    {
                        "url": "https://h/x/a_b-1-py3-none-any.whl?sig=1",
                        "size": 3,
                        "hashes": {"sha256": "ab"},
                    },
                    {"name": "n.whl", "url": "https://h/other", "hashes": {}},
                ],
            },
            {"name": "c", "sdist": {"url": "https://h/c-1.tar.gz"}},
        ]
    }
    assert parse_pylock_wheels(document) == {
        "a-b": (Wheel("a_b-1-py3-none-any.whl", "ab", 3), Wheel("n.whl", "", 0)),
        "c": (),
    }


def test_rank_tags() -> None:
    ranks = rank_tags("3.11")
    assert ranks[Tag("py3", "none", "any")] > ranks[Tag("cp311", "none", "any")]
    assert Tag("cp312", "cp312", "linux_x86_64") not in ranks
    native = [tag for tag in ranks if tag.abi == "cp311"]
    assert native
    assert min(ranks.values()) == 0


def test_tag_here() -> None:
    assert tag_here("3.11").startswith(("cp311-linux_", "cp311-musllinux_", "cp311-macosx_"))


def test_read_installed_wheels(tmp_path: Path) -> None:
    info = tmp_path / "lib/python3.11/site-packages/Foo_bar-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n")
    (info / "RECORD").write_text('foo.py,sha256=x,10\n"a,b.py",sha256=y,5\nx.pyc,,\n')
    broken = info.with_name("broken-1.dist-info")
    broken.mkdir()
    (broken / "WHEEL").write_bytes(b"Tag: one\nTag: a-b-c-d\n\xff")
    found = read_installed_wheels(tmp_path)
    assert found["foo-bar"] == InstalledWheel(
        tags("py2.py3-none-any"), {"foo.py": "sha256=x", "a,b.py": "sha256=y"}, 15
    )
    assert found["broken"] == InstalledWheel(frozenset(), {}, 0)


def test_find_overlaps() -> None:
    def installed(**files: str) -> InstalledWheel:
        return InstalledWheel(frozenset(), files, 0)

    found = find_overlaps(
        {
            "a": installed(x="1", y="1"),
            "b": installed(x="1", y="2"),
            "c": installed(z="1"),
            "d": installed(x="1"),
        }
    )
    assert found == {"a": "y", "b": "y"}
