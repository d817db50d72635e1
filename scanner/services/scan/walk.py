"""The walk: pending directories are listed, listings collected into batches, batches committed.

The walker lists ahead of what is committed, never the other way round: a directory is done only in the
transaction that holds everything its listing gave rise to.
"""

import errno
from collections.abc import Sequence
from typing import Literal

import msgspec

from scanner import paths
from scanner.catalog import outbox, relocation, scans
from scanner.catalog.checkpoint import Message
from scanner.catalog.files import MovedAlong
from scanner.catalog.scans import PendingDirectory
from scanner.catalog.tables import FileState
from scanner.catalog.tasks import Subject
from scanner.files.wire import Listing, ListRequest, Problem
from scanner.services.scan.batch import Batch, BatchBuilder, Looked
from scanner.services.scan.context import RootOfflineError, ScanContext, ScanInterrupted
from scanner.services.scan.discovery import Discovery, Seen
from scanner.services.scan.frontier import Frontier
from scanner.services.scan.lookout import Lookout
from scanner.services.scan.moves import DirectoryMove
from scanner.services.scan.roots import Roots
from scanner.services.scan.settling import Settling

_LISTING_AT_ONCE = 2000
_DIRECTORIES_A_BATCH = 2000
_BATCHES_AHEAD = 2
"""Measured: with one the walker rests during commits and a scan takes a fifth longer, more gain nothing."""

_POLL_S = 0.25
_LOW_WATER = 0.8

Stage = Literal["walking", "settling", "concluding"]


