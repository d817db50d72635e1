"""Ids given out ahead, so that a message can name a file before the file's row is written.

Blocks are reserved from the database's own sequence. A crash wastes what is left of a block; no id
is ever given out twice.

Source for SQLite: "the application can modify the sqlite_sequence table" (sqlite.org/autoinc.html).
"""

from collections import deque
from collections.abc import Callable

from sqlalchemy import Connection, Table

from scanner.catalog.engine import Database

_SMALLEST_BLOCK = 100
_LARGEST_BLOCK = 20_000


class IdSource:
    """Ids of one table; blocks double while they are used up, so that a small scan wastes few."""

    def __init__(
        self, database: Database, table: Table, retry: Callable[[Callable[[], None]], None] | None = None
    ) -> None:
        """Give out ids of `table`; `retry`, if given, goes around the reserving of each block."""
        self._database = database
        self._table = table
        self._retry = retry or _once
        self._free: deque[int] = deque()
        self._block = _SMALLEST_BLOCK

    def take(self) -> int:
        """Return an id that nobody has or will have."""
        if not self._free:
            self._retry(self._reserve)
        return self._free.popleft()

    def _reserve(self) -> None:
        with self._database.write() as connection:
            reserve = _reserve_sqlite if self._database.dialect == "sqlite" else _reserve_postgresql
            block = reserve(connection, self._table.name, self._block)
        self._free.extend(block)  # only now: what was not committed is not ours
        self._block = min(self._block * 2, _LARGEST_BLOCK)


def _once(work: Callable[[], None]) -> None:
    work()


def _reserve_sqlite(connection: Connection, table: str, count: int) -> list[int]:
    last = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).scalar()
    if last is None:
        last = 0
        connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, count))
    else:
        connection.exec_driver_sql("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (last + count, table))
    return list(range(last + 1, last + count + 1))


def _reserve_postgresql(connection: Connection, table: str, count: int) -> list[int]:
    query = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)"
    return [row[0] for row in connection.exec_driver_sql(query, (table, count))]
