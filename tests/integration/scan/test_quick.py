"""A quick scan: directories whose mtime says that nothing came or went are not listed, all others are."""

import os

import pytest

from scanner.catalog import checkpoint
from tests.integration.scan.harness import PAST_NS, Library


@pytest.fixture
def trusted(library: Library) -> Library:
    """A library whose directories are old enough to be trusted."""
    library.fill("a/1.mkv", "a/2.mkv", "b/3.mkv", "b/c/4.mkv", "b/c/d/5.mkv", "top.mkv")
    library.age_directories()
    library.scan()
    assert library.scan("quick").listed == 0
    return library


def test_an_unchanged_library_lists_nothing_and_counts_everything(trusted: Library) -> None:
    scanned = trusted.scan("quick")
    assert (scanned.listed, scanned.tasks) == (0, [])
    assert (scanned.counters.files, scanned.counters.unchanged) == (6, 6)


def test_files_that_came_went_and_were_renamed_are_found(trusted: Library) -> None:
    trusted.fill("b/c/new.mkv")
    (trusted.root / "b/3.mkv").unlink()
    trusted.rename("a/1.mkv", "a/one.mkv")
    trusted.rename("a/2.mkv", "b/c/d/2.mkv")
    scanned = trusted.scan("quick")
    assert scanned.changes == {
        ("added", "b/c/new.mkv"),
        ("deleted", "b/3.mkv"),
        ("moved", "a/1.mkv", "a/one.mkv"),
        ("moved", "a/2.mkv", "b/c/d/2.mkv"),
    }
    trusted.settled()


def test_only_changed_directories_are_listed(trusted: Library) -> None:
    trusted.fill("b/c/new.mkv")
    assert trusted.scan("quick").counters.directories == 1


def test_a_new_directory_is_walked_to_its_bottom(trusted: Library) -> None:
    trusted.fill("a/x/y/z/6.mkv", "a/x/7.mkv")
    trusted.age_directories()
    os.utime(trusted.root / "a")
    assert trusted.scan("quick").changes == {("added", "a/x/y/z/6.mkv"), ("added", "a/x/7.mkv")}
    trusted.settled()


def test_a_file_made_in_the_very_tick_of_a_listing_is_found(library: Library) -> None:
    library.fill("a/1.mkv")
    library.scan()
    tick_ns = (library.root / "a").stat().st_mtime_ns
    library.fill("a/2.mkv")
    os.utime(library.root / "a", ns=(tick_ns, tick_ns))  # a clock too coarse to tell the two apart
    assert library.scan("quick").changes == {("added", "a/2.mkv")}
    library.settled()


def test_an_edit_in_place_needs_a_full_scan(trusted: Library) -> None:
    trusted.write("a/1.mkv", b"rewritten in place", PAST_NS)
    assert trusted.scan("quick").tasks == []
    assert trusted.scan().changes == {("modified", "a/1.mkv")}


def test_a_dirty_directory_is_listed_and_clean_afterwards(trusted: Library) -> None:
    trusted.write("a/1.mkv", b"rewritten in place", PAST_NS)
    mark_dirty(trusted, "a")
    assert trusted.scan("quick").changes == {("modified", "a/1.mkv")}
    assert trusted.dirty() == set()
    assert trusted.scan("quick").listed == 0


def test_a_quick_scan_may_be_the_first(library: Library) -> None:
    library.fill("a/1.mkv", "b/c/2.mkv")
    assert library.scan("quick").changes == {("added", "a/1.mkv"), ("added", "b/c/2.mkv")}
    library.settled()


def test_a_directory_swapped_for_another_of_the_same_age_is_noticed(trusted: Library) -> None:
    trusted.rename("b/c", "x")
    trusted.rename("a", "b/c")
    trusted.rename("x", "a")
    for name in ("a", "b/c"):
        os.utime(trusted.root / name, ns=(PAST_NS, PAST_NS))
    trusted.scan("quick")
    trusted.settled()


def mark_dirty(library: Library, path: str) -> None:
    """Ask for a directory to be looked at, as the watcher will."""
    with library.database.write() as connection:
        checkpoint.mark_dirty(connection, library.id, {path: "event"}, 1)
