"""How fast a store gives, and when it is too slow to wait for."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

#: Seconds that the store may take to say what it has, counted from the start of `up`. It runs beside the look at the
#: machine, so a store that is gone costs less.
ANSWER_LIMIT = 2.5
#: Seconds that a store may cost over none.
ALLOWED = 5.0
#: Seconds without a byte, while somebody waits for one, after which the store counts as gone.
QUIET = 3.0
#: Seconds after the start before which nothing is judged: connections speed up as they go.
JUDGED = 4.0
#: Seconds without a single byte since the start; with `ANSWER_LIMIT` and `QUIET` it would be more than is allowed.
NOTHING = 4.5
#: What installing from the index takes at best: bytes of files a second, and seconds to begin with. uv installed
#: TensorFlow 2.15's 1.3 GB in 12 s from an index on loopback, on two cores like Colab's (November 2026).
_INDEX_RATE = 110e6
_INDEX_START = 0.5
#: Seconds over which the rate is taken.
_WINDOW = 3.0


class Pace:
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


def too_slow(pace: Pace, *, elapsed: float, left_bytes: int, left_unpacked: int, all_unpacked: int) -> str:
    """Why the rest should come from the index, as part of a sentence; "" where the store is to go on.

    The store goes on while it is quicker than the index at its best would be for the rest, and while it is done, as far
    as one can tell, within what it may cost.

    Args:
        pace: what was measured.
        elapsed: seconds since the start.
        left_bytes: still to be fetched.
        left_unpacked: bytes of the files of all layers that are not whole yet.
        all_unpacked: bytes of the files of all layers.
    """
    rate, quiet = pace.rate(), pace.quiet()
    if quiet and not pace.bytes and elapsed >= NOTHING:
        return f"nothing came for {elapsed:.0f} s"
    if elapsed < JUDGED:
        return ""
    if quiet >= QUIET:
        return f"nothing came for {quiet:.0f} s"
    if left_bytes <= rate * _index_seconds(left_unpacked):
        return ""
    if left_bytes <= rate * (_index_seconds(all_unpacked) + ALLOWED - elapsed):
        return ""
    return f"it gives only {rate / 1e6:.1f} MB/s"


def _index_seconds(unpacked: int) -> float:
    return _INDEX_START + unpacked / _INDEX_RATE
