"""The checkpoint: what a batch of listings changes, committed in ONE transaction.

Catalog rows, the frontier (pending and done marks), the tasks' messages, problems and counters stand or fall
together, under the library's lease. Whatever kills the process, either all of a batch is there or nothing.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, delete, text, tuple_, update

from scanner.catalog.bulk import insert_rows, select_in, update_rows, upsert_rows
from scanner.catalog.engine import Database
from scanner.catalog.leases import Grant, renew
from scanner.catalog.libraries import path_key
from scanner.catalog.scans import ScanRecord, save_progress
from scanner.catalog.tables import (
    WITHOUT_TASK,
    FileState,
    directories,
    dirty,
    files,
    libraries,
    outbox,
    problems,
)


class StaleReadError(Exception):
    """Raised when a row changed between being read and being written: compare again and retry."""


class NewDirectory(NamedTuple):
    """A directory row to be inserted, pending."""

    id: int
    parent_id: int
    path: str
    inode: int


class DoneDirectory(NamedTuple):
    """What a finished listing leaves on its directory; `trusted` and `digest` are None while undecided."""

    mtime_ns: int | None
    inode: int | None
    mount: str | None
    trusted: int | None
    digest: bytes | None


class NewFile(NamedTuple):
    """A file row to be inserted."""

    id: int
    directory_id: int
    name: str
    size: int
    mtime_ns: int
    inode: int
    kind: int
    state: int = int(FileState.QUEUED)
    revision: int = 1
    content: int = 1


class ChangedFile(NamedTuple):
    """New content of a known file, or the return of a deleted one; `id` and `old_revision` find the row."""

    size: int
    mtime_ns: int
    inode: int
    kind: int
    revision: int
    content: int
    id: int
    old_revision: int


class MovedFile(NamedTuple):
    """A known file at another place, its content the same; `id` and `old_revision` find the row."""

    source_directory_id: int
    directory_id: int
    name: str
    revision: int
    id: int
    old_revision: int


class Message(NamedTuple):
    """A message ready to be sent."""

    message_id: str
    routing_key: str
    body: bytes
    task_count: int


class ProblemRow(NamedTuple):
    """One thing that could not be looked at."""

    path: str
    kind: str
    errno: int | None
    text: str


@dataclass(slots=True)
class Checkpoint:
    """The changes of one batch; empty collections cost nothing."""

    new_directories: dict[int, NewDirectory] = field(default_factory=dict)
    pending_directories: set[int] = field(default_factory=set)
    done_directories: dict[int, DoneDirectory] = field(default_factory=dict)
    failed_directories: set[int] = field(default_factory=set)
    """Directories that could not be listed: not pending, not seen, and what they hold stays as it was."""
    vanished_directories: set[int] = field(default_factory=set)
    new_files: list[NewFile] = field(default_factory=list)
    changed_files: list[ChangedFile] = field(default_factory=list)
    moved_files: list[MovedFile] = field(default_factory=list)
    deleted_files: list[tuple[int, int]] = field(default_factory=list)
    """File id and the revision that it had."""
    vanished_files: list[int] = field(default_factory=list)
    present_files: list[int] = field(default_factory=list)
    """Files once marked vanished that were seen again."""
    renumbered_files: list[tuple[int, int]] = field(default_factory=list)
    """Inode and file id of files whose inode was not known: no change of theirs."""
    messages: list[Message] = field(default_factory=list)
    problems: list[ProblemRow] = field(default_factory=list)
    dirty: dict[str, str] = field(default_factory=dict)
    """Path of a directory to be looked at again: why."""
    dirty_seq: int = field(default_factory=time.time_ns)
    """The sequence number that those marks get."""
    clean: dict[str, int] = field(default_factory=dict)
    """Path of a directory that has been looked at: the mark's sequence number before the listing."""
    file_count_change: int = 0


def commit(database: Database, grant: Grant, scan: ScanRecord, checkpoint: Checkpoint) -> None:
    """Write a checkpoint and the scan's counters, and renew the lease.

    Raises:
        LeaseLost: somebody took the library over; nothing was written.
        StaleReadError: a row changed since it was read; nothing was written.
    """
    with database.write() as connection:
        renew(connection, grant)
        _write_directories(connection, scan, checkpoint)
        _write_files(connection, scan, checkpoint)
        _distrust_without_task(connection, checkpoint.done_directories)
        write_messages(connection, scan.id, checkpoint.messages)
        _write_problems(connection, scan.id, checkpoint.problems)
        _write_dirty(connection, scan.library_id, checkpoint)
        change_file_count(connection, scan.library_id, checkpoint.file_count_change)
        save_progress(connection, scan)


