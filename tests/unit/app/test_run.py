"""What a run refuses before it touches anything, what a dry run says, and how libraries share a run."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from scanner.app import dry_run, holding, run
from scanner.app.progress import Phase, RunProgress, RunRequest
from scanner.app.run import run_scans
from scanner.catalog import outbox
from scanner.catalog.engine import Database
from scanner.catalog.leases import Grant
from scanner.catalog.libraries import Library
from scanner.config import Settings, load_settings
from scanner.errors import UsageError
from scanner.services.scan import LibraryScan, ScanOutcome


def quietly(_progress: RunProgress) -> None:
    """Show nothing."""


def settings_of(options: Mapping[str, object], folder: Path) -> Settings:
    """Return settings that nothing on this machine has a say in."""
    config = folder / "scanner.toml"
    config.touch()
    return load_settings(options, {}, config)


@pytest.mark.parametrize("option", ["include", "exclude"])
def test_malformed_glob_is_refused_before_a_catalog_is_made(option: str, tmp_path: Path) -> None:
    database = tmp_path / "catalog.db"
    options: Mapping[str, object] = {option: ["[z-a]"], "database_url": f"sqlite:///{database}"}
    settings = settings_of(options, tmp_path)
    with pytest.raises(UsageError, match=r"glob '\[z-a\]' is malformed.*--include, --exclude"):
        run_scans(settings, RunRequest((str(tmp_path),)), quietly)
    assert not database.exists()


def test_dry_run_says_when_its_list_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "_SHOWN_AT_MOST", 2)
    library = tmp_path / "films"
    library.mkdir()
    for number in range(5):
        (library / f"{number}.mkv").touch()
    options: Mapping[str, object] = {"database_url": f"sqlite:///{tmp_path / 'catalog.db'}", "settle_s": 0}
    settings = settings_of(options, tmp_path)
    result = run_scans(settings, RunRequest((str(library),), dry_run=True), quietly)
    assert [change.path for change in result.changes] == ["0.mkv", "1.mkv"]
    assert result.notes == ("only the first 2 of 5 changes are listed",)


@pytest.fixture
def two_libraries(tmp_path: Path) -> tuple[str, str]:
    """Two folders with a file each."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.mkv").touch()
    return str(tmp_path / "one"), str(tmp_path / "two")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a catalog of their own, in which nothing has to settle."""
    database_url = f"sqlite:///{tmp_path / 'catalog.db'}"
    return settings_of({"database_url": database_url, "settle_s": 0, "lease_s": 2}, tmp_path)


def test_a_lease_that_one_library_loses_does_not_keep_the_next_from_being_scanned(
    settings: Settings, two_libraries: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class LosesTheFirst(LibraryScan):
        def run(self) -> ScanOutcome:
            if self._library.root == two_libraries[0]:
                with self._database.write() as connection:
                    connection.exec_driver_sql("UPDATE libraries SET lease_epoch = lease_epoch + 1")
                assert self._context.stop.wait(30)
                return ScanOutcome("interrupted")
            return super().run()

    monkeypatch.setattr(run, "LibraryScan", LosesTheFirst)
    seen: list[RunProgress] = []
    result = run_scans(settings, RunRequest(two_libraries), seen.append)
    assert [library.phase for library in seen[-1].libraries] == [Phase.FAILED, Phase.DONE]
    assert [(error.kind, error.path) for error in result.errors] == [("lease_lost", two_libraries[0])]
    assert [(row.library, row.added) for row in result.scans] == [("two", 1)]
    assert result.exit_code == 4


def test_a_library_is_scanned_as_it_is_once_its_lease_is_had(
    settings: Settings, two_libraries: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def acquire_from_another(database: Database, library: Library, *rest: Any) -> Grant | None:
        assert library.file_count == 0
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE libraries SET file_count = 7")
        return await holding.acquire(database, library, *rest)

    class Remembers(LibraryScan):
        def run(self) -> ScanOutcome:
            counts.append(self._library.file_count)
            return super().run()

    counts: list[int] = []
    monkeypatch.setattr(run, "acquire", acquire_from_another)
    monkeypatch.setattr(run, "LibraryScan", Remembers)
    run_scans(settings, RunRequest(two_libraries[:1]), quietly)
    assert counts == [7]


def test_the_outbox_is_not_counted_with_each_tick(
    settings: Settings, two_libraries: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    shown: list[RunProgress] = []
    ticked = threading.Event()
    depth: Callable[[Database], int] = outbox.depth

    def count(database: Database) -> int:
        counted.append(len(shown))
        return depth(database)

    def observe(progress: RunProgress) -> None:
        shown.append(progress)
        if len(shown) == 20:
            ticked.set()

    class WaitsForTicks(LibraryScan):
        def run(self) -> ScanOutcome:
            assert ticked.wait(30)
            return super().run()

    monkeypatch.setattr(run, "LibraryScan", WaitsForTicks)
    monkeypatch.setattr(run, "_TICK_S", 0.001)
    monkeypatch.setattr(run, "_DEPTH_EVERY_S", 3600.0)
    monkeypatch.setattr(outbox, "depth", count)
    run_scans(settings, RunRequest(two_libraries[:1]), observe)
    assert len(counted) == 2, "with the first tick, and at the end"
