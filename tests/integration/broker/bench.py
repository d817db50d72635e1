"""What the broker tests share: an outbox to relay, a relay on a thread, and what arrived in the queue."""

import asyncio
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from aiormq.abc import AbstractChannel, DeliveredMessage

from scanner.broker.publisher import PublisherSettings
from scanner.broker.rabbit import RabbitBroker
from scanner.broker.session import BrokerSettings
from scanner.catalog import outbox
from scanner.catalog.engine import Database
from scanner.catalog.schema import open_database
from scanner.errors import ScannerError
from scanner.owner import Owner
from scanner.retry import Patience
from scanner.services.relay import Relay, RelaySettings, RelayState, RelayStatus
from tests.support import amqp as amqp_calls
from tests.support.waiting import wait_until

TASKS_A_MESSAGE = 100
SLOW = PublisherSettings(window=4, window_at_start=1, publish_timeout_s=2.0, chunk_deadline_s=30.0)
"""Some two thousand messages a second: slow enough to strike in the middle."""
FAST = PublisherSettings(window=200, publish_timeout_s=2.0, chunk_deadline_s=10.0)
PATIENT = Patience(first_s=0.1, cap_s=0.5, start_s=30.0, outage_s=60.0)
CATALOG = "0c5c2a0e-6c5b-4a51-9d7a-d8a1f0f3b0aa"


@dataclass
class Work:
    """A database whose outbox holds rows; `message_ids` are all that ever went in."""

    database: Database
    url: str
    message_ids: list[str] = field(default_factory=list)

    def add(self, count: int, size_bytes: int = 500) -> None:
        """Put `count` messages into the outbox."""
        rows = [(str(uuid.uuid4()), b"%-*d" % (size_bytes, index)) for index in range(count)]
        self.message_ids += [message_id for message_id, _ in rows]
        mark = "?" if self.database.dialect == "sqlite" else "%s"
        statement = (
            "INSERT INTO outbox (scan_id, message_id, routing_key, body, task_count, attempt, created_at) "
            f"VALUES (1, {mark}, 'tasks', {mark}, {TASKS_A_MESSAGE}, 0, 0)"
        )
        with self.database.write() as connection:
            connection.exec_driver_sql(statement, rows)

    @property
    def left(self) -> int:
        """How many messages are still in the outbox."""
        return outbox.depth(self.database)


@contextmanager
def work(folder: Path, count: int = 0, *, url: str | None = None) -> Iterator[Work]:
    """Give a database with `count` messages to relay."""
    address = url or f"sqlite:///{folder / 'catalog.db'}"
    with open_database(address) as database:
        made = Work(database, address)
        if count:
            made.add(count)
        yield made


class RelayThread:
    """A relay on an event loop of its own in a thread, so that a test can stand beside it and strike."""

    def __init__(
        self,
        database: Database,
        broker: BrokerSettings,
        publishing: PublisherSettings = FAST,
        settings: RelaySettings | None = None,
    ) -> None:
        self._parts = (database, broker, publishing, settings or RelaySettings(patience=PATIENT))
        self._relay: Relay | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.error: BaseException | None = None
        self.seen: list[tuple[RelayState, str]] = []
        self._thread = threading.Thread(target=self._main, name="relay")

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self._relay is not None or self.error, 10, what="the relay starts")
        return self

    def __exit__(self, *_: object) -> None:
        self.drain()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the relay did not end"

    @property
    def status(self) -> RelayStatus:
        """Its snapshot."""
        assert self._relay is not None
        return self._relay.status

    @property
    def states(self) -> set[RelayState]:
        """Every state it has shown."""
        return {state for state, _ in self.seen}

    def drain(self) -> None:
        """Ask it to end."""
        if self._loop is not None and self._relay is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._relay.drain)

    def wake(self) -> None:
        """Tell it that there is work."""
        assert self._loop is not None
        assert self._relay is not None
        self._loop.call_soon_threadsafe(self._relay.wake)

    def wait_end(self, timeout_s: float = 30) -> BaseException | None:
        """Wait until it ends by itself; return its error."""
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), f"still {self.status}"
        return self.error

    def wait_state(self, state: RelayState, timeout_s: float = 20) -> None:
        """Wait until it shows `state`."""
        wait_until(lambda: self.status.state is state, timeout_s, what=f"{state} (is {self.status})")

    def wait_between(self, total: int, low: float = 0.2, high: float = 0.8) -> int:
        """Wait until the share of confirmed messages is within the bounds; return their number."""
        reached = wait_until(
            lambda: self.status.messages if self.status.messages >= low * total else 0, 30, interval_s=0.002
        )
        assert reached <= high * total, f"too late to strike: {reached} of {total}"
        return reached

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except ScannerError as error:
            self.error = error

    async def _run(self) -> None:
        database, broker, publishing, settings = self._parts
        self._loop = asyncio.get_running_loop()
        self._relay = Relay(
            database, RabbitBroker(broker, publishing), Owner.current(), settings, self._note_state
        )
        await self._relay.run()

    def _note_state(self) -> None:
        if self._relay is not None:
            self.seen.append((self.status.state, self.status.detail))


def settings_of(url: str, prefix: str, **more: float) -> BrokerSettings:
    """Return broker settings with short timeouts."""
    values: dict[str, float] = {"connect_timeout_s": 3.0, "operation_timeout_s": 5.0} | more
    return BrokerSettings(url, prefix=prefix, catalog=CATALOG, **values)  # type: ignore[arg-type]


def arrived(url: str, queue: str) -> Counter[str]:
    """Take everything out of `queue`: how often each message id is in it."""

    async def take(channel: AbstractChannel) -> Counter[str]:
        declared = await channel.queue_declare(queue, passive=True)
        expected = declared.message_count or 0
        found: Counter[str] = Counter()
        full = asyncio.Event()

        async def on_message(message: DeliveredMessage) -> None:
            found[str(message.header.properties.message_id)] += 1
            if found.total() >= expected:
                full.set()

        if expected:
            await channel.basic_qos(prefetch_count=1000)
            consuming = await channel.basic_consume(queue, on_message, no_ack=True)
            await full.wait()
            await channel.basic_cancel(str(consuming.consumer_tag))
        return found

    return amqp_calls.call(url, take)


def one_message(url: str, queue: str) -> DeliveredMessage:
    """Take one message out of `queue`."""

    async def get(channel: AbstractChannel) -> DeliveredMessage:
        return await channel.basic_get(queue, no_ack=True)

    return amqp_calls.call(url, get)


def wait_empty(done: Work, relay: RelayThread, timeout_s: float = 40) -> None:
    """Wait until the outbox is empty, as long as the relay lives."""
    wait_until(
        lambda: done.left == 0 or relay.error,
        timeout_s,
        what=f"an empty outbox ({relay.status})",
        interval_s=0.05,
    )
    assert relay.error is None, relay.error


def assert_all_arrived(done: Work, url: str, queue: str, *, repeats: int = 0) -> None:
    """Assert that nothing is missing or foreign, the outbox is empty, and at most `repeats` came twice."""
    assert done.left == 0
    found = arrived(url, queue)
    assert found.keys() == set(done.message_ids), f"{len(done.message_ids) - len(found)} missing"
    assert found.total() - len(found) <= repeats
