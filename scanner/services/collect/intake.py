"""One source's life: session after session, each delivery taken and then acknowledged, until told to drain.

Invariant: a delivery is acknowledged only after whoever takes it has returned. When the session is lost, or the
taking fails, what is not acknowledged is delivered again, to us or to another collector. What cannot be taken
now holds nothing up and is never given back, which would count as a delivery: it goes to the end of its queue.
"""

import asyncio
from collections.abc import Sequence

import structlog

from scanner.broker.api import PUT_LAST_HEADER, Broker, ConsumingSession, Delivery, Source
from scanner.errors import BrokerError
from scanner.portions import portions
from scanner.services.collect.committing import Taker
from scanner.services.collect.reading import Read
from scanner.services.collect.status import CollectSettings, CollectState, Tally
from scanner.sessions import Sessions
from scanner.waiting import first_of, open_unless, stop, within

_REMEDY = "Start the broker or correct --broker: results wait in their queue"
_LEAVES_AFTER_S = 2.0

log = structlog.get_logger(__name__)


class Intake:
    """Consumes one source until drained."""

    def __init__(
        self, broker: Broker, source: Source, taker: Taker, settings: CollectSettings, tally: Tally
    ) -> None:
        self._broker, self._source, self._taker = broker, source, taker
        self._settings, self._tally = settings, tally
        self._draining = asyncio.Event()
        self._newer = ""
        self._sessions = Sessions(settings.patience, self._draining, self._wait_shown, remedy=_REMEDY)

    def drain(self) -> None:
        """Ask for the end: what was delivered is taken, nothing more."""
        self._draining.set()

    async def run(self) -> None:
        """Consume until drained.

        Raises:
            BrokerUnavailable: no working session for as long as the settings' patience allows.
            BrokerRefused: credentials, permissions, virtual host or topology.
            DatabaseError: the database refuses, or is away for too long.
        """
        self._show(CollectState.CONNECTING, f"connecting to {self._broker.described}")
        await self._sessions.run(self._work)

    async def _work(self) -> None:
        """Work over one session."""
        session = await open_unless(
            self._draining, self._broker.open_consuming(self._source, self._settings.prefetch)
        )
        if session is None:
            return
        log.info("collect.connected", source=str(self._source), broker=self._broker.described)
        self._show(CollectState.COLLECTING, connected=True)
        ending = asyncio.create_task(self._stop_when_draining(session))
        try:
            async with self._sessions.standing():
                await self._consume(session)
        except BrokerError:
            self._tally.counts["reconnects"] += 1
            raise
        finally:
            await stop(ending)
            await self._taker.close()
            await session.close()

    async def _consume(self, session: ConsumingSession) -> None:
        settings = self._settings
        while deliveries := await session.receive(settings.batch, settings.gather_s):
            # What is decoded at a time stays small.
            for portion in portions(deliveries, _size_of, settings.portion_bytes):
                read = await self._taker.take(portion)
                await self._settle(session, portion, read)
            self._sessions.works()

    async def _settle(self, session: ConsumingSession, portion: Sequence[Delivery], read: Read) -> None:
        """Acknowledge what was taken; what has to wait goes behind the others, at a walk if all of it waits."""
        left = {delivery.tag for delivery in read.later}
        await session.acknowledge([delivery for delivery in portion if delivery.tag not in left])
        self._tally.counts["messages"] += len(portion) - len(left)
        if read.newer_text:
            self._refuse(f"{read.newer_text}: upgrade scanner")
        if not read.later:
            return
        await first_of(session.put_last(read.later), self._until_time_to_leave())
        if all(PUT_LAST_HEADER in delivery.headers for delivery in portion):
            await within(self._settings.later_pause_s, self._draining)

    def _refuse(self, newer: str) -> None:
        if self._newer != newer:
            self._newer = newer
            log.error("collect.newer_version", source=str(self._source), found=newer)
        self._show(CollectState.REFUSING, newer)

    async def _until_time_to_leave(self) -> None:
        await self._draining.wait()
        await asyncio.sleep(_LEAVES_AFTER_S)

    async def _stop_when_draining(self, session: ConsumingSession) -> None:
        await self._draining.wait()
        self._show(CollectState.DRAINING)
        await session.stop()

    def _show(self, state: CollectState, detail: str = "", *, connected: bool | None = None) -> None:
        """Show the state of the results; the dead letters' is only logged."""
        if self._source is Source.RESULTS:
            self._tally.show(state, detail, connected=connected)

    def _wait_shown(self, pause_s: float, error: BaseException) -> None:
        log.warning(
            "collect.session_lost", source=str(self._source), error=str(error), pause_s=round(pause_s, 1)
        )
        detail = f"reconnecting in {pause_s:.0f} s: {error}"
        self._show(CollectState.RECONNECTING, detail, connected=False)


def _size_of(delivery: Delivery) -> int:
    return len(delivery.body)
