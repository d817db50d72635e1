"""Directories that vanished: what is left of them when the files in them have been decided."""

from sqlalchemy import CTE, ColumnElement, exists, select, update

from scanner.catalog.engine import Database
from scanner.catalog.leases import Grant, renew
from scanner.catalog.tables import LIVING, directories, files


def settle_vanished_directories(database: Database, grant: Grant, scan_id: int) -> None:
    """Mark the directories missing that this scan saw vanish; those that still hold a living file stay.

    What stays is no longer trusted, so that the next scan looks at it again.
    """
    vanished = directories.c.vanished_scan == scan_id
    kept = _with_living_files(vanished)
    gone = vanished & directories.c.id.not_in(select(kept.c.id))
    with database.write() as connection:
        renew(connection, grant)
        connection.execute(update(directories).where(gone).values(missing=True, vanished_scan=None))
        connection.execute(update(directories).where(vanished).values(trusted=None, digest=None))


def _with_living_files(vanished: ColumnElement[bool]) -> CTE:
    """Return those vanished directories that have a living file in them, however deep."""
    living = exists().where(files.c.directory_id == directories.c.id, LIVING)
    holding = select(directories.c.id, directories.c.parent_id).where(vanished, living)
    kept = holding.cte("kept", recursive=True)
    parents = select(directories.c.id, directories.c.parent_id).join(kept, kept.c.parent_id == directories.c.id)
    return kept.union(parents.where(vanished))
