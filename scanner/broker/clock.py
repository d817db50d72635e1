"""The clock of a publishing session: seconds in which the broker blocks us do not count.

A blocked publish is delivered after the alarm; a clock that ran meanwhile would end a session that is well,
and repeat what the broker has.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from scanner.broker.session import Session

T = TypeVar("T")

_TICK_S = 0.1
_LONGEST_TICK_S = 1.0
"""A longer gap means that we stood still ourselves (stopped, suspended): not the broker's fault."""


class ActiveClock:
    """Counts a session's seconds, blocked and not, as long as `run` does."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.active_s = 0.0
        self.blocked_s = 0.0
        self.unblocked = asyncio.Event()
        self.unblocked.set()

    async def run(self, check: Callable[[], None]) -> None:
        """Count until the session is lost; call `check` at every tick."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while self._session.error is None:
            blocked = await self._session.is_blocked()
            now = loop.time()
            self._advance(min(now - last, _LONGEST_TICK_S), blocked=blocked)
            last = now
            check()
            await asyncio.sleep(_TICK_S)

    def _advance(self, passed_s: float, *, blocked: bool) -> None:
        if blocked:
            self.unblocked.clear()
            self.blocked_s += passed_s
        else:
            self.unblocked.set()
            self.active_s += passed_s

    async def patiently(self, call: Awaitable[T]) -> T:
        """Await a call to the broker for `operation_timeout_s` in which we are not blocked.

        Raises:
            BrokerError: the session is lost.
            TimeoutError: no answer.
        """
        limit_s = self.active_s + self._session.settings.operation_timeout_s
        task = asyncio.ensure_future(call)
        task.add_done_callback(_retrieve)
        lost = asyncio.ensure_future(self._session.wait_lost())
        try:
            while not task.done() and not lost.done() and self.active_s < limit_s:
                await asyncio.wait({task, lost}, timeout=_TICK_S, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise lost.result() if lost.done() else TimeoutError
        finally:
            lost.cancel()
            task.cancel()


def _retrieve(task: "asyncio.Future[T]") -> None:
    """Take note of an error that comes when nobody waits any more: the session is lost, and said so already."""
    if not task.cancelled():
        task.exception()
