"""A batch: listings collected until they are worth a transaction, then compared and turned into a checkpoint.

Only differences become rows. A file that a complete listing no longer shows is marked vanished and nothing
more: what becomes of it is decided when the scan concludes.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from scanner import paths
from scanner.catalog import files as catalog_files
from scanner.catalog.checkpoint import (
    ChangedFile,
    Checkpoint,
    DoneDirectory,
    MovedFile,
    NewDirectory,
    NewFile,
    ProblemRow,
)
from scanner.catalog.files import Tombstone
from scanner.catalog.scans import PendingDirectory
from scanner.catalog.tables import FileState
from scanner.catalog.tasks import Subject
from scanner.files.compare import Comparison, Known, compare
from scanner.files.wire import Entry, Listing, Problem
from scanner.services.scan.context import ScanContext
from scanner.services.scan.lookout import Lookout
from scanner.services.scan.moves import Arrival, FileMove, FileMoves
from scanner.services.scan.settling import Settling


@dataclass(slots=True)
class Looked:
    """A directory and one listing (or part of one) of it; `fresh`: it has no rows of files yet."""

    directory: PendingDirectory
    listing: Listing
    fresh: bool
    mount: str | None
    first_look: bool


@dataclass(slots=True)
class Batch:
    """Listings that wait for their commit, and the directories that were discovered with them."""

    looked: list[Looked] = field(default_factory=list)
    new_directories: dict[int, NewDirectory] = field(default_factory=dict)
    pending: set[int] = field(default_factory=set)
    vanished_directories: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    undecided: set[int] = field(default_factory=set)
    """Directories that no longer show a known subdirectory: what became of it is decided later."""
    problems: list[Problem] = field(default_factory=list)
    entries: int = 0
    since: float | None = None

    def add(self, looked: Looked) -> None:
        """Take a listing in."""
        self.looked.append(looked)
        self.entries += len(looked.listing.files) + 1
        self.start_clock()

    def start_clock(self) -> None:
        """Begin to count the batch's age."""
        if self.since is None:
            self.since = time.monotonic()

    @property
    def age_s(self) -> float:
        """Seconds since the first listing came."""
        return 0.0 if self.since is None else time.monotonic() - self.since

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return self.since is None


class BatchBuilder:
    """Compares a batch with the catalog; one for the whole scan, since huge directories span batches."""

    def __init__(
        self, context: ScanContext, lookout: Lookout, settling: Settling, dirty: dict[str, int]
    ) -> None:
        self.context = context
        self.lookout = lookout
        self.settling = settling
        self.dirty = dirty
        self.matched: dict[int, set[int]] = {}
        """File ids seen so far in directories whose listing comes in parts."""
        self.cut: set[int] = set()
        """Directories that `--limit` kept from being taken whole: they stay pending."""
        self.added_in_run = 0

    @property
    def limit_reached(self) -> bool:
        """Whether `--limit` new files have been committed."""
        limit = self.context.options.limit
        return limit is not None and self.added_in_run >= limit

    def commit(self, batch: Batch) -> None:
        """Commit the batch; its counters are in the scan's record afterwards."""
        added_before = self.context.record.counters.added
        checkpoint = self.context.commit(lambda: _Build(self, batch).checkpoint())
        self.dirty.update(dict.fromkeys(checkpoint.dirty, checkpoint.dirty_seq))
        self.added_in_run += self.context.record.counters.added - added_before
        self.context.progress.listed += sum(looked.listing.status != "part" for looked in batch.looked)
        for looked in batch.looked:
            if looked.listing.status != "part":
                self.start_over(looked.directory.id)

    def start_over(self, directory_id: int) -> None:
        """Forget the parts of a directory's listing."""
        self.matched.pop(directory_id, None)
        self.cut.discard(directory_id)


