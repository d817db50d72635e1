"""A service's sessions: which errors begin another, which end it, and what a drain cuts short."""

import asyncio
from collections.abc import Sequence

import pytest

from scanner.errors import BrokerRefused, BrokerUnavailable, DatabaseUnavailable, PublishRejected, ScannerError
from scanner.retry import Patience
from scanner.sessions import Sessions

QUICK = Patience(first_s=0.001, cap_s=0.001, start_s=None, outage_s=None)
LOST, REJECTED = BrokerUnavailable("lost"), PublishRejected("returned")


class Service:
    """A service whose sessions end with the given errors, and then in order."""

    def __init__(self, ends: Sequence[ScannerError], patience: Patience = QUICK) -> None:
        self.ends = list(ends)
        self.sessions = 0
        self.draining = asyncio.Event()
        self.pauses: list[BaseException] = []
        self.life = Sessions(patience, self.draining, self.waits, remedy="Start it")

    def waits(self, _: float, error: BaseException) -> None:
        self.pauses.append(error)

    async def work(self) -> None:
        self.sessions += 1
        if self.ends:
            raise self.ends.pop(0)

    def run(self) -> None:
        async def limited() -> None:
            async with asyncio.timeout(20):
                await self.life.run(self.work)

        asyncio.run(limited())


def test_a_lost_session_is_replaced_until_one_ends_in_order() -> None:
    service = Service([LOST, REJECTED, LOST])
    service.run()
    assert service.sessions == 4
    assert service.pauses == [LOST, REJECTED, LOST]


@pytest.mark.parametrize(
    "error", [DatabaseUnavailable("away"), BrokerRefused("no")], ids=["database", "refusal"]
)
def test_what_is_no_loss_of_a_session_ends_the_service_at_once(error: ScannerError) -> None:
    service = Service([error, LOST])
    with pytest.raises(type(error), match=str(error)):
        service.run()
    assert service.sessions == 1


def test_a_broker_that_stays_away_is_given_up_with_the_remedy() -> None:
    service = Service([LOST] * 1_000_000, Patience(first_s=0.001, cap_s=0.01, start_s=0.05))
    with pytest.raises(BrokerUnavailable, match=r"^lost; tried for 0 s\. Start it$"):
        service.run()


def test_a_drain_cuts_the_pause_short() -> None:
    service = Service([LOST], Patience(first_s=3600.0, cap_s=3600.0, start_s=None))
    service.draining.set()
    service.run()
    assert service.sessions == 2


def test_a_session_that_has_stood_for_a_while_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner.sessions._STANDS_AFTER_S", 0.0)
    service = Service([])
    told = asyncio.Event()
    monkeypatch.setattr(service.life, "works", told.set)

    async def scenario() -> None:
        async with asyncio.timeout(20), service.life.standing():
            await told.wait()

    asyncio.run(scenario())
