"""`--frozen` installs what the lock contains or nothing, and resolves nothing if the lock matches the profile."""

from __future__ import annotations

import pytest

from support.index_server import Fault, Index
from support.user_machine import TINY, UserMachine


@pytest.fixture
def locked(machine: UserMachine, index: Index) -> UserMachine:
    """A machine with a profile and its lock that has downloaded nothing."""
    index.faults[r"\.whl$"] = Fault(status=500)
    machine.up().expect(3)
    index.clear_faults()
    index.requests.clear()
    return machine


def run_refused(machine: UserMachine, index: Index) -> str:
    """Run `up --frozen`, assert that it made no request and installed nothing, and return its output."""
    output = machine.up("--frozen").expect(2).text
    assert index.requests == []
    assert machine.environments() == []
    assert machine.kernels() == []
    return output


def test_frozen_without_a_lock(machine: UserMachine, index: Index) -> None:
    assert f"there is no lock {machine.lock}" in run_refused(machine, index)


def test_frozen_with_the_lock_of_another_profile(locked: UserMachine, index: Index) -> None:
    locked.profile.write_text(TINY.replace("packages: [tiny]", "packages: [tiny<3]"))
    before = locked.lock.read_bytes()
    assert "was made for another version of this profile" in run_refused(locked, index)
    assert locked.lock.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# colabenv lock", "# some lock", "is not a colabenv lock"),
        ("--hash=sha256:", "--hush=sha256:", "not a pin with hashes"),
        ("tiny==1.0", "tiny>=1.0", "not a pin with hashes"),
        ("# variant: cpu\n", "", "lacks the header line"),
    ],
    ids=["header", "hash", "pin", "header line"],
)
def test_frozen_with_a_damaged_lock(
    locked: UserMachine, index: Index, old: str, new: str, message: str
) -> None:
    locked.lock.write_text(locked.lock.read_text().replace(old, new))
    assert message in run_refused(locked, index)


def test_frozen_with_a_truncated_lock(locked: UserMachine, index: Index) -> None:
    text = locked.lock.read_text()
    locked.lock.write_text(text[: text.index("tiny==1.0") + 15])
    assert "not a pin with hashes" in run_refused(locked, index)


def test_frozen_with_a_valid_lock_does_not_resolve(locked: UserMachine, index: Index) -> None:
    # Resolving would fail, as it requests the metadata of wheels.
    index.faults[r"\.metadata$"] = Fault(status=500)
    before = locked.lock.read_bytes()
    locked.up("--frozen").expect(0)
    assert not [request for request in index.requests if request.endswith(".metadata")]
    assert locked.lock.read_bytes() == before
    locked.assert_kernel_works()
