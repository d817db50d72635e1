"""What the catalog remembers of a listing holds only as long as the directory's rows are what it showed."""

import itertools
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scanner import paths
from scanner.catalog import libraries
from scanner.catalog.engine import Database
from scanner.errors import DatabaseUnavailable
from tests.integration.scan.harness import Library, Stops


def test_file_moved_out_by_a_partial_scan_and_back_is_found_again(library: Library) -> None:
    library.fill("A/x.mkv", "A/y.mkv", "B/z.mkv")
    library.age_directories()
    library.scan()
    library.rename("A/x.mkv", "B/x.mkv")
    library.scan("partial", start="B")
    library.rename("B/x.mkv", "A/x.mkv")
    library.age_directories()
    assert library.scan().changes == {("moved", "B/x.mkv", "A/x.mkv")}
    library.settled()


@pytest.mark.parametrize("start", ["q", "q/show"], ids=["as a whole", "file by file"])
def test_directory_moved_out_by_a_partial_scan_and_back_is_found_again(library: Library, start: str) -> None:
    library.fill("p/show/1.mkv", "p/show/2.mkv", "p/other/3.mkv", "q/z.mkv")
    library.age_directories()
    library.scan()
    library.rename("p/show", "q/show")
    library.scan("partial", start=start)
    library.rename("q/show", "p/show")
    library.age_directories()
    library.scan()
    library.settled()


def test_directory_first_met_by_a_partial_scan_is_missed_when_it_goes(library: Library) -> None:
    library.fill("P/a.mkv")
    library.age_directories()
    library.scan()
    library.fill("P/d/b.mkv")
    library.scan("partial", start="P/d")
    (library.root / "P/d/b.mkv").unlink()
    (library.root / "P/d").rmdir()
    library.age_directories()
    assert library.scan().changes == {("deleted", "P/d/b.mkv")}
    library.settled()


def test_guard_is_asked_again_when_a_scan_resumes_among_its_deletions(library: Library) -> None:
    names = [f"d{number // 50}/{number}.mkv" for number in range(300)]
    library.fill(*names)
    library.scan()
    for name in names[:20]:
        (library.root / name).unlink()
    _interrupt_in_conclusion(library)
    for name in names[20:290]:
        (library.root / name).unlink()
    resumed = library.scan()
    assert resumed.resumed
    assert resumed.counters.held_back > 200
    assert len(library.catalog_files()) >= 280


def _interrupt_in_conclusion(library: Library) -> None:
    """Stop a scan at the commit that deletes."""
    for after in range(1, 50):
        stop = threading.Event()
        with Stops(library.database, after, stop).counting() as stops:
            found = library.scan(stop=stop)
        if found.counters.deleted and found.outcome.end == "interrupted":
            return
        assert stops.hit, "the scan ended before it could be stopped among its deletions"


@pytest.mark.parametrize("limit", [1, 4, 12])
def test_limit_with_moves_leaves_no_directory_behind(library: Library, limit: int) -> None:
    library.fill(*(f"a/{number}.mkv" for number in range(10)))
    library.scan()
    (library.root / "b").mkdir()
    for number in range(10):
        library.rename(f"a/{number}.mkv", f"b/{number}.mkv")
    library.fill("c/1.mkv", "c/2.mkv", "c/3.mkv")
    for _ in range(10):
        if library.scan(limit=limit).outcome.end == "completed":
            break
    library.settled()


def test_relocated_copy_of_a_library_is_nothing_new(library: Library, tmp_path: Path) -> None:
    library.fill("a/1.mkv", "b/2.mkv")
    library.scan()
    copy = tmp_path / "copy"
    shutil.copytree(library.root, copy)  # keeps the mtimes, gives other inodes
    libraries.relocate_library(library.database, library.row, paths.from_os(str(copy)))
    moved = Library(copy, library.database, consumer=library.consumer)
    assert moved.scan().tasks == []
    moved.rename("a/1.mkv", "b/1.mkv")
    assert moved.scan().changes == {("moved", "a/1.mkv", "b/1.mkv")}
    moved.settled()


def test_large_new_directory_has_nothing_vanished(library: Library) -> None:
    library.fill("seed.mkv")
    library.scan()
    library.fill(*(f"big/{number}.mkv" for number in range(30)))
    library.scan(part_size=7)
    assert library.dirty() == set()
    library.settled()


def test_relocated_library_is_accepted_though_most_of_it_went(library: Library, tmp_path: Path) -> None:
    library.fill("a/1.mkv", "a/2.mkv", "a/3.mkv")
    library.scan()
    rest = tmp_path / "rest"
    (rest / "a").mkdir(parents=True)
    shutil.copy2(library.root / "a/1.mkv", rest / "a/1.mkv")
    libraries.relocate_library(library.database, library.row, paths.from_os(str(rest)))
    moved = Library(rest, library.database, consumer=library.consumer)
    assert moved.scan().outcome.end == "completed"
    moved.settled()


@pytest.mark.parametrize("lost", range(2, 9))  # the first is the lease
def test_commit_whose_answer_is_lost_is_not_written_twice(library: Library, lost: int) -> None:
    library.fill("a/1.mkv", "b/2.mkv")
    library.scan()
    library.rename("a/1.mkv", "b/1.mkv")
    library.fill("c/d/3.mkv", "b/2.mkv")
    library.write("b/2.mkv", b"longer than it was")
    with _answer_lost(library.database, lost):
        found = library.scan(batch_files=1)
    assert found.outcome.end == "completed"
    assert found.counters.tasks == len(found.tasks)
    library.settled()


@contextmanager
def _answer_lost(database: Database, number: int) -> Iterator[None]:
    """Let the Nth write transaction commit, and its caller hear that the database went away."""
    original, count = database.write, itertools.count(1)

    @contextmanager
    def write() -> Iterator[Any]:
        with original() as connection:
            yield connection
        if next(count) == number:
            raise DatabaseUnavailable("the answer to a commit was lost")

    database.write = write  # type: ignore[method-assign]
    try:
        yield
    finally:
        del database.write
