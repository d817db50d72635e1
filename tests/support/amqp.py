"""A few blocking AMQP calls for tests, on aiormq alone: no line of the scanner is involved.

Each call runs on an event loop of its own in a thread of its own, so it works inside an async test too.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import aiormq
from aiormq.abc import AbstractChannel
from pamqp.common import FieldTable

T = TypeVar("T")

CALL_TIMEOUT_S = 30.0
PERSISTENT = aiormq.spec.Basic.Properties(delivery_mode=2)


class QueueMissing(Exception):
    """The broker knows no queue of that name."""


def call(url: str, action: Callable[[AbstractChannel], Awaitable[T]], timeout_s: float = CALL_TIMEOUT_S) -> T:
    """Connect, run `action` on a channel, disconnect, and return what it returned."""
    with ThreadPoolExecutor(1, thread_name_prefix="amqp-call") as thread:
        return thread.submit(asyncio.run, _on_channel(url, action, timeout_s)).result()


async def _on_channel(url: str, action: Callable[[AbstractChannel], Awaitable[T]], timeout_s: float) -> T:
    async with asyncio.timeout(timeout_s):
        connection = await aiormq.connect(url)
        try:
            return await action(await connection.channel())
        finally:
            await connection.close()


def queue_depth(url: str, queue: str) -> int:
    """Return the number of ready messages.

    Raises:
        QueueMissing: there is no such queue.
    """

    async def ask(channel: AbstractChannel) -> int:
        try:
            declared = await channel.queue_declare(queue, passive=True)
        except aiormq.exceptions.ChannelNotFoundEntity as error:
            raise QueueMissing(queue) from error
        return int(declared.message_count or 0)

    return call(url, ask)


def delete_queue(url: str, queue: str) -> None:
    """Delete a queue; one that does not exist is no error (AMQP 0-9-1 as RabbitMQ has it)."""

    async def delete(channel: AbstractChannel) -> None:
        await channel.queue_delete(queue)

    call(url, delete)


def delete_exchange(url: str, exchange: str) -> None:
    """Delete an exchange; one that does not exist is no error."""

    async def delete(channel: AbstractChannel) -> None:
        await channel.exchange_delete(exchange)

    call(url, delete)


def declare_queue(url: str, queue: str, arguments: FieldTable | None = None) -> None:
    """Declare a durable queue, a quorum queue unless `arguments` say otherwise."""
    given: FieldTable = {"x-queue-type": "quorum"} if arguments is None else arguments

    async def declare(channel: AbstractChannel) -> None:
        await channel.queue_declare(queue, durable=True, arguments=given)

    call(url, declare)


def publish(url: str, queue: str, bodies: list[bytes]) -> None:
    """Publish persistent messages to `queue` through the default exchange, each confirmed."""

    async def send(channel: AbstractChannel) -> None:
        for body in bodies:
            await channel.basic_publish(body, routing_key=queue, properties=PERSISTENT)

    call(url, send)
