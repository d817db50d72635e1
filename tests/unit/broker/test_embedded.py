"""Answers on the embedded broker: what is committed together, in which order, and what stays in the outbox."""

import asyncio
from collections.abc import Awaitable, Sequence

import pytest

from scanner import message as wire
from scanner.broker.api import (
    DEAD,
    REASON_HEADER,
    Delivery,
    Outcome,
    OutgoingMessage,
    PublishingSession,
    Source,
    retry_route,
)
from scanner.broker.embedded import EmbeddedBroker, EmbeddedConsumer
from scanner.broker.memory import QueueLimits
from tests.contract.bench import outgoing, take, wait_for_depth

ROW = 17
CATALOG = "0c5c2a0e-6c5b-4a51-9d7a-d8a1f0f3b0aa"
OK = wire.result_route(CATALOG, "ok")
FAILED = wire.result_route(CATALOG, "failed")


class Line:
    """A relay, a worker and a collector on one embedded broker, with one task in the worker's hand."""

    def __init__(self, limits: QueueLimits | None = None) -> None:
        self.broker = EmbeddedBroker(CATALOG, limits)

    async def open(self) -> "Line":
        self.relay = await self.broker.open_publishing()
        self.worker = await self.broker.open_publishing()
        self.tasks = await self.broker.open_consuming(Source.TASKS, 10)
        self.results = await self.broker.open_consuming(Source.RESULTS, 10)
        self.dead = await self.broker.open_consuming(Source.DEAD, 10)
        self.relaying = begin(self.relay, [outgoing(ROW)])
        (self.task,) = await take(self.tasks, 1)
        return self

    def answer(self, *messages: OutgoingMessage) -> "asyncio.Task[Outcome]":
        return begin(self.worker, messages, self.task)


def begin(
    publisher: PublishingSession, messages: Sequence[OutgoingMessage], answers: Delivery | None = None
) -> "asyncio.Task[Outcome]":
    return asyncio.create_task(publisher.publish(messages, answers=answers))


async def waits(consumer: EmbeddedConsumer) -> bool:
    """Tell whether nothing has been delivered although everybody had their turn."""
    for _ in range(10):
        await asyncio.sleep(0)
    receiving = asyncio.create_task(consumer.receive(1))
    await asyncio.sleep(0)
    receiving.cancel()
    await asyncio.wait({receiving})
    return receiving.cancelled()


