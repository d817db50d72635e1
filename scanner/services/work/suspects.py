"""Whose turn it is among tasks whose worker was lost while it had them in hand.

One of them may have killed it. So each is worked on with nothing else begun, those that were delivered least
often first. Of equals the order turns round with every delivery: what stood behind the killer last time is done
before its turn this time, what stood before it was done already. So after two deaths the killer goes on to the
broker's delivery limit alone. A crash forgets the queue; the broker's counts remain.
"""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_GATHER_S = 1.0
"""How long the first waits for the others that came back with it: they arrive in one burst."""


class Suspects:
    """The queue; `none` is set while it is empty, which everybody else waits for."""

    def __init__(self, gather_s: float = _GATHER_S) -> None:
        self.none = asyncio.Event()
        self.none.set()
        self._gather_s = gather_s
        self._numbers = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Event]] = []

    @asynccontextmanager
    async def turn(self, deliveries: int) -> AsyncIterator[None]:
        """Wait for a turn and have it; `deliveries` is how often the task was delivered before."""
        number = next(self._numbers)
        ticket = (deliveries, -number if deliveries % 2 else number, asyncio.Event())
        heapq.heappush(self._waiting, ticket)
        if self.none.is_set():
            self.none.clear()
            asyncio.get_running_loop().call_later(self._gather_s, self._next)
        try:
            await ticket[2].wait()
            yield
        finally:
            if ticket in self._waiting:  # cancelled before its turn
                self._waiting.remove(ticket)
                heapq.heapify(self._waiting)
            else:
                self._next()

    def _next(self) -> None:
        if self._waiting:
            heapq.heappop(self._waiting)[2].set()
        else:
            self.none.set()
