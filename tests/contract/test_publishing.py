"""What a publisher may rely on: routes, verdicts, what becomes of a message; and where the brokers differ.

RabbitMQ confirms when it has a message and keeps it; the embedded broker confirms when somebody acknowledged
it, and until then it is still its sender's. What follows from that is stated at the tests of one broker.
"""

import asyncio

import pytest

from scanner import message as wire
from scanner.broker.api import DEAD, REASON_HEADER, Outcome, Source, retry_route
from scanner.broker.topology import DELIVERY_LIMIT
from scanner.errors import BrokerRefused, BrokerUnavailable
from tests.contract.bench import Bench, Talk, batch, ids, outgoing, take, wait_for_depth
from tests.support import amqp as amqp_calls

FOREIGN = "00000000-0000-4000-8000-000000000001"


def test_what_a_message_says_of_itself_arrives(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer()
        sent = outgoing(1, attempt=2, headers={REASON_HEADER: "Grüße: ☂", "x-other": "b"})
        talk.publish(publisher, [sent])
        (got,) = await take(consumer, 1)
        assert (got.message_id, got.type, got.body) == (sent.message_id, sent.type, sent.body)
        assert (got.attempt, dict(got.headers)) == (2, dict(sent.headers))

    bench.run(scenario)


@pytest.mark.parametrize("size_bytes", [0, 1_000_000])
def test_a_body_of_any_size_arrives_whole(bench: Bench, size_bytes: int) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer()
        body = bytes(range(250)) * (size_bytes // 250)
        publishing = talk.publish(publisher, [outgoing(1, body=body)])
        got = await take(consumer, 1)
        assert got[0].body == body
        await consumer.acknowledge(got)
        assert (await publishing).confirmed == (1,)

    bench.run(scenario)


def test_results_go_to_the_collector_of_their_catalog(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer(Source.RESULTS)
        sent = [
            outgoing(number, route=wire.result_route(bench.catalog, status))
            for number, status in enumerate(wire.STATUSES)
        ]
        publishing = talk.publish(publisher, sent)
        got = await take(consumer, len(sent))
        assert ids(got) == ids(sent)
        await consumer.acknowledge(got)
        assert len((await publishing).confirmed) == len(sent)

    bench.run(scenario)


@pytest.mark.parametrize("route", [wire.result_route(FOREIGN, "ok"), "retry.7s"])
def test_what_nobody_takes_is_returned_and_not_confirmed(bench: Bench, route: str) -> None:
    async def scenario(talk: Talk) -> None:
        publisher = await talk.publisher()
        outcome = await talk.publish(publisher, [outgoing(5, route=route)])
        assert outcome == Outcome(returned=(5,))

    bench.run(scenario)


def test_a_route_that_cannot_be_sent_is_returned_and_holds_nothing_up(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer()
        outcome = await talk.publish(publisher, [outgoing(5, route="x" * 300)])
        assert outcome.returned == (5,)
        talk.publish(publisher, batch(1))
        await take(consumer, 1)

    bench.run(scenario)


def test_a_catalog_that_is_no_uuid_is_refused_and_the_session_stands(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher = await talk.publisher()
        for catalog in ("", "#", "scanner", "../etc", FOREIGN.replace("-", ""), f"{{{FOREIGN}}}", "x" * 1_000):
            with pytest.raises(BrokerRefused, match="expected a UUID"):
                await publisher.declare_results(catalog)
        assert publisher.error is None
        for _ in range(2):
            await publisher.declare_results(bench.catalog)

    bench.run(scenario)


def test_dead_letters_arrive_with_their_reason(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer(Source.DEAD)
        sent = outgoing(1, route=DEAD, body=b"\x00garbage", headers={REASON_HEADER: "not JSON: \udcff"})
        publishing = talk.publish(publisher, [sent])
        got = await take(consumer, 1)
        assert got[0].body == sent.body
        assert got[0].headers[REASON_HEADER].startswith("not JSON: ")
        got[0].headers[REASON_HEADER].encode()  # a path that is not UTF-8 can be quoted
        await consumer.acknowledge(got)
        assert (await publishing).confirmed == (1,)

    bench.run(scenario)


def test_an_empty_chunk_is_done_at_once(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        assert await (await talk.publisher()).publish([]) == Outcome()

    bench.run(scenario)


def test_a_session_that_stands_is_neither_lost_nor_blocked(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher = await talk.publisher()
        assert publisher.error is None
        assert not publisher.blocked
        assert publisher.blocked_s == 0
        assert publisher.window > 0
        publisher.narrow()
        await publisher.refresh()
        assert publisher.window > 0
        assert bench.broker.described

    bench.run(scenario)


def test_closing_ends_what_is_being_published_with_the_verdicts_there_are(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer()
        publishing = talk.publish(publisher, batch(500))
        await consumer.acknowledge(await take(consumer, 1))
        await publisher.close()
        await publisher.close()
        outcome = await publishing
        assert outcome.error is not None or len(outcome.confirmed) == 500
        assert isinstance(await publisher.wait_lost(), BrokerUnavailable)
        assert isinstance((await publisher.publish(batch(1))).error, BrokerUnavailable)

    bench.run(scenario)


def test_what_was_not_sent_when_its_publisher_was_cancelled_is_never_sent(bench: Bench) -> None:
    """It is its sender's, who sends it again: both would come."""

    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer(prefetch=1_000)
        cancelled = asyncio.create_task(publisher.publish(batch(500)))
        for _ in range(3):
            await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait({cancelled})
        last = outgoing(1_000)
        publishing = talk.publish(publisher, [last])
        count = 0
        while last.message_id not in ids(got := await consumer.receive(1_000)):
            count += len(got)
            await consumer.acknowledge(got)
        assert count + len(got) <= 100
        await consumer.acknowledge(got)
        assert (await publishing).confirmed == (1_000,)

    bench.run(scenario)


def test_rabbitmq_keeps_results_for_a_collector_that_is_not_there_yet(on_rabbitmq: Bench) -> None:
    """The embedded broker knows one catalog, whose collector lives in the same process."""

    async def scenario(talk: Talk) -> None:
        publisher = await talk.publisher()
        await publisher.declare_results(FOREIGN)
        outcome = await publisher.publish([outgoing(5, route=wire.result_route(FOREIGN, "ok"))])
        assert outcome == Outcome(confirmed=(5,))

    on_rabbitmq.run(scenario)
    assert on_rabbitmq.node is not None
    queue = f"{on_rabbitmq.prefix}.results.{FOREIGN}"
    assert on_rabbitmq.node.queue_depth(queue) == 1
    on_rabbitmq.node.delete_queue(queue)


def test_a_results_queue_with_other_arguments_is_refused_by_name_and_the_session_stands(
    on_rabbitmq: Bench,
) -> None:
    """A refusal costs the one catalog, not what is published beside it."""
    node = on_rabbitmq.node
    assert node is not None
    queue = f"{on_rabbitmq.prefix}.results.{FOREIGN}"
    amqp_calls.declare_queue(node.url(), queue)

    async def scenario(talk: Talk) -> None:
        publisher = await talk.publisher()
        with pytest.raises(BrokerRefused, match=queue):
            await publisher.declare_results(FOREIGN)
        assert publisher.error is None
        assert sorted((await publisher.publish(batch(3))).confirmed) == [1, 2, 3]  # in any order
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(publisher.declare_results(on_rabbitmq.catalog))

    on_rabbitmq.run(scenario)
    node.delete_queue(queue)


def test_rabbitmq_brings_a_retry_back_after_its_delay(on_rabbitmq: Bench) -> None:
    """With the embedded broker a retry is a row of the outbox: see the tests of its answers."""

    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer()
        sent = outgoing(1, route=retry_route(10), attempt=1)
        assert (await publisher.publish([sent])).confirmed == (1,)
        (got,) = await take(consumer, 1)
        assert (got.message_id, got.body, got.attempt) == (sent.message_id, sent.body, 1)
        assert not got.redelivered
        assert REASON_HEADER not in got.headers

    on_rabbitmq.run(scenario)


def test_rabbitmq_gives_up_what_is_given_back_too_often_and_says_so(on_rabbitmq: Bench) -> None:
    """The embedded broker has no delivery limit: who gives back lives in the same process."""

    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer()
        dead = await talk.consumer(Source.DEAD)
        sent = outgoing(1)
        await publisher.publish([sent])
        for _ in range(DELIVERY_LIMIT + 1):
            await consumer.give_back(await take(consumer, 1))
        (letter,) = await take(dead, 1)
        assert letter.message_id == sent.message_id
        reason = letter.headers[REASON_HEADER]
        assert "delivery_limit" in reason
        assert f"{on_rabbitmq.prefix}.tasks" in reason

    on_rabbitmq.run(scenario)


def test_rabbitmq_refuses_what_a_full_queue_does_not_take(on_rabbitmq: Bench) -> None:
    """The embedded broker lets its publishers wait instead."""
    node = on_rabbitmq.node
    assert node is not None
    policy = {"max-length": 10, "overflow": "reject-publish"}
    node.set_policy(on_rabbitmq.prefix, f"^{on_rabbitmq.prefix}.tasks$", policy)

    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer(prefetch=1)
        refused: tuple[int, ...] = ()
        while not refused:
            refused = (await publisher.publish(batch(20))).refused
        assert publisher.error is None
        await take(consumer, 1)

    on_rabbitmq.run(scenario)
    node.clear_policy(on_rabbitmq.prefix)


def test_the_embedded_broker_lets_publishers_wait_for_room(embedded: Bench) -> None:
    """RabbitMQ refuses instead, at the limit of a policy."""

    async def scenario(talk: Talk) -> None:
        publisher = await talk.publisher()
        publishing = talk.publish(publisher, batch(200))
        await wait_for_depth(publisher, publisher.window)
        consumer = await talk.consumer(prefetch=1_000)
        seen = 0
        while not publishing.done():
            got = await consumer.receive(1_000)
            assert len(got) <= publisher.window
            seen += len(got)
            await consumer.acknowledge(got)
            await asyncio.sleep(0)
        assert seen == len((await publishing).confirmed) == 200

    embedded.run(scenario)


def test_the_embedded_broker_forgets_what_its_publisher_has_given_up(embedded: Bench) -> None:
    """RabbitMQ keeps what it has; here it is still a row of the outbox, and would come twice."""

    async def scenario(talk: Talk) -> None:
        publisher = await talk.publisher()
        talk.publish(publisher, batch(5))
        await wait_for_depth(publisher, 5)
        await publisher.close()
        again = await talk.publisher()
        assert await again.depth() == 0
        talk.publish(again, [kept := outgoing(9)])
        assert ids(await take(await talk.consumer(), 1)) == [kept.message_id]

    embedded.run(scenario)
