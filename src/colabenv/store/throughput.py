"""How fast a store delivers, and when it is too slow to wait for."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

#: The speed of an installation from a good index: bytes of files a second, and seconds before the first. uv with an
#: empty cache installed TensorFlow 2.15's 1.8 GB in 9.8 s from an index at 100 MB/s, on two cores (scripts/bench,
#: November 2026), and in 5.6 s from one without a limit, which does not exist on the internet.
_INDEX_RATE = 185e6
_INDEX_START = 0.5
_WINDOW = 3.0  # seconds over which the rate is measured


@dataclass(frozen=True)
class RestoreLimits:
    """How long `up` waits for a store, in seconds. A store that is unavailable costs less than `max_delay` in total."""

    max_delay: float = 5.0  # what a store may cost compared with none
    answer: float = 2.5  # until the store has reported what it has, from the start of `up`
    later_answer: float = 2.0  # the same for requests after the start
    min_elapsed: float = 4.0  # until the rate is first judged; connections become faster at first
    min_download: float = 2.0  # likewise from the first request for a layer, however late that is
    silence: float = 3.0  # without a byte while a request is waiting, until the store counts as unavailable
    last_resort: float = 120.0  # for an answer if there is nothing else to install from
    interval: float = 0.25  # between two checks of the rate


class Throughput:
    """Measures the rate while requests of up to `readers` wait for data; a busy processor is not a slow store."""

    def __init__(self, readers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._readers = readers
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting = 0
        self._now = self._last_byte = clock()
        self._first_request: float | None = None
        self._waited = 0.0
        self._bytes = 0
        self._samples: deque[tuple[float, int, float]] = deque([(self._now, 0, 0.0)])

    @property
    def bytes(self) -> int:
        """All bytes so far."""
        return self._bytes

    def start_waiting(self) -> None:
        """A reader sends a request."""
        with self._lock:
            self._advance()
            if not self._waiting:
                self._last_byte = self._now
            if self._first_request is None:
                self._first_request = self._now
            self._waiting += 1

    def stop_waiting(self) -> None:
        """A reader has its data."""
        with self._lock:
            self._advance()
            self._waiting -= 1

    def add_bytes(self, count: int) -> None:
        """Bytes have arrived."""
        with self._lock:
            self._advance()
            self._last_byte = self._now
            self._bytes += count

    def silence(self) -> float:
        """Seconds since the last byte, or since the first waiting request."""
        with self._lock:
            self._advance()
            return self._now - self._last_byte if self._waiting else 0.0

    def elapsed(self) -> float:
        """Seconds since the first request."""
        with self._lock:
            self._advance()
            return 0.0 if self._first_request is None else self._now - self._first_request

    def rate(self) -> float:
        """Bytes a second for all readers together over the last seconds. Call it often."""
        with self._lock:
            self._advance()
            self._samples.append((self._now, self._bytes, self._waited))
            while len(self._samples) > 2 and self._samples[1][0] <= self._now - _WINDOW:
                self._samples.popleft()
            _, count, waited = self._samples[0]
            seconds = (self._waited - waited) / self._readers
            return (self._bytes - count) / seconds if seconds > 0 else float("inf")

    def _advance(self) -> None:
        now = self._clock()
        self._waited += self._waiting * (now - self._now)
        self._now = now


def explain_slowness(
    throughput: Throughput,
    limits: RestoreLimits,
    *,
    elapsed: float,
    left_bytes: int,
    left_unpacked: int,
    all_unpacked: int,
) -> str:
    """Why the rest should come from the index, as a clause; "" if the store should continue.

    It continues while it is faster for the rest than a good index, and while it will probably finish within `max_delay`
    of the time that the index would have taken. `elapsed` is in seconds since the start. The others are bytes: those
    still to be downloaded, and those of the files of all incomplete layers and of all layers.
    """
    rate, silence = throughput.rate(), throughput.silence()
    if elapsed < limits.min_elapsed or throughput.elapsed() < limits.min_download:
        return ""
    if silence >= limits.silence or (silence and not throughput.bytes):
        return f"it sent nothing for {silence:.0f} s"
    if left_bytes <= rate * _index_seconds(left_unpacked):
        return ""
    if left_bytes <= rate * (_index_seconds(all_unpacked) + limits.max_delay - elapsed):
        return ""
    return f"it delivers only {rate / 1e6:.1f} MB/s"


def _index_seconds(unpacked: int) -> float:
    return _INDEX_START + unpacked / _INDEX_RATE
