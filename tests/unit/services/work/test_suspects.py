"""What may have killed a worker is worked on alone, what was delivered least often first."""

import asyncio

import pytest

from scanner.services.work.suspects import Suspects


async def take_turn(suspects: Suspects, deliveries: int, log: list[str]) -> None:
    async with suspects.turn(deliveries):
        log.append(f"begin {deliveries}")
        await asyncio.sleep(0)
        log.append(f"end {deliveries}")


async def work_on_another(suspects: Suspects, log: list[str]) -> None:
    await suspects.none.wait()
    log.append("other")


def test_one_at_a_time_those_delivered_least_often_first_and_others_after_them() -> None:
    async def main() -> list[str]:
        log: list[str] = []
        suspects = Suspects(gather_s=0)
        async with asyncio.TaskGroup() as group:
            for deliveries in (7, 1, 3):
                group.create_task(take_turn(suspects, deliveries, log))
            await asyncio.sleep(0)
            group.create_task(work_on_another(suspects, log))
        return log

    assert asyncio.run(main()) == ["begin 1", "end 1", "begin 3", "end 3", "begin 7", "end 7", "other"]


@pytest.mark.parametrize(("deliveries", "order"), [(2, "abc"), (3, "cba")])
def test_equals_take_turns_in_an_order_that_turns_round_with_every_delivery(
    deliveries: int, order: str
) -> None:
    async def take(suspects: Suspects, name: str, log: list[str]) -> None:
        async with suspects.turn(deliveries):
            log.append(name)

    async def main() -> str:
        log: list[str] = []
        suspects = Suspects(gather_s=0)
        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(take(suspects, name, log))
        return "".join(log)

    assert asyncio.run(main()) == order


def test_one_that_is_cancelled_while_it_waits_holds_nobody_up() -> None:
    async def main() -> list[str]:
        log: list[str] = []
        suspects = Suspects(gather_s=0.01)
        given_up = asyncio.create_task(take_turn(suspects, 1, log))
        await asyncio.sleep(0)
        last = asyncio.create_task(take_turn(suspects, 2, log))
        await asyncio.sleep(0)
        given_up.cancel()
        async with asyncio.timeout(10):
            await last
            await work_on_another(suspects, log)
        return log

    assert asyncio.run(main()) == ["begin 2", "end 2", "other"]


def test_one_that_fails_gives_the_turn_on() -> None:
    async def fail(suspects: Suspects) -> None:
        async with suspects.turn(1):
            raise LookupError

    async def main() -> None:
        suspects = Suspects(gather_s=0)
        with pytest.raises(LookupError):
            await fail(suspects)
        async with asyncio.timeout(10):
            await suspects.none.wait()

    asyncio.run(main())


def test_without_suspects_nobody_waits() -> None:
    async def main() -> list[str]:
        log: list[str] = []
        await work_on_another(Suspects(), log)
        return log

    assert asyncio.run(main()) == ["other"]
