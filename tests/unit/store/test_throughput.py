"""Measuring the throughput of a store, and when a slow store is given up."""

from __future__ import annotations

import pytest

from colabenv.store.throughput import RestoreLimits, Throughput, explain_slowness

LIMITS = RestoreLimits()
GB = 10**9
MB = 10**6


class FakeClock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run_steadily(rate: float, seconds: float, readers: int = 8) -> tuple[Throughput, FakeClock]:
    """Throughput after `seconds` at a constant rate, which is that of all readers together."""
    clock = FakeClock()
    throughput = Throughput(readers, clock)
    for _ in range(readers):
        throughput.start_waiting()
    for _ in range(round(seconds * 4)):
        clock.now += 0.25
        throughput.add_bytes(round(rate / 4))
        throughput.rate()
    return throughput, clock


def explain(throughput: Throughput, elapsed: float, left: int, unpacked: int = 0, total: int = 0) -> str:
    """Why the store is too slow; empty if it is not."""
    return explain_slowness(
        throughput, LIMITS, elapsed=elapsed, left_bytes=left, left_unpacked=unpacked, all_unpacked=total
    )


@pytest.mark.parametrize("rate", [1 * MB, 50 * MB, 400 * MB])
def test_rate_measures_bytes_per_second(rate: float) -> None:
    throughput, _ = run_steadily(rate, 5)
    assert throughput.rate() == pytest.approx(rate, rel=0.01)
    assert throughput.bytes == pytest.approx(5 * rate, rel=0.01)


def test_rate_covers_only_the_last_seconds() -> None:
    throughput, clock = run_steadily(100 * MB, 5)
    for _ in range(16):
        clock.now += 0.25
        throughput.add_bytes(MB // 4)
        throughput.rate()
    assert throughput.rate() == pytest.approx(MB, rel=0.1)


def test_time_without_requests_does_not_count() -> None:
    # Both cores unpack, and the connections are idle for three quarters of the time.
    clock = FakeClock()
    throughput = Throughput(2, clock)
    for _ in range(8):
        throughput.start_waiting()
        throughput.start_waiting()
        clock.now += 0.1
        throughput.add_bytes(10 * MB)
        throughput.stop_waiting()
        throughput.stop_waiting()
        clock.now += 0.3
    assert throughput.rate() == pytest.approx(100 * MB, rel=0.01)
    clock.now += 60
    assert throughput.silence() == 0
    assert explain(throughput, 70, GB, 3 * GB, 3 * GB) == ""


def test_fast_store_is_not_given_up() -> None:
    throughput, _ = run_steadily(100 * MB, LIMITS.min_elapsed)
    assert explain(throughput, LIMITS.min_elapsed, 3 * GB, 6 * GB, 6 * GB) == ""


def test_slow_store_is_given_up() -> None:
    throughput, _ = run_steadily(5 * MB, LIMITS.min_elapsed)
    assert explain(throughput, LIMITS.min_elapsed, 400 * MB, GB, GB) == "it delivers only 5.0 MB/s"


def test_slow_store_may_finish_if_little_is_left() -> None:
    throughput, _ = run_steadily(5 * MB, LIMITS.min_elapsed)
    assert explain(throughput, LIMITS.min_elapsed, 4 * MB, 10 * MB, GB) == ""


def test_store_is_not_given_up_before_the_minimum_time() -> None:
    throughput, _ = run_steadily(1 * MB, LIMITS.min_elapsed - 1)
    assert explain(throughput, LIMITS.min_elapsed - 0.1, GB, GB, GB) == ""


def test_stalled_store_is_given_up() -> None:
    throughput, clock = run_steadily(200 * MB, 5)
    clock.now += LIMITS.silence - 0.1
    assert explain(throughput, 8, MB, GB, GB) == ""
    clock.now += 0.2
    assert "sent nothing for 3 s" in explain(throughput, 8, MB, GB, GB)


def test_store_that_never_sends_is_given_up_within_the_maximum_delay() -> None:
    clock = FakeClock()
    throughput = Throughput(8, clock)
    clock.now += LIMITS.answer
    throughput.start_waiting()
    clock.now += LIMITS.min_download - 0.1
    assert explain(throughput, LIMITS.min_elapsed, MB, MB, MB) == ""
    clock.now += 0.2
    assert "sent nothing for 2 s" in explain(throughput, LIMITS.answer + LIMITS.min_download, MB, MB, MB)
    assert LIMITS.answer + LIMITS.min_download < LIMITS.max_delay
