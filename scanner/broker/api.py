"""What the services ask of a message broker: RabbitMQ and the embedded one give the same.

Invariant of every implementation: an id is `confirmed` only when the broker has taken the message over for
good; whatever happens otherwise, the message is still its sender's. A crash loses nothing that was not
confirmed; it may repeat a message, under the same message id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scanner.errors import BrokerError


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One row of the outbox, ready to send.

    `id` is the row's; `message_id` never changes over republishes; `route` is what the outbox calls its
    routing key (`scanner.message.TASKS`), which the broker side maps to an exchange; `task_count` says how
    many tasks the body holds.
    """

    id: int
    message_id: str
    type: str
    route: str
    body: bytes
    attempt: int = 0
    task_count: int = 1


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

    async def publish(self, chunk: Sequence[OutgoingMessage]) -> Outcome:
        """Send the messages; return when each has its verdict or the session is lost. Never raises for that.

        Several chunks may be published side by side; they share the window.
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
