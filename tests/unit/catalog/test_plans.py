"""The hot queries use their indexes on a catalog of some size, on both databases.

The statements are caught on their way to the driver, so that what is explained is what runs.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from scanner.catalog import checkpoint, files, outbox, results, scans
from scanner.catalog.bulk import insert_rows
from scanner.catalog.engine import Database
from scanner.catalog.scans import Counters, ScanRecord
from scanner.catalog.tables import directories as directories_table
from scanner.catalog.tables import files as files_table

FOLDERS, FILES_EACH = 60_000, 3
RECORD = ScanRecord(7, 1, "full", "walk", False, False, Counters())


@pytest.fixture
def filled(database: Database) -> Database:
    """A catalog of 180,000 files, with statistics."""
    with database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO libraries (name, host, root, created_at) VALUES ('l','h','/l',0), ('m','h','/m',0)"
            )
        )
        columns = ("id", "library_id", "parent_id", "path_key", "path", "inode", "mtime_ns", "pending_scan")
        rows: list[tuple[Any, ...]] = [
            (
                number,
                1 + number % 2,
                number // 10,
                number.to_bytes(16),
                f"d{number}",
                number,
                5,
                7 if number < 20 else None,
            )
            for number in range(1, FOLDERS)
        ]
        insert_rows(connection, directories_table, columns, rows)
        names = ("directory_id", "name", "size", "mtime_ns", "inode", "kind", "state", "revision", "content")
        marks = ("vanished_scan",)
        entries: list[tuple[Any, ...]] = [
            (
                folder,
                f"f{number}",
                1,
                1,
                folder * 100 + number,
                1,
                5 if number == 0 else 1,
                1,
                1,
                7 if number + folder == 5 else None,
            )
            for folder in range(1, FOLDERS)
            for number in range(FILES_EACH)
        ]
        insert_rows(connection, files_table, (*names, *marks), entries)
        connection.execute(text("ANALYZE"))
    return database


@contextmanager
def caught(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Catch the statements that run while the body does."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            seen.append((statement, parameters))

    engine = database._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def plan(database: Database, statement: str, parameters: Any) -> str:
    """Return the database's plan of a statement as text."""
    prefix = "EXPLAIN QUERY PLAN " if database.dialect == "sqlite" else "EXPLAIN "
    with database.write() as connection:
        given = parameters[0] if isinstance(parameters, list) else parameters
        rows = connection.exec_driver_sql(prefix + statement, given).all()
    return "\n".join(str(row[-1]) for row in rows)


def known(database: Database) -> None:
    with database.read() as connection:
        files.known_files(connection, range(1, 6))


def named(database: Database) -> None:
    with database.read() as connection:
        files.known_named(connection, 9, [f"f{number}" for number in range(9)])


def tombstones(database: Database) -> None:
    with database.read() as connection:
        files.tombstones(connection, range(1, 6))


def by_inode(database: Database) -> None:
    with database.read() as connection:
        files.files_by_inode(connection, 1, range(1000, 1005))


def directories_by_inode(database: Database) -> None:
    with database.read() as connection:
        files.directories_by_inode(connection, 1, range(1, 6))


def vanishing(database: Database) -> None:
    with database.write() as connection:
        checkpoint._mark_subtree_vanished(connection, 7, 150)


def of_results(database: Database) -> None:
    with database.write() as connection:
        results._read(connection, range(1, 600))
        results._ask_for_a_look(connection, dict.fromkeys(range(1, 6), "gone"))


def without_task(database: Database) -> None:
    with database.write() as connection:
        checkpoint._distrust_without_task(connection, range(1, 600))


HOT: dict[str, Callable[[Database], object]] = {
    "known files of directories": known,
    "known files by name": named,
    "all known files of a directory": lambda database: list(files.all_known(database, 9)),
    "tombstones": tombstones,
    "subdirectories": lambda database: files.children(database, range(1, 6)),
    "files by inode": by_inode,
    "directories by inode": directories_by_inode,
    "pending directories": lambda database: scans.pending_directories(database, RECORD, 100),
    "directories at paths": lambda database: scans.directories_at(database, 1, ["d5", "d6"]),
    "vanished files": lambda database: files.vanished_files(database, 7, 0, 100),
    "a subtree that vanished": vanishing,
    "files that results are about": of_results,
    "directories that hold a file without a task": without_task,
    "the next messages": lambda database: outbox.fetch_ready(database, 10),
}


def test_hot_queries_never_read_a_whole_table(filled: Database) -> None:
    shown = []
    for name, query in HOT.items():
        with caught(filled) as statements:
            query(filled)
        assert statements
        shown += [f"{name}\n{plan(filled, *statement)}" for statement in statements]
    assert [one for one in shown if reads_whole_table(one)] == []


def reads_whole_table(shown: str) -> bool:
    """Tell whether a plan reads all of `files` or `directories`, or all of an index of them."""
    return (
        re.search(r"Seq Scan on (files|directories)|^SCAN (files|directories|f|d)\b", shown, re.MULTILINE)
        is not None
    )


def test_a_control_query_does_read_a_whole_table(filled: Database) -> None:
    """The assertion above can fail."""
    shown = plan(filled, "SELECT count(*) FROM files WHERE size = 77", ())
    assert reads_whole_table(shown)
