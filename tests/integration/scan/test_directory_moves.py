"""A directory that moved keeps its id and those of all that is in it; what only looks so does not."""

import os
import shutil

import pytest

from scanner.catalog.scans import Kind
from tests.integration.scan.harness import Library

KINDS: list[Kind] = ["full", "quick"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Either kind of scan that looks at the whole library."""
    chosen: Kind = request.param
    return chosen


@pytest.fixture
def scanned(library: Library) -> Library:
    """A library with a show of two seasons, with old directories that a quick scan trusts."""
    library.fill("Show/1/a.mkv", "Show/1/b.mkv", "Show/2/c.mkv", "Show/poster.jpg", "Other/x.mkv", "y.mkv")
    library.age_directories()
    library.scan()
    library.settled()
    return library


def moved(source: str, target: str, *names: str) -> set[tuple[str, ...]]:
    """Return the tasks of a directory's move."""
    return {("moved", f"{source}/{name}", f"{target}/{name}") for name in names}


IN_SHOW = ("1/a.mkv", "1/b.mkv", "2/c.mkv", "poster.jpg")


@pytest.mark.parametrize("target", ["Renamed", "Other/Show", "new/deep/er/Show"])
def test_a_renamed_directory_moves_each_file_with_its_id(scanned: Library, target: str, kind: Kind) -> None:
    before = scanned.ids()
    (scanned.root / target).parent.mkdir(parents=True, exist_ok=True)
    scanned.rename("Show", target)
    done = scanned.scan(kind)
    assert done.changes == moved("Show", target, *IN_SHOW)
    assert all(task.revision == 2 and task.content == 1 and task.probe for task in done.tasks)
    for name in IN_SHOW:
        assert scanned.id_of(f"{target}/{name}") == before[f"Show/{name}"]
    scanned.settled()
    assert scanned.scan(kind).tasks == []


def test_a_directory_renamed_and_then_changed_shows_both(scanned: Library, kind: Kind) -> None:
    scanned.rename("Show", "Renamed")
    scanned.fill("Renamed/1/new.mkv", "Renamed/extra.mkv")
    (scanned.root / "Renamed/2/c.mkv").unlink()
    changes = scanned.scan(kind).changes
    assert ("added", "Renamed/1/new.mkv") in changes
    assert ("added", "Renamed/extra.mkv") in changes
    assert ("moved", "Show/1/a.mkv", "Renamed/1/a.mkv") in changes
    scanned.settled()


def test_a_file_replaced_in_a_directory_that_moved_is_noticed_by_a_full_scan(scanned: Library) -> None:
    scanned.rename("Show", "Renamed")
    scanned.write("Renamed/1/a.mkv", b"other content")
    assert ("modified", "Renamed/1/a.mkv") in scanned.scan().changes
    scanned.settled()


def test_nested_directories_that_both_moved_are_followed(scanned: Library, kind: Kind) -> None:
    before = scanned.ids()
    scanned.rename("Show/1", "Other/First")
    scanned.rename("Show", "Renamed")
    scanned.scan(kind)
    scanned.settled()
    assert scanned.id_of("Other/First/a.mkv") == before["Show/1/a.mkv"]
    assert scanned.id_of("Renamed/2/c.mkv") == before["Show/2/c.mkv"]


def test_a_directory_moved_out_of_one_that_was_deleted_keeps_its_files(scanned: Library, kind: Kind) -> None:
    before = scanned.ids()
    scanned.rename("Show/1", "First")
    shutil.rmtree(scanned.root / "Show")
    assert moved("Show/1", "First", "a.mkv", "b.mkv") <= scanned.scan(kind).changes
    assert scanned.id_of("First/a.mkv") == before["Show/1/a.mkv"]
    scanned.settled()


def test_two_directories_that_swap_names_converge(scanned: Library, kind: Kind) -> None:
    scanned.rename("Show", "x")
    scanned.rename("Other", "Show")
    scanned.rename("x", "Other")
    scanned.scan(kind)
    scanned.settled()
    assert scanned.scan(kind).tasks == []


def test_a_parent_and_child_that_change_places_converge(scanned: Library, kind: Kind) -> None:
    scanned.rename("Show/1", "First")
    scanned.rename("Show", "First/Show")
    scanned.scan(kind)
    scanned.settled()


def test_a_new_directory_with_the_inode_of_a_deleted_one_is_not_that_one(scanned: Library, kind: Kind) -> None:
    before = scanned.ids()
    inode = (scanned.root / "Show/1").stat().st_ino
    shutil.rmtree(scanned.root / "Show/1")
    for number in range(50):  # the file system gives the number again soon, if it does at all
        folder = scanned.root / f"Show/new{number}"
        folder.mkdir()
        if folder.stat().st_ino == inode:
            break
    scanned.fill(f"{folder.relative_to(scanned.root)}/a.mkv")
    with scanned.database.write() as connection:  # and if it did not, the catalog shall think so
        connection.exec_driver_sql(
            f"UPDATE directories SET inode = {folder.stat().st_ino} WHERE path = 'Show/1'"
        )
    changes = scanned.scan(kind).changes
    assert {("deleted", "Show/1/a.mkv"), ("deleted", "Show/1/b.mkv")} <= changes
    assert ("added", f"Show/{folder.name}/a.mkv") in changes
    assert scanned.id_of(f"Show/{folder.name}/a.mkv") != before["Show/1/a.mkv"]
    scanned.settled()


def test_a_directory_may_move_to_where_a_deleted_one_was(scanned: Library, kind: Kind) -> None:
    """Not only the directory: what was below the deleted one may come back as well."""
    before = scanned.ids()
    shutil.rmtree(scanned.root / "Show")
    scanned.scan(kind)
    scanned.rename("Other", "Show")
    assert scanned.scan(kind).changes == moved("Other", "Show", "x.mkv")
    scanned.settled()
    scanned.fill("Show/1/a.mkv", "Show/poster.jpg")
    assert scanned.scan(kind).changes == {("added", "Show/1/a.mkv"), ("added", "Show/poster.jpg")}
    scanned.settled()
    assert scanned.id_of("Show/1/a.mkv") == before["Show/1/a.mkv"]
    assert scanned.id_of("Show/poster.jpg") == before["Show/poster.jpg"]


def test_a_directory_that_moves_there_and_back_ends_where_it_was(scanned: Library, kind: Kind) -> None:
    before = scanned.ids()
    for source, target in (("Show", "Away"), ("Away", "Show"), ("Show", "Away")):
        scanned.rename(source, target)
        assert scanned.scan(kind).changes == moved(source, target, *IN_SHOW)
        scanned.settled()
    assert scanned.id_of("Away/1/a.mkv") == before["Show/1/a.mkv"]


def test_an_empty_directory_that_moved_gives_no_task(scanned: Library, kind: Kind) -> None:
    (scanned.root / "empty").mkdir()
    scanned.scan(kind)
    scanned.rename("empty", "still empty")
    assert scanned.scan(kind).tasks == []
    scanned.settled()


def test_a_directory_of_directories_that_gained_one_after_its_rename_is_followed(
    library: Library, kind: Kind
) -> None:
    library.fill("Show/1/a.mkv", "Show/2/b.mkv")
    library.age_directories()
    library.scan()
    library.rename("Show", "Renamed")
    library.fill("Renamed/3/c.mkv")
    assert library.scan(kind).changes == {
        ("moved", "Show/1/a.mkv", "Renamed/1/a.mkv"),
        ("moved", "Show/2/b.mkv", "Renamed/2/b.mkv"),
        ("added", "Renamed/3/c.mkv"),
    }
    library.settled()


def test_a_copied_directory_is_added(scanned: Library, kind: Kind) -> None:
    shutil.copytree(scanned.root / "Show", scanned.root / "Copy")
    assert {change for change, *_ in scanned.scan(kind).changes} == {"added"}
    scanned.settled()


def test_a_directory_of_hard_links_is_added(scanned: Library, kind: Kind) -> None:
    shutil.copytree(scanned.root / "Show", scanned.root / "Copy", copy_function=os.link)
    assert {change for change, *_ in scanned.scan(kind).changes} == {"added"}
    scanned.settled()


def test_names_with_like_wildcards_do_not_drag_neighbours_along(library: Library, kind: Kind) -> None:
    library.fill("a_b/1.mkv", "aXb/2.mkv", "a%/3.mkv", "a%b/4.mkv", "a_bc/5.mkv")
    library.age_directories()
    library.scan()
    library.rename("a_b", "moved")
    library.rename("a%", "also moved")
    assert library.scan(kind).changes == {
        ("moved", "a_b/1.mkv", "moved/1.mkv"),
        ("moved", "a%/3.mkv", "also moved/3.mkv"),
    }
    library.settled()
