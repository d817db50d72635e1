"""The collector's life: results and dead letters side by side, until told to drain.

Any number of collectors may work on one database: what two of them are given at once comes out as if one had
been given it twice, which changes nothing. A crash loses nothing: what was not acknowledged is delivered again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from scanner.broker.api import Broker, Source
from scanner.catalog.engine import Database
from scanner.owner import process_name
from scanner.services.collect.committing import Committer, OneByOne, ResultsTaker
from scanner.services.collect.dead import DeadTaker
from scanner.services.collect.intake import Intake
from scanner.services.collect.status import CollectSettings, CollectState, CollectStatus, Tally
from scanner.waiting import stop


class Collect:
    """Commits the results of one catalog. All of it runs on one event loop; SQL runs on threads."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        catalog: str,
        settings: CollectSettings | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        settings = settings or CollectSettings()
        self._tally = Tally(on_change)
        committer = Committer(database, catalog, settings, self._tally)
        dead = DeadTaker(committer, broker, process_name())
        results = OneByOne(ResultsTaker(committer), committer)
        self._results = Intake(broker, Source.RESULTS, results, settings, self._tally)
        # A catalog whose queue is full must not end the collector of another.
        for_ever = replace(settings, patience=replace(settings.patience, start_s=None, outage_s=None))
        self._dead = Intake(broker, Source.DEAD, OneByOne(dead, committer), for_ever, self._tally)

    @property
    def status(self) -> CollectStatus:
        """A snapshot of what it does."""
        return self._tally.snapshot

    def drain(self) -> None:
        """Ask for the end: what was delivered is committed and acknowledged, nothing more is taken."""
        self._results.drain()
        self._dead.drain()

    async def run(self) -> None:
        """Collect until drained.

        Raises:
            BrokerUnavailable: no working session for as long as the settings' patience allows.
            BrokerRefused: credentials, permissions, virtual host or topology.
            DatabaseError: the database refuses, or is away for too long.
        """
        intakes = [asyncio.create_task(intake.run()) for intake in (self._results, self._dead)]
        try:
            done, _ = await asyncio.wait(intakes, return_when=asyncio.FIRST_EXCEPTION)
            for intake in done:
                intake.result()
        finally:
            await stop(*intakes)
            self._tally.show(CollectState.STOPPED, self._tally.detail, connected=False)
