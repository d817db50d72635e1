"""A service's life over sessions with the broker: one after the other, with pauses between, until it drains.

Invariant: only the loss of a session is tried again. Any other error has been borne where it arose for as long
as it was to be, and ends the service: another session would only count as a delivery of all that is in hand. A
crash here loses nothing: what was not acknowledged or confirmed is delivered or sent again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from scanner.errors import BrokerError, BrokerUnavailable, ScannerError
from scanner.retry import Outage, Patience, Waiting, persist
from scanner.waiting import stop, within

_STANDS_AFTER_S = 5.0


class Sessions:
    """The sessions of one service; the patience is for the time between two that worked.

    `remedy` says what to do when it is exhausted; `on_wait` is told of each pause.
    """

    def __init__(self, patience: Patience, draining: asyncio.Event, on_wait: Waiting, *, remedy: str) -> None:
        self._outage = Outage(patience)
        self._draining = draining
        self._on_wait = on_wait
        self._remedy = remedy

    def works(self) -> None:
        """Note that the session has proved itself: the next loss begins an outage of its own."""
        self._outage.over()

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        """Note that a session works when it has stood for a while, even if there was nothing to do."""
        noting = asyncio.create_task(self._note_that_it_stands())
        try:
            yield
        finally:
            await stop(noting)

    async def _note_that_it_stands(self) -> None:
        await asyncio.sleep(_STANDS_AFTER_S)
        self.works()

    async def run(self, work_over_one: Callable[[], Awaitable[None]]) -> None:
        """Work over one session after the other until one ends in order.

        Raises:
            BrokerUnavailable: no working session for as long as patience allows; the text says what to do.
            ScannerError: anything but the loss of a session.
        """

        async def attempt() -> ScannerError | None:
            try:
                await work_over_one()
            except BrokerError:
                raise
            except ScannerError as error:
                return error
            return None

        try:
            ended_by = await persist(attempt, self._outage, on_wait=self._on_wait, sleep=self._nap)
        except BrokerUnavailable as error:
            tried = f"{error}; tried for {self._outage.lasted_s:.0f} s"
            raise BrokerUnavailable(f"{tried}. {self._remedy}") from error
        if ended_by is not None:
            raise ended_by

    async def _nap(self, seconds: float) -> None:
        await within(seconds, self._draining)
