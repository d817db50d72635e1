"""Failures: files that could not be processed, counted and listed, and given back to be tried again.

A retry is a new content of the file as far as messages go: whatever is still on its way for the old one,
results and delayed retries alike, counts for nothing. Revision and content rise, the row is queued and its task
in the outbox in one transaction; a scan that read the row before compares it anew (`StaleReadError`).
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, case, func

from scanner import paths
from scanner.catalog import search
from scanner.catalog.bulk import select_in, update_rows
from scanner.catalog.checkpoint import write_messages
from scanner.catalog.engine import Database
from scanner.catalog.libraries import all_libraries
from scanner.catalog.scans import Counters, begin_sending, save_sending
from scanner.catalog.search import EVERYTHING, FAILING, Filter, FoundFile
from scanner.catalog.tables import FileState, files, libraries
from scanner.catalog.tasks import Subject, TaskWriter

_CHUNK = 2000


class FailureGroup(NamedTuple):
    """How many files of a library failed in one way, and how many of them will be tried again by themselves."""

    library: str
    error_kind: str | None
    files: int
    retrying: int


def grouped(database: Database, wanted: Filter = EVERYTHING) -> list[FailureGroup]:
    """Return the failures that match by library and kind of error, the most frequent first."""
    retrying = func.sum(case((files.c.state == int(FileState.RETRYING), 1), else_=0))
    columns = (libraries.c.name, files.c.error_kind)
    query = _failing(database, wanted, *columns, func.count(), retrying).group_by(*columns)
    with database.read() as connection:
        found = [FailureGroup._make((*row[:3], int(row[3]))) for row in connection.execute(query)]
    return sorted(found, key=lambda group: (-group.files, group.library, group.error_kind or ""))


def listed(
    database: Database, wanted: Filter = EVERYTHING, *, after: int = 0, limit: int | None = None
) -> Iterator[FoundFile]:
    """Yield the files that match and failed, or are to be tried again, by id from `after` on."""
    query = _failing(database, wanted, *search.COLUMNS).where(files.c.id > after)
    return search.streamed(database, query.order_by(files.c.id).limit(limit))


def retry(
    database: Database,
    catalog: str,
    wanted: Filter = EVERYTHING,
    *,
    retrying: bool = False,
    tasks_per_message: int = 100,
) -> int:
    """Put tasks for the failed files that match into the outbox, and return how many.

    With `retrying` those that wait for their next attempt are tried at once, too.
    """
    states = {int(FileState.FAILED), int(FileState.RETRYING)} if retrying else {int(FileState.FAILED)}
    sending = _Sending(database, catalog, tasks_per_message)
    for ids in _chunks(database, _failing(database, wanted, files.c.id).where(files.c.state.in_(states))):
        with database.write() as connection:
            sending.write(connection, _requeue(connection, ids, states))
    return sending.count


def _failing(database: Database, wanted: Filter, *columns: Any) -> Select[Any]:
    return search.joined(*columns).where(*search.conditions(wanted, database.dialect), FAILING)


def _chunks(database: Database, query: Select[Any]) -> Iterator[list[int]]:
    last = 0
    while True:
        with database.read() as connection:
            page = query.where(files.c.id > last).order_by(files.c.id).limit(_CHUNK)
            ids = list(connection.scalars(page))
        if not ids:
            return
        last = ids[-1]
        yield ids


_LOCK = "SELECT id, state, revision, content FROM files WHERE id IN {ids} ORDER BY id"
_PLACED = """
SELECT d.library_id, f.id, f.revision, f.content, d.path, f.name, f.size, f.mtime_ns, f.kind
FROM files f JOIN directories d ON d.id = f.directory_id WHERE f.id IN {ids} ORDER BY f.id
"""
_COLUMNS = ("state", "attempts", "error", "error_kind", "revision", "content")


def _requeue(connection: Connection, ids: list[int], states: set[int]) -> dict[int, list[Subject]]:
    """Give files that are still in one of the states a new content; return them by library."""
    locking = "" if connection.dialect.name == "sqlite" else " FOR UPDATE"
    locked = [row for row in select_in(connection, _LOCK + locking, ids) if row[1] in states]
    new = (int(FileState.QUEUED), 0, None, None)
    rows = [(*new, revision + 1, content + 1, file_id) for file_id, _, revision, content in locked]
    update_rows(connection, files, _COLUMNS, ("id",), rows)
    by_library: dict[int, list[Subject]] = defaultdict(list)
    # Read under the lock: a directory that moves meanwhile tells the new place with a higher revision.
    for library_id, file_id, revision, content, directory, name, *facts in select_in(
        connection, _PLACED, [row[0] for row in locked]
    ):
        subject = Subject(file_id, revision, content, paths.join(directory, name), *facts)
        by_library[library_id].append(subject)
    return by_library


class _Sending:
    """Writes the tasks of each library under one row of the history of scans, which its messages name."""

    def __init__(self, database: Database, catalog: str, tasks_per_message: int) -> None:
        self._catalog = catalog
        self._tasks_per_message = tasks_per_message
        self._libraries = {library.id: library for library in all_libraries(database)}
        self._scans: dict[int, tuple[int, Counters]] = {}

    @property
    def count(self) -> int:
        """How many tasks were written."""
        return sum(counters.tasks for _, counters in self._scans.values())

    def write(self, connection: Connection, subjects: dict[int, list[Subject]]) -> None:
        """Put the tasks of files, given by library, into the outbox."""
        for library_id, of_library in subjects.items():
            if library_id not in self._scans:
                self._scans[library_id] = (begin_sending(connection, library_id, "retry", ""), Counters())
            scan_id, counters = self._scans[library_id]
            tasks = TaskWriter(self._catalog, scan_id, self._libraries[library_id], self._tasks_per_message)
            for subject in of_library:
                tasks.add("modified", subject)
            write_messages(connection, scan_id, tasks.messages(counters))
            save_sending(connection, scan_id, counters)
