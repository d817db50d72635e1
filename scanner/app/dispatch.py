"""A run's hold on the broker side: starts it, knows when everything is handed on, and stops it.

What "handed on" means depends on who takes the tasks: RabbitMQ has confirmed them; or, when asked to wait, the
results are in; the embedded broker has had them processed, but for what waits for a delayed retry.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

import structlog

from scanner import paths
from scanner.app.broker_side import BrokerSide
from scanner.app.progress import Dispatched, RunRequest
from scanner.app.wiring import broker_side_settings
from scanner.catalog import outbox, queries
from scanner.catalog.engine import Database
from scanner.catalog.schema import catalog_uuid
from scanner.config import Settings
from scanner.errors import ScannerError
from scanner.retry import Outage, Patience, persist
from scanner.services.relay import RelayState
from scanner.waiting import stop

_POLL_S = 0.1
_SLOWEST_POLL_S = 5.0
_STOP_WITHIN_S = 8.0
_STOP_SOON_S = 5.0
_DATABASE_PATIENCE_S = 120.0
_QUIET_STATES = {RelayState.IDLE, RelayState.RELAYING, RelayState.DRAINING, RelayState.STOPPED}
_BEGINNING = {RelayState.STARTING, RelayState.CONNECTING}
"""Not worth a word where both ends are in one process."""

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")


class Dispatch:
    """The broker side of one run; without one (a dry run, `--no-probe`) there is nothing to wait for."""

    def __init__(
        self, settings: Settings, request: RunRequest, database: Database, on_failure: Callable[[], None]
    ) -> None:
        self._settings, self._request, self._database = settings, request, database
        self._on_failure = on_failure
        self._side: BrokerSide | None = None
        self._watching: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._awaits_results = False
        self.error: ScannerError | None = None
        self.messages = 0
        """How many messages are in the outbox, as of the last count."""
        self.tasks = 0
        self._processed_at_count = 0

    @property
    def is_active(self) -> bool:
        """Whether anybody takes the tasks of this run."""
        return not self._request.dry_run and (self._settings.probe or not self._settings.embedded_broker)

    @property
    def relays(self) -> bool:
        """Whether the tasks go to a broker elsewhere, which a walk must not run away from."""
        return self.is_active and not self._settings.embedded_broker

    @property
    def processes(self) -> bool:
        """Whether this run sees results: it probes by itself, or waits for workers."""
        return self.is_active and (self._settings.embedded_broker or self._request.wait)

    async def start(self) -> None:
        """Start the broker side, if this run has one; an embedded one waits until there is something to do."""
        if self.relays:
            await self._start_side()

    async def _start_side(self) -> None:
        if self._side is not None or self._is_stopped:
            return
        catalog = await self._ask(catalog_uuid)
        made = broker_side_settings(self._settings, catalog, collects=self._request.wait)
        if self._side is None:
            self._side = BrokerSide(made)
            await self._side.start()
            self._watching = asyncio.create_task(self._watch(self._side))

    async def _watch(self, side: BrokerSide) -> None:
        try:
            await side.wait_failed()
        except ScannerError as error:
            self.error = error
            self._on_failure()

    async def wake(self) -> None:
        """Say that there is something in the outbox."""
        if self.is_active:
            await self._start_side()
        if self._side is not None:
            self._side.wake()

    async def count(self) -> None:
        """Count what is in the outbox; reads the whole table."""
        with suppress(ScannerError):
            self.messages = await asyncio.to_thread(outbox.depth, self._database)
            if self._settings.embedded_broker:
                self.tasks = await asyncio.to_thread(outbox.task_count, self._database)
                self._processed_at_count = self._processed

    async def finish(self, libraries: Sequence[int], *, scanned: bool, stopped: Callable[[], bool]) -> None:
        """Wait until everything is handed on; `scanned` tells that at least one library was begun."""
        if not self.is_active:
            return
        if not self._settings.embedded_broker or await self._ask(outbox.has_ready):
            await self.wake()
        if self._settings.embedded_broker:
            await self._until_not(outbox.has_ready, stopped)
            return
        last = await self._ask(outbox.last_id)
        await self._until_not(partial(outbox.holds_up_to, highest_id=last), stopped)
        if scanned:  # a run with nothing to send must not hide that the broker could not be reached
            await self._until_not(lambda _: not self._has_reached_broker(), stopped)
        if self._request.wait:
            self._awaits_results = True
            await self._until_not(partial(queries.awaits_results, library_ids=libraries), stopped)

    def _has_reached_broker(self) -> bool:
        """Tell whether the broker has answered; where another process relays, it knows."""
        status = None if self._side is None else self._side.status
        return status is not None and (status.connected or status.state == RelayState.STANDBY)

    async def _until_not(self, question: Callable[[Database], bool], stopped: Callable[[], bool]) -> None:
        """Ask until the answer is no; a question that takes long is asked less often."""
        loop = asyncio.get_running_loop()
        while not stopped():
            asked_at = loop.time()
            if not await self._ask(question):
                return
            await asyncio.sleep(min(_SLOWEST_POLL_S, max(_POLL_S, 5 * (loop.time() - asked_at))))

    async def _ask(self, question: Callable[[Database], Answer]) -> Answer:
        """Ask the database, again while it is away."""
        attempt = partial(asyncio.to_thread, question, self._database)
        return await persist(attempt, Outage(Patience(start_s=_DATABASE_PATIENCE_S)))

    async def stop(self, *, soon: bool) -> None:
        """Stop the broker side in order; `soon` if somebody waits for the end."""
        self._is_stopped = True
        if self._side is not None and self._watching is not None:
            await stop(self._watching)
            await self._side.stop(_STOP_SOON_S if soon else _STOP_WITHIN_S)

    def processed_in(self, library: str) -> int:
        """Return how many files of a library have a result from this run."""
        collect = None if self._side is None else self._side.report.collect
        return 0 if collect is None else collect.libraries.get(paths.readable(library), 0)

    @property
    def _processed(self) -> int:
        collect = None if self._side is None else self._side.report.collect
        return 0 if collect is None else collect.processed

    @property
    def _left(self) -> int | None:
        """How many tasks the embedded broker has before it: as of the last count, less what is done since."""
        if not self._settings.embedded_broker:
            return None
        return max(0, self.tasks - (self._processed - self._processed_at_count))

    @property
    def progress(self) -> Dispatched | None:
        """How far it is; None where nobody takes the tasks."""
        if not self.is_active:
            return None
        if self._side is None:  # the embedded one starts when there is something to do
            return Dispatched(processes=self.processes, left=self._left)
        report = self._side.report
        relay, work, collect = report.status, report.work, report.collect
        return Dispatched(
            tasks_confirmed=relay.tasks,
            messages_confirmed=relay.messages,
            processes=self.processes,
            processed=self._processed,
            failures={} if collect is None else collect.failures,
            left=self._left,
            files_at_once=0 if work is None else work.limit,
            waits=tuple(filter(None, (self._relay_waits(), self._work_waits(), self._collect_waits()))),
        )

    def _relay_waits(self) -> str:
        status = None if self._side is None else self._side.status
        if status is None or status.state in _QUIET_STATES:
            return ""
        if self._settings.embedded_broker and status.state in _BEGINNING:
            return ""
        return status.detail or f"broker side {status.state}"

    def _work_waits(self) -> str:
        work = None if self._side is None else self._side.report.work
        if work is None or not work.away:
            return ""
        return f"{', '.join(work.away)} is away: its files are tried again later"

    def _collect_waits(self) -> str:
        collect = None if self._side is None else self._side.report.collect
        if collect is None or self._settings.embedded_broker:
            return ""
        if self._awaits_results and not collect.processed:
            return collect.detail or "no result yet: does a worker run (scanner worker)?"
        return collect.detail
