"""Scans: their rows, the frontier of pending directories, and what a run must know to resume one.

The frontier IS rows: a discovered directory has `pending_scan`, a finished one `seen_scan`. A scan whose
process was killed stays `running`; the next holder of the library's lease resumes it if its kind and options
are the same, and replaces it otherwise.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update

from scanner.catalog.engine import Database, database_now
from scanner.catalog.leases import Grant, renew
from scanner.catalog.libraries import path_key
from scanner.catalog.tables import directories, dirty, problems, scans

Kind = Literal["full", "quick", "partial"]
State = Literal["running", "interrupted", "completed", "failed"]
Phase = Literal["fill", "walk", "settle", "conclude"]
"""`fill`: what is to be looked at is being marked pending; a scan that ended there begins anew."""


class Counters(msgspec.Struct):
    """What a scan counted, over all the runs that it took; kept with every commit."""

    directories: int = 0
    files: int = 0
    added: int = 0
    modified: int = 0
    moved: int = 0
    deleted: int = 0
    held_back: int = 0
    unchanged: int = 0
    unsettled: int = 0
    tasks: int = 0
    messages: int = 0
    problems: int = 0


@dataclass(slots=True)
class ScanRecord:
    """A scan that this process works on; `resumed` tells whether another process began it.

    `commits` numbers the checkpoints, so that one whose answer was lost is known to have been written.
    """

    id: int
    library_id: int
    kind: Kind
    phase: Phase
    resumed: bool
    commits: int
    counters: Counters
    state: State = "running"


class PendingDirectory(NamedTuple):
    """A directory to be listed, with what its last listing left behind."""

    id: int
    path: str
    inode: int
    digest: bytes | None
    mount: str | None


def begin_scan(database: Database, grant: Grant, kind: Kind, options: str, *, restart: bool) -> ScanRecord:
    """Resume the library's last scan if it was interrupted under the same options, or begin a new one."""
    library_id = int(grant.key)
    with database.write() as connection:
        renew(connection, grant)
        last = _last_scan(connection, library_id)
        if last is not None and last.state in {"running", "interrupted"}:
            if not restart and (last.kind, last.options) == (kind, options):
                return _resume(connection, last)
            _set_aside(connection, last.id)
        _clear_frontier(connection, library_id)
        return _insert_scan(connection, library_id, kind, options)


def _last_scan(connection: Connection, library_id: int) -> Row[tuple[object, ...]] | None:
    scanned = (scans.c.library_id == library_id, scans.c.kind.in_(get_args(Kind)))  # not `resend`
    query = select(scans).where(*scanned).order_by(scans.c.id.desc()).limit(1)
    return connection.execute(query).one_or_none()


def _resume(connection: Connection, last: Row[tuple[object, ...]]) -> ScanRecord:
    connection.execute(update(scans).where(scans.c.id == last.id).values(state="running", finished_at=None))
    return ScanRecord(
        id=last.id,
        library_id=last.library_id,
        kind=last.kind,
        phase=last.phase,
        resumed=True,
        commits=last.commits,
        counters=msgspec.json.decode(last.counters, type=Counters),
    )


def _set_aside(connection: Connection, scan_id: int) -> None:
    values = {"state": "interrupted", "finished_at": database_now()}
    connection.execute(update(scans).where(scans.c.id == scan_id).values(values))


def _clear_frontier(connection: Connection, library_id: int) -> None:
    frontier = (directories.c.library_id == library_id, directories.c.pending_scan.is_not(None))
    connection.execute(update(directories).where(*frontier).values(pending_scan=None))


def _insert_scan(connection: Connection, library_id: int, kind: Kind, options: str) -> ScanRecord:
    values = {
        "library_id": library_id,
        "kind": kind,
        "options": options,
        "state": "running",
        "phase": "fill",
        "started_at": database_now(),
    }
    scan_id = connection.execute(insert(scans).values(values).returning(scans.c.id)).scalar_one()
    return ScanRecord(scan_id, library_id, kind, "fill", resumed=False, commits=0, counters=Counters())


def end_scan(database: Database, grant: Grant, scan: ScanRecord, state: State) -> None:
    """Note how the scan ended, with its last counters."""
    scan.state = state
    values = {"state": state, "finished_at": database_now(), "counters": encode_counters(scan.counters)}
    with database.write() as connection:
        renew(connection, grant)
        connection.execute(update(scans).where(scans.c.id == scan.id).values(values))


def begin_sending(connection: Connection, library_id: int, kind: str, options: str) -> int:
    """Note in the history of scans that tasks are sent without one (resend, retry); return the id they name."""
    values = {
        "library_id": library_id,
        "kind": kind,
        "options": options,
        "state": "completed",
        "started_at": database_now(),
        "finished_at": database_now(),
    }
    return int(connection.execute(insert(scans).values(values).returning(scans.c.id)).scalar_one())


def save_sending(connection: Connection, scan_id: int, counters: Counters) -> None:
    """Note how much was sent."""
    values = {"finished_at": database_now(), "counters": encode_counters(counters)}
    connection.execute(update(scans).where(scans.c.id == scan_id).values(values))


def save_progress(connection: Connection, scan: ScanRecord) -> None:
    """Note phase, counters and the commit's number in its own transaction."""
    values = {
        "phase": scan.phase,
        "counters": encode_counters(scan.counters),
        "deleted": scan.counters.deleted,
        "commits": scan.commits,
    }
    connection.execute(update(scans).where(scans.c.id == scan.id).values(values))


