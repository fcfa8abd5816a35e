"""How fast a store gives, and when it is too slow to wait for."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

#: What installing from a good index takes: bytes of files a second, and seconds to begin with. uv with an empty cache
#: installed TensorFlow 2.15's 1.8 GB in 9.8 s from an index that gave 100 MB/s, on two cores (scripts/bench, November
#: 2026); from one without a limit in 5.6 s, which no index on the net is.
_INDEX_RATE = 185e6
_INDEX_START = 0.5
#: Seconds over which the rate is taken.
_WINDOW = 3.0


@dataclass(frozen=True)
class RestoreLimits:
    """How long a store is waited for, in seconds. Together a store that is gone costs less than `allowed`.

    Attributes:
        allowed: what a store may cost over none.
        answer: until the store has said what it has, from the start of `up`. That runs beside the look at the machine.
        later: the same for what is asked later than at the start.
        judged: from the start, before which no rate is judged: connections speed up as they go.
        beginning: from the first request, likewise, however late that was.
        quiet: without a byte, while somebody waits for one, after which the store counts as gone.
        patient: for an answer, where there is nothing else to install from.
        look: between two looks at how fast it comes.
    """

    allowed: float = 5.0
    answer: float = 2.5
    later: float = 2.0
    judged: float = 4.0
    beginning: float = 2.0
    quiet: float = 3.0
    patient: float = 120.0
    look: float = 0.25


class Throughput:
    """Measures what comes while somebody waits for it, so that a busy processor does not look like a slow store.

    Args:
        readers: how many read at once when nothing else holds them up.
        clock: seconds.
    """

    def __init__(self, readers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._readers = readers
        self._clock = clock
        self._lock = threading.Lock()
        self._reading = 0
        self._changed = self._heard = clock()
        self._first: float | None = None
        self._busy = 0.0
        self._bytes = 0
        self._marks: deque[tuple[float, int, float]] = deque([(self._changed, 0, 0.0)])

    @property
    def bytes(self) -> int:
        """All that came so far."""
        return self._bytes

    def begin(self) -> None:
        """Somebody begins to wait."""
        with self._lock:
            self._advance()
            if not self._reading:
                self._heard = self._changed
            if self._first is None:
                self._first = self._changed
            self._reading += 1

    def end(self) -> None:
        """Somebody waits no longer."""
        with self._lock:
            self._advance()
            self._reading -= 1

    def came(self, count: int) -> None:
        """Bytes have come."""
        with self._lock:
            self._advance()
            self._heard = self._changed
            self._bytes += count

    def quiet(self) -> float:
        """Seconds since the last byte, as far as somebody waited for one."""
        with self._lock:
            self._advance()
            return self._changed - self._heard if self._reading else 0.0

    def lasted(self) -> float:
        """Seconds since somebody waited for the first time."""
        with self._lock:
            self._advance()
            return 0.0 if self._first is None else self._changed - self._first

    def rate(self) -> float:
        """Bytes a second that the store gives to all readers together, over the last seconds; to be asked often."""
        with self._lock:
            self._advance()
            self._marks.append((self._changed, self._bytes, self._busy))
            while len(self._marks) > 2 and self._marks[1][0] <= self._changed - _WINDOW:
                self._marks.popleft()
            _, count, busy = self._marks[0]
            waited = (self._busy - busy) / self._readers
            return (self._bytes - count) / waited if waited > 0 else float("inf")

    def _advance(self) -> None:
        now = self._clock()
        self._busy += self._reading * (now - self._changed)
        self._changed = now


def explain_slowness(
    pace: Throughput,
    limits: RestoreLimits,
    *,
    elapsed: float,
    left_bytes: int,
    left_unpacked: int,
    all_unpacked: int,
) -> str:
    """Why the rest should come from the index, as part of a sentence; "" where the store is to go on.

    The store goes on while it is quicker than a good index would be for the rest, and while it is done, as far
    as one can tell, within what it may cost.

    Args:
        pace: what was measured.
        limits: how long to wait.
        elapsed: seconds since the start.
        left_bytes: still to be fetched.
        left_unpacked: bytes of the files of all layers that are not whole yet.
        all_unpacked: bytes of the files of all layers.
    """
    rate, quiet = pace.rate(), pace.quiet()
    if elapsed < limits.judged or pace.lasted() < limits.beginning:
        return ""
    if quiet >= limits.quiet or (quiet and not pace.bytes):
        return f"nothing came for {quiet:.0f} s"
    if left_bytes <= rate * _index_seconds(left_unpacked):
        return ""
    if left_bytes <= rate * (_index_seconds(all_unpacked) + limits.allowed - elapsed):
        return ""
    return f"it gives only {rate / 1e6:.1f} MB/s"


def _index_seconds(unpacked: int) -> float:
    return _INDEX_START + unpacked / _INDEX_RATE
