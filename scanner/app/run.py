"""`scanner run`: scans libraries one after another and sees that every task is confirmed before it ends.

The scan works on a thread, the broker side in a process of its own; this module starts them, shows how they
get on, and stops them in order: the scan first (it finishes its batch), then the broker side (it waits for the
confirms under way). A second signal ends the process at once, which loses nothing either.
"""

import asyncio
import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from scanner import paths
from scanner.app import dry_run
from scanner.app.database import open_catalog
from scanner.app.dispatch import Dispatch
from scanner.app.holding import acquire, kept
from scanner.app.libraries import Target, reread, resolve
from scanner.app.memory import prepare_for_scanning
from scanner.app.outcome import (
    NEEDS_A_LOOK,
    failing_in,
    holdings_of,
    library_error,
    notes_of,
    problem_groups,
    totals_of,
)
from scanner.app.progress import (
    LibraryError,
    LibraryHoldings,
    LibraryProgress,
    Phase,
    ProblemGroup,
    RunProgress,
    RunRequest,
    RunResult,
    ScanTotals,
    worst_exit,
)
from scanner.app.wiring import filters_of, scan_options
from scanner.catalog.engine import Database
from scanner.catalog.schema import catalog_uuid
from scanner.config import Settings
from scanner.errors import ScannerError, UsageError
from scanner.services.scan import LibraryScan, ScanOutcome
from scanner.waiting import stop

log = structlog.get_logger(__name__)

_TICK_S = 0.2
_DEPTH_EVERY_S = 1.0
_STOP_WITHIN_S = 8.0
_STAGES = {
    "waiting": Phase.WAITING,
    "walking": Phase.WALKING,
    "settling": Phase.SETTLING,
    "concluding": Phase.CONCLUDING,
    "done": Phase.DONE,
}

Observe = Callable[[RunProgress], None]


def run_scans(settings: Settings, request: RunRequest, observe: Observe) -> RunResult:
    """Scan every path of the request; `observe` is told about 5 times a second how it gets on.

    Raises:
        ScannerError: nothing could be begun: a malformed glob, the database.
    """
    _refuse_malformed_globs(settings)
    prepare_for_scanning()
    with open_catalog(settings) as database:
        if request.dry_run:
            return dry_run.rehearse(database, lambda copy: _Run(settings, request, observe, copy))
        return asyncio.run(_Run(settings, request, observe, database).run())


def _refuse_malformed_globs(settings: Settings) -> None:
    try:
        filters_of(settings).validate()
    except ValueError as error:
        raise UsageError(f"{error} (--include, --exclude)") from error


