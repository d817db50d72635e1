"""A copy of the catalog to rehearse on: the same rows in an SQLite file, without outbox or leases."""

from pathlib import Path

from sqlalchemy import Table, select

from scanner.catalog import tables
from scanner.catalog.bulk import insert_rows
from scanner.catalog.engine import Database

_COPIED = (
    tables.catalog,
    tables.libraries,
    tables.scans,
    tables.directories,
    tables.files,
    tables.dirty,
)
_LEFT_OUT = {"lease_owner", "lease_since", "lease_expires_at"}
_CHUNK = 5000


def copy_catalog(source: Database, file: Path) -> Database:
    """Return a new SQLite database in `file` that holds what `source` holds of libraries and files."""
    copy = Database(f"sqlite:///{file}")
    with copy.write() as connection:
        tables.metadata.create_all(connection)
    for table in _COPIED:
        _copy_table(source, copy, table)
    return copy


def _copy_table(source: Database, copy: Database, table: Table) -> None:
    columns = [column for column in table.c if column.name not in _LEFT_OUT]
    names = [column.name for column in columns]
    with source.unbuffered() as reading, copy.write() as writing:
        for rows in reading.execute(select(*columns)).partitions(_CHUNK):
            insert_rows(writing, table, names, [tuple(row) for row in rows])
