"""A queue in memory, bounded by count and bytes: what the embedded broker is made of.

Invariant: a letter is in the queue as long as its sender waits for the verdict and no longer; the room it takes
is given back when it leaves. Nothing here outlives the process: whoever sends keeps the message (a row of the
outbox) until the verdict.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from scanner.broker.api import PUT_LAST_HEADER, Delivery
from scanner.broker.inbox import Inbox, Pulse

_OVERHEAD_BYTES = 1_000


def _undecided() -> "asyncio.Future[bool]":
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, eq=False)
class Letter:
    """A message and its verdict: True when it was acknowledged, False when its sender has given it up.

    `id` is the sender's own.
    """

    id: int
    delivery: Delivery
    verdict: "asyncio.Future[bool]" = field(default_factory=_undecided)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        bodies = [self.delivery.body, *(message.body for message in self.delivery.delayed)]
        return sum(len(body) + _OVERHEAD_BYTES for body in bodies)

    def decide(self, verdict: bool) -> None:
        """Tell the sender; the first verdict stands."""
        if not self.verdict.done():
            self.verdict.set_result(verdict)


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How much may be in a queue, delivered and not acknowledged included; one message always fits.

    `messages` (default 32), `size_bytes` (32 MiB).
    """

    messages: int = 32
    size_bytes: int = 32 * 1024 * 1024


class MemoryQueue:
    """Letters that wait, letters that were delivered, and the inboxes of those who consume."""

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._ready: deque[Letter] = deque()
        self._delivered: dict[int, Letter] = {}
        self._tags = itertools.count(1)
        self._size_bytes = 0
        self._inboxes: deque[Inbox] = deque()
        self._pulse = Pulse()

    @property
    def ready(self) -> int:
        """How many letters wait for a consumer."""
        return len(self._ready)

    async def put(self, letter: Letter) -> None:
        """Take a letter as soon as there is room for it, unless its sender gives it up before."""
        await self._pulse.until(lambda: letter.verdict.done() or self._has_room_for(letter))
        if not letter.verdict.done():
            self._size_bytes += letter.size_bytes
            self._ready.append(letter)
            self._deliver()

    def find(self, delivery: Delivery) -> Letter | None:
        """Return the letter behind a delivery that is not acknowledged yet."""
        letter = self._delivered.get(delivery.tag)
        return letter if letter is not None and letter.delivery is delivery else None

    def attach(self, inbox: Inbox) -> None:
        """Deliver to this inbox too, in turns."""
        self._inboxes.append(inbox)
        self._deliver()

    def detach(self, inbox: Inbox) -> None:
        """Deliver no more to this inbox; harmless when done already."""
        if inbox in self._inboxes:
            self._inboxes.remove(inbox)

    def acknowledge(self, tags: Iterable[int]) -> None:
        """Forget delivered letters: they are done with."""
        for tag in tags:
            letter = self._delivered.pop(tag)
            letter.decide(True)
            self._leave(letter)
        self._deliver()

    def give_back(self, tags: Sequence[int]) -> None:
        """Put delivered letters back to the front, in their order."""
        for tag in sorted(tags, reverse=True):
            letter = self._delivered.pop(tag)
            letter.delivery = replace(
                letter.delivery, redelivered=True, deliveries=letter.delivery.deliveries + 1
            )
            self._ready.appendleft(letter)
        self.sweep()

    def put_last(self, tags: Sequence[int]) -> None:
        """Put delivered letters behind all others, marked."""
        for tag in tags:
            letter = self._delivered.pop(tag)
            headers = {**letter.delivery.headers, PUT_LAST_HEADER: "1"}
            letter.delivery = replace(letter.delivery, headers=headers)
            self._ready.append(letter)
        self.sweep()

    def sweep(self) -> None:
        """Let go of waiting letters whose senders have given them up."""
        given_up = [letter for letter in self._ready if letter.verdict.done()]
        for letter in given_up:
            self._ready.remove(letter)
            self._leave(letter)
        self._pulse.beat()
        self._deliver()

    def _has_room_for(self, letter: Letter) -> bool:
        held = len(self._ready) + len(self._delivered)
        fits = self._size_bytes + letter.size_bytes <= self._limits.size_bytes
        return held == 0 or (held < self._limits.messages and fits)

    def _leave(self, letter: Letter) -> None:
        self._size_bytes -= letter.size_bytes
        self._pulse.beat()

    def _deliver(self) -> None:
        while self._ready and (inbox := self._next_inbox()) is not None:
            letter = self._ready.popleft()
            letter.delivery = replace(letter.delivery, tag=next(self._tags))
            self._delivered[letter.delivery.tag] = letter
            inbox.put(letter.delivery)

    def _next_inbox(self) -> Inbox | None:
        """Return the inbox whose turn it is among those with room."""
        for _ in range(len(self._inboxes)):
            self._inboxes.rotate(-1)
            if not self._inboxes[-1].is_full:
                return self._inboxes[-1]
        return None
