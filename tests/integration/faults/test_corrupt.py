"""Damaged downloads: `up` refuses them and registers nothing."""

from __future__ import annotations

import pytest

from support.index_server import Fault, Index
from support.packages import wheel
from support.user_machine import CommandResult, UserMachine

WHEEL = r"/tiny-1\.0.*\.whl$"


@pytest.fixture
def locked(machine: UserMachine, index: Index) -> UserMachine:
    """A machine with a profile and its lock that has not downloaded the wheel."""
    index.faults[WHEEL] = Fault(status=500)
    machine.up().expect(3)
    assert "tiny==1.0" in machine.lock.read_text()
    index.clear_faults()
    return machine


def assert_refused(machine: UserMachine, result: CommandResult) -> None:
    """Assert that the error names the hash and that nothing was installed."""
    result.expect(3)
    assert "did not match the lock" in result.text, result.text
    assert machine.kernels() == []
    assert machine.environments() == []


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_flipped_bit_in_a_wheel(locked: UserMachine, index: Index, installer: str) -> None:
    index.faults[WHEEL] = Fault(flip=True)
    assert_refused(locked, locked.up(COLABENV_INSTALLER=installer))


def test_truncated_wheel(locked: UserMachine, index: Index) -> None:
    index.faults[WHEEL] = Fault(keep=300)
    assert_refused(locked, locked.up())


def test_other_wheel_with_the_same_name(locked: UserMachine, index: Index) -> None:
    # The index gives the right sha256 of its file; that of the lock counts.
    index.add(*wheel("tiny", "1.0", files={"tiny.py": "VERSION = 'not what was locked'\n"}))
    assert_refused(locked, locked.up())


def test_old_kernel_works_until_a_retry_succeeds(machine: UserMachine, index: Index) -> None:
    machine.up().expect(0)
    index.add(*wheel("tiny", "2.0"))
    machine.profile.write_text(
        machine.profile.read_text().replace("packages: [tiny]", "packages: [tiny==2.0]")
    )
    index.faults[r"/tiny-2\.0.*\.whl$"] = Fault(flip=True)
    assert "did not match the lock" in machine.up().expect(3).text
    machine.assert_kernel_works("1.0")
    index.clear_faults()
    machine.up("--frozen").expect(0)
    machine.assert_kernel_works("2.0")
