"""Waiting for what may never come: the call runs in a thread of its own, and the caller goes on without it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def call_with_timeout(seconds: float, call: Callable[[], _T]) -> _T:
    """What `call` returns or raises, or `TimeoutError` after so long."""
    return call_with_stall_timeout(seconds, lambda _: call())


def call_with_stall_timeout(seconds: float, call: Callable[[Callable[[], None]], _T]) -> _T:
    """What `call` returns or raises, however long it takes as long as it goes on.

    Args:
        seconds: how long it may go without calling what it is given.
        call: the work; it is given a function to call whenever it has got on.

    Raises:
        TimeoutError: nothing moved for so long. The thread ends with the process if it never returns.
    """
    done: list[_T] = []
    wrong: list[BaseException] = []
    last = [time.monotonic()]

    def beat() -> None:
        last[0] = time.monotonic()

    def run() -> None:
        try:
            done.append(call(beat))
        except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits
            wrong.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        left = last[0] + seconds - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"nothing moved for {seconds:g} s")
        thread.join(left)
    if wrong:
        raise wrong[0]
    return done[0]
