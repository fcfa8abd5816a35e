"""Network failures: the error says so, the existing environment still works, and a retry succeeds."""

from __future__ import annotations

import random

import pytest

from support.bench import TINY, Bench, CommandResult
from support.index_server import Fault, Index
from support.packages import wheel

WHEEL = r"/tiny-[^/]*\.whl$"


def assert_network_error(result: CommandResult) -> None:
    """Assert that the error names the network, the next step and the log."""
    result.expect(3)
    assert "package index could not be reached" in result.text, result.text
    assert "run the same command again" in result.text
    assert ".log" in result.text


def test_up_succeeds_after_the_network_returns(bench: Bench, index: Index) -> None:
    bench.up().expect(0)
    lock = bench.lock.read_bytes()
    index.add(*wheel("tiny", "2.0"))
    bench.profile.write_text(TINY.replace("[tiny]\nverify", "[tiny==2.0]\nverify"))

    index.stop()  # before 2.0 is locked
    assert_network_error(bench.up())
    assert bench.lock.read_bytes() == lock
    index.start()

    index.faults[WHEEL] = Fault(status=500)  # 2.0 is locked but not installed
    assert_network_error(bench.up())
    assert "tiny==2.0" in bench.lock.read_text()
    index.stop()
    assert_network_error(bench.up("--frozen"))
    assert len(bench.environments()) == 1
    bench.works("1.0")

    index.start()
    bench.up("--frozen").expect(0)
    bench.works("2.0")


def test_network_failure_with_pip(bench: Bench, index: Index) -> None:
    index.stop()
    assert_network_error(bench.up(COLABENV_INSTALLER="pip"))
    assert not bench.lock.exists()
    index.start()
    index.faults[WHEEL] = Fault(drop_after=300)
    assert_network_error(bench.up(COLABENV_INSTALLER="pip"))
    assert bench.kernels() == []
    assert bench.environments() == []
    assert list(bench.temporary.iterdir()) == []


@pytest.mark.parametrize(
    "fault",
    [Fault(drop_after=300), Fault(drop_after=1_000_000), Fault(status=503)],
    ids=["cut at the start", "cut while unpacking", "503"],
)
def test_failed_wheel_download(bench: Bench, index: Index, fault: Fault) -> None:
    noise = random.Random(1).randbytes(2_000_000)  # noqa: S311 - incompressible bytes
    index.add(*wheel("tiny", "1.0", files={"tiny.py": "VERSION = '1.0'\n", "noise.bin": noise}))
    index.faults[WHEEL] = fault
    assert_network_error(bench.up())
    assert bench.kernels() == []
    assert bench.environments() == []
    assert list(bench.temporary.iterdir()) == []


def test_locked_wheel_is_no_longer_on_the_index(bench: Bench, index: Index) -> None:
    index.faults[WHEEL] = Fault(status=404)
    assert "no longer had a locked file" in bench.up().expect(3).text
    assert bench.environments() == []


def test_index_responds_with_500(bench: Bench, index: Index) -> None:
    index.faults["/"] = Fault(status=500)
    assert_network_error(bench.up())
    assert not bench.lock.exists()
    assert bench.kernels() == []


def test_short_network_failure_is_retried(bench: Bench, index: Index) -> None:
    # The installer retries.
    index.faults[r"/tiny-1\.0.*\.whl$"] = Fault(drop_after=300)
    up = bench.start_up(UV_HTTP_RETRIES="5")
    up.until(
        lambda: any(request.endswith("/tiny-1.0-py3-none-any.whl") for request in index.asked),
        "a request for the wheel",
    )
    index.clear_faults()
    up.done().expect(0)