def run(scenario: Awaitable[None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await scenario

    asyncio.run(limited())


def test_a_row_has_its_verdict_only_after_the_answer_was_committed_and_the_task_acknowledged() -> None:
    async def scenario() -> None:
        line = await Line().open()
        answering = line.answer(result := outgoing(1, route=OK))
        (delivery,) = await take(line.results, 1)
        assert (delivery.message_id, delivery.settles, delivery.delayed) == (result.message_id, (ROW,), ())
        assert not answering.done()
        await line.results.acknowledge([delivery])
        assert await answering == Outcome(confirmed=(1,))
        assert not line.relaying.done()
        await line.tasks.acknowledge([line.task])
        assert await line.relaying == Outcome(confirmed=(ROW,))

    run(scenario())


def test_what_settles_the_row_comes_after_the_rest_of_the_answer_was_committed() -> None:
    async def scenario() -> None:
        line = await Line().open()
        retry = outgoing(3, route=retry_route(60), attempt=2)
        answering = line.answer(
            outgoing(1, route=OK),
            retry,
            outgoing(2, route=FAILED),
            outgoing(4, route=DEAD, headers={REASON_HEADER: "why"}),
        )
        (first,) = await take(line.results, 1)
        (letter,) = await take(line.dead, 1)
        assert (first.settles, first.delayed, letter.settles, letter.delayed) == ((), (), (), ())
        await line.results.acknowledge([first])
        assert await waits(line.results)
        await line.dead.acknowledge([letter])
        (closing,) = await take(line.results, 1)
        assert (closing.body, closing.settles, closing.delayed) == (b"body 2", (ROW,), (retry,))
        assert not answering.done()
        await line.results.acknowledge([closing])
        assert sorted((await answering).confirmed) == [1, 2, 3, 4]

    run(scenario())


@pytest.mark.parametrize("route", [retry_route(10), wire.TASKS], ids=["retry", "part of a split batch"])
def test_an_answer_without_results_settles_its_row_by_a_delivery_without_body(route: str) -> None:
    async def scenario() -> None:
        line = await Line().open()
        parts = [outgoing(number, route=route, attempt=1) for number in range(3)]
        answering = line.answer(*parts)
        (closing,) = await take(line.results, 1)
        assert (closing.body, closing.type, closing.settles) == (b"", None, (ROW,))
        assert closing.delayed == tuple(parts)
        assert await line.relay.depth() == 0
        await line.results.acknowledge([closing])
        assert (await answering).confirmed == (0, 1, 2)

    run(scenario())


def test_a_dead_letter_alone_settles_its_row_after_it_was_committed() -> None:
    async def scenario() -> None:
        line = await Line().open()
        answering = line.answer(outgoing(1, route=DEAD))
        letters = await take(line.dead, 1)
        assert await waits(line.results)
        await line.dead.acknowledge(letters)
        (closing,) = await take(line.results, 1)
        assert (closing.body, closing.settles) == (b"", (ROW,))
        await line.results.acknowledge([closing])
        assert (await answering).confirmed == (1,)

    run(scenario())


def test_rows_are_left_behind_only_where_one_is_settled_for_them() -> None:
    """Nothing else would tell a repeated delivery from the first: each would leave them behind again."""

    async def scenario() -> None:
        line = await Line().open()
        retry, part = outgoing(5, route=retry_route(600)), outgoing(6)
        assert await begin(line.worker, [retry]) == Outcome(returned=(5,))
        await line.tasks.give_back([line.task])
        answering = line.answer(retry, part, outgoing(7, route=OK))
        (late,) = await take(line.results, 1)
        assert (late.delayed, late.settles) == ((), ())
        await line.results.acknowledge([late])
        assert await answering == Outcome(confirmed=(7,), returned=(5, 6))
        await line.relay.close()
        await line.relaying

    run(scenario())


def test_an_answer_to_a_task_that_was_given_back_settles_nothing() -> None:
    async def scenario() -> None:
        line = await Line().open()
        await line.tasks.give_back([line.task])
        (again,) = await take(line.tasks, 1)
        assert again.redelivered
        line.answer(outgoing(1, route=OK))
        (late,) = await take(line.results, 1)
        assert late.settles == ()
        begin(line.worker, [outgoing(2, route=OK)], again)
        (current,) = await take(line.results, 1)
        assert current.settles == (ROW,)
        await line.relay.close()
        await line.relaying

    run(scenario())


def test_an_answer_with_something_that_nobody_takes_does_not_settle_its_row() -> None:
    async def scenario() -> None:
        line = await Line().open()
        foreign = wire.result_route("00000000-0000-4000-8000-000000000001", "ok")
        answering = line.answer(
            outgoing(1, route=FAILED), outgoing(2, route=foreign), outgoing(3, route=OK), outgoing(4, route="?")
        )
        first = await take(line.results, 1)
        assert first[0].settles == ()
        await line.results.acknowledge(first)
        assert await answering == Outcome(confirmed=(1,), returned=(2, 4))
        assert await waits(line.results)

    run(scenario())


def test_an_answer_that_is_cut_off_leaves_its_row_in_the_outbox() -> None:
    async def scenario() -> None:
        line = await Line().open()
        answering = line.answer(outgoing(1, route=FAILED), outgoing(2, route=OK))
        await line.results.acknowledge(await take(line.results, 1))
        await line.worker.close()
        outcome = await answering
        assert (outcome.confirmed, outcome.error) == ((1,), line.worker.error)
        assert await waits(line.results)
        await line.tasks.close()
        await line.relay.close()
        relayed = await line.relaying
        assert (relayed.confirmed, relayed.error) == ((), line.relay.error)

    run(scenario())


def test_a_publish_that_is_cancelled_leaves_nothing_in_memory() -> None:
    async def scenario() -> None:
        broker = EmbeddedBroker(CATALOG, QueueLimits(messages=3))
        relay = await broker.open_publishing()
        publishing = begin(relay, [outgoing(number) for number in range(10)])
        await wait_for_depth(relay, 3)
        publishing.cancel()
        await asyncio.wait({publishing})
        assert await relay.depth() == 0
        begin(relay, [outgoing(number) for number in range(3)])
        await wait_for_depth(relay, 3)
        await relay.close()

    run(scenario())


def test_memory_is_bounded_by_bytes_and_one_message_always_fits() -> None:
    async def scenario() -> None:
        broker = EmbeddedBroker(CATALOG, QueueLimits(messages=100, size_bytes=100_000))
        relay, tasks = await broker.open_publishing(), await broker.open_consuming(Source.TASKS, 100)
        sizes = [30_000, 30_000, 30_000, 30_000, 900_000, 10]
        publishing = begin(relay, [outgoing(number, body=b"x" * size) for number, size in enumerate(sizes)])
        shares = []
        while not publishing.done():
            got = await tasks.receive(100)
            shares.append([len(delivery.body) for delivery in got])
            await tasks.acknowledge(got)
            await asyncio.sleep(0)
        assert shares == [[30_000] * 3, [30_000], [900_000], [10]]

    run(scenario())


def test_what_waits_and_is_in_hand_together_is_bounded() -> None:
    async def scenario() -> None:
        broker = EmbeddedBroker(CATALOG, QueueLimits(messages=4))
        relay, tasks = await broker.open_publishing(), await broker.open_consuming(Source.TASKS, 2)
        begin(relay, [outgoing(number) for number in range(10)])
        got = await take(tasks, 2)
        await wait_for_depth(relay, 2)
        assert relay.window == 4
        await tasks.acknowledge(got[:1])
        await take(tasks, 1)
        await wait_for_depth(relay, 2)
        await relay.close()

    run(scenario())
