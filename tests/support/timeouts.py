"""How long tests wait for a condition.

Timeouts only matter when something never ends, so they are long: the disk of a busy machine has blocked for 40 seconds
at a time. Tests of speed measure processor time, which other processes and the disk do not affect.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

#: Seconds. Below the timeout of a test in pyproject.toml, so that the message says what did not happen.
TIMEOUT = 180.0
#: Seconds that stand for "forever": if something that takes this long ends within `TIMEOUT`, it was ended early.
FOREVER = 600


def wait_until(condition: Callable[[], T], what: str, *, timeout: float = TIMEOUT, pause: float = 0.02) -> T:
    """Wait until a condition is true; returns its value.

    Args:
        condition: called repeatedly.
        what: describes the condition in the message of a failure.
        timeout: seconds to wait at most.
        pause: seconds between two calls.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"this did not happen within {timeout:.0f} s: {what}"
        time.sleep(pause)
    return value


@contextmanager
def limit_processor_time(limit: float) -> Iterator[None]:
    """Check that the block takes less processor time of this process than `limit`, in seconds."""
    started = time.process_time()
    yield
    seconds = time.process_time() - started
    assert seconds < limit, f"took {seconds:.1f} s of processor time instead of at most {limit:.0f}"
