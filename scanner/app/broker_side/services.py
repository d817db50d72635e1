"""The services of the broker side: which run, how they report, and the order in which they end.

Over RabbitMQ the relay runs, and a collector if somebody waits for results. Over the embedded broker all three
do: the relay hands rows of the outbox to it, the workers take them, the collector commits what they found.
"""

import asyncio
from collections.abc import Callable

from scanner.app.broker_side.lines import BrokerSideSettings, Report
from scanner.broker.api import Broker
from scanner.broker.embedded import EmbeddedBroker
from scanner.broker.rabbit import RabbitBroker
from scanner.catalog.engine import Database
from scanner.catalog.schema import catalog_uuid
from scanner.owner import Owner
from scanner.probe.pool import Pool
from scanner.services.collect import Collect
from scanner.services.relay import Relay
from scanner.services.work import Work
from scanner.waiting import stop


class Services:
    """Relay, work and collect over one broker, from `run` to the end that `drain` asks for."""

    def __init__(self, settings: BrokerSideSettings, database: Database, on_change: Callable[[], None]) -> None:
        catalog = catalog_uuid(database)
        broker: Broker = (
            EmbeddedBroker(catalog)
            if settings.broker is None
            else RabbitBroker(settings.broker, settings.publishing)
        )
        self._relay = Relay(database, broker, Owner.current(), settings.relay, on_change)
        self._work: Work | None = None
        self._collect: Collect | None = None
        if settings.work is not None:
            self._work = Work(broker, Pool(settings.probe), settings.work, on_change)
        if settings.collect is not None:
            self._collect = Collect(database, broker, catalog, settings.collect, on_change)
        self._draining = asyncio.Event()

    @property
    def report(self) -> Report:
        """What all of them do."""
        return Report(
            self._relay.status,
            work=None if self._work is None else self._work.status,
            collect=None if self._collect is None else self._collect.status,
        )

    def wake(self) -> None:
        """Say that there is something in the outbox."""
        self._relay.wake()

    def drain(self) -> None:
        """Ask for the end."""
        self._draining.set()

    async def run(self) -> None:
        """Run until drained.

        Raises:
            ScannerError: one of them gave up; the others have been ended.
        """
        running = [service for service in (self._work, self._relay, self._collect) if service is not None]
        tasks = [asyncio.create_task(service.run()) for service in running]
        draining = asyncio.create_task(self._draining.wait())
        try:
            await asyncio.wait({draining, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            if draining.done():
                # In this order: what the workers have in hand is answered, relayed on and committed.
                for service, task in zip(running, tasks, strict=True):
                    service.drain()
                    await asyncio.wait({task})
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            await stop(draining, *tasks)
