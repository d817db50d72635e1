"""From deliveries to committed rows; what has been taken here may be acknowledged.

A message that cannot be taken, because the database refuses a row or a program in between fails on it, must not
hold up what comes with it and after it: it is found by committing each alone, and kept as a letter. A crash
between the commit and the acknowledgement repeats messages, and a repeat changes nothing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from scanner.broker.api import Delivery
from scanner.catalog import results
from scanner.catalog.engine import Database
from scanner.catalog.results import Applied
from scanner.errors import DatabaseError, ScannerError
from scanner.log import shown
from scanner.services.collect.reading import Read, letter_of, read_results
from scanner.services.collect.status import CollectSettings, Tally
from scanner.waiting import run_sql

log = structlog.get_logger(__name__)


class Taker(Protocol):
    """What becomes of the deliveries of one source."""

    async def take(self, deliveries: Sequence[Delivery]) -> Read:
        """Do what the deliveries ask for; those in `later` are left alone.

        Raises:
            DatabaseError: the database is away for too long, or refuses; nothing may be acknowledged.
            BrokerError: something could not be sent on; nothing may be acknowledged.
        """

    async def close(self) -> None:
        """Let go of what was opened for this session's deliveries."""


class Committer:
    """Writes what was read, in one transaction."""

    def __init__(self, database: Database, catalog: str, settings: CollectSettings, tally: Tally) -> None:
        self.catalog = catalog
        self._database = database
        self._wait_s = settings.database_wait_s
        self._tally = tally

    async def commit(self, read: Read) -> None:
        """Write answers and letters; wait for the database as long as the settings say.

        Raises:
            DatabaseError: it is away for longer, or refuses; type and text say which.
        """
        if not read.answers and not read.letters:
            return
        applied = await run_sql(
            self._wait_s, results.apply, self._database, self.catalog, read.answers, read.letters
        )
        self._note(applied, read)

    def _note(self, applied: Applied, read: Read) -> None:
        self._tally.count(applied)
        for letter in read.letters:
            log.warning("collect.letter_kept", message_id=shown(letter.message_id), reason=shown(letter.reason))
        if applied.unknown or applied.stale:
            log.info("collect.dropped", unknown=applied.unknown, stale=applied.stale)


class ResultsTaker:
    """Takes the results of our catalog."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    async def take(self, deliveries: Sequence[Delivery]) -> Read:
        """Commit what the deliveries hold."""
        read = await asyncio.to_thread(read_results, deliveries, self._committer.catalog)
        await self._committer.commit(read)
        return read

    async def close(self) -> None:
        """Do nothing: nothing was opened."""


class OneByOne:
    """Has deliveries taken together, and one by one when something in them cannot be taken."""

    def __init__(self, taker: Taker, committer: Committer) -> None:
        self._taker = taker
        self._committer = committer
        self.close = taker.close

    async def take(self, deliveries: Sequence[Delivery]) -> Read:
        """Take them; a delivery that cannot be taken is kept as a letter."""
        try:
            return await self._taker.take(deliveries)
        except ScannerError as error:
            if type(error) is not DatabaseError:  # it is away, or refuses everything
                raise
            reason = f"the database refuses it: {error}"
        except Exception as error:
            log.exception("collect.failed_on_messages", messages=len(deliveries))
            reason = f"the collector failed on it: {error!r}"
        if len(deliveries) == 1:
            return await self._keep(deliveries[0], reason)
        reads = [await self.take([delivery]) for delivery in deliveries]
        later = [delivery for read in reads for delivery in read.later]
        return Read(later=later, newer_text=next((read.newer_text for read in reads if read.newer_text), ""))

    async def _keep(self, delivery: Delivery, reason: str) -> Read:
        """Keep a delivery as a letter, and do what does not depend on what it says."""
        rest = read_results([replace(delivery, body=b"")], self._committer.catalog)
        read = Read(answers=rest.answers, letters=[letter_of(delivery, reason)])
        await self._committer.commit(read)
        return read
