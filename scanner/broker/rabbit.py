"""RabbitMQ as a place where sessions come from, each on a connection of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from scanner.broker.api import Source
from scanner.broker.consumer import Consumer
from scanner.broker.publisher import Publisher, PublisherSettings
from scanner.broker.session import BrokerSettings, Session, open_session
from scanner.broker.topology import Queue
from scanner.errors import BrokerError


class RabbitBroker:
    """RabbitMQ (`scanner.broker.api.Broker`); `role` is what its list of connections calls who publishes."""

    def __init__(
        self, settings: BrokerSettings, publishing: PublisherSettings | None = None, *, role: str = "relay"
    ) -> None:
        self._settings = settings
        self._publishing = publishing or PublisherSettings()
        self._role = role

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
        async with _opened(self._settings, f"scanner {self._role}") as session:
            channel, control = await session.channel(), await session.channel()
            return Publisher(session, channel, control, self._publishing)

    async def open_consuming(self, source: Source, prefetch: int) -> Consumer:
        """Open a session that has at most `prefetch` messages unacknowledged.

        Raises:
            BrokerUnavailable: no session now; it may come back.
            BrokerRefused: credentials, permissions, virtual host or topology; a person must act.
            ValueError: the prefetch is not positive, or no catalog is set whose results these could be.
        """
        queue = self._queue(source)
        async with _opened(self._settings, f"scanner {source} consumer") as session:
            channel = await session.channel()
            consumer = Consumer(session, channel, source, queue, self.open_publishing, prefetch=prefetch)
            await consumer.start()
            return consumer

    def _queue(self, source: Source) -> Queue:
        topology = self._settings.topology
        if source is Source.TASKS:
            return topology.tasks_queue
        if source is Source.DEAD:
            return topology.dead_queue
        if topology.catalog is None:
            raise ValueError("results are those of a catalog, and the broker's settings name none")
        return topology.results_queue(topology.catalog)


@asynccontextmanager
async def _opened(settings: BrokerSettings, name: str) -> AsyncIterator[Session]:
    """Give an open session; close it if what is built on it fails."""
    session = await open_session(settings, name=name)
    try:
        yield session
    except BaseException:
        with suppress(BrokerError):
            await session.close()
        raise
