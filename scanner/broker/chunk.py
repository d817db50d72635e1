"""What was handed in together and waits for its verdicts."""

import asyncio
from dataclasses import dataclass, field

from scanner.broker.api import Outcome
from scanner.errors import BrokerError


@dataclass(slots=True)
class Chunk:
    """A chunk on its way: verdicts so far, and when its first message was taken (active seconds)."""

    open: int
    done: asyncio.Future[None]
    since_s: float | None = None
    confirmed: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    returned: list[int] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for verdicts any more: what was not sent by then stays its sender's."""
        return self.done.done()

    def close_one(self) -> None:
        """Note that one message more has been dealt with."""
        self.open -= 1
        if self.open <= 0:
            self.end()

    def end(self) -> None:
        """Let go of whoever waits, with the verdicts that there are."""
        if not self.done.done():
            self.done.set_result(None)

    def outcome(self, error: BrokerError | None) -> Outcome:
        """Return the verdicts; `error` is why some are missing, if some are."""
        unfinished = error if self.open > 0 else None
        return Outcome(tuple(self.confirmed), tuple(self.refused), tuple(self.returned), unfinished)
