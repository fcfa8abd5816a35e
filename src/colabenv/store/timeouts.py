"""Calls that may never return: they run in a thread, and the caller continues after a timeout."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

_T = TypeVar("_T")


def call_with_timeout(seconds: float, call: Callable[[], _T]) -> _T:
    """The result of `call`, or what it raises; `TimeoutError` if it takes longer."""
    return call_with_stall_timeout(seconds, lambda _: call())


def call_with_stall_timeout(seconds: float, call: Callable[[Callable[[], None]], _T]) -> _T:
    """The result of `call`, or what it raises. It may take any time while it reports progress with its argument.

    Raises `TimeoutError` after so many seconds without progress. A thread that never returns ends with the process.
    """
    answer: Future[_T] = Future()
    last = time.monotonic()

    def report_progress() -> None:
        nonlocal last
        last = time.monotonic()

    run_in_background(answer, lambda: call(report_progress))
    while not answer.done():
        left = last + seconds - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no progress for {seconds:g} s")
        wait([answer], left)
    return answer.result()


def run_in_background(answer: Future[_T], work: Callable[[], _T]) -> None:
    """Run something in a thread that never keeps the program from ending."""

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the answer is read
            answer.set_exception(error)

    threading.Thread(target=run, name="store", daemon=True).start()
