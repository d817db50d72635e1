"""Which folders may become libraries, and what a library is after it was waited for."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scanner import paths
from scanner.app import admin
from scanner.app.libraries import Target, require_free, reread, resolve
from scanner.catalog import libraries
from scanner.catalog.engine import Database
from scanner.catalog.schema import open_database
from scanner.config import Settings, load_settings
from scanner.errors import UsageError

_IO_TIMEOUT_S = 20.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a catalog of their own."""
    config = tmp_path / "scanner.toml"
    config.touch()
    return load_settings({"database_url": f"sqlite:///{tmp_path}/catalog.db"}, {}, config)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The catalog, with the library `films`."""
    with open_database(settings.database_url.reveal()) as opened:
        yield opened


@pytest.fixture
def films(database: Database, tmp_path: Path) -> Path:
    """The root of a library, with a folder in it; a link to each lies beside it."""
    root = tmp_path / "films"
    (root / "Show").mkdir(parents=True)
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "inner").symlink_to(root / "Show")
    (tmp_path / "around").mkdir()
    (tmp_path / "around/all").symlink_to(tmp_path)
    libraries.add_library(database, str(root))
    return root


@pytest.mark.parametrize("link", ["link", "link/Show", "inner", "around/all"])
def test_a_root_that_a_link_makes_overlap_a_library_is_refused_and_both_are_named(
    database: Database, settings: Settings, films: Path, link: str
) -> None:
    path = str(films.parent / link)
    ways: list[Callable[[], object]] = [
        lambda: resolve(database, path, None, _IO_TIMEOUT_S),
        lambda: admin.add_library(settings, path, "another"),
    ]
    for way in ways:
        with pytest.raises(UsageError, match=rf"{path} \(= .*overlaps library 'films' with root {films}"):
            way()
    assert [library.root for library in libraries.all_libraries(database)] == [str(films)]


def test_a_library_whose_own_root_is_a_link_is_seen_where_it_leads(
    database: Database, settings: Settings, films: Path
) -> None:
    other = films.parent / "other"
    other.mkdir()
    (films.parent / "other-link").symlink_to(other)
    admin.add_library(settings, str(films.parent / "other-link"), None)
    with pytest.raises(UsageError, match=f"root {other} overlaps library 'other-link'"):
        resolve(database, str(other), None, _IO_TIMEOUT_S)


def test_relocating_into_another_library_through_a_link_is_refused(
    database: Database, settings: Settings, films: Path
) -> None:
    music = films.parent / "music"
    music.mkdir()
    admin.add_library(settings, str(music), None)
    with pytest.raises(UsageError, match="overlaps library 'films'"):
        admin.relocate_library(settings, "music", str(films.parent / "inner"))
    assert admin.relocate_library(settings, "films", str(films.parent / "link")).root.endswith("/link")


def test_a_library_on_a_mount_that_does_not_answer_keeps_no_other_from_being_made(
    database: Database, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, real = threading.Event(), os.path.realpath

    def realpath(path: str) -> str:
        if path == str(films):
            hangs.wait()
        return real(path)

    new = films.parent / "new"
    new.mkdir()
    monkeypatch.setattr(os.path, "realpath", realpath)
    require_free(database, str(new), 0.2)
    hangs.set()


def test_a_library_is_read_again_after_it_was_waited_for(database: Database, films: Path) -> None:
    (before,) = libraries.all_libraries(database)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE libraries SET file_count = 7, identity = 'x'")
    target = reread(database, Target(before, "Show"))
    assert (target.library.file_count, target.library.identity, target.start) == (7, "x", "Show")
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE libraries SET root = '/elsewhere'")
    with pytest.raises(UsageError, match=f"'films' was relocated to {paths.printable('/elsewhere')}"):
        reread(database, Target(before, ""))
    libraries.remove_library(database, before)
    with pytest.raises(UsageError, match="was removed"):
        reread(database, Target(before, ""))
