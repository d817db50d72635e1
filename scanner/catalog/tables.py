"""The tables: SQLAlchemy metadata, the one description that migrations are held against.

Times are integers, seconds since the epoch (`_at`) or nanoseconds (`_ns`), by the database's clock where
processes compare them. File and directory ids are never reused (AUTOINCREMENT on SQLite, sequences on
PostgreSQL). Names and paths are path text (`scanner.paths`). `kind` and `state` of files are small integers:
there are millions of them.
"""

import enum

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BigId = BigInteger().with_variant(Integer, "sqlite")
"""AUTOINCREMENT wants the type name INTEGER on SQLite."""


class FileState(enum.IntEnum):
    """Where a file stands; the numbers are stored and never change."""

    NEW = 0
    QUEUED = 1
    OK = 2
    FAILED = 3
    RETRYING = 4
    MISSING = 5


LIVING = text(f"state <> {int(FileState.MISSING)}")
DELETED = text(f"state = {int(FileState.MISSING)}")
FAILING = text(f"state IN ({int(FileState.FAILED)}, {int(FileState.RETRYING)})")
WITHOUT_TASK = text(f"state = {int(FileState.NEW)}")

catalog = Table(
    "catalog",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("uuid", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)

libraries = Table(
    "libraries",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("host", Text, nullable=False),
    Column("root", Text, nullable=False),
    Column("identity", Text),
    Column("state", Text, nullable=False, server_default="online"),
    Column("file_count", BigInteger, nullable=False, server_default="0"),
    Column("created_at", Float, nullable=False),
    Column("lease_owner", Text),
    Column("lease_epoch", BigInteger, nullable=False, server_default="0"),
    Column("lease_since", Float),
    Column("lease_expires_at", Float),
    sqlite_autoincrement=True,
)

roles = Table(
    "roles",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("since", Float),
    Column("expires_at", Float),
)

scans = Table(
    "scans",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("library_id", BigInteger, ForeignKey("libraries.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("phase", Text, nullable=False, server_default="walk"),
    Column("commits", BigInteger, nullable=False, server_default="0"),
    Column("counters", Text, nullable=False, server_default="{}"),
    Column("deleted", BigInteger, nullable=False, server_default="0"),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float),
    Index("ix_scans_library_id", "library_id"),
    sqlite_autoincrement=True,
)

directories = Table(
    "directories",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("library_id", BigInteger, ForeignKey("libraries.id", ondelete="CASCADE"), nullable=False),
    Column("parent_id", BigInteger),
    Column("path_key", LargeBinary, nullable=False),
    Column("path", Text, nullable=False),
    Column("inode", BigInteger),
    Column("mount", Text),
    Column("mtime_ns", BigInteger),
    Column("trusted", BigInteger),
    Column("digest", LargeBinary),
    Column("pending_scan", BigInteger),
    Column("seen_scan", BigInteger),
    Column("vanished_scan", BigInteger),
    Column("missing", Boolean, nullable=False, server_default=text("false")),
    Index("uq_directories_library_id_path_key", "library_id", "path_key", unique=True),
    Index("ix_directories_parent_id", "parent_id"),
    Index("ix_directories_library_id_inode", "library_id", "inode"),
    Index(
        "ix_directories_pending_scan",
        "pending_scan",
        sqlite_where=text("pending_scan IS NOT NULL"),
        postgresql_where=text("pending_scan IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

dirty = Table(
    "dirty",
    metadata,
    Column("library_id", BigInteger, ForeignKey("libraries.id", ondelete="CASCADE"), primary_key=True),
    Column("path_key", LargeBinary, primary_key=True),
    Column("path", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", Float, nullable=False),
)

files = Table(
    "files",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("directory_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("inode", BigInteger),
    Column("kind", SmallInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("content", Integer, nullable=False),
    Column("vanished_scan", BigInteger),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("error", Text),
    Column("error_kind", Text),
    Index(
        "uq_files_directory_id_name",
        "directory_id",
        "name",
        unique=True,
        sqlite_where=LIVING,
        postgresql_where=LIVING,
    ),
    Index("ix_files_missing", "directory_id", "name", sqlite_where=DELETED, postgresql_where=DELETED),
    Index("ix_files_inode", "inode", sqlite_where=LIVING, postgresql_where=LIVING),
    Index(
        "ix_files_vanished_scan",
        "vanished_scan",
        sqlite_where=text("vanished_scan IS NOT NULL"),
        postgresql_where=text("vanished_scan IS NOT NULL"),
    ),
    # The rows that a scan inserts are in neither of these: they are queued.
    Index("ix_files_failing", "error_kind", sqlite_where=FAILING, postgresql_where=FAILING),
    Index("ix_files_without_task", "directory_id", sqlite_where=WITHOUT_TASK, postgresql_where=WITHOUT_TASK),
    sqlite_autoincrement=True,
)

media = Table(
    "media",
    metadata,
    Column("file_id", BigId, primary_key=True, autoincrement=False),
    Column("content", Integer, nullable=False),
    Column("container", Text),
    Column("duration_s", Float),
    Column("bit_rate", BigInteger),
    Column("width", Integer),
    Column("height", Integer),
    Column("video_codec", Text),
    Column("audio_codec", Text),
    Column("language", Text),
    Column("title", Text),
    Column("type", Text),
    Column("year", Integer),
    Column("season", Integer),
    Column("episode", Integer),
    Column("extra", Text),
    Column("taken_at", Text),
    Column("oshash", Text),
    Column("blake3", Text),
    Column("worker", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("probed_at", Float, nullable=False),
    Column("name", Text),
    Column("details", Text, nullable=False),  # last: a scan over the columns before need not read it
)

letters = Table(
    "letters",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("message_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("type", Text),
    Column("received_at", Float, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # of all that makes a letter the same as another
    Column("body", LargeBinary, nullable=False),
    Index("ix_letters_digest", "digest", unique=True),
    sqlite_autoincrement=True,
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("scan_id", BigInteger, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("routing_key", Text, nullable=False),
    Column("task_count", Integer, nullable=False),
    Column("not_before", Float),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("created_at", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),  # last: SQLite reads a long row up to the column asked for
    sqlite_autoincrement=True,
)

problems = Table(
    "problems",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("scan_id", BigInteger, ForeignKey("scans.id", ondelete="CASCADE"), nullable=False),
    Column("path", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("errno", Integer),
    Column("text", Text, nullable=False),
    Index("ix_problems_scan_id", "scan_id"),
    sqlite_autoincrement=True,
)
