"""The relay's life where no broker is needed to see it."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from scanner.broker.api import Broker, PublishingSession
from scanner.catalog.engine import Database
from scanner.owner import Owner
from scanner.services.relay import Relay


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
