"""Driver errors in our own words: what failed, on which database, what a person can do.

Sources: SQLite's result codes (sqlite.org/rescode.html), PostgreSQL's error codes (appendix A).
"""

import errno
import os
import re
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from scanner.errors import DatabaseError, DatabaseRefused, DatabaseUnavailable

_WAL_WRITE_LOCK_BYTE = 120
"""The byte of the `-shm` file that a writer locks (sqlite.org/walformat.html, "WAL locks")."""

_SQLITE_REFUSALS = {
    sqlite3.SQLITE_READONLY: "is read-only for this user: give write permission to the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check that its folder exists and is writable",
    sqlite3.SQLITE_CORRUPT: "is corrupt: restore a backup (scanner backup), or move it away to begin anew",
    sqlite3.SQLITE_NOTADB: "is not an SQLite database: check database_url",
    sqlite3.SQLITE_PERM: "may not be accessed by this user",
    sqlite3.SQLITE_AUTH: "may not be accessed by this user",
    sqlite3.SQLITE_IOERR: "gave an I/O error: check the disk",
}

_POSTGRESQL_TEMPORARY_CLASSES = ("08", "40", "53", "55", "57", "58")
"""Connection exceptions, rollbacks, resources, object in use, operator intervention, system errors."""


def translate(error: SQLAlchemyError, shown_url: str, file: Path | None) -> Exception:
    """Return our error for the driver's; programming errors come back as they are."""
    original = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(error, IntegrityError | DataError):
        return DatabaseError(f"database {shown_url} refuses a row: {_without_values(error)}")
    if isinstance(original, sqlite3.DatabaseError):
        return _translate_sqlite(original, file) or error
    if original is not None and not isinstance(original, sqlite3.Error):
        return _translate_postgresql(original, shown_url) or error
    return error


def _without_values(error: IntegrityError | DataError) -> str:
    """Return what was wrong with a row, and nothing of what stood in it: file names are private.

    A violated constraint is named in the first line; PostgreSQL's other lines, and all that it says about a
    value out of range, quote the row.
    """
    if isinstance(error, IntegrityError):
        return str(error.orig).strip().partition("\n")[0]
    return type(error.orig).__name__


def _translate_sqlite(error: sqlite3.Error, file: Path | None) -> DatabaseError | None:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return DatabaseUnavailable(
            f"database {file} is locked{_lock_holder(file)}: end or continue that process"
        )
    if code == sqlite3.SQLITE_FULL:
        return DatabaseUnavailable(f"database {file}: the disk is full ({os.strerror(errno.ENOSPC)})")
    if code in _SQLITE_REFUSALS:
        return DatabaseRefused(f"database {file} {_SQLITE_REFUSALS[code]} ({error})")
    return None


def _lock_holder(file: Path | None) -> str:
    """Return who holds the write lock, in words; '' when it cannot be seen from here."""
    try:
        inode = Path(f"{file}-shm").stat().st_ino
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return ""
    pattern = rf"POSIX +\w+ +WRITE +(\d+) +\w+:\w+:{inode} {_WAL_WRITE_LOCK_BYTE} "
    found = re.search(pattern, locks)
    return f" by process {found[1]}" if found else ""


def _translate_postgresql(error: BaseException, shown_url: str) -> DatabaseError | None:
    import psycopg  # noqa: PLC0415 - it is loaded by now; with SQLite it never is

    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate or ""
    reason = str(error).strip().partition("\n")[0]
    if isinstance(error, psycopg.OperationalError) and (
        not state or state.startswith(_POSTGRESQL_TEMPORARY_CLASSES)
    ):
        return DatabaseUnavailable(f"database {shown_url} cannot be reached: {reason}")
    if state.startswith(_POSTGRESQL_TEMPORARY_CLASSES):
        return DatabaseUnavailable(f"database {shown_url}: {reason}")
    if state.startswith(("28", "3D", "42501", "42P01", "25006")):
        return DatabaseRefused(f"database {shown_url} refuses: {reason}")
    return None
