"""What a consuming session was delivered and is not done with: the half of it that both brokers share.

Invariant: a delivery is held from its arrival until it is settled, once. Whoever settles it twice, or in
another session than its own, settles nothing: tags begin anew with every session, and the tag alone would
acknowledge a stranger. A crash loses nothing: what is held is delivered again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import takewhile

from scanner.broker.api import Delivery
from scanner.errors import BrokerError


class Pulse:
    """Lets waiters look again each time something has changed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def beat(self) -> None:
        """Say that something has changed."""
        self._event.set()
        self._event = asyncio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        """Return when the condition holds; at once if it does."""
        while not condition():
            await self._event.wait()


class Inbox:
    """The deliveries of one session, at most `prefetch` unsettled."""

    def __init__(self, prefetch: int) -> None:
        if prefetch < 1:
            raise ValueError(f"prefetch {prefetch}: expected at least 1 (to AMQP, 0 means without bound)")
        self._prefetch = prefetch
        self._held: dict[int, Delivery] = {}  # by tag, in the order of arrival, which is that of the tags
        self._ready: deque[Delivery] = deque()
        self._stopped = False
        self._error: BrokerError | None = None
        self._pulse = Pulse()

    @property
    def error(self) -> BrokerError | None:
        """Why nothing can be received any more; None while it can."""
        return self._error

    @property
    def held(self) -> list[Delivery]:
        """Everything that is not settled, oldest first."""
        return list(self._held.values())

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be delivered before something is settled."""
        return len(self._held) >= self._prefetch

    @property
    def is_open(self) -> bool:
        """Whether something may still be delivered."""
        return not self._stopped and self._error is None

    def put(self, delivery: Delivery) -> None:
        """Take a delivery that has arrived."""
        self._held[delivery.tag] = delivery
        self._ready.append(delivery)
        self._pulse.beat()

    def stop(self) -> None:
        """Note that nothing more will arrive."""
        self._stopped = True
        self._pulse.beat()

    def fail(self, error: BrokerError) -> None:
        """Let everybody who receives know that the session is lost; the first reason stands."""
        self._error = self._error or error
        self._pulse.beat()

    async def wait_lost(self) -> BrokerError:
        """Return the reason once the session is lost."""
        await self._pulse.until(lambda: self._error)
        assert self._error is not None  # noqa: S101 - for the type checker: the condition says so
        return self._error

    async def receive(self, limit: int, gather_s: float) -> list[Delivery]:
        """Return up to `limit` deliveries: wait for the first, and `gather_s` more for others.

        Raises:
            BrokerError: the session is lost.
        """
        while True:
            await self._pulse.until(lambda: self._ready or not self.is_open)
            if gather_s > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(gather_s):
                        await self._pulse.until(lambda: self._is_enough(limit))
            if self._error is not None:
                raise self._error
            if self._ready or self._stopped:
                return [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]

    def _is_enough(self, limit: int) -> bool:
        return len(self._ready) >= limit or self.is_full or not self.is_open

    def settle(self, deliveries: Sequence[Delivery]) -> tuple[list[int], list[int]]:
        """Let go of those of the deliveries that are held here; return their tags in two parts.

        The first is the unbroken run from the oldest on, which one multiple acknowledgement covers.
        """
        mine = {delivery.tag for delivery in deliveries if self._held.get(delivery.tag) is delivery}
        run = list(takewhile(mine.__contains__, self._held))
        others = sorted(mine.difference(run))
        for tag in mine:
            del self._held[tag]
        return run, others
