"""The connection to the database: SQLite (WAL, FULL) or PostgreSQL, transactions, errors in our own words.

Invariant: a write transaction takes its lock at the start (`BEGIN IMMEDIATE` on SQLite) and is never an
upgraded read. What is committed survives a power cut. A crash inside a transaction leaves nothing of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from sqlalchemy import Connection, Engine, Float, QueuePool, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from scanner.catalog import translation
from scanner.errors import UsageError
from scanner.urls import mask

Dialect = Literal["sqlite", "postgresql"]

BUSY_TIMEOUT_S = 30.0
"""How long a statement waits for another process's write transaction before it gives up."""

_SQLITE_PRAGMAS = (
    "PRAGMA page_size = 8192",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -8192",
    "PRAGMA secure_delete = OFF",
    "PRAGMA wal_autocheckpoint = 2000",
    "PRAGMA journal_size_limit = 67108864",
)


_STREAMING: dict[str, Any] = {"stream_results": True, "yield_per": 2000}


class database_now(GenericFunction[float]):  # noqa: N801 - reads as the SQL function that it is
    """The database's clock, in seconds since the epoch: leases are compared by it and by nothing else."""

    type = Float()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _now_sqlite(_element: database_now, _compiler: SQLCompiler, **_options: object) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now, "postgresql")
def _now_postgresql(_element: database_now, _compiler: SQLCompiler, **_options: object) -> str:
    return "extract(epoch from clock_timestamp())::float8"


class Database:
    """One database that processes share; thread-safe, a connection for each transaction.

    Raises (from every transaction):
        DatabaseUnavailable: it cannot be reached, is locked or full: it may come back.
        DatabaseRefused: unwritable, corrupt, not a database, without the rights or the tables needed.
    """

    def __init__(self, url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.url = _parse_url(url)
        self.dialect: Dialect = "sqlite" if self.url.get_backend_name() == "sqlite" else "postgresql"
        self._engine = _create_engine(self.url, busy_timeout_s)

    @property
    def file(self) -> Path | None:
        """The database's file; None on PostgreSQL."""
        return Path(self.url.database or "") if self.dialect == "sqlite" else None

    @property
    def shown(self) -> str:
        """The URL with its password masked."""
        return mask(self.url.render_as_string(hide_password=False))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection in one read transaction."""
        with self._transaction("DEFERRED") as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection in one write transaction, committed at the end, undone by any exception."""
        with self._transaction("IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _transaction(self, mode: str, **options: str) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                connection.execution_options(begin_mode=mode, **options)
                with connection.begin():
                    yield connection
        except SQLAlchemyError as error:
            raise translation.translate(error, self.shown, self.file) from error

    @contextmanager
    def unbuffered(self) -> Iterator[Connection]:
        """Give a connection in a read transaction whose results stream: for millions of rows."""
        with self.read() as connection:
            yield connection.execution_options(**_STREAMING)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Give a connection whose reads stream, as `unbuffered` does, and all see the same moment."""
        # a read transaction of SQLite is a snapshot, one of PostgreSQL has to be told to be
        isolation = {} if self.dialect == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        with self._transaction("DEFERRED", **isolation) as connection:
            yield connection.execution_options(**_STREAMING)

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """Give a connection outside any transaction: for statements that refuse to run in one."""
        try:
            with self._engine.connect() as connection:
                yield connection.execution_options(isolation_level="AUTOCOMMIT")
        except SQLAlchemyError as error:
            raise translation.translate(error, self.shown, self.file) from error

    def close(self) -> None:
        """Close every idle connection."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _parse_url(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:  # ValueError: the port is no number
        raise UsageError("database_url is not a URL: expected sqlite:///FILE or postgresql://...") from error
    backend = url.get_backend_name()
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and url.database:
        return url.set(drivername="sqlite+pysqlite")
    raise UsageError(f"database_url {mask(text)}: expected sqlite:///FILE or postgresql://...")


def _create_engine(url: URL, busy_timeout_s: float) -> Engine:
    if url.get_backend_name() == "sqlite":
        # Last in, first out: the connection with the warm page cache works, the others stay small.
        arguments = {"timeout": busy_timeout_s, "check_same_thread": False}
        engine = create_engine(
            url, connect_args=arguments, poolclass=QueuePool, pool_use_lifo=True, hide_parameters=True
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    options = f"-c synchronous_commit=on -c lock_timeout={int(busy_timeout_s * 1000)}"
    parameters: dict[str, object] = {
        "connect_timeout": 10,
        "application_name": "scanner",
        "options": options,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }
    _refuse_unknown_options(url)
    return create_engine(url, connect_args=parameters, pool_pre_ping=True, pool_size=5, hide_parameters=True)


def _refuse_unknown_options(url: URL) -> None:
    """See that libpq knows every option of the URL, before a connection is tried with it."""
    import psycopg  # noqa: PLC0415 - with SQLite it is never loaded

    try:
        psycopg.conninfo.make_conninfo(**dict.fromkeys(url.query, "x"))
    except psycopg.ProgrammingError as error:
        shown, reason = mask(url.render_as_string(hide_password=False)), str(error).strip()
        raise UsageError(f"database_url {shown}: {reason}") from error


def _prepare_sqlite(connection: object, _record: object) -> None:
    """Turn off the driver's own BEGINs (we send them) and set the pragmas that durability needs."""
    connection.isolation_level = None  # type: ignore[attr-defined]
    connection.create_function("casefold", 1, _casefold, deterministic=True)  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in _SQLITE_PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _casefold(text: str | None) -> str | None:
    """Fold case beyond ASCII, which SQLite does not."""
    return None if text is None else text.casefold()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql(f"BEGIN {options.get('begin_mode', 'DEFERRED')}")
