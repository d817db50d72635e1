"""Dead letters: failures that no worker could report, each made the result that its catalog waits for.

All catalogs of a broker share the dead letters, and any collector takes any of them: ours are committed, those
of others are sent to the queue of their results, confirmed, and only then acknowledged. Invariant: ours wait
for nobody. What another catalog's queue does not take now goes behind the others, until its turn comes again.
"""

import asyncio
from collections.abc import Sequence

import structlog

from scanner.broker.api import Broker, Delivery, Outcome, OutgoingMessage, PublishingSession
from scanner.services.collect.committing import Committer
from scanner.services.collect.reading import Read, letter_of, read_dead

log = structlog.get_logger(__name__)


class DeadTaker:
    """Takes dead letters; a session to send on with is opened when the first is another catalog's."""

    def __init__(self, committer: Committer, broker: Broker, worker: str) -> None:
        self._committer = committer
        self._broker = broker
        self._worker = worker
        self._publisher: PublishingSession | None = None

    async def take(self, deliveries: Sequence[Delivery]) -> Read:
        """Commit what is ours, send on what is not, keep what cannot be read or delivered."""
        read = await asyncio.to_thread(read_dead, deliveries, self._committer.catalog, self._worker)
        await self._committer.commit(read)
        if not read.foreign:
            return read
        sent = await self._send_on([outgoing for _, outgoing in read.foreign])
        returned = [pair for pair in read.foreign if pair[1].id in sent.returned]
        gone = {*sent.returned, *sent.confirmed}
        read.later += [delivery for delivery, outgoing in read.foreign if outgoing.id not in gone]
        nowhere = "no collector of its catalog ever ran here"
        kept = [letter_of(delivery, f"{nowhere}: {outgoing.route}") for delivery, outgoing in returned]
        await self._committer.commit(Read(letters=kept))
        return read

    async def close(self) -> None:
        """Close the session to send on with."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            await publisher.close()

    async def _send_on(self, messages: Sequence[OutgoingMessage]) -> Outcome:
        """Publish messages; of those with one id, which never travel together, only the first: the rest wait.

        Raises:
            BrokerError: no session could be opened.
        """
        if self._publisher is None or self._publisher.error is not None:
            await self.close()
            self._publisher = await self._broker.open_publishing()
        firsts = {message.message_id: message for message in reversed(messages)}
        outcome = await self._publisher.publish(list(firsts.values()))
        if outcome.refused:
            log.warning(
                "collect.letters_wait", messages=len(outcome.refused), reason="another catalog's queue is full"
            )
            self._publisher.narrow()
            await self._publisher.refresh()
        return outcome
