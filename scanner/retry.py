"""Trying again: jittered, capped backoff around a whole attempt, for as long as patience lasts.

What is worth trying again is a property of the error (`ScannerError.retryable`), never of its text. An attempt
may run for days before it fails: `Outage.over` says that things work again, and the count starts anew.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from scanner.errors import ScannerError

T = TypeVar("T")
Waiting = Callable[[float, BaseException], None]
"""Told before each pause: how long it will be, and after which error."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How to wait, and for how long in all.

    The first pause is about `first_s` (default 0.2), each next one twice as long up to `cap_s` (default 10).
    `start_s` (default 30) limits the time to the first success, `outage_s` (default 300) each later outage;
    None waits for ever.
    """

    first_s: float = 0.2
    cap_s: float = 10.0
    start_s: float | None = 30.0
    outage_s: float | None = 300.0


class Outage:
    """One spell without success: how often it failed, how long it lasts, what is left of the patience."""

    def __init__(self, patience: Patience, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._limit_s = patience.start_s
        self._since: float | None = clock()
        self._failures = 0

    def over(self) -> None:
        """Note that things work: the next failure begins an outage of its own."""
        self._limit_s = self._patience.outage_s
        self._since = None
        self._failures = 0

    @property
    def lasted_s(self) -> float:
        """Seconds since the outage began; 0 when there is none."""
        return 0.0 if self._since is None else self._clock() - self._since

    def next_pause_s(self, _state: RetryCallState | None = None) -> float:
        """Count a failure; return the pause after it, cut so that the last attempt comes at the limit."""
        if self._since is None:
            self._since = self._clock()
        full_s: float = min(self._patience.cap_s, self._patience.first_s * 2 ** min(self._failures, 30))
        self._failures += 1
        pause_s: float = full_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
        if self._limit_s is None:
            return pause_s
        return max(0.0, min(pause_s, self._limit_s - self.lasted_s))

    def exhausted(self, _state: RetryCallState | None = None) -> bool:
        """Tell whether the outage has lasted as long as patience allows."""
        return self._limit_s is not None and self.lasted_s >= self._limit_s


def is_retryable(error: BaseException) -> bool:
    """Tell whether the error's class says that trying again may help."""
    return isinstance(error, ScannerError) and error.retryable


async def persist(
    attempt: Callable[[], Awaitable[T]],
    outage: Outage,
    *,
    on_wait: Waiting | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Call `attempt` until it returns, pausing after each retryable error.

    Raises:
        ScannerError: not retryable, or the last one when the outage exhausted the patience.
    """

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if on_wait is not None and error is not None:
            on_wait(state.upcoming_sleep, error)

    retrying = AsyncRetrying(
        retry=retry_if_exception(is_retryable),
        wait=outage.next_pause_s,
        stop=outage.exhausted,
        before_sleep=before_sleep,
        sleep=sleep,
        reraise=True,
    )

    async def call() -> T:  # tenacity awaits only what is a coroutine function itself
        return await attempt()

    return await retrying(call)