@dataclass(slots=True)
class _Part:
    """One path's way through the run; `stop` ends its scan, and no other's."""

    path: str
    name: str
    library_id: int | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    scan: LibraryScan | None = None
    waiting_for: str | None = None
    phase: Phase = Phase.WAITING
    started: float = 0.0
    totals: ScanTotals | None = None
    error: LibraryError | None = None
    exit_codes: list[int] = field(default_factory=list)
    problems: dict[str, ProblemGroup] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class _Run:
    """One run, from the first path to the last confirm."""

    def __init__(self, settings: Settings, request: RunRequest, observe: Observe, database: Database) -> None:
        self._settings = settings
        self._request = request
        self._observe = observe
        self._database = database
        self._stop = threading.Event()
        self._signalled = 0
        self._started = time.monotonic()
        self._parts = [_Part(path, paths.basename(path) or path) for path in request.paths]
        self._dispatch = Dispatch(settings, request, database, self._stop_all)

    async def run(self) -> RunResult:
        """Do it all; return what came of it."""
        self._listen_to_signals()
        ticking = asyncio.create_task(self._tick())
        try:
            await self._dispatch.start()
            await self._scan_all()
            await self._finish()
        finally:
            await self._dispatch.stop(soon=bool(self._signalled))
            await stop(ticking)
        await self._dispatch.count()
        self._show()
        holdings = await asyncio.to_thread(self._take_stock) if self._dispatch.processes else ()
        return self._result(holdings)

    # Signals

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, ValueError, RuntimeError):  # not on the main thread
                loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._signalled:
            os._exit(128 + number)
        self._signalled = 128 + number
        self._stop_all()
        log.info("run.stopping", signal=number.name)
        threading.Thread(target=self._end_by_force, name="end", daemon=True).start()

    def _end_by_force(self) -> None:
        """End the process if an orderly stop takes too long: what is committed is safe either way."""
        time.sleep(_STOP_WITHIN_S)
        log.warning("run.forced", text="the orderly stop took too long; the next run continues")
        os._exit(self._signalled)

    def _stop_all(self) -> None:
        self._stop.set()
        for part in self._parts:
            part.stop.set()

    async def _finish(self) -> None:
        """Wait until everything is handed on: confirmed, or processed."""
        if self._stop.is_set():
            return
        phase = Phase.PROCESSING if self._dispatch.processes else Phase.PUBLISHING
        for part in self._parts:
            part.phase = part.phase if part.error or not self._dispatch.is_active else phase
        scanned = [part for part in self._parts if part.scan is not None]
        libraries = [part.library_id for part in scanned if part.library_id is not None]
        await self._dispatch.finish(libraries, scanned=bool(scanned), stopped=self._stop.is_set)
        for part in self._parts:
            if part.phase == phase:
                part.phase = Phase.INTERRUPTED if self._stop.is_set() else Phase.DONE

    # The scans

    async def _scan_all(self) -> None:
        for part in self._parts:
            if not self._stop.is_set():
                part.started = time.monotonic()
                await self._scan_part(part)

    async def _scan_part(self, part: _Part) -> None:
        try:
            target = await asyncio.to_thread(
                resolve, self._database, part.path, self._request.name, self._settings.io_timeout_s
            )
            part.name, part.library_id = target.library.name, target.library.id
            await self._scan_target(part, target)
        except ScannerError as error:
            log.error("scan.failed", path=part.path, error=str(error))  # noqa: TRY400 - the sentence says it all
            part.error = library_error(part.path, error)
            part.phase = Phase.FAILED
            part.waiting_for = None
            part.exit_codes.append(error.exit_code)

    async def _scan_target(self, part: _Part, target: Target) -> None:
        def waiting(reason: str | None) -> None:
            part.waiting_for = reason

        grant = await acquire(self._database, target.library, self._settings.lease_s, waiting, part.stop)
        if grant is None:
            return
        catalog = await asyncio.to_thread(catalog_uuid, self._database)
        async with kept(self._database, grant, part.stop) as lost:
            target = await asyncio.to_thread(reread, self._database, target)
            part.scan = LibraryScan(
                self._database,
                grant,
                target.library,
                scan_options(self._settings, self._request, target.start, self._dispatch.relays),
                stop=part.stop,
                catalog=catalog,
            )
            try:
                outcome = await asyncio.to_thread(part.scan.run)
            finally:
                await asyncio.to_thread(self._account, part)
        if lost:
            raise lost[0]
        self._conclude(part, outcome)

    def _account(self, part: _Part) -> None:
        """Take down totals and problems, however the scan ended."""
        scan = part.scan
        record = None if scan is None else scan.progress.record
        if scan is None or record is None:
            return
        part.totals = totals_of(part.name, record, scan.progress.listed, time.monotonic() - part.started)
        part.problems = problem_groups(self._database, record.id, part.path)

    def _conclude(self, part: _Part, outcome: ScanOutcome) -> None:
        """Turn a scan's end into phase, exit code and notes."""
        ended = outcome.end
        if part.totals is not None:
            part.notes.extend(notes_of(part.totals, outcome))
            part.exit_codes.append(1 if part.totals.held_back or ended == "offline" else 0)
        part.exit_codes.append(1 if NEEDS_A_LOOK & part.problems.keys() else 0)
        part.phase = Phase.INTERRUPTED if ended in {"interrupted", "limit"} else Phase.DONE

    # What is shown

    async def _tick(self) -> None:
        sent, counted_at = 0, -_DEPTH_EVERY_S
        while True:
            await asyncio.sleep(_TICK_S)
            if (count := self._tasks_sent()) != sent:
                with suppress(ScannerError):  # the end of the run asks again, and tells
                    await self._dispatch.wake()
                    sent = count
            if time.monotonic() - counted_at >= _DEPTH_EVERY_S:  # counting reads the whole table
                counted_at = time.monotonic()
                await self._dispatch.count()
            self._show()

    def _tasks_sent(self) -> int:
        records = [part.scan.progress.record for part in self._parts if part.scan is not None]
        return sum(record.counters.tasks for record in records if record is not None)

    def _show(self) -> None:
        self._observe(
            RunProgress(
                elapsed_s=time.monotonic() - self._started,
                libraries=tuple(_shown(part) for part in self._parts),
                tasks_sent=self._tasks_sent(),
                outbox_messages=0 if self._request.dry_run else self._dispatch.messages,
                dispatched=self._dispatch.progress,
            )
        )

    def _take_stock(self) -> tuple[LibraryHoldings, ...]:
        """Return what the libraries hold, and take down how their files stand."""
        held = (self._stock_of(part) for part in self._parts if part.library_id is not None)
        return tuple(one for one in held if one is not None)

    def _stock_of(self, part: _Part) -> LibraryHoldings | None:
        """Return what a library holds if that is news; None if it is gone, or the database is."""
        if part.totals is None:
            return None
        try:
            failed, retrying = failing_in(self._database, part.name)
            processed = self._dispatch.processed_in(part.name)
            part.totals = dataclasses.replace(
                part.totals, processed=processed, failed=failed, retrying=retrying
            )
            # Adding up a million files takes seconds: not for a run that changed nothing.
            return holdings_of(self._database, part.name) if processed or part.totals.tasks else None
        except ScannerError as error:
            log.warning("run.not_summed_up", library=part.name, error=str(error))
            return None

    def _result(self, holdings: tuple[LibraryHoldings, ...]) -> RunResult:
        codes = [code for part in self._parts for code in part.exit_codes]
        if self._signalled:
            codes.append(self._signalled)
        errors = [part.error for part in self._parts if part.error is not None]
        if self._dispatch.error is not None:
            codes.append(self._dispatch.error.exit_code)
            errors.append(library_error("", self._dispatch.error))
        if self._request.strict and any(part.totals and part.totals.failed for part in self._parts):
            codes.append(1)
        return RunResult(
            scans=tuple(part.totals for part in self._parts if part.totals is not None),
            exit_code=worst_exit(codes),
            notes=tuple(note for part in self._parts for note in part.notes),
            problems_by_kind=_merged([part.problems for part in self._parts]),
            errors=tuple(errors),
            outbox_messages=self._dispatch.messages,
            holdings=holdings,
        )


def _shown(part: _Part) -> LibraryProgress:
    scan = part.scan
    record = None if scan is None else scan.progress.record
    if scan is None or record is None:
        return LibraryProgress(part.name, part.phase, waiting_for=part.waiting_for)
    counters = record.counters
    return LibraryProgress(
        library=part.name,
        phase=_STAGES[scan.progress.stage] if part.phase == Phase.WAITING else part.phase,
        resumed=record.resumed,
        directories_done=counters.directories,
        directories_pending=scan.progress.frontier,
        files=counters.files,
        added=counters.added,
        modified=counters.modified,
        moved=counters.moved,
        deleted=counters.deleted,
        problems=counters.problems,
        expected_files=scan.progress.expected_files,
        waiting_for=scan.progress.waiting_for,
    )


def _merged(groups: list[dict[str, ProblemGroup]]) -> dict[str, ProblemGroup]:
    merged: dict[str, ProblemGroup] = {}
    for group in groups:
        for kind, found in group.items():
            before = merged.get(kind, ProblemGroup(0))
            merged[kind] = ProblemGroup(before.count + found.count, before.paths + found.paths)
    return merged
