"""The embedded broker: the same sessions as RabbitMQ's, within one process and one event loop.

It keeps nothing: durability is the outbox's. Invariant: a task's row has its verdict only after the answer was
committed and the task acknowledged, and the answer itself says which row it settles and which rows it leaves
behind (delayed retries, the parts of a split batch), so that whoever commits it does all of that in one
transaction. That closing message is delivered only after every other message of its answer was acknowledged:
were it committed first, a crash would lose the others with the row that could repeat them. A crash loses what
is in memory, all of which is still rows of the outbox.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from scanner import message as wire
from scanner.broker.api import (
    DEAD,
    Delivery,
    Outcome,
    OutgoingMessage,
    Source,
    check_catalog,
    retry_route,
)
from scanner.broker.headers import carried
from scanner.broker.inbox import Inbox
from scanner.broker.memory import Letter, MemoryQueue, QueueLimits
from scanner.errors import BrokerError, BrokerUnavailable

_NOBODYS_ID = 0
_RETRY_ROUTES = frozenset(retry_route(delay_s) for delay_s in wire.RETRY_DELAYS_S)


class EmbeddedBroker:
    """A broker in memory (`scanner.broker.api.Broker`).

    `catalog` (UUID) is the one whose results are taken, others are returned; any is if it is None (default).
    `limits` are those of each of the three queues.
    """

    def __init__(self, catalog: str | None = None, limits: QueueLimits | None = None) -> None:
        self._result_prefix = "result." if catalog is None else f"result.{catalog}."
        self.limits = limits or QueueLimits()
        self.queues = {source: MemoryQueue(self.limits) for source in Source}

    @property
    def described(self) -> str:
        """The broker in words."""
        return "the embedded broker"

    async def open_publishing(self) -> "EmbeddedPublisher":
        """Open a session, ready to publish."""
        return EmbeddedPublisher(self)

    async def open_consuming(self, source: Source, prefetch: int) -> "EmbeddedConsumer":
        """Open a session that has at most `prefetch` messages unacknowledged."""
        return EmbeddedConsumer(self.queues[source], prefetch)

    def source_of(self, route: str) -> Source | None:
        """Return where messages of a route are consumed; None if nowhere."""
        if route.startswith(self._result_prefix):
            return Source.RESULTS
        return {wire.TASKS: Source.TASKS, DEAD: Source.DEAD}.get(route)


@dataclass(slots=True)
class _Answer:
    """A chunk, taken apart: what is sent at once, and the closing letter that leaves rows behind.

    `closes` are the ids of the messages that have their verdict with the closing letter, `returned` of those
    that nobody takes.
    """

    letters: list[tuple[Source, Letter]] = field(default_factory=list)
    closing: Letter | None = None
    closes: tuple[int, ...] = ()
    returned: tuple[int, ...] = ()

    @property
    def all_letters(self) -> Iterator[Letter]:
        """Every letter, the closing one included."""
        yield from (letter for _, letter in self.letters)
        if self.closing is not None:
            yield self.closing


class EmbeddedPublisher:
    """A publishing session in memory (`scanner.broker.api.PublishingSession`)."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._broker = broker
        self._queues = broker.queues
        self._error: BrokerError | None = None
        self._closed = asyncio.Event()
        self._open: set[Letter] = set()

    @property
    def window(self) -> int:
        """How many messages may be unconfirmed: what the tasks queue holds."""
        return self._broker.limits.messages

    @property
    def blocked(self) -> bool:
        """Whether the broker has asked publishers to stop: never, it lets them wait for room."""
        return False

    @property
    def blocked_s(self) -> float:
        """Seconds this session has been blocked in all: none."""
        return 0.0

    @property
    def error(self) -> BrokerError | None:
        """Why the session is lost: only ever because it was closed."""
        return self._error

    async def publish(self, chunk: Sequence[OutgoingMessage], *, answers: Delivery | None = None) -> Outcome:
        """Send the messages; return when each was acknowledged or the session was closed.

        `answers` is the task message that the chunk is the whole answer to: its row is settled by the answer,
        and tasks among the answer (the parts of a split batch) become rows instead of being held in memory.
        Only with a row to settle can rows be left behind exactly once, so without one (no `answers`, or it was
        given back) retries and parts are returned.
        """
        if not chunk or self._error is not None:
            return Outcome(error=self._error)
        answer = self._take_apart(chunk, answers)
        self._open.update(answer.all_letters)
        try:
            return await self._send(answer)
        finally:
            self._give_up(answer.all_letters)

    def _take_apart(self, chunk: Sequence[OutgoingMessage], answers: Delivery | None) -> _Answer:
        answer = _Answer()
        delayed: list[OutgoingMessage] = []
        settled = self._queues[Source.TASKS].find(answers) if answers is not None else None
        for message in chunk:
            source = self._broker.source_of(message.route)
            if message.route in _RETRY_ROUTES or (source is Source.TASKS and answers is not None):
                if settled is None:
                    answer.returned += (message.id,)
                else:
                    delayed.append(message)
            elif source is not None:
                answer.letters.append((source, _letter(message)))
            else:
                answer.returned += (message.id,)
        if settled is not None:
            _close(answer, tuple(delayed), (settled.id,))
        return answer

    async def _send(self, answer: _Answer) -> Outcome:
        for source, letter in answer.letters:
            await self._queues[source].put(letter)
        confirmed = [letter.id for _, letter in answer.letters if await letter.verdict]
        missing = len(confirmed) < len(answer.letters)
        if answer.closing is not None and not missing and not answer.returned:
            await self._queues[Source.RESULTS].put(answer.closing)
            missing = not await answer.closing.verdict
            confirmed += () if missing else answer.closes
        return Outcome(tuple(confirmed), returned=answer.returned, error=self._error if missing else None)

    def _give_up(self, letters: Iterable[Letter]) -> None:
        """Take back what has no verdict: it is still its sender's."""
        for letter in letters:
            letter.decide(False)
            self._open.discard(letter)
        for queue in self._queues.values():
            queue.sweep()

    async def declare_results(self, catalog: str) -> None:
        """See that a catalog is one; results have their place here.

        Raises:
            BrokerRefused: it is not a UUID.
        """
        check_catalog(catalog)

    def narrow(self) -> None:
        """Do nothing: this broker does not refuse, it lets publishers wait."""

    async def refresh(self) -> None:
        """Do nothing: this broker does not refuse, it lets publishers wait."""

    async def depth(self) -> int:
        """Return how many messages are ready in the tasks queue."""
        return self._queues[Source.TASKS].ready

    async def wait_lost(self) -> BrokerError:
        """Return the reason once the session was closed."""
        await self._closed.wait()
        return self._error or _closed_by_us()

    async def close(self) -> None:
        """End the session: what it has sent and nobody has acknowledged is its sender's again."""
        self._error = self._error or _closed_by_us()
        self._give_up(tuple(self._open))
        self._closed.set()


