"""The inbox: what is settled, and what of it one multiple acknowledgement covers."""

import asyncio

from scanner.broker.api import Delivery
from scanner.broker.inbox import Inbox


def filled(*tags: int) -> tuple[Inbox, dict[int, Delivery]]:
    inbox = Inbox(prefetch=100)
    deliveries = {tag: Delivery(tag, str(tag), None, b"") for tag in tags}
    for delivery in deliveries.values():
        inbox.put(delivery)
    return inbox, deliveries


def settled(given: list[int], of: list[int]) -> tuple[list[int], list[int]]:
    async def settle() -> tuple[list[int], list[int]]:
        inbox, deliveries = filled(*of)
        return inbox.settle([deliveries[tag] for tag in given])

    return asyncio.run(settle())


def test_the_run_from_the_oldest_on_goes_together_and_the_rest_one_by_one() -> None:
    assert settled([3, 1, 2], [1, 2, 3, 4]) == ([1, 2, 3], [])
    assert settled([1, 2, 4], [1, 2, 3, 4]) == ([1, 2], [4])
    assert settled([3, 4], [1, 2, 3, 4]) == ([], [3, 4])
    assert settled([], [1, 2]) == ([], [])


def test_a_run_goes_over_the_gaps_that_were_settled_before() -> None:
    async def scenario() -> None:
        inbox, deliveries = filled(1, 2, 3, 4, 5)
        assert inbox.settle([deliveries[2], deliveries[3]]) == ([], [2, 3])
        assert inbox.settle([deliveries[1], deliveries[4]]) == ([1, 4], [])
        assert inbox.settle([deliveries[1], deliveries[5]]) == ([5], [])

    asyncio.run(scenario())


def test_the_same_tag_of_another_session_is_not_settled() -> None:
    async def scenario() -> None:
        inbox, _ = filled(1, 2)
        _, strangers = filled(1, 2)
        assert inbox.settle(list(strangers.values())) == ([], [])
        assert len(inbox.held) == 2

    asyncio.run(scenario())


def test_two_who_receive_at_once_are_never_both_given_a_delivery_nor_told_of_an_end() -> None:
    async def scenario() -> None:
        inbox, _ = filled()
        receiving = [asyncio.create_task(inbox.receive(1, gather_s)) for gather_s in (0.0, 0.001)]
        await asyncio.sleep(0)
        inbox.put(Delivery(1, "a", None, b""))
        await asyncio.wait(receiving, return_when=asyncio.FIRST_COMPLETED)
        inbox.put(Delivery(2, "b", None, b""))
        got = [delivery.tag for deliveries in await asyncio.gather(*receiving) for delivery in deliveries]
        assert sorted(got) == [1, 2]

    asyncio.run(scenario())
