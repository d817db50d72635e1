"""The work service's life: a pool for as long as it lives, session after session until told to drain.

The loop that runs this does AMQP and nothing else; files are touched in the pool's processes only. A crash
loses nothing: what was not acknowledged is delivered again, and the pool's processes end with their parent.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from scanner.broker.api import Broker, ConsumingSession, PublishingSession, Source
from scanner.errors import BrokerError
from scanner.probe.pool import Pool
from scanner.services.work.batch import Batches
from scanner.services.work.pressure import Pace, Pressure
from scanner.services.work.shift import Shift
from scanner.services.work.status import Tally, WorkSettings, WorkState, WorkStatus
from scanner.sessions import Sessions
from scanner.waiting import open_unless, watched

_REMEDY = "Start the broker or correct --broker: what was in hand is delivered again"
_JUDGE_EVERY_S = 1.0
_POOL_GRACE_S = 2.0

log = structlog.get_logger(__name__)


class Work:
    """Takes task messages from the broker, has their files probed, and answers them."""

    def __init__(
        self,
        broker: Broker,
        pool: Pool,
        settings: WorkSettings,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self._broker, self._pool, self._settings = broker, pool, settings
        self._tally = Tally(on_change)
        self._draining = asyncio.Event()
        self._pace = Pace(pool.settings.processes)
        self._batches = Batches(pool, self._pace, settings)

    @property
    def status(self) -> WorkStatus:
        """A snapshot of what it does."""
        found = self._pool.status
        return replace(
            self._tally.status,
            limit=self._pool.limit,
            processes=self._pool.settings.processes,
            replaced={str(cause): count for cause, count in found.replaced.items()},
        )

    def drain(self) -> None:
        """Ask for the end: nothing more is taken, what is in hand is finished or given back."""
        self._draining.set()

    async def run(self) -> None:
        """Work until drained.

        Raises:
            UsageError: a handler does not exist, or the concurrency does not fit.
            ProbeUnavailable: no probe process can be started on this machine.
            BrokerUnavailable: no working session for as long as the settings' patience allows.
            BrokerRefused: credentials, permissions, virtual host or topology.
        """
        await self._pool.start()
        judging = watched(asyncio.create_task(self._judge(), name="work.judge"))
        try:
            await self._work()
        finally:
            judging.cancel()
            await self._pool.stop(_POOL_GRACE_S)
            self._tally.show(WorkState.STOPPED, self._tally.status.detail, connected=False)

    async def _work(self) -> None:
        self._tally.show(WorkState.CONNECTING, f"connecting to {self._broker.described}")
        sessions = Sessions(self._settings.patience, self._draining, self._wait_shown, remedy=_REMEDY)
        await sessions.run(lambda: self._work_one_shift(sessions))

    async def _work_one_shift(self, sessions: Sessions) -> None:
        if self._draining.is_set():
            return
        publisher: PublishingSession | None = None
        consumer: ConsumingSession | None = None
        try:
            publisher = await open_unless(self._draining, self._broker.open_publishing())
            consumer = await open_unless(
                self._draining, self._broker.open_consuming(Source.TASKS, self._settings.prefetch)
            )
            if publisher is not None and consumer is not None:
                await self._run_shift(publisher, consumer, sessions)
        finally:
            for session in (consumer, publisher):
                if session is not None:
                    await session.close()

    async def _run_shift(
        self, publisher: PublishingSession, consumer: ConsumingSession, sessions: Sessions
    ) -> None:
        log.info("work.connected", broker=self._broker.described)
        self._tally.show(WorkState.IDLE, connected=True)
        shift = Shift(publisher, consumer, self._batches, self._settings, self._tally)
        try:
            async with sessions.standing():
                await shift.run(self._draining)
        except BrokerError:
            self._tally.count(reconnects=1)
            raise

    def _wait_shown(self, pause_s: float, error: BaseException) -> None:
        log.warning("work.session_lost", error=str(error), pause_s=round(pause_s, 1))
        detail = f"reconnecting in {pause_s:.0f} s: {error}"
        self._tally.show(WorkState.RECONNECTING, detail, connected=False)

    async def _judge(self) -> None:
        """Set the pool's limit once a second, and say when it changes."""
        while True:
            await asyncio.sleep(_JUDGE_EVERY_S)
            before = self._pool.limit
            self._pool.limit = self._pace.judge(await asyncio.to_thread(Pressure.read))
            if self._pool.limit < before:
                log.info("work.slowed_down", files_at_once=self._pool.limit)