def _write_directories(connection: Connection, scan: ScanRecord, checkpoint: Checkpoint) -> None:
    done = dict(checkpoint.done_directories)
    unlisted = DoneDirectory(None, None, None, None, None)
    new_rows = []
    for new in checkpoint.new_directories.values():
        state = done.pop(new.id, None)
        marks = (scan.id, None) if state is None else (None, scan.id)
        mtime_ns, inode, mount, trusted, digest = state or unlisted
        inode = inode or new.inode or None
        key = path_key(new.path)
        new_rows.append(
            (
                new.id,
                scan.library_id,
                new.parent_id,
                key,
                new.path,
                inode,
                mount,
                mtime_ns,
                trusted,
                digest,
                *marks,
            )
        )
    insert_rows(connection, directories, _NEW_DIRECTORY_COLUMNS, new_rows)
    pending = [(scan.id, False, None, key) for key in checkpoint.pending_directories - done.keys()]
    update_rows(connection, directories, ("pending_scan", "missing", "vanished_scan"), ("id",), pending)
    rows = [(*state, scan.id, None, None, False, key) for key, state in done.items()]
    update_rows(connection, directories, _DONE_COLUMNS, ("id",), rows)
    failed = [(None, None, None, None, key) for key in checkpoint.failed_directories]
    update_rows(connection, directories, _FAILED_COLUMNS, ("id",), failed)
    for directory_id in checkpoint.vanished_directories:
        _mark_subtree_vanished(connection, scan.id, directory_id)


_NEW_DIRECTORY_COLUMNS = (
    "id",
    "library_id",
    "parent_id",
    "path_key",
    "path",
    "inode",
    "mount",
    "mtime_ns",
    "trusted",
    "digest",
    "pending_scan",
    "seen_scan",
)
_DONE_COLUMNS = (
    "mtime_ns",
    "inode",
    "mount",
    "trusted",
    "digest",
    "seen_scan",
    "pending_scan",
    "vanished_scan",
    "missing",
)

_FAILED_COLUMNS = ("trusted", "digest", "pending_scan", "seen_scan")

_SUBTREE = """
WITH RECURSIVE subtree(id) AS (
    SELECT id FROM directories WHERE id = :directory
    UNION ALL
    SELECT d.id FROM directories d JOIN subtree s ON d.parent_id = s.id
) SELECT id FROM subtree
"""
_MARK_FILES_VANISHED = (
    f"UPDATE files SET vanished_scan = :scan WHERE state <> 5 AND directory_id IN ({_SUBTREE})"  # noqa: S608
)
_MARK_DIRECTORIES_VANISHED = f"""
UPDATE directories SET vanished_scan = :scan, pending_scan = NULL, trusted = NULL, digest = NULL
WHERE NOT missing AND id IN ({_SUBTREE})
"""  # noqa: S608


def _mark_subtree_vanished(connection: Connection, scan_id: int, directory_id: int) -> None:
    values = {"scan": scan_id, "directory": directory_id}
    connection.execute(text(_MARK_FILES_VANISHED), values)
    connection.execute(text(_MARK_DIRECTORIES_VANISHED), values)


def _write_files(connection: Connection, scan: ScanRecord, checkpoint: Checkpoint) -> None:
    _move_files(connection, checkpoint.moved_files)
    rows = [
        (*row[:6], int(FileState.QUEUED), None, 0, None, None, *row[6:]) for row in checkpoint.changed_files
    ]
    _require_all(update_rows(connection, files, _CHANGED_COLUMNS, ("id", "revision_was"), rows), rows)
    deleted = [
        (int(FileState.MISSING), revision + 1, None, file_id, revision)
        for file_id, revision in checkpoint.deleted_files
    ]
    _require_all(update_rows(connection, files, _DELETED_COLUMNS, ("id", "revision_was"), deleted), deleted)
    insert_rows(connection, files, NewFile._fields, checkpoint.new_files)
    vanished = [(scan.id, file_id) for file_id in checkpoint.vanished_files]
    update_rows(connection, files, ("vanished_scan",), ("id",), vanished)
    update_rows(connection, files, ("inode",), ("id",), checkpoint.renumbered_files)
    present = [(None, file_id) for file_id in checkpoint.present_files]
    update_rows(connection, files, ("vanished_scan",), ("id",), present)


