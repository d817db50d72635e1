"""How many listings may run at once: one while the disk is quick, more while it makes us wait.

Measured: on a hot local disk a second listing thread only fights the first for the interpreter lock, while on
a slow mount the calls wait, not the interpreter. What a call took beyond its allowance is debt, what it left
is credit: a lone hiccup among quick calls changes nothing, and a mount where one directory in five is slow
still gets more threads. Pure, standard library only; not thread-safe by itself.
"""

_GROW_AT_S = 0.010
_SHRINK_AT_S = -0.100

DIRECTORY_ALLOWANCE_S = 0.002
ENTRY_ALLOWANCE_S = 30e-6
LOOK_ALLOWANCE_S = 0.0002


class Pace:
    """The number of calls that may be active, between 1 and `most`."""

    def __init__(self, most: int) -> None:
        self.limit = 1
        self._most = most
        self._debt_s = 0.0

    def record(self, seconds: float, allowance_s: float, *, is_more_waiting: bool) -> None:
        """Take note of a call that took `seconds`; only grows while more is waiting."""
        self._debt_s += seconds - allowance_s
        if self._debt_s > _GROW_AT_S:
            self._debt_s = 0.0
            self.limit = min(self._most, self.limit + is_more_waiting)
        elif self._debt_s < _SHRINK_AT_S:
            self._debt_s = 0.0
            self.limit = max(1, self.limit - 1)
