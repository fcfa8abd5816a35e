"""Finding the wheel of an installed package from the index, the tags of the machine and the WHEEL file."""

from __future__ import annotations

import hashlib
from pathlib import Path

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
    return Wheel(file, hashlib.sha256(file.encode()).hexdigest(), 10)


def select(
    *files: str,
    installed_tags: frozenset[Tag] = frozenset(),
    hashes: tuple[str, ...] = (),
    source: tuple[str, ...] = (),
) -> tuple[dict[str, str], dict[str, str]]:
    """Select the wheel of package `a` among `files`; returns file names and reasons, each by package."""
    locked = (
        hashes or tuple(sorted(f"sha256:{wheel(file).sha256}" for file in files)) or ("sha256:1", "sha256:2")
    )
    lock = Lock(Header("x", "0" * 64, "3.11", "cpu", "plain", ""), (Pin("a", "1", locked),))
    index = {"a": tuple(map(wheel, files))} if files else {}
    wheels, reasons = select_wheels(lock, index, {"a": InstalledWheel(installed_tags, {}, 0)}, RANKS, source)
    return {name: wheel.file for name, wheel in wheels.items()}, reasons


def test_best_wheel_with_the_tags_in_the_dist_info_is_selected() -> None:
    unknown: frozenset[Tag] = frozenset()
    universal, second_build = "a-1-py2.py3-none-any.whl", "a-1-2-py3-none-any.whl"
    for files, installed_tags, best in (
        ((ANY, OLD, NEW, FOREIGN), unknown, NEW),
        ((ANY, OLD, NEW), tags("cp311-cp311-manylinux_2_17_x86_64"), OLD),
        ((ANY, ABI), tags("cp311-abi3-manylinux_2_17_x86_64"), ABI),
        ((ANY,), tags("py3-none-any"), ANY),
        ((ANY, FOREIGN), unknown, ANY),
        ((universal,), tags("py2-none-any", "py3-none-any"), universal),
        (("a-1-1-py3-none-any.whl", second_build, ANY), unknown, second_build),
    ):
        assert select(*files, installed_tags=installed_tags) == ({"a": best}, {}), files


def test_wheels_that_the_lock_does_not_allow_are_ignored() -> None:
    assert select(NEW, OLD, hashes=(f"sha256:{wheel(OLD).sha256}", "sha256:0")) == ({"a": OLD}, {})


def test_index_without_a_matching_wheel() -> None:
    for files, installed_tags in (
        ((FOREIGN,), frozenset[Tag]()),
        ((ANY,), tags("cp311-cp311-linux_x86_64")),
        (("a.whl", "a-1.tar.gz"), frozenset[Tag]()),
    ):
        wheels, reasons = select(*files, installed_tags=installed_tags)
        assert wheels == {}, files
        assert reasons == {"a": "the index has no wheel like the installed one"}, files


def test_several_equally_good_wheels() -> None:
    same = ("A-1-py3-none-any.whl", "a-1-py3-none-any.whl")
    assert select(*same)[1] == {"a": "the index has several wheels like the installed one"}


def test_wheel_for_a_newer_glibc_than_the_lock_is_not_selected() -> None:
    both = "a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl"
    for platform, file, expected in (
        ("x86_64-manylinux_2_35", NEW, True),
        ("x86_64-manylinux_2_27", NEW, False),
        ("x86_64-manylinux2014", NEW, False),
        ("x86_64-manylinux2014", OLD, True),
        ("x86_64-manylinux2014", both, True),
        ("x86_64-manylinux2014", ANY, True),
        ("", NEW, True),
    ):
        header = Header("x", "0" * 64, "3.11", "cpu", "plain", platform)
        lock = Lock(header, (Pin("a", "1", (f"sha256:{wheel(file).sha256}",)),))
        wheels, reasons = select_wheels(lock, {"a": (wheel(file),)}, {}, RANKS, ())
        assert (bool(wheels), "a" in reasons) == (expected, not expected), (platform, file)


def test_pin_with_one_hash_needs_no_index() -> None:
    lock = Lock(Header("x", "0" * 64, "3.11", "cpu", "plain", ""), (Pin("a", "1", ("sha256:ab",)),))
    assert select_wheels(lock, {}, {}, RANKS, ()) == ({"a": Wheel("", "ab")}, {})
    assert select_wheels(lock, {}, {}, RANKS, ("a",)) == ({}, {"a": "it was built from source"})


def test_wheel_is_unknown_if_the_index_cannot_be_read() -> None:
    wheels, reasons = select()
    assert (wheels, list(reasons)) == ({}, ["a"])
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


def test_tag_here_has_python_and_platform() -> None:
    assert tag_here("3.11").startswith(("cp311-linux_", "cp311-musllinux_", "cp311-macosx_"))


def test_read_installed_wheels(tmp_path: Path) -> None:
    info = tmp_path / "lib/python3.11/site-packages/Foo_bar-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n")
    (info / "RECORD").write_text('foo.py,sha256=x,10\n"a,b.py",sha256=y,5\nx.pyc,,\n')
    broken = info.with_name("broken-1.dist-info")
    broken.mkdir()
    (broken / "WHEEL").write_bytes(b"Tag: one\nTag: a-b-c-d\n\xff")
    wheels = read_installed_wheels(tmp_path)
    assert wheels["foo-bar"] == InstalledWheel(
        tags("py2.py3-none-any"), {"foo.py": "sha256=x", "a,b.py": "sha256=y"}, 15
    )
    assert wheels["broken"] == InstalledWheel(frozenset(), {}, 0)


def test_find_overlaps() -> None:
    def installed(**files: str) -> InstalledWheel:
        return InstalledWheel(frozenset(), files, 0)

    overlaps = find_overlaps(
        {
            "a": installed(x="1", y="1"),
            "b": installed(x="1", y="2"),
            "c": installed(z="1"),
            "d": installed(x="1"),
        }
    )
    assert overlaps == {"a": "y", "b": "y"}
