"""Calls that may never return: they run in a thread, and the caller continues after a timeout."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def call_with_timeout(seconds: float, call: Callable[[], _T]) -> _T:
    """The result of `call`, or what it raises.

    Raises:
        TimeoutError: it took longer.
    """
    return call_with_stall_timeout(seconds, lambda _: call())


def call_with_stall_timeout(seconds: float, call: Callable[[Callable[[], None]], _T]) -> _T:
    """The result of `call`, or what it raises, however long it takes as long as it makes progress.

    Args:
        seconds: how long it may take without reporting progress.
        call: the work; its argument is a function that reports progress.

    Raises:
        TimeoutError: no progress for so long. A thread that never returns ends with the process.
    """
    results: list[_T] = []
    errors: list[BaseException] = []
    last = [time.monotonic()]

    def report_progress() -> None:
        last[0] = time.monotonic()

    def run() -> None:
        try:
            results.append(call(report_progress))
        except BaseException as error:  # noqa: BLE001 - the caller raises it
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        left = last[0] + seconds - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no progress for {seconds:g} s")
        thread.join(left)
    if errors:
        raise errors[0]
    return results[0]
