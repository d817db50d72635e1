"""The schema: migrations say what the tables say, and a database is made, upgraded, copied or refused."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from scanner.catalog import results, schema
from scanner.catalog.engine import Database
from scanner.catalog.results import Answer
from scanner.catalog.tables import metadata
from scanner.errors import DatabaseRefused, DatabaseUnavailable
from scanner.message import Result, ResultBatch, ResultError


def set_schema(database: Database, revision: str) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_migrations_make_the_tables_of_the_metadata(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_migrations_make_every_index_as_the_metadata_has_it(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """Autogenerate does not compare the conditions of partial indexes, and they carry the hot queries."""
    query = {
        "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
        "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()",
    }[database.dialect]
    with database.write() as connection:
        migrated: dict[str, str] = dict(connection.execute(text(query)).all())
        migrated.pop("alembic_version_pkc", None)
        metadata.drop_all(connection)
        metadata.create_all(connection)
        created: dict[str, str] = dict(connection.execute(text(query)).all())
        created.pop("alembic_version_pkc", None)
    assert migrated == created


def test_ids_are_never_reused_by_any_table_that_has_them(database: Database) -> None:
    with database.read() as connection:
        if database.dialect == "sqlite":
            rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")).all()
            numbered = {name for name, sql in rows if "AUTOINCREMENT" in (sql or "")}
        else:
            columns = inspect(connection).get_columns
            numbered = {name for name in metadata.tables if columns(name)[0].get("autoincrement")}
    assert {"libraries", "scans", "directories", "files", "outbox", "problems", "letters"} <= numbered


def test_the_program_knows_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.migrations_folder()).replace("%", "%%"))
    assert ScriptDirectory.from_config(config).get_current_head() == schema.SCHEMA


def test_opening_twice_keeps_the_catalogs_uuid(database: Database, database_url: str) -> None:
    first = schema.catalog_uuid(database)
    with schema.open_database(database_url) as again:
        assert schema.catalog_uuid(again) == first


def test_a_newer_schema_is_refused_with_the_remedy(database: Database, database_url: str) -> None:
    set_schema(database, "9999")
    with pytest.raises(DatabaseRefused, match=r"schema 9999.*upgrade scanner"):
        schema.open_database(database_url)
    with pytest.raises(DatabaseRefused, match="9999"):
        schema.upgrade(database)


def test_an_older_schema_is_copied_and_upgraded_on_sqlite_and_refused_on_postgresql(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = schema.catalog_uuid(database)
    known = schema.SCHEMA
    monkeypatch.setattr(schema, "SCHEMA", "9998")
    monkeypatch.setattr(schema, "_migrate", lambda _: None)
    if database.dialect == "postgresql":
        with pytest.raises(DatabaseRefused, match="scanner db upgrade"):
            schema.open_database(database_url)
        return
    schema.open_database(database_url).close()
    assert database.file is not None
    copy = database.file.with_name(f"{database.file.name}.before-9998")
    with Database(f"sqlite:///{copy}") as copied:
        assert schema.current_schema(copied) == known
    assert schema.catalog_uuid(database) == before


def test_a_catalog_of_the_first_schema_keeps_everything_and_takes_results(database_url: str) -> None:
    with Database(database_url) as database:
        _migrate_to(database, "0001")
        with database.write() as connection:
            for statement in _OF_THE_FIRST_SCHEMA.split(";"):
                connection.execute(text(statement))
        before = _contents(database)
        schema.upgrade(database)
        assert schema.current_schema(database) == schema.SCHEMA
        assert {name: rows for name, rows in _contents(database).items() if name in before} == before
        applied = results.apply(database, "the-uuid", [Answer(_one_failure("the-uuid"))])
        assert applied.failed == 1
        with database.read() as connection:
            query = text("SELECT state, error, error_kind, name FROM files")
            assert connection.execute(query).all() == [(3, "no", "corrupt", "1.mkv")]


_OF_THE_FIRST_SCHEMA = """
INSERT INTO catalog (id, uuid, created_at) VALUES (1, 'the-uuid', 0);
INSERT INTO libraries (id, name, host, root, created_at) VALUES (1, 'films', 'h', '/films', 0);
INSERT INTO scans (id, library_id, kind, options, state, started_at) VALUES (1, 1, 'full', '', 'completed', 0);
INSERT INTO directories (id, library_id, path_key, path, digest) VALUES (1, 1, 'k', '', 'd');
INSERT INTO files (id, directory_id, name, size, mtime_ns, kind, state, revision, content)
VALUES (17, 1, '1.mkv', 3, 5, 1, 1, 1, 1);
INSERT INTO outbox (scan_id, message_id, routing_key, task_count, created_at, body)
VALUES (1, 'm', 'tasks', 1, 0, 'x')
"""


def _migrate_to(database: Database, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.migrations_folder()).replace("%", "%%"))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _contents(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of every table of the first schema, in its columns."""
    found = {}
    with database.read() as connection:
        for table in inspect(connection).get_table_names():
            if table in {"alembic_version", "media", "letters"}:
                continue
            columns = [
                row["name"] for row in inspect(connection).get_columns(table) if row["name"] != "error_kind"
            ]
            found[table] = [
                tuple(row) for row in connection.execute(text(f"SELECT {', '.join(columns)} FROM {table}"))
            ]
    return found


