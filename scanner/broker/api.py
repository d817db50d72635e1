"""What the services ask of a message broker: RabbitMQ and the embedded one give the same.

Invariant of every implementation: an id is `confirmed` only when the broker has taken the message over for
good; whatever happens otherwise, the message is still its sender's. A crash loses nothing that was not
confirmed; it may repeat a message, under the same message id.
"""

import contextlib
import enum
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from scanner.errors import BrokerError, BrokerRefused

DEAD = "dead"
"""The route of a letter that nobody can use: it says why in the header `REASON_HEADER`."""

REASON_HEADER = "x-reason"
ERROR_KIND_HEADER = "x-error-kind"
"""Why a letter is dead in one of the words of `scanner.message.ErrorKind`."""

PUT_LAST_HEADER = "x-put-last"
"""Says that somebody had the message before and put it behind the others (`ConsumingSession.put_last`)."""

RETRY_PREFIX = "retry."


def retry_route(delay_s: int) -> str:
    """Return the route of a task that is to come back after one of `scanner.message.RETRY_DELAYS_S`."""
    return f"{RETRY_PREFIX}{delay_s}s"


def check_catalog(catalog: str) -> None:
    """See that a catalog is one: it comes from messages, and becomes part of a queue's name.

    Raises:
        BrokerRefused: it is not a UUID with its hyphens.
    """
    usual = None
    with contextlib.suppress(ValueError):
        usual = str(uuid.UUID(catalog))
    if catalog.lower() != usual:
        raise BrokerRefused(f"catalog {catalog[:60]!r}: expected a UUID with hyphens")


class Source(enum.StrEnum):
    """What can be consumed."""

    TASKS = "tasks"
    RESULTS = "results"
    """The results of one catalog: the one that the broker's settings name."""
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message, ready to send; the relay's are rows of the outbox.

    `id` is the sender's own (a row's); `message_id` never changes over republishes; `route` is what the outbox
    calls its routing key, which the broker maps to an exchange: `scanner.message.TASKS`, a `result_route`, a
    `retry_route`, `DEAD`. `task_count` says how many tasks the body holds. `headers` come beside the attempt.
    """

    id: int
    message_id: str
    type: str
    route: str
    body: bytes
    attempt: int = 0
    task_count: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that was consumed and waits for its acknowledgement.

    `tag` names it within its session; `type` is None if the sender gave none; `redelivered` tells that somebody
    had it before and did not acknowledge, `deliveries` how often, as far as the broker counts. `headers` are
    those whose value is text.

    `delayed` and `settles` are the embedded broker's alone: messages that become rows of the outbox, each not
    before its delay, and ids of rows that leave it: both in the transaction that commits this delivery.
    """

    tag: int
    message_id: str
    type: str | None
    body: bytes
    attempt: int = 0
    redelivered: bool = False
    deliveries: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    delayed: tuple[OutgoingMessage, ...] = ()
    settles: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a chunk, as row ids; a row in none of them has no verdict and must be sent again.

    `confirmed`: the broker has it. `refused`: nacked (a queue limit). `returned`: no queue takes it.
    `error`: why the session ended before every row had its verdict; None if it did not.
    """

    confirmed: tuple[int, ...] = ()
    refused: tuple[int, ...] = ()
    returned: tuple[int, ...] = ()
    error: BrokerError | None = None


class PublishingSession(Protocol):
    """A connection that publishes, from its opening to its loss; never repaired, only replaced."""

    @property
    def window(self) -> int:
        """How many messages may be unconfirmed at the moment (slow start opens it gradually)."""

    @property
    def blocked(self) -> bool:
        """Whether the broker has asked publishers to stop (memory or disk alarm)."""

    @property
    def blocked_s(self) -> float:
        """Seconds this session has been blocked in all."""

    @property
    def error(self) -> BrokerError | None:
        """Why the session is lost; None while it stands."""

    async def publish(self, chunk: Sequence[OutgoingMessage], *, answers: Delivery | None = None) -> Outcome:
        """Send the messages; return when each has its verdict or the session is lost. Never raises for that.

        Several chunks may be published side by side; they share the window. `answers` is the task message that
        the chunk is the whole answer to: the embedded broker commits the two together.
        """

    async def declare_results(self, catalog: str) -> None:
        """See that the queue of a catalog's results exists: a worker's answers must not be unroutable.

        Raises:
            BrokerError: the session is lost, or the broker refuses.
        """

    def narrow(self) -> None:
        """Close the window to where slow start begins: the broker refuses."""

    async def refresh(self) -> None:
        """Begin anew within the session after refusals; does nothing while a message is on its way.

        Raises:
            BrokerError: the session is lost.
        """

    async def depth(self) -> int:
        """Return how many messages are ready in the tasks queue.

        Raises:
            BrokerError: the session is lost.
        """

    async def wait_lost(self) -> BrokerError:
        """Return the reason once the session is lost."""

    async def close(self) -> None:
        """End the session, in bounded time, whatever state it is in."""


class ConsumingSession(Protocol):
    """A connection that consumes one source, from its opening to its loss; never repaired, only replaced.

    What was delivered and neither acknowledged nor given back when the session ends is delivered again.
    """

    @property
    def error(self) -> BrokerError | None:
        """Why the session is lost; None while it stands."""

    async def receive(self, limit: int, gather_s: float = 0.0) -> list[Delivery]:
        """Return up to `limit` deliveries: wait for the first, and `gather_s` more for others.

        An empty list means that `stop` was called and nothing is left to return.

        Raises:
            BrokerError: the session is lost.
        """

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Say that they are done with: the broker forgets them. Unbroken runs go as one multiple ack.

        A lost session is no error here: the broker delivers again, and a repeat changes nothing.
        """

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Put them back into their queue, to be delivered again, to us or others."""

    async def put_last(self, deliveries: Sequence[Delivery]) -> None:
        """Put them behind everything else in their queue, marked by `PUT_LAST_HEADER`; return when it is done.

        Unlike `give_back` it does not count towards a delivery limit: RabbitMQ gets each as a new message, and
        the old one is acknowledged when that is confirmed.

        Raises:
            BrokerError: a session was lost; what was not acknowledged is delivered again.
        """

    async def stop(self) -> None:
        """Take nothing more; what was delivered can still be acknowledged or given back."""

    async def wait_lost(self) -> BrokerError:
        """Return the reason once the session is lost."""

    async def close(self) -> None:
        """End the session, in bounded time, whatever state it is in."""


class Broker(Protocol):
    """Where sessions come from."""

    @property
    def described(self) -> str:
        """The broker in words, its URL masked."""

    async def open_publishing(self) -> PublishingSession:
        """Open a session: connected, the topology declared, ready to publish.

        Raises:
            BrokerUnavailable: no session now; it may come back.
            BrokerRefused: credentials, permissions, virtual host or topology; a person must act.
        """

    async def open_consuming(self, source: Source, prefetch: int) -> ConsumingSession:
        """Open a session that has at most `prefetch` messages unacknowledged.

        Raises:
            BrokerUnavailable: no session now; it may come back.
            BrokerRefused: credentials, permissions, virtual host or topology; a person must act.
        """
