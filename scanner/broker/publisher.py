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
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from aiormq import Channel, spec
from aiormq.exceptions import DeliveryError, PublishError

from scanner import message as wire
from scanner.broker.api import Outcome, OutgoingMessage
from scanner.broker.session import BrokerSettings, Session, open_session, translated
from scanner.broker.topology import Exchange
from scanner.errors import BrokerError, BrokerUnavailable

T = TypeVar("T")

_TICK_S = 0.1
_LONGEST_TICK_S = 1.0
"""A longer gap means that we stood still ourselves (stopped, suspended): not the broker's fault."""


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


@dataclass(slots=True)
class _Chunk:
    """A chunk on its way: verdicts so far, and when its first message was taken (active seconds)."""

    open: int
    done: asyncio.Future[None]
    since_s: float | None = None
    confirmed: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    returned: list[int] = field(default_factory=list)

    def close_one(self) -> None:
        self.open -= 1
        if self.open <= 0 and not self.done.done():
            self.done.set_result(None)

    def outcome(self, error: BrokerError | None) -> Outcome:
        unfinished = error if self.open > 0 else None
        return Outcome(tuple(self.confirmed), tuple(self.refused), tuple(self.returned), unfinished)


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
        self._waiting: asyncio.Queue[tuple[OutgoingMessage, _Chunk]] = asyncio.Queue()
        self._chunks: deque[_Chunk] = deque()
        self._in_flight: dict[str, float] = {}
        self._workers: dict[int, asyncio.Task[None]] = {}
        self._active_s = 0.0
        self._blocked_s = 0.0
        self._unblocked = asyncio.Event()
        self._unblocked.set()
        self._window = 0
        self._resize(settings.window_at_start)
        self._watch = asyncio.create_task(self._keep_watch(), name="publisher.watch")
        self._ending = asyncio.create_task(self._end_with_session(), name="publisher.end")

    @property
    def window(self) -> int:
        """How many messages may be unconfirmed at the moment."""
        return self._window

    @property
    def blocked(self) -> bool:
        """Whether the broker has asked publishers to stop."""
        return not self._unblocked.is_set()

    @property
    def blocked_s(self) -> float:
        """Seconds this session has been blocked in all."""
        return self._blocked_s

    @property
    def error(self) -> BrokerError | None:
        """Why the session is lost; None while it stands."""
        return self._session.error

    async def wait_lost(self) -> BrokerError:
        """Return the reason once the session is lost."""
        return await self._session.wait_lost()

    async def publish(self, chunk: Sequence[OutgoingMessage]) -> Outcome:
        """Send the messages; return when each has its verdict or the session is lost."""
        if not chunk or self.error is not None:
            return Outcome(error=self.error)
        state = _Chunk(len(chunk), asyncio.get_running_loop().create_future())
        self._chunks.append(state)
        for message in chunk:
            self._waiting.put_nowait((message, state))
        try:
            await state.done
        finally:
            self._chunks.remove(state)
        if len(state.confirmed) == len(chunk):
            self._resize(self._window * 2)
        return state.outcome(self.error)

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
                await self._patiently(worn.close())
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
                    found = await self._patiently(
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
                self._workers[index] = asyncio.create_task(self._work(index), name=f"publisher.{index}")

    async def _work(self, index: int) -> None:
        """Send one message after the other while the window is wide enough for this worker."""
        while index < self._window:
            await self._unblocked.wait()
            message, chunk = await self._waiting.get()
            try:
                await self._send(message, chunk)
            except BrokerError as error:
                self._session.fail(error)
                return
            chunk.close_one()
        del self._workers[index]

    async def _send(self, message: OutgoingMessage, chunk: _Chunk) -> None:
        if message.message_id in self._in_flight:
            return  # Two rows with one id: no verdict now, the second is fetched again after the first.
        if chunk.since_s is None:
            chunk.since_s = self._active_s
        self._in_flight[message.message_id] = self._active_s
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
        except PublishError as error:
            raise _Returned from error
        except DeliveryError as error:
            raise _Refused from error

    def _address(self, message: OutgoingMessage) -> tuple[Exchange, str]:
        if message.route == wire.TASKS:
            return self._topology.tasks, wire.TASKS
        return self._topology.results, message.route

    async def _keep_watch(self) -> None:
        """Run the clocks: see whether we are blocked, and end the session when one runs out."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while self.error is None:
            blocked = await self._session.is_blocked()
            now = loop.time()
            self._advance(min(now - last, _LONGEST_TICK_S), blocked=blocked)
            last = now
            self._check_clocks()
            await asyncio.sleep(_TICK_S)

    def _advance(self, passed_s: float, *, blocked: bool) -> None:
        if blocked:
            self._unblocked.clear()
            self._blocked_s += passed_s
        else:
            self._unblocked.set()
            self._active_s += passed_s

    def _check_clocks(self) -> None:
        limit_s = self._settings.publish_timeout_s
        oldest = next(iter(self._in_flight.values()), self._active_s)
        if self._active_s - oldest > limit_s:
            self._session.fail(BrokerUnavailable(f"no confirm from the broker within {limit_s:g} s"))
        deadline_s = self._settings.chunk_deadline_s
        for chunk in self._chunks:
            if chunk.since_s is not None and self._active_s - chunk.since_s > deadline_s:
                self._session.fail(BrokerUnavailable(f"a chunk was not confirmed within {deadline_s:g} s"))

    async def _patiently(self, call: Awaitable[T]) -> T:
        """Await a call to the broker for `operation_timeout_s` in which we are not blocked."""
        limit_s = self._active_s + self._session.settings.operation_timeout_s
        task = asyncio.ensure_future(call)
        lost = asyncio.ensure_future(self.wait_lost())
        try:
            while not task.done() and not lost.done() and self._active_s < limit_s:
                await asyncio.wait({task, lost}, timeout=_TICK_S, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise lost.result() if lost.done() else TimeoutError
        finally:
            lost.cancel()
            task.cancel()

    async def _end_with_session(self) -> None:
        """When the session is lost: end the workers and give every chunk the verdicts it has."""
        await self._session.wait_lost()
        workers = list(self._workers.values())
        for worker in workers:
            worker.cancel()
        if workers:
            await asyncio.wait(workers, timeout=self._session.settings.close_timeout_s)
        for chunk in self._chunks:
            if not chunk.done.done():
                chunk.done.set_result(None)


class _Refused(Exception):
    """The broker nacked it: a queue is at its limit."""


class _Returned(Exception):
    """No queue takes it."""


def _properties(message: OutgoingMessage) -> spec.Basic.Properties:
    return spec.Basic.Properties(
        content_type=wire.CONTENT_TYPE,
        headers={wire.ATTEMPT_HEADER: message.attempt},
        delivery_mode=2,
        message_id=message.message_id,
        message_type=message.type,
        timestamp=datetime.now(UTC),
        app_id=wire.APP_ID,
    )


class RabbitBroker:
    """RabbitMQ as a place where sessions come from (`scanner.broker.api.Broker`)."""

    def __init__(self, settings: BrokerSettings, publishing: PublisherSettings | None = None) -> None:
        self._settings = settings
        self._publishing = publishing or PublisherSettings()

    @property
    def described(self) -> str:
        """The broker in words, its password masked."""
        return self._settings.described

    async def open_publishing(self) -> Publisher:
        """Open a session: connected, the topology declared, ready to publish.

        Raises:
            BrokerUnavailable: no session now; it may come back.
            BrokerRefused: credentials, permissions, virtual host or topology; a person must act.
        """
        session = await open_session(self._settings, name="scanner relay")
        try:
            channel, control = await session.channel(), await session.channel()
            return Publisher(session, channel, control, self._publishing)
        except BaseException:
            with suppress(BrokerError):
                await session.close()
            raise
