"""A limit on what all processes read together: a bucket that fills with time and may be overdrawn by a file."""

import time
from collections.abc import Callable

_BURST_S = 1.0


class Bucket:
    """Bytes that may be read. One without a rate never runs dry."""

    def __init__(self, rate_bytes_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate_bytes_s, clock
        self._left = rate_bytes_s * _BURST_S
        self._then_s = clock()

    def take(self, read_bytes: int) -> None:
        """Note what was read: more than there was is owed."""
        self._left -= read_bytes

    @property
    def is_dry(self) -> bool:
        """Whether reading must rest."""
        now_s = self._clock()
        self._left = min(self._left + (now_s - self._then_s) * self._rate, self._rate * _BURST_S)
        self._then_s = now_s
        return self._rate > 0 and self._left <= 0
