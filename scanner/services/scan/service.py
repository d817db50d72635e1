"""`LibraryScan`: one scan of one library from its first listing to its conclusion.

First the walk; then a second look at unsettled files, a look at directories that changed while the scan went
on, and the conclusion. Whatever interrupts it, the rows say where to go on.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal

import structlog

from scanner.catalog import files as catalog_files
from scanner.catalog import libraries, scans
from scanner.catalog.checkpoint import Checkpoint, ProblemRow
from scanner.catalog.engine import Database
from scanner.catalog.files import CheckedDirectory
from scanner.catalog.leases import Grant, renew
from scanner.catalog.libraries import Library
from scanner.errors import ScannerError
from scanner.files.walk import Walker
from scanner.files.wire import Problem
from scanner.services.scan.conclusion import Conclusion
from scanner.services.scan.context import (
    RootOfflineError,
    ScanContext,
    ScanInterrupted,
    ScanOptions,
    ScanProgress,
)
from scanner.services.scan.lookout import Lookout
from scanner.services.scan.roots import Roots
from scanner.services.scan.settling import Settling
from scanner.services.scan.walk import Stage, Walk

log = structlog.get_logger(__name__)

_RECHECK_ROUNDS = 3
_CHECKED_AT_ONCE = 5000

End = Literal["completed", "interrupted", "limit", "offline"]
_STATES: dict[End, scans.State] = {
    "completed": "completed",
    "interrupted": "interrupted",
    "limit": "interrupted",
    "offline": "failed",
}


@dataclass(frozen=True, slots=True)
class ScanOutcome:
    """How a scan ended; `offline` says why the root could not be believed."""

    end: End
    offline: str | None = None


class LibraryScan:
    """One scan of one library; `run` does it all and may be stopped from another thread through `stop`."""

    def __init__(
        self,
        database: Database,
        grant: Grant,
        library: Library,
        options: ScanOptions,
        *,
        stop: threading.Event,
        catalog: str,
    ) -> None:
        self.progress = ScanProgress()
        self._context = ScanContext(
            database, grant, library, options, progress=self.progress, stop=stop, catalog=catalog
        )
        self._database = database
        self._grant = grant
        self._library = library
        self._options = options
        self._settling = Settling(options.walker.settle_s)

    def run(self) -> ScanOutcome:
        """Scan the library, or continue where an interrupted scan stopped.

        Raises:
            LeaseLost: another process took the library over.
            DatabaseError: the database refuses, or did not come back in time.
        """
        self._begin()
        outcome = ScanOutcome("interrupted")
        try:
            outcome = self._scan_or_offline()
        except ScanInterrupted:
            pass
        except BaseException:
            with suppress(ScannerError):
                self._end(outcome)
            raise
        self._end(outcome)
        return outcome

    def _begin(self) -> None:
        options = self._options
        begin = partial(scans.begin_scan, self._database, self._grant, options.kind, options.resumable)
        record = self._context.retry(partial(begin, restart=options.restart))
        self.progress.record = record
        self.progress.expected_files = scans.last_total(self._database, self._library.id)
        self._context.had_files = record.resumed or self._library.file_count > 0
        event = "scan.resumed" if record.resumed else "scan.started"
        log.info(event, library=self._library.name, scan=record.id, kind=record.kind)

    def _end(self, outcome: ScanOutcome) -> None:
        self.progress.stage = "done"
        end = partial(scans.end_scan, self._database, self._grant, self._context.record, _STATES[outcome.end])
        if self._context.stop.is_set():
            end()
        else:
            self._context.retry(end)
        log.info("scan.ended", library=self._library.name, scan=self._context.record.id, end=outcome.end)

    def _scan_or_offline(self) -> ScanOutcome:
        with Walker(self._library.root, self._options.filters, self._options.walker) as walker:
            try:
                return self._scan(Lookout(walker, self._context))
            except RootOfflineError as error:
                return self._go_offline(error.problem)

    def _scan(self, lookout: Lookout) -> ScanOutcome:
        roots = Roots(self._context, lookout)
        roots.judge_root()
        dirty = self._context.retry(partial(scans.dirty_directories, self._database, self._library.id))
        walk = Walk(self._context, lookout, roots, self._settling, dirty)
        self._fill_frontier(walk, roots, lookout, dirty)
        walk.run("walking" if self._context.record.phase == "walk" else "concluding")
        if not walk.limit_reached:
            self._look_again_at_unsettled(walk, dirty)
            self._look_again_at_changed(walk, lookout)
        if walk.limit_reached:
            return ScanOutcome("limit")
        return self._conclude(roots, lookout)

    def _go_offline(self, problem: Problem) -> ScanOutcome:
        """Note that the root cannot be believed; nothing in it counts as gone."""
        self._context.record.counters.problems += 1
        self._context.commit(lambda: Checkpoint(problems=[ProblemRow(*problem)]))
        self._save_root("offline", self._context.library.identity)
        log.warning("library.offline", library=self._library.name, reason=problem.text)
        return ScanOutcome("offline", problem.text)

    def _save_root(self, state: str, identity: str | None) -> None:
        def save() -> None:
            with self._database.write() as connection:
                renew(connection, self._grant)
                libraries.save_identity(connection, self._library.id, identity, state)

        self._context.retry(save)

    def _fill_frontier(self, walk: Walk, roots: Roots, lookout: Lookout, dirty: dict[str, int]) -> None:
        if self._options.kind == "quick":
            walk.descend = False
        if self._context.record.phase != "fill":
            return
        ensure = partial(scans.ensure_directory, self._database, self._grant, self._options.start)
        start = self._context.retry(ensure)
        if self._options.kind == "quick":
            self._mark_changed(roots, lookout, dirty)
        self._context.record.phase = "walk"
        self._mark_pending([] if self._options.kind == "quick" else [start])

    def _mark_changed(self, roots: Roots, lookout: Lookout, dirty: dict[str, int]) -> None:
        for rows in self._directories(catalog_files.known_directories, self._library.id):
            believed = [row for row in rows if roots.refusal(row.path) is None]
            looked_at = (row for row in rows if self._is_below_start(row.path))
            away = {row.id for row in looked_at if roots.is_away(row.path)}  # each scan says so
            self._mark_pending(self._worth_listing(believed, lookout, dirty) | away)

    def _directories(
        self, read: Callable[..., list[CheckedDirectory]], *of: int
    ) -> Iterator[list[CheckedDirectory]]:
        """Yield directories in chunks, by id."""
        last = 0
        while rows := self._context.retry(partial(read, self._database, *of, last, _CHECKED_AT_ONCE)):
            last = rows[-1].id
            yield rows

    def _worth_listing(self, rows: list[CheckedDirectory], lookout: Lookout, dirty: dict[str, int]) -> set[int]:
        """Return which directories a quick scan must list: changed, dirty, or not trusted under its filters."""
        filters = self._options.filters
        covered = [row for row in rows if self._is_below_start(row.path) and self._covers(row.path)]
        trusted = [row for row in covered if row.trusted == filters.signature and row.path not in dirty]
        changed = set(lookout.changed((row.id, row.path, row.mtime_ns or 0) for row in trusted))
        return changed | {row.id for row in covered} - {row.id for row in trusted}

    def _is_below_start(self, path: str) -> bool:
        start = self._options.start
        return not start or path == start or path.startswith(f"{start}/")

    def _covers(self, path: str) -> bool:
        return not path or self._options.filters.covers_directory(path)

    def _mark_pending(self, ids: set[int] | list[int]) -> None:
        self._context.retry(lambda: scans.mark_pending(self._database, self._grant, self._context.record, ids))

    def _look_again_at_unsettled(self, walk: Walk, dirty: dict[str, int]) -> None:
        """List once more, `settle_s` after they were met, the directories that hold unsettled files."""
        directories = {directory.id for directory in self._settling.directories}
        if self._context.record.resumed and self._context.record.phase == "walk":
            at_dirty = partial(scans.directories_at, self._database, self._library.id, list(dirty))
            directories |= {row.id for row in self._context.retry(at_dirty)}
            self._settling.last_look = time.monotonic()
        if not directories:
            return
        self._context.record.phase = "settle"
        self.progress.stage = "settling"
        self._context.pause(self._settling.remaining_s)
        self._look_again(walk, "settling", directories)

    def _look_again_at_changed(self, walk: Walk, lookout: Lookout) -> None:
        """List once more the directories that changed after they were listed, until none does."""
        self._context.record.phase = "conclude"
        self.progress.stage = "concluding"
        for _ in range(_RECHECK_ROUNDS):
            changed = self._changed_since(lookout)
            if not changed or walk.limit_reached:
                return
            self._look_again(walk, "concluding", changed)

    def _look_again(self, walk: Walk, stage: Stage, directories: set[int]) -> None:
        self._mark_pending(directories)
        walk.run(stage)

    def _changed_since(self, lookout: Lookout) -> set[int]:
        changed: set[int] = set()
        seen = self._directories(catalog_files.seen_directories, self._library.id, self._context.record.id)
        for rows in seen:
            changed.update(lookout.changed((row.id, row.path, row.mtime_ns or 0) for row in rows))
        return changed

    def _conclude(self, roots: Roots, lookout: Lookout) -> ScanOutcome:
        identity = roots.judge_root()
        Conclusion(self._context, roots, lookout).decide()
        self._save_root("online", str(identity))
        self._count_unlisted()
        return ScanOutcome("completed")

    def _count_unlisted(self) -> None:
        """Count the files of directories that a quick scan trusted without listing them."""
        if self._options.kind == "quick":
            counters = self._context.record.counters
            count = partial(libraries.file_count, self._database, self._library.id)
            counters.files = self._context.retry(count)
            counters.unchanged = counters.files - counters.added - counters.modified - counters.moved
