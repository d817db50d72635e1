"""One session's work: fetch, publish and delete side by side, so that no chunk waits for another.

Invariant: a row is deleted only after its confirm, and while it is held (on its way, or confirmed and not
yet deleted) it is not fetched again. The shift ends with its session; what has no verdict by then is simply
still in the outbox. A crash repeats at most what was confirmed and not yet deleted.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from scanner import message as wire
from scanner.broker.api import OutgoingMessage, PublishingSession
from scanner.catalog import outbox
from scanner.catalog.engine import Database
from scanner.catalog.leases import Grant
from scanner.catalog.outbox import Held, OutboxRow
from scanner.errors import PublishRejected
from scanner.services.relay.status import Progress, RelaySettings, RelayState
from scanner.waiting import first, run_sql, stop, within

_OBSERVE_EVERY_S = 0.1
_FIRST_REFUSAL_PAUSE_S = 0.2
_REFUSALS_BEFORE_REFRESH = 3
_CHUNKS_A_WINDOW = 5
"""A chunk is at most this many windows long, so that slow start comes in steps."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Signals:
    """What others tell the relay."""

    wake: asyncio.Event = field(default_factory=asyncio.Event)
    draining: asyncio.Event = field(default_factory=asyncio.Event)


class Shift:
    """Relays over one session until it is lost, the relay drains, or the role is taken over."""

    def __init__(
        self,
        database: Database,
        session: PublishingSession,
        grant: Grant,
        settings: RelaySettings,
        progress: Progress,
    ) -> None:
        self._progress = progress
        self._database = database
        self._session = session
        self._grant = grant
        self._settings = settings
        self._chunks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(settings.pipeline)
        self._held: set[int] = set()
        self._confirmed: dict[int, int] = {}
        self._some_confirmed = asyncio.Event()
        self._some_deleted = asyncio.Event()
        self._finishing = asyncio.Event()
        self._broken = asyncio.Event()
        self._failed: BaseException | None = None
        self._returned = False
        self._mean_bytes = 1
        self._depth = 0
        self._published_since = 0
        self._gauged_at = -1e9
        self._queue_full = False
        self._refusals = 0
        self._paused_until = 0.0

    async def run(self, signals: Signals, works: Callable[[], None]) -> None:
        """Relay until drained; `works` is told when the session has proved itself.

        Raises:
            BrokerError: the session was lost, or a message was returned; open another.
            LeaseLost: another relay took over; nothing was deleted.
            DatabaseError: the database is away for longer than `database_wait_s`, or refuses.
        """
        feeding = asyncio.create_task(self._feed(signals), name="relay.feed")
        deleting = asyncio.create_task(self._delete(works), name="relay.delete")
        ends = (self._session.wait_lost(), signals.draining.wait(), self._broken.wait())
        others = [asyncio.ensure_future(end) for end in ends]
        others.append(asyncio.create_task(self._observe(), name="relay.observe"))
        try:
            await asyncio.wait({feeding, deleting, *others}, return_when=asyncio.FIRST_COMPLETED)
            lost = self._session.error
            if signals.draining.is_set():
                self._progress.show(RelayState.DRAINING)
            await stop(feeding)
            if not deleting.done():
                await self._finish_chunks()
            await self._session.close()
            self._finishing.set()
            await deleting
        finally:
            await self._session.close()
            await stop(feeding, deleting, *others)
        self._raise_what_ended_it(feeding, lost)

    def _raise_what_ended_it(self, feeding: "asyncio.Task[None]", lost: BaseException | None) -> None:
        if lost is not None:
            raise lost
        if not feeding.cancelled() and (error := feeding.exception()) is not None:
            raise error
        if self._failed is not None:
            raise self._failed
        if self._returned:
            raise PublishRejected(
                "the broker returned messages: no queue takes them; declaring the topology again"
            )

    async def _feed(self, signals: Signals) -> None:
        """Hand chunk after chunk to the session, as long as there is room for them."""
        while True:
            await self._slots.acquire()
            await self._wait_for_deletes()
            await self._wait_for_room()
            await self._wait_after_refusal()
            signals.wake.clear()
            rows = await self._fetch()
            if rows:
                self._start_chunk(rows)
                continue
            self._slots.release()
            await within(self._settings.poll_s, signals.wake)

    async def _wait_for_deletes(self) -> None:
        """Wait while too many confirmed rows are undeleted: a crash would repeat them all."""
        while len(self._confirmed) > 4 * self._settings.chunk:
            self._some_deleted.clear()
            await self._some_deleted.wait()

    async def _wait_for_room(self) -> None:
        """Wait while the tasks queue is at its limit; ask for its depth once in a while, and near the limit."""
        limit = self._settings.queue_limit
        if not limit:
            return
        now = asyncio.get_running_loop().time()
        stale = now - self._gauged_at >= self._settings.depth_every_s
        if not stale and self._depth + self._published_since < limit:
            return
        await self._gauge()
        while self._depth >= limit:
            self._queue_full = True
            limit = self._settings.queue_resume
            await asyncio.sleep(self._settings.depth_every_s)
            await self._gauge()
        self._queue_full = False

    async def _gauge(self) -> None:
        self._depth = await self._session.depth()
        self._published_since = 0
        self._gauged_at = asyncio.get_running_loop().time()

    async def _wait_after_refusal(self) -> None:
        left_s = self._paused_until - asyncio.get_running_loop().time()
        if left_s > 0:
            await asyncio.sleep(left_s)
        if self._refusals >= _REFUSALS_BEFORE_REFRESH and not self._chunks:
            await self._session.refresh()

    async def _fetch(self) -> list[OutboxRow]:
        settings = self._settings
        by_bytes = max(1, settings.chunk_bytes // self._mean_bytes)
        limit = min(settings.chunk, self._session.window * _CHUNKS_A_WINDOW, by_bytes)
        held = Held(min(self._held), max(self._held)) if self._held else None
        return await run_sql(settings.database_wait_s, outbox.fetch_ready, self._database, limit, held)

    def _start_chunk(self, rows: list[OutboxRow]) -> None:
        self._mean_bytes = max(1, sum(len(row.body) for row in rows) // len(rows))
        self._held.update(row.id for row in rows)
        self._published_since += len(rows)
        task = asyncio.create_task(self._publish(rows), name="relay.chunk")
        self._chunks.add(task)
        task.add_done_callback(self._on_chunk_end)

    def _on_chunk_end(self, chunk: "asyncio.Task[None]") -> None:
        """End the shift with a chunk that failed: its rows would be held, and its slot taken, for ever."""
        self._chunks.discard(chunk)
        if not chunk.cancelled() and (error := chunk.exception()) is not None:
            self._failed = self._failed or error
            self._broken.set()

    async def _publish(self, rows: list[OutboxRow]) -> None:
        """Publish a chunk, and hand what was confirmed to whoever deletes."""
        outcome = await self._session.publish([_outgoing(row) for row in rows])
        tasks = {row.id: row.task_count for row in rows}
        self._confirmed.update((row_id, tasks[row_id]) for row_id in outcome.confirmed)
        self._held.difference_update(tasks.keys() - set(outcome.confirmed))
        if outcome.confirmed:
            self._some_confirmed.set()
        if outcome.returned:
            self._progress.count(returned=len(outcome.returned))
            self._returned = True
            self._broken.set()
        if outcome.refused:
            self._refuse(len(outcome.refused))
        elif len(outcome.confirmed) == len(rows):
            self._refusals = 0
        self._slots.release()

    def _refuse(self, count: int) -> None:
        """Take a nack for what it is: the rows stay, the window closes, the next try comes later each time."""
        self._progress.count(refused=count)
        self._session.narrow()
        full_s = min(self._settings.refusal_cap_s, _FIRST_REFUSAL_PAUSE_S * 2 ** min(self._refusals, 10))
        self._refusals += 1
        pause_s = full_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
        self._paused_until = asyncio.get_running_loop().time() + pause_s

    async def _delete(self, works: Callable[[], None]) -> None:
        """Delete confirmed rows, as many as have gathered, until there is nothing more to come."""
        while not (self._finishing.is_set() and not self._confirmed):
            await first(self._some_confirmed, self._finishing)
            await within(self._settings.delete_every_s, self._finishing)
            self._some_confirmed.clear()
            batch = dict(self._confirmed)
            if not batch:
                continue
            await run_sql(
                self._settings.database_wait_s,
                outbox.delete_confirmed,
                self._database,
                self._grant,
                list(batch),
            )
            self._forget(batch)
            self._progress.count(messages=len(batch), tasks=sum(batch.values()))
            works()

    def _forget(self, deleted: dict[int, int]) -> None:
        for row_id in deleted:
            del self._confirmed[row_id]
        self._held.difference_update(deleted)
        self._some_deleted.set()

    async def _finish_chunks(self) -> None:
        """Wait a bounded time for the confirms of what is on its way, then end the session."""
        if self._chunks and self._session.error is None:
            await asyncio.wait(self._chunks, timeout=self._settings.drain_s)
        await self._session.close()
        if self._chunks:
            await asyncio.wait(self._chunks)  # Each ends with the verdicts it has.

    async def _observe(self) -> None:
        """Show what the shift does."""
        counted_s = 0.0
        while True:
            self._progress.show(*self._state(), connected=True)
            blocked_s = self._session.blocked_s
            self._progress.count(blocked_s=blocked_s - counted_s)
            counted_s = blocked_s
            await asyncio.sleep(_OBSERVE_EVERY_S)

    def _state(self) -> tuple[RelayState, str]:
        if self._session.blocked:
            return RelayState.BLOCKED, "the broker blocks publishers (memory or disk alarm)"
        if self._queue_full:
            limit = self._settings.queue_limit
            return RelayState.QUEUE_FULL, f"{self._depth} messages wait for workers (queue_limit {limit})"
        if self._refusals:
            return RelayState.QUEUE_FULL, "the broker refuses messages: a queue is at its length limit"
        return (RelayState.RELAYING if self._held else RelayState.IDLE), ""


def _outgoing(row: OutboxRow) -> OutgoingMessage:
    return OutgoingMessage(
        id=row.id,
        message_id=row.message_id,
        type=wire.TASKS_TYPE if row.routing_key == wire.TASKS else wire.RESULTS_TYPE,
        route=row.routing_key,
        body=row.body,
        attempt=row.attempt,
        task_count=row.task_count,
    )
