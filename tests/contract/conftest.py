"""The two brokers, each fresh for every test."""

import secrets
import uuid
from collections.abc import Iterator

import pytest
from aiormq.abc import AbstractChannel

from scanner.broker.embedded import EmbeddedBroker
from scanner.broker.rabbit import RabbitBroker
from scanner.broker.session import BrokerSettings
from scanner.broker.topology import Topology
from tests.contract.bench import Bench
from tests.support import amqp as amqp_calls
from tests.support.rabbitmq import RabbitNode


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """The embedded broker, and RabbitMQ under a prefix of the test's own."""
    catalog = str(uuid.uuid4())
    if request.param == "embedded":
        yield Bench(EmbeddedBroker(catalog), catalog)
        return
    yield from _on_rabbitmq(request.getfixturevalue("rabbitmq"), catalog)


@pytest.fixture
def embedded() -> Bench:
    """The embedded broker, for what only it promises."""
    catalog = str(uuid.uuid4())
    return Bench(EmbeddedBroker(catalog), catalog)


@pytest.fixture
def on_rabbitmq(rabbitmq: RabbitNode) -> Iterator[Bench]:
    """RabbitMQ, for what only it promises."""
    yield from _on_rabbitmq(rabbitmq, str(uuid.uuid4()))


def _on_rabbitmq(node: RabbitNode, catalog: str) -> Iterator[Bench]:
    prefix = f"c{secrets.token_hex(4)}"
    broker = RabbitBroker(BrokerSettings(node.url(), prefix=prefix, catalog=catalog))
    yield Bench(broker, catalog, node, prefix)
    _clean_up(node, Topology(prefix, catalog))


def _clean_up(node: RabbitNode, topology: Topology) -> None:
    async def delete(channel: AbstractChannel) -> None:
        for queue in topology.queues:
            await channel.queue_delete(queue.name)
        for exchange in topology.exchanges:
            await channel.exchange_delete(exchange.name)

    amqp_calls.call(node.url(), delete)