class Walk:
    """Empties the frontier; `run` may be called again after more was put on it."""

    def __init__(
        self, context: ScanContext, lookout: Lookout, roots: Roots, settling: Settling, dirty: dict[str, int]
    ) -> None:
        self._context = context
        self._options = context.options
        self._lookout = lookout
        self._roots = roots
        self._frontier = Frontier()
        self._frontier.more_in_database = True
        self._builder = BatchBuilder(context, lookout, settling, dirty)
        self._discovery = Discovery(context, roots, lookout, self._frontier)
        self._stale: set[int] = set()
        """Directories that moved while they were being listed at their old path."""
        self._first_look = True
        self._batch = Batch()
        self._listed = self._entries = 0

    @property
    def descend(self) -> bool:
        """Whether known subdirectories are listed too (not in a quick scan)."""
        return self._discovery.descend

    @descend.setter
    def descend(self, value: bool) -> None:
        self._discovery.descend = value

    @property
    def limit_reached(self) -> bool:
        """Whether `--limit` ended the walk."""
        return self._builder.limit_reached

    def run(self, stage: Stage) -> None:
        """List every pending directory and commit what is found.

        Raises:
            ScanInterrupted: asked to stop; what had been listed is committed.
            RootOfflineError: the root is not what it was.
        """
        self._context.progress.stage = stage
        self._first_look = stage == "walking"
        self._frontier.more_in_database = True
        while not self.limit_reached:
            self._raise_if_stopped()
            self._give_way()
            self._request()
            if self._lookout.outstanding and not self._batch_is_full():
                room = self._options.batch_files - self._batch.entries
                self._take(self._lookout.listings(self._patience_s(), room))
            elif not self._batch.empty:
                self._commit()
            elif not self._refill():
                return

    def _raise_if_stopped(self) -> None:
        if self._context.stop.is_set():
            self._commit()
            raise ScanInterrupted

    def _batch_is_full(self) -> bool:
        batch, options = self._batch, self._options
        is_large = batch.entries >= options.batch_files or len(batch.looked) >= _DIRECTORIES_A_BATCH
        return is_large or batch.age_s >= options.batch_s

    def _patience_s(self) -> float:
        return min(_POLL_S, max(0.0, self._options.batch_s - self._batch.age_s))

    def _give_way(self) -> None:
        """Wait while the outbox is above its high-water mark."""
        limit = self._options.outbox_high_water
        if limit is None or not self._batch.empty or self._outbox_depth() < limit:
            return
        self._context.progress.waiting_for = "outbox full"
        while self._outbox_depth() >= limit * _LOW_WATER:
            self._context.pause(_POLL_S)
        self._context.progress.waiting_for = None

    def _outbox_depth(self) -> int:
        return self._context.retry(lambda: outbox.depth(self._context.database))

    def _request(self) -> None:
        """Keep the walker supplied, but not far ahead of what is committed: a kill undoes that."""
        lead = self._lead()
        room = lead - self._lookout.outstanding
        if self._frontier.empty or room < lead // 2:
            return
        believed = [directory for directory in self._frontier.take(room) if self._believe(directory)]
        self._lookout.request([ListRequest(row.id, row.path, row.digest) for row in believed])
        self._context.progress.frontier = len(self._frontier)

    def _lead(self) -> int:
        """Return how many directories make two batches, by those listed so far; enough for every thread."""
        ahead = _BATCHES_AHEAD * self._options.batch_files * self._listed // max(1, self._entries)
        return min(_LISTING_AT_ONCE, max(2 * self._options.walker.threads, ahead))

    def _refill(self) -> bool:
        """Read pending directories from the database; tell whether there were any."""
        if not self._frontier.empty:
            return True
        # With --limit, directories that it cut short went back to pending in the database alone.
        if not self._frontier.more_in_database and self._options.limit is None:
            return False
        context = self._context
        rows = context.retry(
            lambda: scans.pending_directories(context.database, context.record, _LISTING_AT_ONCE)
        )
        self._frontier.more_in_database = len(rows) == _LISTING_AT_ONCE
        self._frontier.refill(rows)
        return bool(rows)

    def _believe(self, directory: PendingDirectory) -> bool:
        """Tell whether a directory may be listed: a mount point must hold what it held."""
        if self._roots.refusal(directory.path) is None:
            return True
        self._fail(directory, self._roots.report(directory.path))
        return False

    def _fail(self, directory: PendingDirectory, problems: Sequence[Problem]) -> None:
        """Leave a directory and all that is known below it as they are."""
        del self._frontier.listing[directory.id]
        self._builder.start_over(directory.id)
        self._batch.failed.add(directory.id)
        self._batch.problems.extend(problems)
        self._batch.start_clock()

    def _take(self, listings: Sequence[Listing]) -> None:
        complete: list[Seen] = []
        for listing in listings:
            directory = self._frontier.listing.get(listing.key)
            if directory is None:
                continue
            if listing.key in self._stale:
                self._list_again(directory, listing)
            elif listing.status == "gone":
                self._gone(directory)
            elif listing.status == "failed":
                self._fail(directory, listing.problems)
            elif listing.status == "part":
                self._add(directory, listing)
            else:
                self._refuse_empty_root(directory, listing)
                complete.append((directory, listing))
        if complete:
            self._take_complete(complete)

    def _is_outdated(self, directory: PendingDirectory, listing: Listing) -> bool:
        """Tell whether a directory moved while its listing was on its way; it is listed again then."""
        if directory.id in self._stale:
            self._list_again(self._frontier.listing[directory.id], listing)
            return True
        return False

    def _list_again(self, directory: PendingDirectory, listing: Listing) -> None:
        if listing.status != "part":
            self._stale.discard(directory.id)
            self._builder.start_over(directory.id)
            self._lookout.request([ListRequest(directory.id, directory.path, directory.digest)])

    def _gone(self, directory: PendingDirectory) -> None:
        if not directory.path:
            raise RootOfflineError(Problem("", "offline", errno.ENOENT, "the root is not there"))
        if directory.mount is not None:
            self._fail(directory, [Problem(directory.path, "offline", None, "what was mounted there is not")])
            return
        # A quick scan asks for directories that nobody has shown it: what is deleted is no problem then.
        is_expected = self._options.kind == "quick" and directory.id not in self._discovery.fresh
        problem = Problem(directory.path, "vanished", errno.ENOENT, "it vanished during the scan")
        self._fail(directory, [] if is_expected else [problem])
        self._batch.failed.discard(directory.id)
        self._batch.vanished_directories.add(directory.id)

    def _refuse_empty_root(self, directory: PendingDirectory, listing: Listing) -> None:
        found = listing.files or listing.unsettled or listing.subdirectories or listing.problems
        whole = listing.status == "ok" and directory.id not in self._builder.matched
        if whole and not directory.path and not found and not self._roots.holds_known_files():
            text = "the root is empty, and it was not: is it mounted?"
            raise RootOfflineError(Problem("", "offline", None, text))

    def _take_complete(self, complete: Sequence[Seen]) -> None:
        """Take complete listings in; directories that moved here move first, in transactions of their own."""
        moves = self._discovery.moved(complete)
        if moves:
            self._commit()
            for move in moves:
                self._move(move)
            complete = [seen for seen in complete if not self._is_outdated(*seen)]
        self._discovery.extend(complete, self._batch)
        for directory, listing in complete:
            self._add(directory, listing)
            del self._frontier.listing[directory.id]
            self._discovery.fresh.discard(directory.id)

    def _add(self, directory: PendingDirectory, listing: Listing) -> None:
        fresh = directory.id in self._discovery.fresh
        mount = self._roots.mount_at(directory.path)
        before = self._batch.entries
        self._batch.add(Looked(directory, listing, fresh, mount, self._first_look or fresh))
        self._listed += 1
        self._entries += self._batch.entries - before
        if listing.status == "part":
            # On its own: should the walker die, the listing starts over, and must meet these rows.
            self._commit()
            self._discovery.fresh.discard(directory.id)

    def _commit(self) -> None:
        batch, self._batch = self._batch, Batch()
        if not batch.empty:
            self._builder.commit(batch)
            self._frontier.shed()
            self._context.progress.frontier = len(self._frontier)

    def _move(self, move: DirectoryMove) -> None:
        context = self._context
        before = msgspec.structs.replace(context.record.counters)

        def attempt() -> None:
            context.record.counters = msgspec.structs.replace(before)
            arguments = (move.id, move.parent_id, move.source, move.target)
            relocation.move_directory(
                context.database, context.grant, context.record, arguments, self._moved_along
            )

        context.retry(attempt)
        self._stale |= self._frontier.move(move.source, move.target)
        self._frontier.more_in_database = True  # all that moved is pending
        self._discovery.fresh.discard(move.parent_id)

    def _moved_along(self, rows: list[MovedAlong], target: str) -> list[Message]:
        counters = self._context.record.counters
        tasks = self._context.task_writer()
        for row in rows:
            path = paths.join(target, row.name)
            file = Subject(row.id, row.revision, row.content, path, row.size, row.mtime_ns, row.kind)
            tasks.add_move(file, paths.join(row.directory, row.name), probe=row.state != FileState.OK)
        counters.moved += len(rows)
        return tasks.messages(counters)