class _Build:
    """The making of one checkpoint; thrown away and begun anew when a row changed meanwhile."""

    def __init__(self, builder: BatchBuilder, batch: Batch) -> None:
        self._context = context = builder.context
        self._builder = builder
        self._batch = batch
        self._counters = context.record.counters
        self._options = context.options
        self._tasks = context.task_writer()
        self._parted = {looked.directory.id for looked in batch.looked if looked.listing.status == "part"}
        self._parted |= builder.matched.keys()
        self._absent: dict[int, Known] = {}
        self._arrivals: list[Arrival] = []
        self._modified: dict[tuple[int, str], tuple[Known, Entry]] = {}
        self._checkpoint = Checkpoint(
            new_directories=batch.new_directories,
            pending_directories=batch.pending,
            vanished_directories=batch.vanished_directories,
            failed_directories=batch.failed,
        )

    def checkpoint(self) -> Checkpoint:
        """Compare every listing and return what changes."""
        known, tombstones = self._read()
        self._note_problems(self._batch.problems)
        for looked in self._batch.looked:
            if self._over_limit():
                self._checkpoint.pending_directories.add(looked.directory.id)
            else:
                self._take_counted(looked, known.get(looked.directory.id, []))
        self._resolve_moves()
        self._write_arrivals(tombstones)
        self._write_modified()
        self._checkpoint.vanished_files = list(self._absent)
        return self._finish()

    def _take_counted(self, looked: Looked, known: list[Known]) -> None:
        counters = self._counters
        before = counters.files, counters.directories, counters.unchanged
        if self._is_all_new(looked):
            self._take_fresh(looked)
        else:
            self._take(looked, known)
        if self._over_limit() and looked.directory.id not in self._checkpoint.done_directories:
            # Cut short: it will be listed, and counted, once more.
            counters.files, counters.directories, counters.unchanged = before

    def _finish(self) -> Checkpoint:
        counters, checkpoint = self._counters, self._checkpoint
        checkpoint.messages = self._tasks.messages(counters)
        counters.problems += len(checkpoint.problems)
        counters.unsettled = self._builder.settling.count
        return checkpoint

    def _over_limit(self) -> bool:
        limit = self._options.limit
        return limit is not None and self._room(limit) <= 0

    def _room(self, limit: int) -> int:
        return limit - self._builder.added_in_run - len(self._arrivals) - len(self._checkpoint.new_files)

    def _read(self) -> tuple[dict[int, list[Known]], dict[tuple[int, str], Tombstone]]:
        wholes = [looked.directory.id for looked in self._batch.looked if self._wants_rows(looked)]
        in_parts = [looked for looked in self._batch.looked if self._in_parts(looked) and not looked.fresh]
        if not wholes and not in_parts:
            return {}, {}
        with self._context.database.read() as connection:
            rows = catalog_files.known_files(connection, wholes)
            known = {key: [Known._make(row) for row in found] for key, found in rows.items()}
            for looked in in_parts:
                known.setdefault(looked.directory.id, []).extend(self._rows_of_part(connection, looked))
            ids = [looked.directory.id for looked in self._batch.looked if not looked.fresh]
            return known, catalog_files.tombstones(connection, ids)

    def _wants_rows(self, looked: Looked) -> bool:
        return not looked.fresh and looked.listing.status == "ok" and not self._in_parts(looked)

    def _in_parts(self, looked: Looked) -> bool:
        return looked.directory.id in self._parted

    def _rows_of_part(self, connection: Any, looked: Looked) -> list[Known]:
        troubled = [paths.basename(problem.path) for problem in looked.listing.problems]
        rows = catalog_files.known_named(connection, looked.directory.id, looked.listing.names() + troubled)
        return [Known._make(row) for row in rows]

    def _is_all_new(self, looked: Looked) -> bool:
        """Tell whether nothing in a listing can be known, at its place or from another one."""
        is_new = looked.fresh and not self._context.had_files
        return is_new and looked.listing.status in {"ok", "part"} and not looked.listing.unsettled

    def _take_fresh(self, looked: Looked) -> None:
        """Take a directory of which nothing is known: every file is new. The hot path of a first scan."""
        listing, directory = looked.listing, looked.directory
        entries = listing.files
        limit = self._options.limit
        cut = limit is not None and len(entries) > self._room(limit)
        if cut and limit is not None:
            entries = entries[: self._room(limit)]
        if listing.status == "part":
            self._builder.matched.setdefault(directory.id, set())
        self._add_files(directory, entries)
        self._count(looked, len(entries), len(entries))
        self._note_problems(listing.problems)
        self._note_cut(directory.id, cut)
        if listing.status == "ok":
            self._close(looked, decided=True)

    def _add_files(self, directory: PendingDirectory, entries: list[Entry]) -> None:
        take, directory_id = self._context.file_ids.take, directory.id
        new = [NewFile(take(), directory_id, *entry) for entry in entries]
        self._checkpoint.new_files += new
        self._tasks.add_new(directory.path, new)
        self._counters.added += len(new)
        self._checkpoint.file_count_change += len(new)
        self._keep_matched(directory_id, new)

    def _keep_matched(self, directory_id: int, rows: Sequence[NewFile | Known | Tombstone]) -> None:
        """Count rows that come into a directory while its listing goes on among those that it showed."""
        matched = self._builder.matched.get(directory_id)
        if matched is not None:
            matched.update(row.id for row in rows)

    def _take(self, looked: Looked, known: list[Known]) -> None:
        listing = looked.listing
        self._note_problems(listing.problems)
        if listing.status == "same":
            self._count(looked, listing.file_count, 0)
            self._counters.unchanged += listing.file_count if looked.first_look else 0
            self._close(looked, decided=True)
        elif listing.status in {"ok", "part"}:
            self._compare(looked, known)

    def _compare(self, looked: Looked, known: list[Known]) -> None:
        listing, directory = looked.listing, looked.directory
        entries, unsettled = self._builder.settling.judge(directory, listing, known)
        present = unsettled | {paths.basename(problem.path) for problem in listing.problems}
        comparison = compare(entries, known, present=present, without_task=int(FileState.NEW))
        cut = self._accept(looked, comparison)
        absent = self._remember_part(looked, known) if self._in_parts(looked) else comparison.absent
        covered = [
            row for row in absent if self._options.filters.covers_file(paths.join(directory.path, row.name))
        ]
        self._absent.update((row.id, row) for row in covered)
        self._note_cut(directory.id, cut)
        if listing.status == "ok":
            self._close(looked, decided=not (covered or unsettled))

    def _accept(self, looked: Looked, comparison: Comparison) -> bool:
        """Take over what the comparison found; tell whether `--limit` cut it short."""
        directory, limit = looked.directory, self._options.limit
        added = comparison.added
        cut = limit is not None and len(added) > self._room(limit)
        if cut and limit is not None:
            added = added[: max(0, self._room(limit))]
        self._arrivals.extend(Arrival(directory, entry) for entry in added)
        for row, entry in comparison.modified:
            self._modified[directory.id, row.name] = (row, entry)
        self._checkpoint.present_files.extend(row.id for row in comparison.reappeared)
        self._checkpoint.renumbered_files.extend((entry[3], row.id) for row, entry in comparison.renumbered)
        seen = len(added) + len(comparison.modified) + comparison.unchanged
        self._count(looked, seen, len(added))
        self._counters.unchanged += comparison.unchanged if looked.first_look else 0
        return cut

    def _remember_part(self, looked: Looked, known: list[Known]) -> list[Known]:
        """Note which rows a part showed; return the absent ones with the last part."""
        directory_id = looked.directory.id
        matched = self._builder.matched.setdefault(directory_id, set())
        names = set(looked.listing.names())
        names |= {paths.basename(problem.path) for problem in looked.listing.problems}
        matched.update(row.id for row in known if row.name in names)
        if looked.listing.status != "ok" or looked.fresh:
            return []
        rows = map(Known._make, catalog_files.all_known(self._context.database, directory_id))
        return [row for row in rows if row.id not in matched]

    def _note_cut(self, directory_id: int, cut: bool) -> None:
        if cut:
            self._builder.cut.add(directory_id)

    def _count(self, looked: Looked, seen: int, added: int) -> None:
        """Count what a listing showed; a second look adds only what the first did not see."""
        self._counters.files += seen if looked.first_look else added
        if looked.first_look:
            self._counters.directories += looked.listing.status != "part"

    def _close(self, looked: Looked, *, decided: bool) -> None:
        """Mark a directory done. Undecided ones are not trusted: the next look compares them again."""
        listing, directory = looked.listing, looked.directory
        if directory.id in self._builder.cut:
            self._checkpoint.pending_directories.add(directory.id)
            return
        decided = decided and directory.id not in self._batch.undecided
        trusted = self._options.filters.signature if decided and listing.trustworthy else None
        digest = listing.digest if decided else None
        self._checkpoint.done_directories[directory.id] = DoneDirectory(
            listing.mtime_ns, listing.inode or None, looked.mount, trusted, digest
        )
        if self._builder.settling.holds(directory.id):
            self._checkpoint.dirty[directory.path] = "unsettled"
        elif directory.path in self._builder.dirty:
            self._checkpoint.clean[directory.path] = self._builder.dirty[directory.path]

    def _note_problems(self, problems: list[Problem]) -> None:
        self._checkpoint.problems.extend(ProblemRow(*problem) for problem in problems)

    def _resolve_moves(self) -> None:
        """Find out which new files are known ones at another place."""
        if not self._arrivals or not self._context.had_files:
            return
        moves = FileMoves(self._context, self._builder.lookout, self._modified)
        arrivals, moved = moves.resolve(self._arrivals)
        self._arrivals = arrivals
        for move in moved:
            self._write_move(move)

    def _write_move(self, move: FileMove) -> None:
        arrival, row = move.arrival, move.row
        self._absent.pop(row.id, None)
        directory, entry = arrival.directory, arrival.entry
        self._keep_matched(directory.id, [row])
        self._checkpoint.moved_files.append(
            MovedFile(move.source_directory_id, directory.id, entry[0], row.revision + 1, row.id, row.revision)
        )
        file = Subject(row.id, row.revision + 1, row.content, arrival.path, entry[1], entry[2], entry[4])
        self._tasks.add_move(file, move.source, probe=row.state != FileState.OK)
        self._counters.moved += 1

    def _write_arrivals(self, tombstones: dict[tuple[int, str], Tombstone]) -> None:
        new: dict[int, tuple[PendingDirectory, list[Entry]]] = {}
        for arrival in self._arrivals:
            tombstone = tombstones.get((arrival.directory.id, arrival.entry[0]))
            if tombstone is None:
                new.setdefault(arrival.directory.id, (arrival.directory, []))[1].append(arrival.entry)
                continue
            self._keep_matched(arrival.directory.id, [tombstone])
            self._change("added", tombstone, arrival.entry, arrival.path)
            self._counters.added += 1
            self._checkpoint.file_count_change += 1
        for directory, entries in new.values():
            self._add_files(directory, entries)

    def _write_modified(self) -> None:
        paths_by_id = {looked.directory.id: looked.directory.path for looked in self._batch.looked}
        for (directory_id, name), (row, entry) in self._modified.items():
            self._change("modified", row, entry, paths.join(paths_by_id[directory_id], name))
            self._counters.modified += 1

    def _change(
        self, change: Literal["added", "modified"], row: Known | Tombstone, entry: Entry, path: str
    ) -> None:
        """Give a row that is there new content."""
        _, size, mtime_ns, inode, kind = entry
        revision, content = row.revision + 1, row.content + 1
        changed = ChangedFile(size, mtime_ns, inode, kind, revision, content, row.id, row.revision)
        self._checkpoint.changed_files.append(changed)
        self._tasks.add(change, Subject(row.id, revision, content, path, size, mtime_ns, kind))