def commits_of(database: Database, scan: ScanRecord) -> int:
    """Return the number of the last checkpoint that was written."""
    with database.read() as connection:
        return int(connection.execute(select(scans.c.commits).where(scans.c.id == scan.id)).scalar_one())


def encode_counters(counters: Counters) -> str:
    """Return the text in which counters are stored."""
    return msgspec.json.encode(counters).decode()


def deleted_within(connection: Connection, library_id: int, seconds: float) -> int:
    """Return how many files scans of every kind have deleted in the last `seconds`."""
    recent = func.coalesce(scans.c.finished_at, database_now()) > database_now() - seconds
    query = select(func.coalesce(func.sum(scans.c.deleted), 0)).where(scans.c.library_id == library_id, recent)
    return int(connection.execute(query).scalar_one())


def last_total(database: Database, library_id: int) -> int | None:
    """Return how many files the last completed full scan saw: what an ETA is reckoned by."""
    query = (
        select(scans.c.counters)
        .where(scans.c.library_id == library_id, scans.c.state == "completed", scans.c.kind == "full")
        .order_by(scans.c.id.desc())
        .limit(1)
    )
    with database.read() as connection:
        text = connection.scalar(query)
    return None if text is None else msgspec.json.decode(text, type=Counters).files


_PENDING = (
    directories.c.id,
    directories.c.path,
    func.coalesce(directories.c.inode, 0),
    directories.c.digest,
    directories.c.mount,
)


def pending_directories(database: Database, scan: ScanRecord, limit: int) -> list[PendingDirectory]:
    """Return up to `limit` directories of the frontier, the newest first: deep before wide keeps it small."""
    query = (
        select(*_PENDING)
        .where(directories.c.pending_scan == scan.id)
        .order_by(directories.c.id.desc())
        .limit(limit)
    )
    with database.read() as connection:
        return [PendingDirectory(*row) for row in connection.execute(query)]


def ensure_directory(database: Database, grant: Grant, path: str) -> int:
    """Return the id of the directory at `path`, creating its row and its ancestors' as needed."""
    library_id = int(grant.key)
    with database.write() as connection:
        renew(connection, grant)
        current = _ensure_row(connection, library_id, None, "")
        pieces = path.split("/") if path else []
        for depth in range(len(pieces)):
            current = _ensure_row(connection, library_id, current, "/".join(pieces[: depth + 1]))
        return current


def _ensure_row(connection: Connection, library_id: int, parent: int | None, path: str) -> int:
    at = (directories.c.library_id == library_id, directories.c.path_key == path_key(path))
    known = connection.execute(select(directories.c.id, directories.c.missing).where(*at)).one_or_none()
    if known is not None and not known.missing:
        return int(known.id)
    # The parent's last listing did not show this directory: it is not to be believed any more.
    forgotten = {"trusted": None, "digest": None}
    connection.execute(update(directories).where(directories.c.id == parent).values(forgotten))
    if known is not None:
        revived = {"missing": False, "vanished_scan": None}
        connection.execute(update(directories).where(directories.c.id == known.id).values(revived))
        return int(known.id)
    values = {"library_id": library_id, "parent_id": parent, "path": path, "path_key": path_key(path)}
    return int(connection.execute(insert(directories).values(values).returning(directories.c.id)).scalar_one())


def mark_pending(database: Database, grant: Grant, scan: ScanRecord, ids: Collection[int]) -> None:
    """Put directories on the frontier."""
    with database.write() as connection:
        renew(connection, grant)
        save_progress(connection, scan)
        for start in range(0, len(ids), 500):
            chunk = list(ids)[start : start + 500]
            connection.execute(
                update(directories).where(directories.c.id.in_(chunk)).values(pending_scan=scan.id)
            )


def directories_at(database: Database, library_id: int, paths: Collection[str]) -> list[PendingDirectory]:
    """Return the directories that have these paths and exist."""
    keys = [path_key(path) for path in paths]
    found: list[PendingDirectory] = []
    with database.read() as connection:
        for start in range(0, len(keys), 500):
            at = directories.c.path_key.in_(keys[start : start + 500])
            where = (directories.c.library_id == library_id, at, ~directories.c.missing)
            found.extend(PendingDirectory(*row) for row in connection.execute(select(*_PENDING).where(*where)))
    return found


def dirty_directories(database: Database, library_id: int) -> dict[str, int]:
    """Return the paths that somebody asked to be looked at, with the sequence number of the asking."""
    query = select(dirty.c.path, dirty.c.seq).where(dirty.c.library_id == library_id)
    with database.read() as connection:
        return dict(connection.execute(query).all())


def problem_paths(database: Database, scan_id: int, kind: str, limit: int) -> list[str]:
    """Return the paths of the first problems of one kind, relative to the root."""
    query = select(problems.c.path).where(problems.c.scan_id == scan_id, problems.c.kind == kind)
    with database.read() as connection:
        return list(connection.scalars(query.order_by(problems.c.id).limit(limit)))


def problem_counts(database: Database, scan_id: int) -> dict[str, int]:
    """Return how many problems of each kind a scan met."""
    query = select(problems.c.kind, func.count()).where(problems.c.scan_id == scan_id).group_by(problems.c.kind)
    with database.read() as connection:
        return dict(connection.execute(query).all())
