"""Ids are given out ahead, and never twice: not after a restart, not after the highest row was deleted."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from sqlalchemy import Connection

from scanner.catalog.engine import Database
from scanner.catalog.ids import IdSource
from scanner.catalog.tables import directories, files
from scanner.errors import DatabaseUnavailable


def take(source: IdSource, count: int) -> list[int]:
    return [source.take() for _ in range(count)]


def insert(database: Database, file_id: int) -> None:
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO files (id, directory_id, name, size, mtime_ns, kind, state, revision, content)"
            f" VALUES ({file_id}, 1, 'f{file_id}', 0, 0, 1, 1, 1, 1)"
        )


def test_ids_come_in_order_over_blocks(database: Database) -> None:
    given = take(IdSource(database, files), 1000)
    assert all(later == earlier + 1 for earlier, later in pairwise(given))


def test_a_deleted_highest_row_does_not_give_its_id_back(database: Database) -> None:
    highest = take(IdSource(database, files), 100)[-1]
    insert(database, highest)
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM files")
    assert IdSource(database, files).take() > highest


def test_a_restart_wastes_ids_but_repeats_none(database: Database) -> None:
    before = set(take(IdSource(database, files), 10))
    after = take(IdSource(database, files), 300)
    assert before.isdisjoint(after)


def test_ids_whose_reservation_was_not_committed_are_not_given_out(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = database.write

    @contextmanager
    def fail_at_commit() -> Iterator[Connection]:
        with write() as connection:
            yield connection
            raise DatabaseUnavailable("the disk is full")

    source = IdSource(database, files)
    with monkeypatch.context() as patched:
        patched.setattr(database, "write", fail_at_commit)
        with pytest.raises(DatabaseUnavailable):
            source.take()
    assert set(take(IdSource(database, files), 50)).isdisjoint(take(source, 50))


def test_tables_have_ids_of_their_own(database: Database) -> None:
    assert IdSource(database, files).take() == IdSource(database, directories).take() == 1


@pytest.mark.parametrize("count", [1, 150])
def test_two_at_once_never_meet(database: Database, count: int) -> None:
    found: list[list[int]] = []
    together = threading.Barrier(4)

    def work() -> None:
        source = IdSource(database, files)
        together.wait(10)
        found.append(take(source, count))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    given = [one for block in found for one in block]
    assert len(given) == len(set(given)) == 4 * count


def test_rows_that_the_database_numbers_itself_follow_the_blocks(database: Database) -> None:
    highest = take(IdSource(database, directories), 5)[-1]
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO libraries (name, host, root, created_at) VALUES ('x','x','x',0)"
        )
        row = connection.exec_driver_sql(
            "INSERT INTO directories (library_id, path_key, path) VALUES (1, 'k', 'p') RETURNING id"
        )
        assert row.scalar_one() > highest
