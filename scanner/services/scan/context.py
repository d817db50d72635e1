"""What the parts of one scan share: options, the catalog's side of it, progress, and how it is stopped."""

import threading
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from scanner.catalog.checkpoint import Checkpoint, StaleReadError, commit
from scanner.catalog.engine import Database
from scanner.catalog.ids import IdSource
from scanner.catalog.leases import Grant
from scanner.catalog.libraries import Library
from scanner.catalog.scans import Counters, Kind, ScanRecord, commits_of
from scanner.catalog.tables import directories, files
from scanner.catalog.tasks import TaskWriter
from scanner.errors import DatabaseError
from scanner.files.filters import Filters
from scanner.files.walk import WalkerSettings
from scanner.files.wire import Problem
from scanner.retry import is_retryable

Result = TypeVar("Result")

_STALE_READS_AT_MOST = 20
_DATABASE_PATIENCE_S = 120.0
"""How long a scan waits for a database that went away before it gives up."""

Stage = Literal["waiting", "walking", "settling", "concluding", "done"]


class RootOfflineError(Exception):
    """Raised in the middle of a scan when the root turns out not to be what it was."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


class ScanInterrupted(Exception):
    """Raised at a wait when the scan was asked to stop; what is committed stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """How one library is scanned.

    `start`: the directory to begin at, relative to the root ('' is all of it; anything else makes a partial
    scan). `batch_files` and `batch_s` bound what one transaction holds; `tasks_per_message` what one message
    does. `limit`: stop after that many new files. `guard_files` and `guard_percent`: deletions beyond both
    within 24 h are held back unless `confirm_deletes`. `outbox_high_water`: messages in the outbox above
    which the walk pauses; None when nobody empties it.
    """

    kind: Kind = "full"
    start: str = ""
    filters: Filters = field(default_factory=Filters)
    walker: WalkerSettings = field(default_factory=WalkerSettings)
    batch_files: int = 5000
    batch_s: float = 2.0
    tasks_per_message: int = 100
    limit: int | None = None
    restart: bool = False
    confirm_deletes: bool = False
    guard_files: int = 100
    guard_percent: float = 10.0
    outbox_high_water: int | None = None

    @property
    def resumable(self) -> str:
        """The options that make two scans the same scan: only then is an interrupted one resumed."""
        return f"start={self.start!r} filters={self.filters.signature}"


@dataclass(slots=True)
class ScanProgress:
    """What a display may read from another thread while the scan runs; the counters live in the record."""

    stage: Stage = "waiting"
    waiting_for: str | None = None
    listed: int = 0
    """Directories listed in this run and committed."""
    frontier: int = 0
    expected_files: int | None = None
    record: ScanRecord | None = None


class ScanContext:
    """One scan: its record and everything that its parts need of the catalog."""

    def __init__(
        self,
        database: Database,
        grant: Grant,
        library: Library,
        options: ScanOptions,
        *,
        progress: ScanProgress,
        stop: threading.Event,
        catalog: str,
    ) -> None:
        self.database = database
        self.grant = grant
        self.library = library
        self.options = options
        self.progress = progress
        self.stop = stop
        self.catalog = catalog
        self.had_files = library.file_count > 0
        """Whether anything was known before this run: if not, nothing can have moved or vanished."""
        self.file_ids = IdSource(database, files)
        self.directory_ids = IdSource(database, directories, self.retry)

    @property
    def record(self) -> ScanRecord:
        """The scan's row, as it stands in memory."""
        record = self.progress.record
        if record is None:
            raise RuntimeError("the scan has not begun")
        return record

    def task_writer(self) -> TaskWriter:
        """Return a collector for the tasks of one transaction."""
        return TaskWriter(self.catalog, self.record.id, self.library, self.options.tasks_per_message)

    def raise_if_stopped(self) -> None:
        """Raise ScanInterrupted once somebody asked the scan to stop."""
        if self.stop.is_set():
            raise ScanInterrupted

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond a stop."""
        if self.stop.wait(seconds):
            raise ScanInterrupted

    def commit(self, build: Callable[[], Checkpoint]) -> Checkpoint:
        """Build a checkpoint and commit it; build it anew if what it was built from changed meanwhile.

        The counters that building raised are put back when nothing of it was written.

        Raises:
            DatabaseError: rows kept changing behind our back.
        """
        before = self.record.counters
        try:
            return self._commit(build, before)
        except BaseException:
            self.record.counters = before
            raise

    def _commit(self, build: Callable[[], Checkpoint], before: Counters) -> Checkpoint:
        for _ in range(_STALE_READS_AT_MOST):
            with suppress(StaleReadError):
                return self.retry(_Attempt(self, build, before))
            self.raise_if_stopped()
        raise DatabaseError(f"library {self.library.name!r}: its rows change as fast as they are read")

    def retry(self, work: Callable[[], Result]) -> Result:
        """Run database work, again with backoff while the database cannot be reached."""
        retrying = Retrying(
            retry=retry_if_exception(is_retryable),
            wait=wait_random_exponential(multiplier=0.4, max=10),
            stop=stop_after_delay(_DATABASE_PATIENCE_S),
            before_sleep=self._name_database_error,
            sleep=self.pause,
            reraise=True,
        )
        try:
            return retrying(work)
        finally:
            self.progress.waiting_for = None

    def _name_database_error(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self.progress.waiting_for = str(error)


class _Attempt:
    """One checkpoint on its way; called again, it first asks whether the commit was written all the same.

    A connection may die between a COMMIT and its answer.
    """

    def __init__(self, context: ScanContext, build: Callable[[], Checkpoint], before: Counters) -> None:
        self._context = context
        self._build = build
        self._before = before
        self._number = context.record.commits + 1
        self._sent: Checkpoint | None = None

    def __call__(self) -> Checkpoint:
        context, record = self._context, self._context.record
        if self._sent is not None and commits_of(context.database, record) == self._number:
            return self._sent
        self._sent = None
        record.counters, record.commits = copy(self._before), self._number
        self._sent = self._build()
        commit(context.database, context.grant, record, self._sent)
        return self._sent
