"""Bulk statements: tuples straight to the driver, thousands of rows a call.

SQLAlchemy's executemany with dicts spends half of a bulk insert in building parameters (measured), so the hot
statements of a batch's commit pass tuples: `executemany` on SQLite, one statement over `unnest`ed arrays on
PostgreSQL. Column names come from the tables' metadata, never from outside.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql

Values = tuple[object, ...]


def insert_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Values]) -> None:
    """Insert rows of values in the order of `columns`."""
    _insert(connection, table, columns, rows)


def upsert_rows(
    connection: Connection, table: Table, columns: Sequence[str], keys: Sequence[str], rows: Sequence[Values]
) -> None:
    """Insert rows as `insert_rows` does; one whose unique `keys` are there gets the given values instead.

    No two of the rows may have the same keys.
    """
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in keys)
    _insert(connection, table, columns, rows, f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}")


def _insert(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Values], conflict: str = ""
) -> None:
    if not rows:
        return
    names = ", ".join(columns)
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({marks}){conflict}", list(rows))
        return
    arrays = _arrays(table, tuple(columns))
    connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays}){conflict}", _transposed(rows)
    )


def update_rows(
    connection: Connection, table: Table, columns: Sequence[str], keys: Sequence[str], rows: Sequence[Values]
) -> int:
    """Set `columns` where `keys` are equal, each row holding the columns' values and then the keys'.

    A key `revision_was` is the column `revision` as it must be before, when the row sets it too; so for any
    column. Returns the number of rows that matched: fewer than given means that somebody changed one meanwhile.
    """
    if not rows:
        return 0
    if connection.dialect.name == "sqlite":
        changes = ", ".join(f"{name} = ?" for name in columns)
        where = " AND ".join(f"{_column(name)} = ?" for name in keys)
        result = connection.exec_driver_sql(f"UPDATE {table.name} SET {changes} WHERE {where}", list(rows))
        return result.rowcount
    names = (*columns, *keys)
    changes = ", ".join(f"{name} = given.{name}" for name in columns)
    where = " AND ".join(f"{table.name}.{_column(name)} = given.{name}" for name in keys)
    source = f"unnest({_arrays(table, names)}) AS given({', '.join(names)})"
    result = connection.exec_driver_sql(
        f"UPDATE {table.name} SET {changes} FROM {source} WHERE {where}", _transposed(rows)
    )
    return result.rowcount


def select_in(
    connection: Connection, query: str, values: Iterable[int] | Iterable[str], *parameters: object
) -> Sequence[Any]:
    """Run a query in which `{ids}` stands for integers, or `{texts}` for strings, and `{p}` for each parameter.

    The statement's text is the same however many values there are, so it is prepared once. The values come
    before the parameters.
    """
    given = list(values)
    if connection.dialect.name == "sqlite":
        listed = "(SELECT value FROM json_each(?))"
        return connection.exec_driver_sql(
            query.format(ids=listed, texts=listed, p="?"), (json.dumps(given), *parameters)
        ).all()
    statement = query.format(ids="(SELECT unnest(%s::bigint[]))", texts="(SELECT unnest(%s::text[]))", p="%s")
    return connection.exec_driver_sql(statement, (given, *parameters)).all()


def _column(key: str) -> str:
    return key.removesuffix("_was")


def _transposed(rows: Sequence[Values]) -> tuple[list[object], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))


@cache
def _arrays(table: Table, columns: tuple[str, ...]) -> str:
    types = (table.c[_column(name)].type.compile(dialect=postgresql.dialect()) for name in columns)  # type: ignore[no-untyped-call]
    return ", ".join(f"%s::{kind}[]" for kind in types)
