"""Sending again: what the catalog holds, as new messages with the same revisions.

For a queue that was purged, or a consumer that is new: who keeps the highest revision of each file sees no
difference. Living files come as `added`; with every state, deleted ones come as `deleted`.
"""

from collections.abc import Iterator
from typing import Literal

from sqlalchemy import select

from scanner.catalog.checkpoint import write_messages
from scanner.catalog.engine import Database
from scanner.catalog.libraries import Library
from scanner.catalog.scans import Counters, begin_sending, save_sending
from scanner.catalog.tables import FileState, directories, files
from scanner.catalog.tasks import Subject, TaskWriter

_CHUNK = 5000

Which = Literal["queued", "all"]


def resend(database: Database, catalog: str, library: Library, which: Which, tasks_per_message: int) -> int:
    """Put the tasks of a library's files into the outbox again; return how many."""
    counters = Counters()
    with database.write() as connection:
        scan_id = begin_sending(connection, library.id, "resend", which)
    for chunk in _files(database, library, which):
        tasks = TaskWriter(catalog, scan_id, library, tasks_per_message)
        for state, subject in chunk:
            tasks.add("deleted" if state == FileState.MISSING else "added", subject)
        with database.write() as connection:
            write_messages(connection, scan_id, tasks.messages(counters))
            save_sending(connection, scan_id, counters)
    return counters.tasks


def _files(database: Database, library: Library, which: Which) -> Iterator[list[tuple[int, Subject]]]:
    last = 0
    while chunk := _chunk(database, library, which, last):
        last = chunk[-1][1].id
        yield chunk


def _chunk(database: Database, library: Library, which: Which, after_id: int) -> list[tuple[int, Subject]]:
    place = (directories.c.path + "/" + files.c.name).label("place")
    query = (
        select(
            files.c.state,
            files.c.id,
            files.c.revision,
            files.c.content,
            place,
            files.c.size,
            files.c.mtime_ns,
            files.c.kind,
        )
        .join(directories, directories.c.id == files.c.directory_id)
        .where(directories.c.library_id == library.id, files.c.id > after_id)
    )
    if which == "queued":
        query = query.where(files.c.state == int(FileState.QUEUED))
    with database.read() as connection:
        rows = connection.execute(query.order_by(files.c.id).limit(_CHUNK)).all()
    return [(row[0], Subject(row[1], row[2], row[3], row[4].removeprefix("/"), *row[5:])) for row in rows]
