"""Calls with a time limit."""

from __future__ import annotations

import time

import pytest

from colabenv.store.timeouts import call_with_stall_timeout, call_with_timeout


def test_call_with_timeout_returns_raises_or_times_out() -> None:
    assert call_with_timeout(5, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        call_with_timeout(5, lambda: 1 // 0)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        call_with_timeout(0.05, lambda: time.sleep(0.5))
    assert time.monotonic() - started < 0.4


def test_a_call_that_makes_progress_does_not_time_out() -> None:
    def work(beat: object) -> str:
        assert callable(beat)
        for _ in range(6):
            time.sleep(0.02)
            beat()
        return "done"

    assert call_with_stall_timeout(0.09, work) == "done"
