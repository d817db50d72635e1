"""File times as 64-bit numbers. Pure, standard library only (the walker process imports this module)."""

LATEST_NS = (1 << 63) - 1
"""The last moment that a database's integer holds, in the year 2262; some file systems go on after it."""


def bounded_ns(raw_ns: int) -> int:
    """Return a time as a signed 64-bit number: one before 1677 or after 2262 is the nearest that fits."""
    return max(-LATEST_NS, min(raw_ns, LATEST_NS))
