"""What a consumer may rely on, whichever broker it is."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from scanner.broker.api import ERROR_KIND_HEADER, PUT_LAST_HEADER, REASON_HEADER, Source
from scanner.broker.topology import DELIVERY_LIMIT
from scanner.errors import BrokerUnavailable
from tests.contract.bench import SETTLED_S, Bench, Talk, batch, ids, outgoing, take, wait_for_depth
from tests.support.waiting import wait_until_async


def test_what_is_published_is_delivered_once_and_gone_after_its_acknowledgement(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer()
        sent = batch(20)
        publishing = talk.publish(publisher, sent)
        got = await take(consumer, 20)
        assert ids(got) == ids(sent)
        assert not any(delivery.redelivered for delivery in got)
        await consumer.acknowledge(got)
        assert sorted((await publishing).confirmed) == list(range(1, 21))
        await consumer.close()
        marker = outgoing(99)
        talk.publish(publisher, [marker])
        assert ids(await take(await talk.consumer(), 1)) == [marker.message_id]
        assert await publisher.depth() == 0

    bench.run(scenario)


def test_what_was_not_acknowledged_is_delivered_again_after_the_session(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, first = await talk.publisher(), await talk.consumer()
        talk.publish(publisher, batch(10))
        got = await take(first, 10)
        await first.acknowledge(got[:4])
        await first.close()
        again = await take(await talk.consumer(), 6)
        assert ids(again) == ids(got[4:])
        assert all(delivery.redelivered for delivery in again)

    bench.run(scenario)


def test_what_was_delivered_and_never_received_comes_again_too(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, first = await talk.publisher(), await talk.consumer()
        sent = batch(10)
        talk.publish(publisher, sent)
        await take(first, 1)
        await first.close()
        assert ids(await take(await talk.consumer(), 10)) == ids(sent)

    bench.run(scenario)


def test_no_more_than_the_prefetch_is_delivered_before_an_acknowledgement(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, bounded = await talk.publisher(), await talk.consumer(prefetch=5)
        talk.publish(publisher, batch(20))
        first = await take(bounded, 5)
        others = await talk.consumer()
        await take(others, 15)  # all the rest was still in the queue
        await bounded.acknowledge(first[:3])
        more = batch(10)
        talk.publish(publisher, more)
        got = await take(bounded, 3)
        await take(others, 7)
        assert set(ids(got)) <= set(ids(more))

    bench.run(scenario)


def test_what_is_given_back_is_delivered_again_and_marked(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, first = await talk.publisher(), await talk.consumer(prefetch=4)
        talk.publish(publisher, batch(4))
        got = await take(first, 4)
        await first.acknowledge(got[:2])
        await first.stop()
        await first.give_back(got[2:])
        again = await take(await talk.consumer(), 2)
        assert ids(again) == ids(got[2:])
        assert all(delivery.redelivered for delivery in again)

    bench.run(scenario)


@pytest.mark.parametrize(
    "kept",
    [[], [0], [9], [3, 4], [0, 2, 4, 6, 8], [0, 1, 2, 3, 4, 5, 6, 7, 8]],
    ids=["none", "oldest", "newest", "middle", "every other", "all but the newest"],
)
def test_exactly_what_is_acknowledged_is_gone(bench: Bench, kept: list[int]) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer()
        talk.publish(publisher, batch(10))
        got = await take(consumer, 10)
        await consumer.acknowledge([delivery for at, delivery in enumerate(got) if at not in kept])
        await consumer.close()
        await wait_for_depth(publisher, len(kept))
        again = await take(await talk.consumer(), len(kept))
        assert ids(again) == ids([got[at] for at in kept])

    bench.run(scenario)


def test_acknowledging_in_another_order_and_piece_by_piece_leaves_nothing(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer()
        publishing = talk.publish(publisher, batch(10))
        got = await take(consumer, 10)
        for piece in (got[6:3:-1], got[9:], got[:2], got[2:4], got[7:9]):
            await consumer.acknowledge(piece)
        assert len((await publishing).confirmed) == 10
        await consumer.close()
        await wait_for_depth(publisher, 0)

    bench.run(scenario)


def test_acknowledging_twice_or_a_stranger_does_nothing(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, first, second = await talk.publisher(), await talk.consumer(), await talk.consumer()
        talk.publish(publisher, batch(4))
        await wait_for_depth(publisher, 0)
        mine = await first.receive(4, SETTLED_S)
        await first.acknowledge(mine)
        await first.acknowledge(mine)
        await second.acknowledge(mine)
        await second.give_back(mine)
        theirs = await take(second, 4 - len(mine))
        assert not any(delivery.redelivered for delivery in theirs)
        assert first.error is None
        assert second.error is None

    bench.run(scenario)


def test_an_acknowledgement_after_the_session_is_no_error_and_no_acknowledgement(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, first = await talk.publisher(), await talk.consumer()
        talk.publish(publisher, batch(3))
        late = await take(first, 3)
        await first.close()
        await first.acknowledge(late[:2])
        await first.give_back(late[2:])
        assert ids(await take(await talk.consumer(), 3)) == ids(late)

    bench.run(scenario)


def test_a_stopped_consumer_takes_nothing_more_and_can_still_acknowledge(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, stopped = await talk.publisher(), await talk.consumer()
        sent = batch(4)
        talk.publish(publisher, sent)
        got = await take(stopped, 4)
        await stopped.stop()
        await stopped.stop()
        later = outgoing(9)
        talk.publish(publisher, [later])
        other = await talk.consumer()
        assert ids(await take(other, 1)) == [later.message_id]
        assert await stopped.receive(10) == []
        await stopped.acknowledge(got[:3])
        await stopped.close()
        assert ids(await take(other, 1)) == ids(got[3:])

    bench.run(scenario)


def test_what_arrived_before_the_stop_is_still_handed_out(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer()
        sent = batch(5)
        publishing = talk.publish(publisher, sent)
        first = await take(consumer, 1)
        if not bench.is_embedded:
            await publishing  # before that an empty queue may only mean that not all has been sent
        await wait_for_depth(publisher, 0)
        await consumer.stop()
        rest = await take(consumer, 4)
        assert ids(first + rest) == ids(sent)
        assert await consumer.receive(1) == []

    bench.run(scenario)


def test_whoever_waits_is_released_by_a_stop(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        consumer = await talk.consumer()
        waiting = [asyncio.create_task(consumer.receive(1, gather)) for gather in (0.0, 3_600.0)]
        await asyncio.sleep(0)
        await consumer.stop()
        assert await asyncio.gather(*waiting) == [[], []]

    bench.run(scenario)


def test_closing_releases_whoever_waits_with_an_error_and_can_be_repeated(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        consumer = await talk.consumer()
        waiting, losing = asyncio.create_task(consumer.receive(1)), asyncio.create_task(consumer.wait_lost())
        await asyncio.sleep(0)
        await consumer.close()
        await consumer.close()
        with pytest.raises(BrokerUnavailable):
            await waiting
        assert await losing is consumer.error
        assert isinstance(consumer.error, BrokerUnavailable)
        with pytest.raises(BrokerUnavailable):
            await consumer.receive(1)
        await consumer.stop()

    bench.run(scenario)


def test_a_wait_that_is_given_up_loses_no_delivery(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer()
        given_up = asyncio.create_task(consumer.receive(10, 3_600.0))
        sent = batch(3)
        talk.publish(publisher, sent)
        await wait_for_depth(publisher, 0)
        given_up.cancel()
        await asyncio.wait({given_up})
        assert ids(await take(consumer, 3)) == ids(sent)

    bench.run(scenario)


def test_gathering_ends_with_the_limit_and_with_the_prefetch(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer(prefetch=6)
        talk.publish(publisher, batch(10))
        assert len(await consumer.receive(4, 3_600.0)) == 4
        assert len(await consumer.receive(4, 3_600.0)) == 2  # no more can come before an acknowledgement

    bench.run(scenario)


def test_two_consumers_share_a_queue(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher = await talk.publisher()
        consumers = [await talk.consumer(prefetch=10) for _ in range(2)]
        sent = batch(20)
        talk.publish(publisher, sent)
        shares = [await take(consumer, 10) for consumer in consumers]
        assert ids(shares[0] + shares[1]) == ids(sent)

    bench.run(scenario)


def test_a_thousand_messages_arrive_exactly_once(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher = await talk.publisher()
        sent = batch(1_000)
        publishing = talk.publish(publisher, sent)
        seen: Counter[str] = Counter()

        async def consume(prefetch: int) -> None:
            consumer = await talk.consumer(prefetch=prefetch)
            while sum(seen.values()) < 1_000:
                got = await consumer.receive(50, 0.01)
                seen.update(delivery.message_id for delivery in got)
                await consumer.acknowledge(got)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(consume(prefetch)) for prefetch in (7, 100)]
            outcome = await publishing
            await wait_until_async(lambda: sum(seen.values()) >= 1_000)
            for task in tasks:
                task.cancel()  # the last one may wait for a message that the other had
        assert sorted(outcome.confirmed) == list(range(1, 1_001))
        assert seen == Counter(message.message_id for message in sent)

    bench.run(scenario)


def test_a_prefetch_without_bound_is_refused(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        with pytest.raises(ValueError, match="prefetch 0"):
            await talk.consumer(Source.TASKS, 0)

    bench.run(scenario)


def test_what_is_put_last_comes_after_the_others_marked_and_never_dies_of_it(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        publisher, consumer = await talk.publisher(), await talk.consumer(prefetch=1)
        headers = {REASON_HEADER: "why", ERROR_KIND_HEADER: "io"}
        others = [outgoing(number) for number in range(2, 5)]
        talk.publish(publisher, [outgoing(1, attempt=2, headers=headers), *others])
        (first,) = await take(consumer, 1)
        await consumer.put_last([first])
        for number in range(2, 5):
            (other,) = await take(consumer, 1)
            assert other.body == b"body %d" % number
            await consumer.acknowledge([other])
        for _ in range(DELIVERY_LIMIT + 5):
            (again,) = await take(consumer, 1)
            assert (again.body, again.attempt, again.redelivered) == (first.body, 2, False)
            assert again.headers == {**headers, PUT_LAST_HEADER: "1"}
            await consumer.put_last([again])
        await consumer.acknowledge(await take(consumer, 1))
        await wait_for_depth(publisher, 0)

    bench.run(scenario)


def test_many_are_put_last_together_whatever_their_ids(bench: Bench) -> None:
    async def scenario(talk: Talk) -> None:
        consumer = await talk.consumer()
        some = [replace(one, message_id=one.message_id if one.id % 2 else "") for one in batch(4)]
        for one in some:
            talk.publish(await talk.publisher(), [one])
        await consumer.put_last(await take(consumer, 4))
        again = await take(consumer, 4)
        assert sorted(one.body for one in again) == sorted(one.body for one in some)
        await consumer.acknowledge(again)

    bench.run(scenario)
