"""What operators ask: how libraries stand, who holds what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import func, select

from scanner.catalog.engine import Database, database_now
from scanner.catalog.libraries import Library
from scanner.catalog.scans import Counters
from scanner.catalog.tables import LIVING, FileState, directories, files, libraries, roles, scans


@dataclass(frozen=True, slots=True)
class LastScan:
    """The newest scan of a library; times are seconds since the epoch."""

    id: int
    kind: str
    state: str
    started_at: float
    finished_at: float | None
    counters: Counters


def files_by_state(database: Database, library: Library) -> dict[str, int]:
    """Return how many files of a library are in each state, by the state's word."""
    query = (
        select(files.c.state, func.count())
        .join(directories, directories.c.id == files.c.directory_id)
        .where(directories.c.library_id == library.id)
        .group_by(files.c.state)
    )
    with database.read() as connection:
        return {FileState(state).name.lower(): count for state, count in connection.execute(query)}


def awaits_results(database: Database, library_ids: Sequence[int]) -> bool:
    """Tell whether a file of these libraries has a task and no result yet; a retry is not waited for."""
    waiting = (files.c.state == int(FileState.QUEUED), LIVING, directories.c.library_id.in_(library_ids))
    query = select(files.c.id).join(directories, directories.c.id == files.c.directory_id).where(*waiting)
    with database.read() as connection:
        return connection.scalar(query.limit(1)) is not None


def last_scan(database: Database, library: Library) -> LastScan | None:
    """Return the newest scan of a library."""
    query = select(
        scans.c.id, scans.c.kind, scans.c.state, scans.c.started_at, scans.c.finished_at, scans.c.counters
    ).where(scans.c.library_id == library.id)
    with database.read() as connection:
        row = connection.execute(query.order_by(scans.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else LastScan(*row[:5], msgspec.json.decode(row[5], type=Counters))


def library_holder(database: Database, library: Library) -> str | None:
    """Return the owner (as text) of a library's lease, if it has not run out."""
    held = (libraries.c.lease_owner, libraries.c.lease_expires_at, libraries.c.id == library.id)
    return _holder(database, *held)


def role_holder(database: Database, role: str) -> str | None:
    """Return the owner (as text) of a role, if it has not run out."""
    return _holder(database, roles.c.owner, roles.c.expires_at, roles.c.name == role)


def _holder(database: Database, owner: Any, expires_at: Any, where: Any) -> str | None:
    with database.read() as connection:
        found: str | None = connection.scalar(select(owner).where(where, expires_at > database_now()))
    return found
