"""What the contract tests talk through: one of the two brokers, and the sessions of one test."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from scanner import message as wire
from scanner.broker.api import (
    Broker,
    ConsumingSession,
    Delivery,
    Outcome,
    OutgoingMessage,
    PublishingSession,
    Source,
)
from tests.support.rabbitmq import RabbitNode

TEST_LIMIT_S = 60.0
NONE: Mapping[str, str] = {}
SETTLED_S = 0.5
"""How long `receive` gathers where a test wants everything there is: an upper bound, not a wait."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A broker under test; `node` and `prefix` are RabbitMQ's alone, None and empty for the embedded one."""

    broker: Broker
    catalog: str
    node: RabbitNode | None = None
    prefix: str = ""

    @property
    def is_embedded(self) -> bool:
        """Whether this is the embedded broker."""
        return self.node is None

    def run(self, scenario: Callable[["Talk"], Awaitable[None]]) -> None:
        """Run a scenario to its end within the limit, and close the sessions it opened."""
        asyncio.run(self._run(scenario))

    async def _run(self, scenario: Callable[["Talk"], Awaitable[None]]) -> None:
        talk = Talk(self.broker)
        async with asyncio.timeout(TEST_LIMIT_S):
            try:
                await scenario(talk)
            finally:
                await talk.close()


@dataclass
class Talk:
    """The sessions of one test, and what it publishes.

    The embedded broker gives a verdict only when a message was acknowledged, RabbitMQ when it has it: so a test
    publishes beside what it receives, and asks for the outcome afterwards.
    """

    broker: Broker
    sessions: list[PublishingSession | ConsumingSession] = field(default_factory=list)
    publishing: list["asyncio.Task[Outcome]"] = field(default_factory=list)

    async def publisher(self) -> PublishingSession:
        """Open a publishing session."""
        session = await self.broker.open_publishing()
        self.sessions.append(session)
        return session

    async def consumer(self, source: Source = Source.TASKS, prefetch: int = 100) -> ConsumingSession:
        """Open a consuming session."""
        session = await self.broker.open_consuming(source, prefetch)
        self.sessions.append(session)
        return session

    def publish(
        self,
        publisher: PublishingSession,
        messages: Sequence[OutgoingMessage],
        *,
        answers: Delivery | None = None,
    ) -> "asyncio.Task[Outcome]":
        """Begin to publish."""
        task = asyncio.create_task(publisher.publish(messages, answers=answers))
        self.publishing.append(task)
        return task

    async def close(self) -> None:
        """Close every session; publishes end with them."""
        for session in self.sessions:
            await session.close()
        await asyncio.gather(*self.publishing)


def outgoing(
    number: int,
    *,
    route: str = wire.TASKS,
    body: bytes | None = None,
    attempt: int = 0,
    headers: Mapping[str, str] = NONE,
) -> OutgoingMessage:
    """Return a message with the row id `number`."""
    return OutgoingMessage(
        id=number,
        message_id=str(uuid.uuid4()),
        type=wire.TASKS_TYPE if route == wire.TASKS else wire.RESULTS_TYPE,
        route=route,
        body=b"body %d" % number if body is None else body,
        attempt=attempt,
        headers=dict(headers),
    )


def batch(count: int, *, route: str = wire.TASKS) -> list[OutgoingMessage]:
    """Return `count` messages with the row ids from 1 on."""
    return [outgoing(number, route=route) for number in range(1, count + 1)]


async def take(consumer: ConsumingSession, count: int) -> list[Delivery]:
    """Receive exactly `count` deliveries; the test's limit ends the wait for one that does not come."""
    taken: list[Delivery] = []
    while len(taken) < count:
        received = await consumer.receive(count - len(taken))
        assert received, f"the consumer was stopped with {count - len(taken)} deliveries to come"
        taken += received
    return taken


async def wait_for_depth(publisher: PublishingSession, depth: int) -> None:
    """Wait until the tasks queue holds `depth` ready messages: RabbitMQ counts a little late."""
    while await publisher.depth() != depth:  # noqa: ASYNC110 - it is the broker that changes it
        await asyncio.sleep(0.02)


def ids(messages: Sequence[OutgoingMessage | Delivery]) -> list[str]:
    """Return the message ids, sorted."""
    return sorted(message.message_id for message in messages)
