"""Confirmed publishing in a bounded window, on one session.

Long-lived tasks take messages from the chunks that were handed in and wait for each one's confirm. Slow
start: the window begins at `window_at_start` and doubles with every chunk confirmed in full. Two clocks guard
it, one on every publish and one on every chunk; both stand still while the broker blocks us, since a blocked
publish is delivered after the alarm and a reconnect would only repeat it. A clock that runs out ends the
session, and with it the channel: a message never travels twice on one channel, where the confirm of one could
be taken for the other's. A crash here repeats at most what was in flight, under the same message ids.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from aiormq import Channel, spec
from aiormq.exceptions import DeliveryError, PublishError

from scanner import message as wire
from scanner.broker.api import DEAD, RETRY_PREFIX, Delivery, Outcome, OutgoingMessage, check_catalog
from scanner.broker.chunk import Chunk
from scanner.broker.clock import ActiveClock
from scanner.broker.headers import carried
from scanner.broker.session import Session, translated
from scanner.broker.topology import Exchange, Queue, declare_queue
from scanner.errors import BrokerError, BrokerUnavailable

_QUEUE_PREFIX = "queue."
_DEFAULT_EXCHANGE = Exchange("", "direct")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PublisherSettings:
    """How many messages may be unconfirmed, and how long the broker may take.

    `window` (default 200) messages at most, `window_at_start` (8) after a connect. `publish_timeout_s` (15) for
    one confirm, `chunk_deadline_s` (25) from a chunk's first message to its last verdict; time in which
    the broker blocks us does not count.
    """

    window: int = 200
    window_at_start: int = 8
    publish_timeout_s: float = 15.0
    chunk_deadline_s: float = 25.0


def queue_route(name: str) -> str:
    """Return the route into one queue alone: whoever bound another to the exchanges sees nothing of it."""
    return f"{_QUEUE_PREFIX}{name}"


class Publisher:
    """A publishing session over RabbitMQ (`scanner.broker.api.PublishingSession`)."""

    def __init__(
        self, session: Session, channel: Channel, control: Channel, settings: PublisherSettings
    ) -> None:
        self._session = session
        self._channel = channel
        self._control = control
        self._control_lock = asyncio.Lock()
        self._settings = settings
        self._topology = session.settings.topology
        self._waiting: asyncio.Queue[tuple[OutgoingMessage, Chunk]] = asyncio.Queue()
        self._chunks: deque[Chunk] = deque()
        self._in_flight: dict[str, float] = {}
        self._workers: dict[int, asyncio.Task[None]] = {}
        self._clock = ActiveClock(session)
        self._declared: set[str] = set()
        self._window = 0
        self._resize(settings.window_at_start)
        self._watch = self._begin(self._clock.run(self._check_clocks), "publisher.watch")
        self._ending = self._begin(self._end_with_session(), "publisher.end")

    @property
    def window(self) -> int:
        """How many messages may be unconfirmed at the moment."""
        return self._window

    @property
    def blocked(self) -> bool:
        """Whether the broker has asked publishers to stop."""
        return not self._clock.unblocked.is_set()

    @property
    def blocked_s(self) -> float:
        """Seconds this session has been blocked in all."""
        return self._clock.blocked_s

    @property
    def error(self) -> BrokerError | None:
        """Why the session is lost; None while it stands."""
        return self._session.error

    async def wait_lost(self) -> BrokerError:
        """Return the reason once the session is lost."""
        return await self._session.wait_lost()

    async def publish(self, chunk: Sequence[OutgoingMessage], *, answers: Delivery | None = None) -> Outcome:
        """Send the messages; return when each has its verdict or the session is lost.

        `answers` means nothing to RabbitMQ: the task message is acknowledged by whoever had it.
        """
        if not chunk or self.error is not None:
            return Outcome(error=self.error)
        state = Chunk(len(chunk), asyncio.get_running_loop().create_future())
        self._chunks.append(state)
        for message in chunk:
            self._waiting.put_nowait((message, state))
        try:
            await state.done
        finally:
            state.end()
            self._chunks.remove(state)
        if len(state.confirmed) == len(chunk):
            self._resize(self._window * 2)
        return state.outcome(self.error)

    async def declare_results(self, catalog: str) -> None:
        """See that the queue of a catalog's results exists; asks the broker once a catalog and session.

        Raises:
            BrokerRefused: `catalog` is not a UUID (nothing is declared), or the broker refuses the queue.
            BrokerUnavailable: the session is lost.
        """
        check_catalog(catalog)
        try:
            async with self._control_lock:
                if catalog not in self._declared:
                    with translated(self._session.settings):
                        await self._clock.patiently(self._declare(self._topology.results_queue(catalog)))
                    self._declared.add(catalog)
        except BrokerUnavailable as error:
            self._session.fail(error)
            raise

    async def _declare(self, queue: Queue) -> None:
        """Declare on a channel of its own: a refusal closes the channel, and costs nothing else."""
        await self._clock.unblocked.wait()
        channel = await self._session.channel()
        await declare_queue(channel, queue, timeout_s=self._session.settings.operation_timeout_s)
        await channel.close()

    def narrow(self) -> None:
        """Close the window to where slow start begins."""
        self._window = min(self._window, self._settings.window_at_start)

    async def refresh(self) -> None:
        """Go on over a fresh channel; does nothing while a message is on its way.

        A channel that RabbitMQ 3.10 has told of a full quorum queue nacks by itself until the queue tells
        otherwise, and a limit that was raised or removed is not told.

        Raises:
            BrokerError: the session is lost.
        """
        if self._in_flight:
            return
        try:
            worn, self._channel = self._channel, await self._session.channel()
            with translated(self._session.settings):
                await self._clock.patiently(worn.close())
        except BrokerError as error:
            self._session.fail(error)
            raise

    async def depth(self) -> int:
        """Return how many messages are ready in the tasks queue.

        Raises:
            BrokerError: the session is lost; a queue that is gone ends it, so that the next one declares it.
        """
        try:
            async with self._control_lock:
                with translated(self._session.settings):
                    found = await self._clock.patiently(
                        self._control.queue_declare(self._topology.tasks_queue.name, passive=True)
                    )
        except BrokerError as error:
            self._session.fail(error)
            raise
        return found.message_count or 0

    async def close(self) -> None:
        """End the session in bounded time."""
        self._session.fail(BrokerUnavailable("the session was closed by us"))
        self._watch.cancel()
        await asyncio.wait({self._watch, self._ending})
        await self._session.close()

    def _resize(self, size: int) -> None:
        self._window = min(max(1, size), self._settings.window)
        for index in range(self._window):
            if index not in self._workers:
                self._workers[index] = self._begin(self._work(index), f"publisher.{index}")

    def _begin(self, part: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        task = asyncio.create_task(part, name=name)
        task.add_done_callback(self._on_end)
        return task

    def _on_end(self, task: "asyncio.Task[None]") -> None:
        """End the session with a part of it: without it messages would wait for ever."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("publisher.failed", part=task.get_name(), exc_info=error)
            self._session.fail(BrokerUnavailable(f"the publisher failed: {error!r}"))

    async def _work(self, index: int) -> None:
        """Send one message after the other while the window is wide enough for this worker."""
        while index < self._window:
            await self._clock.unblocked.wait()
            message, chunk = await self._waiting.get()
            if chunk.is_over:
                continue  # Its publisher was cancelled and has the message still: it will send it again.
            try:
                await self._send(message, chunk)
            except BrokerError as error:
                self._session.fail(error)
                return
            chunk.close_one()
        del self._workers[index]

    async def _send(self, message: OutgoingMessage, chunk: Chunk) -> None:
        if message.message_id in self._in_flight:
            return  # Two rows with one id: no verdict now, the second is fetched again after the first.
        if chunk.since_s is None:
            chunk.since_s = self._clock.active_s
        self._in_flight[message.message_id] = self._clock.active_s
        try:
            with translated(self._session.settings):
                await self._publish(message)
            chunk.confirmed.append(message.id)
        except _Returned:
            chunk.returned.append(message.id)
        except _Refused:
            chunk.refused.append(message.id)
        finally:
            del self._in_flight[message.message_id]

    async def _publish(self, message: OutgoingMessage) -> None:
        exchange, key = self._address(message)
        try:
            # wait=False: not one drain a message. What is unconfirmed is bounded by the window already, and a
            # writer that never waits for a full socket cannot keep heartbeats behind it.
            await self._channel.basic_publish(
                message.body,
                exchange=exchange.name,
                routing_key=key,
                properties=_properties(message),
                mandatory=True,
                wait=False,
            )
        except (PublishError, ValueError, TypeError) as error:
            # The latter two: what AMQP cannot say, such as a route of more than 255 bytes. Nothing was sent.
            raise _Returned from error
        except DeliveryError as error:
            raise _Refused from error

    def _address(self, message: OutgoingMessage) -> tuple[Exchange, str]:
        route = message.route
        if route == wire.TASKS:
            return self._topology.tasks, wire.TASKS
        if route == DEAD:
            return self._topology.dead, ""
        if route.startswith(RETRY_PREFIX):
            return self._topology.retry, route.removeprefix(RETRY_PREFIX)
        if route.startswith(_QUEUE_PREFIX):
            return _DEFAULT_EXCHANGE, route.removeprefix(_QUEUE_PREFIX)
        return self._topology.results, route

    def _check_clocks(self) -> None:
        limit_s = self._settings.publish_timeout_s
        oldest = next(iter(self._in_flight.values()), self._clock.active_s)
        if self._clock.active_s - oldest > limit_s:
            self._session.fail(BrokerUnavailable(f"no confirm from the broker within {limit_s:g} s"))
        deadline_s = self._settings.chunk_deadline_s
        for chunk in self._chunks:
            if chunk.since_s is not None and self._clock.active_s - chunk.since_s > deadline_s:
                self._session.fail(BrokerUnavailable(f"a chunk was not confirmed within {deadline_s:g} s"))

    async def _end_with_session(self) -> None:
        """When the session is lost: end the workers and give every chunk the verdicts it has."""
        await self._session.wait_lost()
        workers = list(self._workers.values())
        for worker in workers:
            worker.cancel()
        if workers:
            await asyncio.wait(workers, timeout=self._session.settings.close_timeout_s)
        for chunk in self._chunks:
            chunk.end()


class _Refused(Exception):
    """The broker nacked it: a queue is at its limit."""


class _Returned(Exception):
    """No queue takes it."""


def _properties(message: OutgoingMessage) -> spec.Basic.Properties:
    return spec.Basic.Properties(
        content_type=wire.CONTENT_TYPE,
        headers={**carried(message.headers), wire.ATTEMPT_HEADER: message.attempt},
        delivery_mode=2,
        message_id=message.message_id,
        message_type=message.type,
        timestamp=datetime.now(UTC),
        app_id=wire.APP_ID,
    )
