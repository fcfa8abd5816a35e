"""Network failures: the error says so, the existing environment still works, and a retry succeeds."""

from __future__ import annotations

import random

import pytest

from support.index_server import Fault, Index
from support.packages import wheel
from support.user_machine import TINY, CommandResult, UserMachine

WHEEL = r"/tiny-[^/]*\.whl$"


def assert_network_error(result: CommandResult) -> None:
    """Assert that the error names the network, the next step and the log."""
    result.expect(3)
    assert "package index could not be reached" in result.text, result.text
    assert "run the same command again" in result.text
    assert ".log" in result.text


def test_up_succeeds_after_the_network_returns(machine: UserMachine, index: Index) -> None:
    machine.up().expect(0)
    lock = machine.lock.read_bytes()
    index.add(*wheel("tiny", "2.0"))
    machine.profile.write_text(TINY.replace("[tiny]\nverify", "[tiny==2.0]\nverify"))

    index.stop()  # before 2.0 is locked
    assert_network_error(machine.up())
    assert machine.lock.read_bytes() == lock
    index.start()

    index.faults[WHEEL] = Fault(status=500)  # 2.0 is locked but not installed
    assert_network_error(machine.up())
    assert "tiny==2.0" in machine.lock.read_text()
    index.stop()
    assert_network_error(machine.up("--frozen"))
    assert len(machine.environments()) == 1
    machine.assert_kernel_works("1.0")

    index.start()
    machine.up("--frozen").expect(0)
    machine.assert_kernel_works("2.0")


def test_network_failure_with_pip(machine: UserMachine, index: Index) -> None:
    index.stop()
    assert_network_error(machine.up(COLABENV_INSTALLER="pip"))
    assert not machine.lock.exists()
    index.start()
    index.faults[WHEEL] = Fault(drop_after=300)
    assert_network_error(machine.up(COLABENV_INSTALLER="pip"))
    assert machine.kernels() == []
    assert machine.environments() == []
    assert list(machine.temporary.iterdir()) == []


@pytest.mark.parametrize(
    "fault",
    [Fault(drop_after=300), Fault(drop_after=1_000_000), Fault(status=503)],
    ids=["cut at the start", "cut while unpacking", "503"],
)
def test_failed_wheel_download(machine: UserMachine, index: Index, fault: Fault) -> None:
    noise = random.Random(1).randbytes(2_000_000)  # noqa: S311 - incompressible bytes
    index.add(*wheel("tiny", "1.0", files={"tiny.py": "VERSION = '1.0'\n", "noise.bin": noise}))
    index.faults[WHEEL] = fault
    assert_network_error(machine.up())
    assert machine.kernels() == []
    assert machine.environments() == []
    assert list(machine.temporary.iterdir()) == []


def test_locked_wheel_is_no_longer_on_the_index(machine: UserMachine, index: Index) -> None:
    index.faults[WHEEL] = Fault(status=404)
    assert "no longer had a locked file" in machine.up().expect(3).text
    assert machine.environments() == []


def test_index_responds_with_500(machine: UserMachine, index: Index) -> None:
    index.faults["/"] = Fault(status=500)
    assert_network_error(machine.up())
    assert not machine.lock.exists()
    assert machine.kernels() == []


def test_short_network_failure_is_retried(machine: UserMachine, index: Index) -> None:
    # The installer retries.
    index.faults[r"/tiny-1\.0.*\.whl$"] = Fault(drop_after=300)
    up = machine.start_up(UV_HTTP_RETRIES="5")
    up.wait_until(
        lambda: any(request.endswith("/tiny-1.0-py3-none-any.whl") for request in index.requests),
        "a request for the wheel",
    )
    index.clear_faults()
    up.wait().expect(0)
