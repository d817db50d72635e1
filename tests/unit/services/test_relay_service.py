"""The relay's life where no broker is needed to see it."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from scanner.broker.api import Broker, PublishingSession
from scanner.broker.embedded import EmbeddedBroker, EmbeddedPublisher
from scanner.catalog import outbox
from scanner.catalog.engine import Database
from scanner.catalog.schema import open_database
from scanner.errors import DatabaseUnavailable
from scanner.owner import Owner
from scanner.retry import Patience
from scanner.services.relay import Relay, RelaySettings


class _Session:
    """A session that only knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        self.closed = True


class _Broker:
    """A broker whose session is ready in the very tick in which whoever waits for it is cancelled."""

    described = "a broker"

    def __init__(self) -> None:
        self.session = _Session()
        self.waiting: asyncio.Task[PublishingSession | None] | None = None

    async def open_publishing(self) -> PublishingSession:
        assert self.waiting is not None
        self.waiting.cancel()
        return cast("PublishingSession", self.session)


def test_a_session_that_opens_in_the_tick_in_which_the_role_is_lost_is_closed(tmp_path: Path) -> None:
    async def lose_role_while_opening() -> None:
        broker.waiting = asyncio.ensure_future(relay._open())
        with pytest.raises(asyncio.CancelledError):
            await broker.waiting

    broker = _Broker()
    with Database(f"sqlite:///{tmp_path}/catalog.db") as database:
        relay = Relay(database, cast("Broker", broker), Owner.current())
        asyncio.run(lose_role_while_opening())
    assert broker.session.closed


def relay_one_row(folder: Path, broker: Broker) -> None:
    """Relay an outbox with one row until the relay ends by itself, which it must within a bounded time."""

    async def limited(relay: Relay) -> None:
        async with asyncio.timeout(30):
            await relay.run()

    endless = Patience(first_s=0.01, cap_s=0.01, start_s=None, outage_s=None)
    settings = RelaySettings(database_wait_s=0.1, patience=endless)
    with open_database(f"sqlite:///{folder}/catalog.db") as database:
        with database.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO outbox (scan_id, message_id, routing_key, body, task_count, created_at)"
                " VALUES (1, 'm', 'tasks', 'x', 1, 0)"
            )
        asyncio.run(limited(Relay(database, broker, Owner.current(), settings)))


def test_a_database_that_stays_away_is_no_lost_session_and_ends_the_relay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(outbox, "fetch_ready", away)
    with pytest.raises(DatabaseUnavailable, match="away"):
        relay_one_row(tmp_path, EmbeddedBroker())


def test_a_chunk_that_fails_ends_the_relay_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows would be held for ever, and so would the run that waits for them."""

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(EmbeddedPublisher, "publish", broken)
    with pytest.raises(ZeroDivisionError):
        relay_one_row(tmp_path, EmbeddedBroker())
