"""How many files may be in work: fewer while the machine or the mount labours, more again when it is over.

Additive increase, multiplicative decrease, once a second. Pressure stall information (Linux, PSI) tells of
memory; of I/O it counts our own waiting, too, which harms nobody in the idle class: so I/O pressure counts only
together with files that open slower than they used to. CPU pressure does not count: probes are nice.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

PROC = Path("/proc/pressure")
_MEMORY_PERCENT = 10.0
_IO_PERCENT = 40.0
_SLOW_FACTOR = 4.0
_SLOW_S = 0.05
_VERY_SLOW_S = 2.0
_WEIGHT = 0.05
_CALM_BEFORE_MORE = 3


@dataclass(frozen=True, slots=True)
class Pressure:
    """The share of the last 10 s, in percent, in which some task waited for memory, for I/O."""

    memory: float = 0.0
    io: float = 0.0

    @classmethod
    def read(cls, folder: Path = PROC) -> Self:
        """Return the pressure at the moment; none where the kernel does not tell."""
        return cls(_some_avg10(folder / "memory"), _some_avg10(folder / "io"))


class Pace:
    """The number of files that may be in work, between 1 and `highest`."""

    def __init__(self, highest: int) -> None:
        self._highest = highest
        self._calm = 0
        self._usual_s: float | None = None
        self._recent_s = 0.0
        self.limit = highest

    def opened(self, seconds: float) -> None:
        """Note how long a file took to open; 0 is one that was not opened."""
        if seconds <= 0:
            return
        if self._usual_s is None:
            self._usual_s = self._recent_s = seconds
        self._recent_s += _WEIGHT * (seconds - self._recent_s)
        # What is usual sinks at once and rises slowly: a share that is always slow is not under pressure.
        rise = min(1.0, _WEIGHT * 0.02) if self._recent_s > self._usual_s else 1.0
        self._usual_s += rise * (self._recent_s - self._usual_s)

    def judge(self, pressure: Pressure) -> int:
        """Return the limit for the next second."""
        if self._labours(pressure):
            self._calm = 0
            self.limit = max(1, self.limit * 2 // 3)
        else:
            self._calm += 1
            if self._calm >= _CALM_BEFORE_MORE:
                self.limit = min(self._highest, self.limit + 1)
        return self.limit

    def _labours(self, pressure: Pressure) -> bool:
        if pressure.memory > _MEMORY_PERCENT or self._recent_s > _VERY_SLOW_S:
            return True
        is_slower = self._recent_s > max(_SLOW_S, _SLOW_FACTOR * (self._usual_s or 0.0))
        return pressure.io > _IO_PERCENT and is_slower


def _some_avg10(file: Path) -> float:
    """Return the first line's avg10: `some avg10=1.23 avg60=... avg300=... total=...`."""
    try:
        words = file.read_text().split(maxsplit=2)
        return float(words[1].removeprefix("avg10="))
    except (OSError, ValueError, IndexError):
        return 0.0
