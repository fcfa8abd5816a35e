"""How long tests wait for what must come about.

A limit says what a test fails of when something never ends, so it may be long: the disk of a busy machine has stood
still for 40 seconds at a time. How fast something is, a test measures in processor time, which no other process and no
disk adds to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

#: Seconds. Well below the limit of a whole test in pyproject.toml, so that the message says what did not happen.
PATIENCE = 180.0
#: Seconds that stand for "for ever": what runs so long and is gone within `PATIENCE` was ended by somebody.
FOREVER = 600


def until(condition: Callable[[], T], what: str, *, patience: float = PATIENCE, pause: float = 0.02) -> T:
    """Wait until a condition holds; returns what it returned.

    Args:
        condition: looked at again and again.
        what: what has not come about when it does not, for the message.
        patience: seconds.
        pause: seconds between two looks.
    """
    limit = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < limit, f"not within {patience:.0f} s: {what}"
        time.sleep(pause)
    return found


@contextmanager
def processor_seconds(limit: float) -> Iterator[None]:
    """Fail where the block takes more of this process's processor time, whatever else the machine does."""
    began = time.process_time()
    yield
    taken = time.process_time() - began
    assert taken < limit, f"took {taken:.1f} s of the processor instead of {limit:.0f} at most"
