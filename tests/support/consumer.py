"""An independent consumer of the tasks queue: aiormq and json alone, no line of the scanner.

What the queue holds is a promise to programs that are not ours, so the tests read it with another program.
"""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiormq.abc import AbstractChannel, DeliveredMessage

from tests.support import amqp

_PREFETCH = 1000


@dataclass(frozen=True, slots=True)
class ReceivedTask:
    """One task of a message; `path` and `moved_from` are the exact bytes below the root."""

    path: bytes
    size: int
    change: str
    kind: str
    file: int
    revision: int
    content: int
    mtime_ns: int
    moved_from: bytes | None
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One message as it came, in the queue's order; `body` is the decoded JSON."""

    message_id: str | None
    type: str | None
    app_id: str | None
    content_type: str | None
    delivery_mode: int | None
    priority: int | None
    timestamp: object
    headers: dict[str, Any]
    exchange: str
    routing_key: str
    redelivered: bool
    body: dict[str, Any]
    size_bytes: int

    @property
    def root(self) -> bytes:
        """The exact bytes of the library's root."""
        return _exact(self.body, "root", "root_bytes")

    @property
    def tasks(self) -> list[ReceivedTask]:
        """The tasks it carries."""
        return [_task(raw) for raw in self.body["tasks"]]


def drain(url: str, queue: str, *, timeout_s: float = 120.0, idle_s: float = 0.3) -> list[ReceivedMessage]:
    """Take every message of `queue`, acknowledged, and return them in the order they came.

    Ends when the broker says the queue is empty and nothing came for `idle_s`.

    Raises:
        amqp.QueueMissing: there is no such queue.
    """

    async def take(channel: AbstractChannel) -> list[ReceivedMessage]:
        return await _drain(channel, queue, idle_s)

    amqp.queue_depth(url, queue)
    return amqp.call(url, take, timeout_s)


def tasks_of(messages: Iterable[ReceivedMessage]) -> list[ReceivedTask]:
    """Return the tasks of all messages, in order."""
    return [task for message in messages for task in message.tasks]


def sizes(messages: Iterable[ReceivedMessage]) -> dict[bytes, int]:
    """Return path to size of everything handed out: what `trees.find_files` gives for the tree.

    Raises:
        AssertionError: a path came more than once.
    """
    tasks = tasks_of(messages)
    twice = [path for path, times in Counter(task.path for task in tasks).items() if times > 1]
    assert not twice, f"{len(twice)} paths came more than once: {twice[:5]}"
    return {task.path: task.size for task in tasks}


def without_repeats(messages: Iterable[ReceivedMessage]) -> list[ReceivedMessage]:
    """Return the first message of each message id.

    Raises:
        AssertionError: a repeat under the same id has another body.
    """
    first: dict[str | None, ReceivedMessage] = {}
    for message in messages:
        known = first.setdefault(message.message_id, message)
        assert known.body == message.body, f"two bodies under the message id {message.message_id}"
    return list(first.values())


async def _drain(channel: AbstractChannel, queue: str, idle_s: float) -> list[ReceivedMessage]:
    received: list[ReceivedMessage] = []
    arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
    await channel.basic_qos(prefetch_count=_PREFETCH)
    await channel.basic_consume(queue, arrived.put)
    while True:
        try:
            message = await asyncio.wait_for(arrived.get(), idle_s)
        except TimeoutError:
            declared = await channel.queue_declare(queue, passive=True)
            if declared.message_count == 0 and arrived.empty():
                return received
            continue
        received.append(_received(message))
        if len(received) % (_PREFETCH // 4) == 0 or arrived.empty():
            assert message.delivery_tag is not None
            await channel.basic_ack(message.delivery_tag, multiple=True)


def _received(message: DeliveredMessage) -> ReceivedMessage:
    properties = message.header.properties
    return ReceivedMessage(
        message_id=properties.message_id,
        type=properties.message_type,
        app_id=properties.app_id,
        content_type=properties.content_type,
        delivery_mode=properties.delivery_mode,
        priority=properties.priority,
        timestamp=properties.timestamp,
        headers=dict(properties.headers or {}),
        exchange=message.exchange or "",
        routing_key=message.routing_key or "",
        redelivered=bool(message.redelivered),
        body=json.loads(message.body),
        size_bytes=len(message.body),
    )


def _task(raw: dict[str, Any]) -> ReceivedTask:
    return ReceivedTask(
        path=_exact(raw, "path", "path_bytes"),
        size=raw["size"],
        change=raw["change"],
        kind=raw["kind"],
        file=raw["file"],
        revision=raw["revision"],
        content=raw["content"],
        mtime_ns=int(raw["mtime_ns"]),
        moved_from=_exact(raw, "from", "from_bytes") if "from" in raw else None,
        raw=raw,
    )


def _exact(holder: dict[str, Any], text: str, raw: str) -> bytes:
    """Return the bytes of a path: those in base64 if it came so, else its text in UTF-8."""
    if raw in holder:
        return base64.b64decode(holder[raw], validate=True)
    return str(holder[text]).encode()
