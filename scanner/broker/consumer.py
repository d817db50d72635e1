"""Consuming one queue of RabbitMQ on a connection of its own.

Publishing has another: a channel error may become a connection error, and a broker that blocks publishers
reads nothing more from their connections, acknowledgements included. Invariant: whatever ends the consumption
(a lost connection, a channel closed by `consumer_timeout`, a deleted queue) ends the session with its reason;
a consumer never waits on a queue that nobody serves. A crash loses nothing: the broker delivers again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from aiormq import Channel, spec
from aiormq.abc import DeliveredMessage

from scanner.broker.api import PUT_LAST_HEADER, Delivery, OutgoingMessage, Source
from scanner.broker.inbox import Inbox
from scanner.broker.publisher import Publisher, queue_route
from scanner.broker.received import delivery_of
from scanner.broker.session import Session, translate, translated
from scanner.broker.topology import Queue
from scanner.errors import BrokerError, BrokerUnavailable

_FULL_PAUSE_S = 1.0


class _Verdict(Protocol):
    """A frame about a delivery, ready to be sent; `wait` returns only when the socket has taken it."""

    def __call__(self, *, wait: bool) -> Awaitable[None]: ...


class Consumer:
    """A consuming session over RabbitMQ (`scanner.broker.api.ConsumingSession`)."""

    def __init__(
        self,
        session: Session,
        channel: Channel,
        source: Source,
        queue: Queue,
        open_publishing: Callable[[], Awaitable[Publisher]],
        *,
        prefetch: int,
    ) -> None:
        self._session = session
        self._settings = session.settings
        self._channel = channel
        self._source = source
        self._queue = queue
        self._prefetch = prefetch
        self._inbox = Inbox(prefetch)
        self._consumer_tag = ""
        self._open_publishing = open_publishing
        self._publisher: Publisher | None = None
        session.when_lost(self._inbox.fail)
        channel.on_consumer_cancel_callbacks.add(self._on_cancel)
        channel.closing.add_done_callback(self._on_channel_end)

    @property
    def error(self) -> BrokerError | None:
        """Why the session is lost; None while it stands."""
        return self._session.error

    async def start(self) -> None:
        """Begin to consume.

        Raises:
            BrokerError: the broker does not let us.
        """
        with translated(self._settings):
            async with asyncio.timeout(self._settings.operation_timeout_s):
                await self._channel.basic_qos(prefetch_count=self._prefetch)
                begun = await self._channel.basic_consume(self._queue.name, self._on_message)
                self._consumer_tag = begun.consumer_tag or ""

    async def receive(self, limit: int, gather_s: float = 0.0) -> list[Delivery]:
        """Return up to `limit` deliveries: wait for the first, and `gather_s` more for others.

        Raises:
            BrokerError: the session is lost.
        """
        return await self._inbox.receive(limit, gather_s)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Say that they are done with; a lost session is no error."""
        run, others = self._inbox.settle(deliveries)
        verdicts = [_ack(self._channel, tag) for tag in others]
        if run:
            verdicts.insert(0, _ack(self._channel, run[-1], multiple=len(run) > 1))
        await self._send(verdicts)

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Put them back into their queue; a lost session is no error, and does the same."""
        run, others = self._inbox.settle(deliveries)
        await self._send([_reject(self._channel, tag) for tag in run + others])

    async def put_last(self, deliveries: Sequence[Delivery]) -> None:
        """Publish them to their queue again, marked, and acknowledge what is confirmed; wait while it is full.

        Raises:
            BrokerError: a session was lost; what was not acknowledged is delivered again.
        """
        if self._publisher is None:
            self._publisher = await self._open_publishing()
        waiting = {delivery.tag: delivery for delivery in deliveries}
        while waiting:
            if self.error is not None:
                raise self.error
            outcome = await self._publisher.publish([self._again(delivery) for delivery in waiting.values()])
            await self.acknowledge([waiting.pop(tag) for tag in outcome.confirmed])
            if outcome.error is not None:
                raise outcome.error
            if not outcome.confirmed:
                await asyncio.sleep(_FULL_PAUSE_S)
                await self._publisher.refresh()

    def _again(self, delivery: Delivery) -> OutgoingMessage:
        return OutgoingMessage(
            id=delivery.tag,
            message_id=delivery.message_id,
            type=delivery.type or "",
            route=queue_route(self._queue.name),
            body=delivery.body,
            attempt=delivery.attempt,
            headers={**delivery.headers, PUT_LAST_HEADER: "1"},
        )

    async def stop(self) -> None:
        """Take nothing more; what was delivered can still be acknowledged or given back."""
        if self._inbox.is_open:
            try:
                with translated(self._settings):
                    await self._channel.basic_cancel(
                        self._consumer_tag, timeout=self._settings.operation_timeout_s
                    )
            except BrokerError as error:
                self._session.fail(error)
        self._inbox.stop()

    async def wait_lost(self) -> BrokerError:
        """Return the reason once the session is lost."""
        return await self._session.wait_lost()

    async def close(self) -> None:
        """End the session in bounded time; what is not acknowledged is delivered again."""
        if self._publisher is not None:
            await self._publisher.close()
        await self._session.close()

    async def _send(self, verdicts: Sequence[_Verdict]) -> None:
        """Send what was decided; only the last frame waits for the socket, and the others went before it."""
        if not verdicts or self.error is not None:
            return
        try:
            with translated(self._settings):
                async with asyncio.timeout(self._settings.operation_timeout_s):
                    for verdict in verdicts[:-1]:
                        await verdict(wait=False)
                    await verdicts[-1](wait=True)
        except BrokerError as error:
            self._session.fail(error)

    async def _on_message(self, message: DeliveredMessage) -> None:
        self._inbox.put(delivery_of(message, self._source))

    def _on_cancel(self, _frame: spec.Basic.Cancel) -> None:
        self._session.fail(
            BrokerUnavailable(
                f"{self._settings.described} ended the consumption of {self._queue.name}: "
                "the queue was deleted or has moved"
            )
        )

    def _on_channel_end(self, closing: asyncio.Future[None]) -> None:
        error = None if closing.cancelled() else closing.exception()
        if isinstance(error, Exception):
            self._session.fail(translate(self._settings, error))
        else:
            self._session.fail(BrokerUnavailable(f"{self._settings.described} ended the session"))


def _ack(channel: Channel, tag: int, *, multiple: bool = False) -> _Verdict:
    return lambda *, wait: channel.basic_ack(tag, multiple=multiple, wait=wait)


def _reject(channel: Channel, tag: int) -> _Verdict:
    # Not nack: newer brokers do not count nacks towards the delivery limit.
    return lambda *, wait: channel.basic_reject(tag, requeue=True, wait=wait)
