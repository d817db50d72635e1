"""Exchanges and queues of CONTRACT.md, declared idempotently and never deleted.

The dead-letter exchange and its queue come first: while a queue's dead-letter exchange is missing, RabbitMQ
holds rejected messages back for minutes. What exists with other arguments is an error for a person: changing
a queue's arguments needs another queue name.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelClosed, ChannelLockedResource, ChannelPreconditionFailed

from scanner import message
from scanner.errors import BrokerRefused

DELIVERY_LIMIT = 20

ExchangeKind = Literal["direct", "fanout", "topic"]
Arguments = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange."""

    name: str
    kind: ExchangeKind


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue, bound to an exchange by a key."""

    name: str
    exchange: Exchange
    binding_key: str
    arguments: Arguments


@dataclass(frozen=True, slots=True)
class Topology:
    """Every name the broker holds for one prefix; the results queue is that of one catalog (its UUID).

    Without a catalog (a worker knows none) no results queue is declared.
    """

    prefix: str = "scanner"
    catalog: str | None = None

    @property
    def tasks(self) -> Exchange:
        """Where task messages go, by the key `tasks`."""
        return Exchange(f"{self.prefix}.tasks", "direct")

    @property
    def tasks_queue(self) -> Queue:
        """What workers consume."""
        return Queue(self.tasks.name, self.tasks, message.TASKS, self._quorum(self.dead.name))

    @property
    def retry(self) -> Exchange:
        """Where a worker sends a task that is to come back later, by the key of the delay (`10s`)."""
        return Exchange(f"{self.prefix}.retry", "direct")

    @property
    def results(self) -> Exchange:
        """Where results go, by the key `result.<catalog>.<status>`."""
        return Exchange(f"{self.prefix}.results", "topic")

    @property
    def dead(self) -> Exchange:
        """Where refused and worn-out messages end."""
        return Exchange(f"{self.prefix}.dead", "fanout")

    @property
    def dead_queue(self) -> Queue:
        """What collectors turn into failed files.

        It has no delivery limit of ours and no dead letters of its own, and from RabbitMQ 4.0 on a limit of 20
        by default, beyond which a letter is dropped. So collectors never give a letter back: one that has to
        wait is put last (`ConsumingSession.put_last`), and only a lost session counts as a delivery.
        """
        return Queue(self.dead.name, self.dead, "", {"x-queue-type": "quorum"})

    @property
    def control(self) -> Exchange:
        """Pause and resume for workers."""
        return Exchange(f"{self.prefix}.control", "fanout")

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """All exchanges, the dead-letter exchange first."""
        return (self.dead, self.tasks, self.retry, self.results, self.control)

    @property
    def queues(self) -> tuple[Queue, ...]:
        """All queues, that of the dead letters first."""
        return (self.dead_queue, self.tasks_queue, *self._retry_queues(), *self._results_queues())

    def _quorum(self, dead_letter_exchange: str) -> dict[str, str | int]:
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": dead_letter_exchange,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }

    def _retry_queues(self) -> Iterator[Queue]:
        for delay_s in message.RETRY_DELAYS_S:
            arguments = self._quorum(self.tasks.name) | {
                "x-message-ttl": delay_s * 1000,
                # Without it the letter would keep its retry key, which the tasks exchange does not know.
                "x-dead-letter-routing-key": message.TASKS,
            }
            yield Queue(f"{self.retry.name}.{delay_s}s", self.retry, f"{delay_s}s", arguments)

    def results_queue(self, catalog: str) -> Queue:
        """Return where the results of a catalog wait for its collector."""
        name = f"{self.results.name}.{catalog}"
        return Queue(name, self.results, f"result.{catalog}.#", self._quorum(self.dead.name))

    def _results_queues(self) -> Iterator[Queue]:
        if self.catalog is not None:
            yield self.results_queue(self.catalog)


async def declare(channel: AbstractChannel, topology: Topology, *, timeout_s: float) -> None:
    """Declare whatever is missing; each step may take `timeout_s`.

    Raises:
        BrokerRefused: something exists with other arguments; the text names it and the argument.
        AMQPError, TimeoutError: what the session translates.
    """
    for exchange in topology.exchanges:
        with _mismatch("exchange", exchange.name):
            await channel.exchange_declare(
                exchange.name, exchange_type=exchange.kind, durable=True, timeout=timeout_s
            )
    for queue in topology.queues:
        await declare_queue(channel, queue, timeout_s=timeout_s)


async def declare_queue(channel: AbstractChannel, queue: Queue, *, timeout_s: float) -> None:
    """Declare and bind one queue; each of the two may take `timeout_s`.

    Raises:
        BrokerRefused: it exists with other arguments; the text names it and the argument.
        AMQPError, TimeoutError: what the session translates.
    """
    with _mismatch("queue", queue.name):
        await channel.queue_declare(
            queue.name, durable=True, arguments=dict(queue.arguments), timeout=timeout_s
        )
    await channel.queue_bind(queue.name, queue.exchange.name, queue.binding_key, timeout=timeout_s)


@contextmanager
def _mismatch(kind: str, name: str) -> Iterator[None]:
    """Turn the broker's 406 (other arguments) and 405 (exclusive elsewhere) into a refusal with its remedy."""
    try:
        yield
    except (ChannelPreconditionFailed, ChannelLockedResource) as error:
        raise BrokerRefused(f"{kind} {name} {_difference(error)}") from error


def _difference(error: ChannelClosed) -> str:
    reply = str(error)
    argument = re.search(r"inequivalent arg '([^']+)'", reply)
    values = re.search(r"received (.+?) but current is (.+)$", reply, re.DOTALL)
    if argument is None:
        return f"is refused by the broker: {reply}"
    found = f" (there: {values[2].strip()}, needed: {values[1].strip()})" if values else ""
    return (
        f"exists with another {argument[1]}{found}: remove or rename it by hand, or choose another "
        "prefix (SCANNER_PREFIX); nothing was deleted"
    )
