"""The copy that a dry run rehearses on."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, Table, text

from scanner.catalog import copying, libraries
from scanner.catalog.engine import Database


def test_a_commit_in_the_middle_of_copying_is_not_half_in_the_copy(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries.add_library(database, "/srv/films")
    copy_table = copying._copy_table

    def commit_after_the_libraries(reading: Connection, copy: Database, table: Table) -> None:
        copy_table(reading, copy, table)
        if table.name == "libraries":
            libraries.add_library(database, "/srv/music")
            with database.write() as connection:
                connection.execute(
                    text(
                        "INSERT INTO directories (library_id, path_key, path) SELECT id, 'k', '' FROM libraries"
                    )
                )

    monkeypatch.setattr(copying, "_copy_table", commit_after_the_libraries)
    with copying.copy_catalog(database, tmp_path / "copy.db") as copy, copy.read() as connection:
        assert [library.root for library in libraries.all_libraries(copy)] == ["/srv/films"]
        assert connection.scalar(text("SELECT count(*) FROM directories")) == 0
    assert len(libraries.all_libraries(database)) == 2
