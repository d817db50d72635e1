"""Waiting for a condition: the only place in the tests that polls."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], timeout_s: float = 10.0, *, what: str = "", interval_s: float = 0.02
) -> T:
    """Call `condition` until it returns something true, and return that.

    Raises:
        AssertionError: it did not within `timeout_s`; the text names `what` and the last value.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            described = what or getattr(condition, "__name__", repr(condition))
            raise AssertionError(f"not within {timeout_s} s: {described} (last: {value!r})")
        time.sleep(interval_s)


async def wait_until_async(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait for a condition without holding up the loop that brings it about.

    Raises:
        TimeoutError: it did not come true within `timeout_s`.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - the condition lies outside of this loop
            await asyncio.sleep(0.005)
