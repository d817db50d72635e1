"""Dead letters: failures that no worker could report, each made the result that its catalog waits for.

All catalogs of a broker share the dead letters, and any collector takes any of them: ours are committed, those
of others are sent to the queue of their results, confirmed, and only then acknowledged.
"""

import asyncio
from collections.abc import Sequence

from scanner.broker.api import Broker, Delivery, OutgoingMessage, PublishingSession
from scanner.errors import PublishRejected
from scanner.services.collect.committing import Committer
from scanner.services.collect.reading import Read, letter_of, read_dead


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
        if read.foreign:
            returned = await self._send_on([outgoing for _, outgoing in read.foreign])
            read.letters += [
                letter_of(delivery, f"no collector of its catalog ever ran here: {outgoing.route}")
                for delivery, outgoing in read.foreign
                if outgoing.id in returned
            ]
        await self._committer.commit(read)
        return read

    async def close(self) -> None:
        """Close the session to send on with."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            await publisher.close()

    async def _send_on(self, messages: Sequence[OutgoingMessage]) -> set[int]:
        """Publish messages and return the ids of those that no queue takes.

        Raises:
            BrokerError: not all of the others were confirmed.
        """
        if self._publisher is None:
            self._publisher = await self._broker.open_publishing()
        # The same letter twice makes the same message: never two of one id at the same time.
        by_message = {message.message_id: message for message in messages}
        outcome = await self._publisher.publish(list(by_message.values()))
        if outcome.error is not None:
            raise outcome.error
        if outcome.refused:
            raise PublishRejected("the broker refuses the failures of another catalog: its queue is full")
        returned = {message.message_id for message in messages if message.id in outcome.returned}
        return {message.id for message in messages if message.message_id in returned}
