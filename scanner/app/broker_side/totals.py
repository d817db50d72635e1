"""Counters over several children: what one counted before it died is added to what the next one counts."""

import dataclasses
from collections import Counter
from typing import Any, TypeVar

import msgspec

from scanner.app.broker_side.lines import Report

S = TypeVar("S")

_GAUGES = frozenset({"in_hand", "limit", "processes"})
"""Numbers that tell how it is now, not how often something happened."""


def carried(before: Report, now: Report) -> Report:
    """Return `now` with the counters of `before` added to its own."""
    return msgspec.structs.replace(
        now,
        status=_added(before.status, now.status),
        work=_added(before.work, now.work),
        collect=_added(before.collect, now.collect),
    )


def _added(before: S, now: S) -> S:
    if before is None or now is None:
        return now if before is None else before
    was, values = _fields(before), _fields(now)
    sums = {name: _sum(was[name], value) for name, value in values.items() if name not in _GAUGES}
    return type(now)(**{**values, **sums})


def _fields(status: object) -> dict[str, Any]:
    return {row.name: getattr(status, row.name) for row in dataclasses.fields(status)}  # type: ignore[arg-type]


def _sum(was: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return dict(Counter(was) + Counter(value))
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return was + value if is_number else value