_CHANGED_COLUMNS = (
    "size",
    "mtime_ns",
    "inode",
    "kind",
    "revision",
    "content",
    "state",
    "vanished_scan",
    "attempts",
    "error",
    "error_kind",
)
_DELETED_COLUMNS = ("state", "revision", "vanished_scan")


def _move_files(connection: Connection, moved: list[MovedFile]) -> None:
    """Rename in two steps, so that a chain or a ring of renames never meets the unique index.

    A name cannot hold a '/', so '/' and the id is a name that nothing else has.
    """
    aside = [(f"/{row.id}", row.id) for row in moved]
    update_rows(connection, files, ("name",), ("id",), aside)
    rows = [(row.directory_id, row.name, row.revision, None, row.id, row.old_revision) for row in moved]
    columns = ("directory_id", "name", "revision", "vanished_scan")
    _require_all(update_rows(connection, files, columns, ("id", "revision_was"), rows), rows)
    select_in(connection, _QUEUE_MOVED, [row.id for row in moved])
    # What these directories last showed is no longer what their rows say.
    left = [(None, None, key) for key in {row.source_directory_id for row in moved}]
    update_rows(connection, directories, ("trusted", "digest"), ("id",), left)


_QUEUE_MOVED = f"""
UPDATE files SET state = {int(FileState.QUEUED)}, attempts = 0, error = NULL, error_kind = NULL
WHERE id IN {{ids}} AND state IN ({int(FileState.NEW)}, {int(FileState.FAILED)}, {int(FileState.RETRYING)})
RETURNING id
"""  # noqa: S608
"""Without a result yet, a move's task asks for a probe: that is outstanding now, its attempts begin anew."""

_DISTRUST = f"""
UPDATE directories SET trusted = NULL, digest = NULL
WHERE id IN (SELECT directory_id FROM files WHERE directory_id IN {{ids}} AND {WITHOUT_TASK.text}) RETURNING id
"""  # noqa: S608


def _distrust_without_task(connection: Connection, directory_ids: Iterable[int]) -> None:
    """See that no directory that holds a file without a task is passed over by the next look.

    A collector may have taken the task away between the listing and this commit. It writes the row before the
    directory, we the directory before we read the row: whoever comes last sees the other.
    """
    select_in(connection, _DISTRUST, directory_ids)


def _require_all(matched: int, rows: Sequence[object]) -> None:
    if matched != len(rows):
        raise StaleReadError


def write_messages(connection: Connection, scan_id: int, messages: list[Message]) -> None:
    """Put messages into the outbox."""
    now = time.time()
    rows = [(scan_id, *message, now) for message in messages]
    columns = ("scan_id", "message_id", "routing_key", "body", "task_count", "created_at")
    insert_rows(connection, outbox, columns, rows)


def change_file_count(connection: Connection, library_id: int, change: int) -> None:
    """Keep the library's number of living files."""
    if change:
        statement = update(libraries).where(libraries.c.id == library_id)
        connection.execute(statement.values(file_count=libraries.c.file_count + change))


def _write_problems(connection: Connection, scan_id: int, rows: list[ProblemRow]) -> None:
    columns = ("scan_id", "path", "kind", "errno", "text")
    insert_rows(connection, problems, columns, [(scan_id, *row) for row in rows])


def _write_dirty(connection: Connection, library_id: int, checkpoint: Checkpoint) -> None:
    marks = [(path_key(path), seq) for path, seq in checkpoint.clean.items() if path not in checkpoint.dirty]
    for start in range(0, len(marks), 500):
        chunk = tuple_(dirty.c.path_key, dirty.c.seq).in_(marks[start : start + 500])
        connection.execute(delete(dirty).where(dirty.c.library_id == library_id, chunk))
    mark_dirty(connection, library_id, checkpoint.dirty, checkpoint.dirty_seq)


def mark_dirty(connection: Connection, library_id: int, reasons: dict[str, str], seq: int) -> None:
    """Ask for directories to be looked at again; a mark that is there gets the new sequence number.

    Scans and collectors do so side by side: the rows are written in one order.
    """
    now = time.time()
    rows = sorted((library_id, path_key(path), path, seq, reason, now) for path, reason in reasons.items())
    columns = ("library_id", "path_key", "path", "seq", "reason", "since")
    upsert_rows(connection, dirty, columns, ("library_id", "path_key"), rows)