class EmbeddedConsumer:
    """A consuming session in memory (`scanner.broker.api.ConsumingSession`)."""

    def __init__(self, queue: MemoryQueue, prefetch: int) -> None:
        self._queue = queue
        self._inbox = Inbox(prefetch)
        queue.attach(self._inbox)

    @property
    def error(self) -> BrokerError | None:
        """Why the session is lost: only ever because it was closed."""
        return self._inbox.error

    async def receive(self, limit: int, gather_s: float = 0.0) -> list[Delivery]:
        """Return up to `limit` deliveries: wait for the first, and `gather_s` more for others.

        Raises:
            BrokerError: the session was closed.
        """
        return await self._inbox.receive(limit, gather_s)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Say that they are done with; those of a closed session are not ours any more, which is no error."""
        run, others = self._inbox.settle(deliveries)
        self._queue.acknowledge(run + others)

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Put them back into their queue, to be delivered again, to us or others."""
        run, others = self._inbox.settle(deliveries)
        self._queue.give_back(run + others)

    async def put_last(self, deliveries: Sequence[Delivery]) -> None:
        """Put them behind everything else in their queue, marked."""
        run, others = self._inbox.settle(deliveries)
        self._queue.put_last(run + others)

    async def stop(self) -> None:
        """Take nothing more; what was delivered can still be acknowledged or given back."""
        self._queue.detach(self._inbox)
        self._inbox.stop()

    async def wait_lost(self) -> BrokerError:
        """Return the reason once the session was closed."""
        return await self._inbox.wait_lost()

    async def close(self) -> None:
        """End the session: what is not acknowledged is delivered again."""
        self._queue.detach(self._inbox)
        self._inbox.fail(_closed_by_us())
        await self.give_back(self._inbox.held)


def _closed_by_us() -> BrokerError:
    return BrokerUnavailable("the session was closed by us")


def _letter(message: OutgoingMessage) -> Letter:
    delivery = Delivery(
        tag=0,
        message_id=message.message_id,
        type=message.type,
        body=message.body,
        attempt=message.attempt,
        headers=carried(message.headers),
    )
    return Letter(message.id, delivery)


def _close(answer: _Answer, delayed: tuple[OutgoingMessage, ...], settles: tuple[int, ...]) -> None:
    """Make the last of the answer's results the closing letter, or a letter without body if it has none."""
    answer.closes = tuple(message.id for message in delayed)
    last = next((pair for pair in reversed(answer.letters) if pair[0] is Source.RESULTS), None)
    if last is None:
        answer.closing = Letter(_NOBODYS_ID, Delivery(0, "", None, b"", delayed=delayed, settles=settles))
        return
    answer.letters.remove(last)
    answer.closing = last[1]
    answer.closing.delivery = replace(answer.closing.delivery, delayed=delayed, settles=settles)
    answer.closes += (answer.closing.id,)
