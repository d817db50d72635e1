"""The schema: creates an empty database, upgrades an older one, refuses a newer one.

SQLite is upgraded by itself, a copy of the file first; a PostgreSQL database that others share is upgraded
only by `scanner db upgrade`. The migrations run in one transaction under the database's own lock, so two
processes that start together do it once.
"""

import time
import uuid
from pathlib import Path

from sqlalchemy import Connection, delete, insert, inspect, select, text, update

from scanner.catalog.engine import Database
from scanner.catalog.tables import catalog, libraries, outbox, roles
from scanner.errors import DatabaseRefused

SCHEMA = "0002"
"""The newest revision under `migrations/versions` (a test holds the two together)."""

_ADVISORY_LOCK = 0x5CA44E12
"""PostgreSQL's lock under which one process at a time migrates."""


def open_database(url: str) -> Database:
    """Open the database of this URL, created or upgraded as far as is allowed without being asked.

    Raises:
        DatabaseRefused: its schema is newer than this program, or older and shared (PostgreSQL).
    """
    database = Database(url)
    try:
        _make_current(database)
    except BaseException:
        database.close()
        raise
    return database


def _make_current(database: Database) -> None:
    found = current_schema(database)
    if found is None or (database.dialect == "sqlite" and _is_older(found)):
        upgrade(database)
    elif found != SCHEMA:
        raise DatabaseRefused(_mismatch(database, found))


def current_schema(database: Database) -> str | None:
    """Return the revision that the database has; None for one without tables."""
    with database.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found


def upgrade(database: Database) -> Path | None:
    """Migrate to the newest revision; return the copy that was made of an SQLite file first, if any."""
    before = current_schema(database)
    if before is not None and not _is_older(before) and before != SCHEMA:
        raise DatabaseRefused(_mismatch(database, before))
    copy = None
    if before is not None and before != SCHEMA and database.file is not None:
        copy = database.file.with_name(f"{database.file.name}.before-{SCHEMA}")
        backup(database, copy)
    with database.write() as connection:
        _migrate(connection)
        _ensure_catalog_row(connection)
    return copy


def _migrate(connection: Connection) -> None:
    # Imported here: a start on a current schema needs none of Alembic.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def migrations_folder() -> Path:
    """Return where the migrations are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def _ensure_catalog_row(connection: Connection) -> None:
    if connection.scalar(select(catalog.c.uuid)) is None:
        connection.execute(insert(catalog).values(id=1, uuid=str(uuid.uuid4()), created_at=time.time()))


def catalog_uuid(database: Database) -> str:
    """Return the catalog's UUID: file ids mean something only together with it."""
    with database.read() as connection:
        found: str = connection.execute(select(catalog.c.uuid)).scalar_one()
        return found


def backup(database: Database, target: Path) -> None:
    """Write an online copy of an SQLite catalog to a file that must not exist yet; it appears whole or not.

    The copy is a catalog of its own: it holds neither unsent messages, which bear the name of the original and
    are sent by that, nor leases.

    Raises:
        DatabaseRefused: the database is not SQLite, or the target exists.
    """
    if database.dialect != "sqlite":
        raise DatabaseRefused(f"{database.shown}: back PostgreSQL up with pg_dump")
    if target.exists():
        raise DatabaseRefused(f"backup {target} exists already: name another file")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        with database.autocommit() as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (str(part),))
        _make_independent(part)
        part.rename(target)
    finally:
        for leftover in ("", "-wal", "-shm"):
            part.with_name(part.name + leftover).unlink(missing_ok=True)


def _make_independent(file: Path) -> None:
    with Database(f"sqlite:///{file}") as copy, copy.write() as connection:
        # Ids given out after the backup would come twice: what is restored is another catalog.
        connection.execute(update(catalog).values(uuid=str(uuid.uuid4())))
        connection.execute(delete(outbox))
        connection.execute(update(libraries).values(lease_owner=None, lease_since=None, lease_expires_at=None))
        connection.execute(update(roles).values(owner=None, since=None, expires_at=None))


def _is_older(found: str) -> bool:
    return found < SCHEMA


def _mismatch(database: Database, found: str) -> str:
    known = f"this program knows {SCHEMA}"
    remedy = "run scanner db upgrade" if _is_older(found) else "upgrade scanner"
    return f"database {database.shown} has schema {found}, {known}: {remedy}"
