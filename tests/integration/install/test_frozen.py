"""`--frozen` installs what the lock says, or nothing; and with a lock that fits, nothing is resolved."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.bench import TINY, Bench
from support.index_server import Fault, Index


@pytest.fixture
def locked(bench: Bench, index: Index) -> Iterator[Bench]:
    """A machine with a profile and its lock, and nothing downloaded."""
    index.faults[r"\.whl$"] = Fault(status=500)
    bench.up().expect(3)
    index.clear_faults()
    index.asked.clear()
    yield bench


def refused(bench: Bench, index: Index) -> str:
    """What is said; assert that nothing was tried."""
    text = bench.up("--frozen").expect(2).text
    assert index.asked == []
    assert bench.environments() == []
    assert bench.kernels() == []
    return text


def test_frozen_without_a_lock(bench: Bench, index: Index) -> None:
    assert f"there is no lock {bench.lock}" in refused(bench, index)


def test_frozen_with_the_lock_of_another_profile(locked: Bench, index: Index) -> None:
    locked.profile.write_text(TINY.replace("packages: [tiny]", "packages: [tiny<3]"))
    before = locked.lock.read_bytes()
    assert "was made for another version of this profile" in refused(locked, index)
    assert locked.lock.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("# colabenv lock", "# some lock", "is not a colabenv lock"),
        ("--hash=sha256:", "--hush=sha256:", "not a pin with hashes"),
        ("tiny==1.0", "tiny>=1.0", "not a pin with hashes"),
        ("# variant: cpu\n", "", "lacks the header line"),
    ],
)
def test_frozen_with_a_damaged_lock(locked: Bench, index: Index, old: str, new: str, said: str) -> None:
    locked.lock.write_text(locked.lock.read_text().replace(old, new))
    assert said in refused(locked, index)


def test_frozen_with_a_truncated_lock(locked: Bench, index: Index) -> None:
    text = locked.lock.read_text()
    locked.lock.write_text(text[: text.index("tiny==1.0") + 15])
    assert "not a pin with hashes" in refused(locked, index)


def test_frozen_with_a_valid_lock_does_not_resolve(locked: Bench, index: Index) -> None:
    # The index has nothing to choose from: no metadata is told apart from the wheels.
    index.faults[r"\.metadata$"] = Fault(status=500)
    before = locked.lock.read_bytes()
    locked.up("--frozen").expect(0)
    assert not [line for line in index.asked if line.endswith(".metadata")]
    assert locked.lock.read_bytes() == before
    locked.works()
