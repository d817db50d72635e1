"""SQLite's troubles in our own words: locked by whom, unwritable, no database at all."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from scanner.catalog.engine import Database
from scanner.catalog.schema import open_database
from scanner.errors import DatabaseError, DatabaseRefused, DatabaseUnavailable, UsageError

_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE catalog SET created_at = 0")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An SQLite catalog."""
    file = tmp_path / "catalog.db"
    open_database(f"sqlite:///{file}").close()
    return file


@contextlib.contextmanager
def locked(file: Path) -> Iterator[int]:
    """Let another process hold the write lock; give its process id."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        yield holder.pid
    finally:
        holder.communicate()


def write(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE catalog SET created_at = 1"))


def test_a_locked_database_is_unavailable_and_the_holder_is_named(file: Path) -> None:
    with locked(file) as pid, Database(f"sqlite:///{file}", busy_timeout_s=0.1) as database:
        with pytest.raises(DatabaseUnavailable, match=rf"locked by process {pid}\b"):
            write(database)
        with database.read() as connection:  # readers are not held up
            assert connection.scalar(text("SELECT count(*) FROM catalog")) == 1


def test_a_lock_that_is_given_back_in_time_is_waited_for(file: Path) -> None:
    with Database(f"sqlite:///{file}", busy_timeout_s=30) as database:
        with locked(file):
            pass
        write(database)


@pytest.fixture
def powerless() -> Iterator[None]:
    """None of root's powers."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    yield
    os.seteuid(user)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that anybody can reach."""
    with tempfile.TemporaryDirectory(prefix="scanner-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_read_only_folder_is_refused(open_folder: Path, powerless: None) -> None:
    with pytest.raises(DatabaseRefused, match=str(open_folder)):
        open_database(f"sqlite:///{open_folder}/catalog.db")


def test_a_read_only_file_is_refused(open_folder: Path, request: pytest.FixtureRequest) -> None:
    file = open_folder / "catalog.db"
    open_database(f"sqlite:///{file}").close()
    file.chmod(0o444)
    request.getfixturevalue("powerless")
    with Database(f"sqlite:///{file}") as database, pytest.raises(DatabaseRefused, match="read-only"):
        write(database)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="cannot be opened"):
        open_database(f"sqlite:///{tmp_path}/none/catalog.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, but long enough to have been one " * 20)
    with pytest.raises(DatabaseRefused, match="not an SQLite database"):
        open_database(f"sqlite:///{file}")


def test_an_error_in_the_middle_leaves_nothing(file: Path) -> None:
    with Database(f"sqlite:///{file}") as database:
        with pytest.raises(ZeroDivisionError), database.write() as connection:
            connection.execute(text("INSERT INTO roles (name) VALUES ('x')"))
            raise ZeroDivisionError
        with database.read() as connection:
            assert connection.scalar(text("SELECT count(*) FROM roles")) == 0


def test_what_durability_needs_is_set(file: Path) -> None:
    with Database(f"sqlite:///{file}") as database, database.read() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2  # FULL
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1


@pytest.mark.postgresql
def test_postgresql_commits_are_on_disk(database: Database) -> None:
    if database.dialect == "postgresql":
        with database.read() as connection:
            assert connection.scalar(text("SHOW synchronous_commit")) == "on"


def test_a_postgresql_that_is_not_there_is_unavailable_and_its_password_hidden() -> None:
    with (
        Database("postgresql://user:secret@127.0.0.1:1/none") as database,
        pytest.raises(DatabaseUnavailable) as error,
        database.read(),
    ):
        pass
    assert "secret" not in str(error.value)
    assert isinstance(error.value, DatabaseError)


def test_a_password_among_the_parameters_is_hidden_too() -> None:
    with Database("postgresql://h/db?password=s3cret") as database:
        assert database.shown == "postgresql+psycopg://h/db?password=***"
    with pytest.raises(UsageError, match="password=") as error:
        Database("mysql://u:s3cret@h/db?password=s3cret")
    assert "s3cret" not in str(error.value)


def test_an_option_that_postgresql_does_not_know_is_named() -> None:
    with pytest.raises(UsageError, match='invalid connection option "foo"') as error:
        Database("postgresql://u:s3cret@h/db?foo=bar")
    assert "s3cret" not in str(error.value)


def _insert_file(database: Database, **values: object) -> None:
    row = {"id": 1, "directory_id": 1, "name": "private.mkv", "size": 1, **values}
    with database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO files (id, directory_id, name, size, mtime_ns, kind, state, revision, content)"
                " VALUES (:id, :directory_id, :name, :size, 0, 1, 1, 1, 1)"
            ),
            row,
        )


def test_a_row_that_breaks_a_constraint_is_an_error_that_tells_nothing_of_the_row(database: Database) -> None:
    _insert_file(database)
    with pytest.raises(DatabaseError, match="files") as error:
        _insert_file(database, id=2)
    assert "private" not in str(error.value)
    assert "hide_parameters=True" in str(error.value.__cause__)


@pytest.mark.postgresql
def test_a_number_that_does_not_fit_is_an_error_that_tells_nothing_of_the_row(database: Database) -> None:
    if database.dialect == "postgresql":
        with pytest.raises(DatabaseError, match="NumericValueOutOfRange") as error:
            _insert_file(database, size=1 << 63)
        assert str(1 << 63) not in str(error.value)


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "nonsense", "postgresql://h:port/db"])
def test_another_kind_of_url_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="database_url"):
        Database(url)
