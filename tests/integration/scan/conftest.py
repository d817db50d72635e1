"""A library and an empty catalog, once on SQLite and once on PostgreSQL.

The schema is migrated once a session and copied for each test: migrating takes longer than most tests.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scanner.catalog.engine import Database
from scanner.catalog.schema import open_database
from tests.integration.scan.harness import Library
from tests.support.postgresql import PostgresCluster


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the schema and nothing in it."""
    file = tmp_path_factory.mktemp("schema") / "empty.db"
    open_database(f"sqlite:///{file}").close()
    return file


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql: PostgresCluster) -> str:
    """The name of a PostgreSQL database with the schema and nothing in it; each folder of tests has its own."""
    url = postgresql.database()
    open_database(url).close()
    return url.rpartition("/")[2].partition("?")[0]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An open database with a fresh catalog."""
    if request.param == "sqlite":
        file = tmp_path / "catalog.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), file)
        with Database(f"sqlite:///{file}") as opened:
            yield opened
        return
    cluster: PostgresCluster = request.getfixturevalue("postgresql")
    template: str = request.getfixturevalue("migrated_postgresql")
    name = f"scan_{request.node.name[:8]}_{abs(hash(request.node.nodeid))}"
    with cluster.connect() as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    with Database(cluster.url(name)) as opened:
        yield opened
    cluster.drop(cluster.url(name))


@pytest.fixture
def library(database: Database, tmp_path: Path) -> Library:
    """An empty library that has not been scanned."""
    root = tmp_path / "films"
    root.mkdir()
    return Library(root, database)