def _one_failure(catalog: str) -> ResultBatch:
    failure = Result(17, 1, 1, 0, 3, "5", 0.1, error=ResultError("corrupt", "no"))
    return ResultBatch(1, catalog, "host:1", "m", "films", "failed", [failure])


def test_two_processes_that_open_a_fresh_database_at_once_agree(database_url: str) -> None:
    program = (
        "import sys; from scanner.catalog.schema import open_database, catalog_uuid;"
        " print(catalog_uuid(open_database(sys.argv[1])))"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, database_url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    ended = [process.communicate(timeout=60) for process in running]
    assert [error for _, error in ended] == [""] * 4
    assert len({output for output, _ in ended}) == 1
    with schema.open_database(database_url) as database:
        assert schema.current_schema(database) == schema.SCHEMA


def test_a_backup_is_a_usable_copy_that_is_another_catalog(database: Database, tmp_path: Path) -> None:
    target = tmp_path / "copies" / "catalog.backup"
    if database.dialect == "postgresql":
        with pytest.raises(DatabaseRefused, match="pg_dump"):
            schema.backup(database, target)
        return
    with database.write() as connection:
        connection.execute(
            text("INSERT INTO roles (name, owner, since, expires_at) VALUES ('here', 'me', 1, 2)")
        )
        connection.execute(
            text(
                "INSERT INTO libraries (name, host, root, created_at, lease_owner, lease_expires_at)"
                " VALUES ('films', 'h', '/films', 0, 'me', 99999999999)"
            )
        )
        connection.execute(
            text(
                "INSERT INTO outbox (scan_id, message_id, routing_key, task_count, created_at, body)"
                " VALUES (1, 'm', 'tasks', 1, 0, 'the uuid of the original')"
            )
        )
    schema.backup(database, target)
    with schema.open_database(f"sqlite:///{target}") as copy:
        assert schema.catalog_uuid(copy) != schema.catalog_uuid(database)
        with copy.read() as connection:
            assert connection.execute(text("SELECT name, owner, expires_at FROM roles")).all() == [
                ("here", None, None)
            ]
            assert connection.execute(text("SELECT name, lease_owner FROM libraries")).all() == [
                ("films", None)
            ]
            assert connection.scalar(text("SELECT count(*) FROM outbox")) == 0
    with database.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM outbox")) == 1
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    with pytest.raises(DatabaseRefused, match="exists already"):
        schema.backup(database, target)


def test_a_backup_that_fails_leaves_nothing_and_one_that_was_killed_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_file: Path) -> None:
        raise DatabaseUnavailable("the disk is full")

    target = tmp_path / "copies" / "catalog.backup"
    with schema.open_database(f"sqlite:///{tmp_path}/catalog.db") as database:
        with monkeypatch.context() as patched:
            patched.setattr(schema, "_make_independent", fail)
            with pytest.raises(DatabaseUnavailable):
                schema.backup(database, target)
        assert list(target.parent.iterdir()) == []
        (target.parent / "catalog.backup.part").write_text("half of one")
        schema.backup(database, target)
    assert [path.name for path in target.parent.iterdir()] == [target.name]
