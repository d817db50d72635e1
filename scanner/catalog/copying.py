"""A copy of the catalog to rehearse on: the same rows in an SQLite file, without outbox or leases.

All of it is read in one snapshot: a scan that commits meanwhile is in the copy entirely or not at all.
"""

from pathlib import Path

from sqlalchemy import Connection, Table, select

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
    with source.snapshot() as reading:
        for table in _COPIED:
            _copy_table(reading, copy, table)
    return copy


def _copy_table(reading: Connection, copy: Database, table: Table) -> None:
    columns = [column for column in table.c if column.name not in _LEFT_OUT]
    names = [column.name for column in columns]
    with copy.write() as writing:
        for rows in reading.execute(select(*columns)).partitions(_CHUNK):
            insert_rows(writing, table, names, [tuple(row) for row in rows])
