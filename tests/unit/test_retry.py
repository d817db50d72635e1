"""Backoff: jittered, capped, as long as patience lasts, and anew after things worked."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from scanner.errors import BrokerRefused, BrokerUnavailable
from scanner.retry import Outage, Patience, persist


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def failing(times: int) -> tuple[list[int], Callable[[], Awaitable[str]]]:
    calls: list[int] = []

    async def attempt() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise BrokerUnavailable("away")
        return "done"

    return calls, attempt


def test_pauses_double_up_to_the_cap_with_jitter() -> None:
    outage = Outage(Patience(first_s=1, cap_s=4, start_s=None), clock=Clock())
    pauses = [outage.next_pause_s() for _ in range(5)]
    for pause, full in zip(pauses, (1, 2, 4, 4, 4), strict=True):
        assert full / 2 <= pause <= full


def test_it_is_tried_until_it_works_and_each_pause_is_told() -> None:
    clock = Clock()
    calls, attempt = failing(3)
    told: list[float] = []
    outage = Outage(Patience(), clock=clock)
    result = asyncio.run(
        persist(attempt, outage, on_wait=lambda pause, _: told.append(pause), sleep=clock.sleep)
    )
    assert (result, len(calls), len(told)) == ("done", 4, 3)


def test_it_gives_up_when_patience_is_exhausted_the_last_attempt_at_the_limit() -> None:
    clock = Clock()
    _, attempt = failing(10**6)
    with pytest.raises(BrokerUnavailable, match="away"):
        asyncio.run(persist(attempt, Outage(Patience(start_s=30), clock=clock), sleep=clock.sleep))
    assert clock.now == pytest.approx(30)


def test_what_a_person_must_act_on_is_not_tried_again() -> None:
    calls: list[int] = []

    async def attempt() -> None:
        calls.append(1)
        raise BrokerRefused("wrong password")

    with pytest.raises(BrokerRefused):
        asyncio.run(persist(attempt, Outage(Patience())))
    assert len(calls) == 1


def test_patience_begins_anew_after_it_worked() -> None:
    clock = Clock()
    outage = Outage(Patience(start_s=30, outage_s=300), clock=clock)
    clock.now = 29
    outage.over()
    clock.now = 1000
    assert outage.lasted_s == 0
    outage.next_pause_s()
    clock.now = 1299
    assert not outage.exhausted()
    clock.now = 1300
    assert outage.exhausted()
