"""Calls with a time limit."""

from __future__ import annotations

import threading
import time

import pytest

from colabenv.store.timeouts import call_with_stall_timeout, call_with_timeout
from support.timeouts import TIMEOUT


def test_call_with_timeout_returns_raises_or_times_out() -> None:
    assert call_with_timeout(5, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        call_with_timeout(5, lambda: 1 // 0)
    release = threading.Event()
    with pytest.raises(TimeoutError):
        call_with_timeout(0.05, lambda: release.wait(TIMEOUT))
    release.set()


def test_call_that_makes_progress_does_not_time_out() -> None:
    def work(report_progress: object) -> str:
        assert callable(report_progress)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            report_progress()
            time.sleep(0.001)
        return "done"

    assert call_with_stall_timeout(1.0, work) == "done"
