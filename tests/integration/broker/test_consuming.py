"""Consuming through faults: each is seen to hit, nobody hangs, and what was in hand is delivered again."""

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiormq
import pamqp.encode
import pytest
from aiormq import spec

from scanner.broker.api import DEAD, REASON_HEADER, ConsumingSession, Delivery, OutgoingMessage, Source
from scanner.broker.publisher import Publisher
from scanner.broker.rabbit import RabbitBroker
from scanner.broker.session import BrokerSettings
from scanner.errors import BrokerError, BrokerUnavailable
from scanner.waiting import Closable
from tests.conftest import Amqp
from tests.contract.bench import batch, ids, take
from tests.integration.broker.bench import settings_of
from tests.support.proxy import TcpProxy
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_until

IN_HAND = 20
TEST_LIMIT_S = 60.0


@pytest.fixture(scope="module")
def node(rabbitmq: RabbitNode) -> Iterator[RabbitNode]:
    """A node that the tests of this module may kill and reconfigure."""
    own = type(rabbitmq)().start()
    yield own
    own.close()


def run(scenario: Awaitable[None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(TEST_LIMIT_S):
            await scenario

    asyncio.run(limited())


async def publish(settings: BrokerSettings, count: int = IN_HAND) -> list[str]:
    """Publish messages over a line of their own; return their ids."""
    publisher = await RabbitBroker(settings).open_publishing()
    sent = batch(count)
    assert len((await publisher.publish(sent)).confirmed) == count
    await publisher.close()
    return ids(sent)


async def in_hand(node: RabbitNode, settings: BrokerSettings) -> tuple[ConsumingSession, list[Delivery]]:
    """Return a consumer with messages in hand, once the broker says that they are unacknowledged."""
    consumer = await RabbitBroker(settings).open_consuming(Source.TASKS, 100)
    got = await take(consumer, IN_HAND)
    await asyncio.to_thread(wait_until, lambda: unacknowledged(node, settings.prefix) == IN_HAND)
    return consumer, got


def unacknowledged(node: RabbitNode, prefix: str) -> int:
    rows = node.ctl("list_queues", "name", "messages_unacknowledged").splitlines()
    return int(dict(row.split("\t") for row in rows)[f"{prefix}.tasks"])


async def lost(consumer: ConsumingSession, got: Sequence[Delivery]) -> BrokerError:
    """See that every call on a lost session ends, with the session's error or none; return that error."""
    with pytest.raises(BrokerUnavailable) as raised:
        while True:
            await consumer.receive(10)
    await consumer.acknowledge(got[:5])
    await consumer.give_back(got[5:10])
    await consumer.stop()
    with pytest.raises(BrokerUnavailable):
        await consumer.receive(10, 3_600.0)
    assert await consumer.wait_lost() is consumer.error
    await consumer.close()
    await consumer.acknowledge(got[10:])
    assert raised.value is consumer.error
    return raised.value


async def assert_delivered_again(settings: BrokerSettings, sent: list[str]) -> None:
    """See that a new session is given everything, and that it is gone once acknowledged."""
    consumer = await RabbitBroker(settings).open_consuming(Source.TASKS, 100)
    again = await take(consumer, len(sent))
    assert ids(again) == sent
    assert all(delivery.redelivered for delivery in again)
    await consumer.acknowledge(again)
    await consumer.close()


def test_what_was_in_hand_when_the_node_was_killed_is_delivered_again(node: RabbitNode) -> None:
    settings = settings_of(node.url(heartbeat_s=2), "killed")

    async def scenario() -> None:
        settled = time.monotonic() + 2.5  # 3.10.8 may lose the leader of a queue that is killed too young
        sent = await publish(settings)
        consumer, got = await in_hand(node, settings)
        await asyncio.to_thread(wait_until, lambda: time.monotonic() > settled)
        assert unacknowledged(node, "killed") == IN_HAND
        node.kill()
        await lost(consumer, got)
        node.start()  # not on a thread: the node ends with the thread that started it
        await assert_delivered_again(settings, sent)

    run(scenario())


@pytest.mark.parametrize("strike", ["cut", "close_all_connections"])
def test_what_was_in_hand_when_the_line_ended_is_delivered_again(
    amqp: Amqp, proxy: TcpProxy, strike: str
) -> None:
    async def scenario() -> None:
        direct = settings_of(amqp.url, amqp.prefix)
        sent = await publish(direct)
        consumer, got = await in_hand(amqp.node, replace(direct, url=amqp.node.url(port=proxy.port)))
        if strike == "cut":
            assert proxy.cut() == 1
        else:
            await asyncio.to_thread(amqp.node.ctl, "close_all_connections", "maintenance")
        error = await lost(consumer, got)
        assert strike == "cut" or "maintenance" in str(error)
        await assert_delivered_again(direct, sent)

    run(scenario())


def test_a_line_gone_silent_is_noticed_by_heartbeats(amqp: Amqp, proxy: TcpProxy) -> None:
    async def scenario() -> None:
        direct = settings_of(amqp.url, amqp.prefix)
        sent = await publish(direct)
        consumer, got = await in_hand(
            amqp.node, replace(direct, url=amqp.node.url(port=proxy.port, heartbeat_s=1))
        )
        proxy.blackhole()
        await consumer.acknowledge(got[:1])  # goes nowhere, and nobody waits for it
        await lost(consumer, got)
        proxy.resume()
        await assert_delivered_again(direct, sent)

    run(scenario())


Call = Callable[[ConsumingSession, list[Delivery]], Awaitable[object]]


@pytest.mark.parametrize(
    "call",
    [
        lambda consumer, _got: consumer.stop(),
        lambda consumer, _got: consumer.close(),
        lambda consumer, got: consumer.acknowledge(got),
        lambda consumer, got: consumer.give_back(got),
    ],
    ids=["stop", "close", "acknowledge", "give_back"],
)
def test_no_call_hangs_or_raises_on_a_silent_line(amqp: Amqp, proxy: TcpProxy, call: Call) -> None:
    async def scenario() -> None:
        direct = settings_of(amqp.url, amqp.prefix)
        await publish(direct)
        slow = replace(
            direct, url=amqp.node.url(port=proxy.port, heartbeat_s=60), operation_timeout_s=2, close_timeout_s=1
        )
        consumer, got = await in_hand(amqp.node, slow)
        proxy.blackhole()
        async with asyncio.timeout(10):
            await call(consumer, got)
            await consumer.close()
        assert isinstance(consumer.error, BrokerUnavailable)

    run(scenario())


def test_a_call_that_heartbeats_cut_short_is_not_cancelled(amqp: Amqp, proxy: TcpProxy) -> None:
    async def scenario() -> None:
        settings = settings_of(amqp.node.url(port=proxy.port, heartbeat_s=1), amqp.prefix)
        consumer = await RabbitBroker(replace(settings, operation_timeout_s=60)).open_consuming(Source.TASKS, 1)
        proxy.blackhole()
        await consumer.stop()  # aiormq ends it with a CancelledError that nobody asked for
        assert isinstance(consumer.error, BrokerUnavailable)
        await consumer.close()

    run(scenario())


def test_a_queue_deleted_under_its_consumer_ends_the_session_and_is_declared_again(amqp: Amqp) -> None:
    async def scenario() -> None:
        settings = settings_of(amqp.url, amqp.prefix)
        await publish(settings)
        consumer, got = await in_hand(amqp.node, settings)
        await asyncio.to_thread(amqp.node.delete_queue, amqp.tasks)
        error = await lost(consumer, got)
        assert amqp.tasks in str(error)
        assert "deleted" in str(error)
        fresh = await RabbitBroker(settings).open_consuming(Source.TASKS, 100)
        sent = await publish(settings, 3)
        assert ids(await take(fresh, 3)) == sent
        await fresh.close()

    run(scenario())


def test_a_consumer_that_takes_longer_than_the_broker_allows_is_told_so(node: RabbitNode) -> None:
    settings = settings_of(node.url(), "slow")
    limits = "application:set_env(rabbit, {0}, {1})"
    tick, timeout = limits.format("channel_tick_interval", 500), limits.format("consumer_timeout", 500)
    node.ctl("eval", f"{tick}, {timeout}.")

    async def scenario() -> None:
        sent = await publish(settings)
        consumer = await RabbitBroker(settings).open_consuming(Source.TASKS, 100)
        error = await lost(consumer, await take(consumer, IN_HAND))
        assert "timed out" in str(error)
        assert "PRECONDITION_FAILED" in str(error)
        await assert_delivered_again(settings, sent)

    try:
        run(scenario())
    finally:
        node.ctl("eval", limits.format("consumer_timeout", 1_800_000) + ".")


BAD_TEXT = "bad text"
BAD_TABLE = {"bad": "table"}


def nested(depth: int) -> bytes:
    """Return the inside of a table that holds a table that holds a table."""
    inside = b""
    for _ in range(depth):
        inside = b"\x01aF" + struct.pack(">I", len(inside)) + inside
    return inside


@pytest.mark.parametrize(
    ("encoder", "hostile", "properties"),
    [
        ("timestamp", lambda _: b"\xff" * 8, {"timestamp": datetime(2026, 1, 1, tzinfo=UTC)}),
        ("shortstr", lambda _: b"\x02\xff\xfe", {"message_type": BAD_TEXT, "message_id": BAD_TEXT}),
        ("shortstr", lambda _: b"\xff" + b"\xff" * 255, {"message_type": BAD_TEXT, "message_id": BAD_TEXT}),
        ("table", lambda _: b"\x00\x00\x00\x07\x01\xffI\x00\x00\x00\x01", {"headers": BAD_TABLE}),
        ("table", lambda _: struct.pack(">I", len(nested(5_000))) + nested(5_000), {"headers": BAD_TABLE}),
        ("table", lambda _: b"\x00\x00\x00\x0b\x01aT" + b"\x7f" * 8, {"headers": BAD_TABLE}),
    ],
    ids=[
        "time after 9999",
        "text not UTF-8",
        "long text not UTF-8",
        "key not UTF-8",
        "table in table",
        "time in a table",
    ],
)
def test_a_message_that_the_driver_cannot_decode_is_delivered_like_any_other(
    amqp: Amqp,
    monkeypatch: pytest.MonkeyPatch,
    encoder: str,
    hostile: Callable[[Any], bytes],
    properties: dict[str, Any],
) -> None:
    """aiormq ends the connection over each of these, and so one message would end every consumer in turn."""
    plain = pamqp.encode.METHODS[encoder]

    def encode(value: Any) -> bytes:
        is_target = value in (BAD_TEXT, BAD_TABLE) or isinstance(value, datetime)
        return hostile(value) if is_target else plain(value)

    async def scenario() -> None:
        settings = settings_of(amqp.url, amqp.prefix)
        consumer = await RabbitBroker(settings).open_consuming(Source.TASKS, 10)
        connection = await aiormq.connect(amqp.url)
        channel = await connection.channel()
        monkeypatch.setitem(pamqp.encode.METHODS, encoder, encode)
        await channel.basic_publish(
            b"body", routing_key=amqp.tasks, properties=spec.Basic.Properties(delivery_mode=2, **properties)
        )
        monkeypatch.undo()
        (got,) = await take(consumer, 1)
        assert got.body == b"body"
        echo = OutgoingMessage(1, got.message_id, got.type or "", DEAD, b"", headers=got.headers)
        publisher = await RabbitBroker(settings).open_publishing()
        assert (await publisher.publish([echo])).confirmed == (1,)
        await publisher.close()
        await consumer.acknowledge([got])
        await connection.close()
        await consumer.close()

    run(scenario())
    assert amqp.node.queue_depth(amqp.tasks) == 0


def test_attempts_and_headers_of_strangers_are_bounded(amqp: Amqp) -> None:
    async def scenario() -> None:
        settings = settings_of(amqp.url, amqp.prefix)
        consumer = await RabbitBroker(settings).open_consuming(Source.TASKS, 100)
        connection = await aiormq.connect(amqp.url)
        channel = await connection.channel()
        attempts: list[Any] = [10**15, -7, "2", 1.5, True, None, 2]
        for attempt in attempts:
            headers = {"x-attempt": attempt, "x-death": "no list", REASON_HEADER: "y" * 50_000}
            many = {f"h{number}": "z" for number in range(500)}
            await channel.basic_publish(
                b"", routing_key=amqp.tasks, properties=spec.Basic.Properties(headers=headers | many)
            )
        got = await take(consumer, len(attempts))
        assert [delivery.attempt for delivery in got] == [3, 0, 0, 0, 0, 0, 2]
        for delivery in got:
            assert len(delivery.headers) <= 32
            assert len(delivery.headers[REASON_HEADER]) == 1_000
            assert delivery.type is None
        await connection.close()
        await consumer.close()

    run(scenario())


def test_results_without_a_catalog_are_refused_before_anything_is_opened() -> None:
    async def scenario() -> None:
        settings = BrokerSettings("amqp://guest:guest@127.0.0.1:1/", prefix="t")
        with pytest.raises(ValueError, match="catalog"):
            await RabbitBroker(settings).open_consuming(Source.RESULTS, 1)

    run(scenario())


def test_each_consumer_has_a_connection_of_its_own(amqp: Amqp) -> None:
    async def scenario() -> None:
        broker = RabbitBroker(settings_of(amqp.url, amqp.prefix), role="worker")
        sessions: list[Closable] = [
            await broker.open_publishing(),
            await broker.open_consuming(Source.TASKS, 1),
            await broker.open_consuming(Source.RESULTS, 1),
        ]
        rows = await asyncio.to_thread(amqp.node.connections)
        names = [str(row.client_properties) for row in rows]
        for name in ("scanner worker", "scanner tasks consumer", "scanner results consumer"):
            assert sum(name in row for row in names) == 1
        for session in sessions:
            await session.close()

    run(scenario())


def test_a_publisher_that_fails_within_ends_its_session(amqp: Amqp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its clocks a publish that the broker never answers would be waited for without an end."""

    def broken(_: Publisher) -> None:
        raise ZeroDivisionError

    async def scenario() -> None:
        monkeypatch.setattr(Publisher, "_check_clocks", broken)
        publisher = await RabbitBroker(settings_of(amqp.url, amqp.prefix)).open_publishing()
        assert "ZeroDivisionError" in str(await publisher.wait_lost())
        await publisher.close()

    run(scenario())
