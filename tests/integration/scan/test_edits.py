"""A rescan: nothing for what is as it was, and for each edit exactly its task."""

import os
import shutil

import pytest

from scanner.catalog.scans import Kind
from tests.integration.scan.harness import PAST_NS, Library, Writes
from tests.support.trees import make_library

KINDS: list[Kind] = ["full", "quick"]


@pytest.fixture
def scanned(library: Library) -> Library:
    """A library of a few files that has been scanned twice."""
    library.fill("top.mkv", "a/1.mkv", "a/2.mkv", "a/3.mkv", "b/4.mkv", "b/c/5.mkv", "b/c/6.mkv")
    library.scan()
    library.settled()
    return library


def test_an_unchanged_library_costs_no_task_no_message_and_no_row(library: Library) -> None:
    make_library(library.root, 1000, seed=3)
    library.scan()
    writes = Writes(library.database)
    for kind in KINDS:
        again = library.scan(kind)
        assert (again.batches, again.counters.unchanged) == ([], len(library.disk()))
        assert again.counters.files == len(library.disk())
        assert writes.take() == 0
    library.settled()


def test_an_unchanged_rescan_leaves_the_rows_of_changed_neighbours_alone(scanned: Library) -> None:
    writes = Writes(scanned.database)
    scanned.write("a/1.mkv", b"longer than it was")
    scanned.scan()
    assert writes.take() == 1


def test_a_new_file_is_added(scanned: Library) -> None:
    scanned.fill("b/new.mkv", "new/deep/er.mkv")
    assert scanned.scan().changes == {("added", "b/new.mkv"), ("added", "new/deep/er.mkv")}
    scanned.settled()


def test_another_size_is_a_modification(scanned: Library) -> None:
    before = scanned.id_of("a/1.mkv")
    scanned.write("a/1.mkv", b"another size", (scanned.root / "a/1.mkv").stat().st_mtime_ns)
    (task,) = scanned.scan().tasks
    assert (task.change, task.file, task.revision, task.content) == ("modified", before, 2, 2)
    scanned.settled()


def test_another_mtime_is_a_modification_even_by_a_nanosecond(scanned: Library) -> None:
    path = scanned.root / "a/1.mkv"
    later_ns = path.stat().st_mtime_ns + 1
    os.utime(path, ns=(later_ns, later_ns))
    assert scanned.scan().changes == {("modified", "a/1.mkv")}
    scanned.settled()


def test_a_replaced_file_is_a_modification_though_size_and_mtime_are_equal(scanned: Library) -> None:
    path = scanned.root / "a/1.mkv"
    status, content = path.stat(), path.read_bytes()
    twin = scanned.write("twin.txt", content, status.st_mtime_ns)
    twin.rename(path)
    assert path.stat().st_ino != status.st_ino
    assert scanned.scan().changes == {("modified", "a/1.mkv")}
    assert scanned.scan().tasks == []


def test_a_deleted_file_is_deleted_with_a_higher_revision(scanned: Library) -> None:
    before = scanned.id_of("a/1.mkv")
    (scanned.root / "a/1.mkv").unlink()
    (task,) = scanned.scan().tasks
    assert (task.change, task.path, task.file, task.revision) == ("deleted", "a/1.mkv", before, 2)
    scanned.settled()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["a/renamed.mkv", "b/1.mkv", "new/1.mkv", "1.mkv"])
def test_a_renamed_file_is_moved_and_keeps_its_id(scanned: Library, target: str, kind: Kind) -> None:
    before = scanned.id_of("a/1.mkv")
    (scanned.root / target).parent.mkdir(exist_ok=True)
    scanned.rename("a/1.mkv", target)
    (task,) = (done := scanned.scan(kind)).tasks
    assert done.changes == {("moved", "a/1.mkv", target)}
    assert (task.file, task.revision, task.content, task.probe) == (before, 2, 1, True)
    assert done.counters.deleted == 0
    scanned.settled()


def test_a_chain_of_renames_is_a_move_each(scanned: Library) -> None:
    ids = scanned.ids()
    scanned.rename("a/2.mkv", "a/3b.mkv")
    scanned.rename("a/1.mkv", "a/2.mkv")
    assert scanned.scan().changes == {("moved", "a/2.mkv", "a/3b.mkv"), ("moved", "a/1.mkv", "a/2.mkv")}
    assert scanned.id_of("a/2.mkv") == ids["a/1.mkv"]
    assert scanned.id_of("a/3b.mkv") == ids["a/2.mkv"]
    scanned.settled()


def test_a_chain_of_renames_across_directories_converges(scanned: Library) -> None:
    scanned.rename("b/c/5.mkv", "top2.mkv")
    scanned.rename("a/1.mkv", "b/c/5.mkv")
    scanned.rename("b/4.mkv", "a/1.mkv")
    done = scanned.scan()
    assert ("moved", "b/c/5.mkv", "top2.mkv") in done.changes
    scanned.settled()


def test_two_files_that_swap_names_have_new_content_each(scanned: Library) -> None:
    scanned.rename("a/1.mkv", "a/x")
    scanned.rename("a/2.mkv", "a/1.mkv")
    scanned.rename("a/x", "a/2.mkv")
    done = scanned.scan()
    assert {path for *_, path in done.changes} == {"a/1.mkv", "a/2.mkv"}
    assert len(done.tasks) == 2
    scanned.settled()
    assert scanned.scan().tasks == []


def test_a_hard_link_is_a_new_file(scanned: Library) -> None:
    os.link(scanned.root / "a/1.mkv", scanned.root / "b/link.mkv")
    assert scanned.scan().changes == {("added", "b/link.mkv")}
    (scanned.root / "a/1.mkv").unlink()
    assert scanned.scan().changes == {("deleted", "a/1.mkv")}
    scanned.settled()


def test_one_of_two_hard_links_renamed_is_that_one_moved(scanned: Library) -> None:
    os.link(scanned.root / "a/1.mkv", scanned.root / "b/link.mkv")
    scanned.scan()
    scanned.rename("b/link.mkv", "b/renamed.mkv")
    assert scanned.scan().changes == {("moved", "b/link.mkv", "b/renamed.mkv")}
    scanned.settled()


def test_a_hard_link_and_a_rename_of_one_file_move_one_and_add_the_other(scanned: Library) -> None:
    os.link(scanned.root / "a/1.mkv", scanned.root / "a/one.mkv")
    scanned.rename("a/1.mkv", "a/two.mkv")
    changes = scanned.scan().changes
    assert sorted(change for change, *_ in changes) == ["added", "moved"]
    scanned.settled()


def test_a_known_file_renamed_over_another_known_one_modifies_it(scanned: Library) -> None:
    scanned.rename("a/1.mkv", "a/2.mkv")
    done = scanned.scan()
    assert done.changes == {("modified", "a/2.mkv"), ("deleted", "a/1.mkv")}
    scanned.settled()


def test_a_file_renamed_over_one_that_moved_on_is_a_move_too(scanned: Library) -> None:
    scanned.rename("a/2.mkv", "b/c/2.mkv")
    scanned.rename("b/4.mkv", "a/2.mkv")
    scanned.scan()
    scanned.settled()
    assert scanned.scan().tasks == []


def test_a_file_renamed_and_changed_is_deleted_and_added(scanned: Library) -> None:
    scanned.rename("a/1.mkv", "a/9.mkv")
    scanned.write("a/9.mkv", b"changed after its rename")
    assert scanned.scan().changes == {("deleted", "a/1.mkv"), ("added", "a/9.mkv")}
    scanned.settled()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_returns_revives_its_row(scanned: Library, kind: Kind) -> None:
    before = scanned.id_of("a/1.mkv")
    (scanned.root / "a/1.mkv").unlink()
    assert scanned.scan(kind).changes == {("deleted", "a/1.mkv")}
    scanned.write("a/1.mkv", b"it is back")
    (task,) = scanned.scan(kind).tasks
    assert (task.change, task.file, task.revision, task.content) == ("added", before, 3, 2)
    scanned.settled()


@pytest.mark.parametrize("kind", KINDS)
def test_a_directory_that_is_deleted_takes_its_files_along(scanned: Library, kind: Kind) -> None:
    shutil.rmtree(scanned.root / "b")
    expected = {("deleted", path) for path in ("b/4.mkv", "b/c/5.mkv", "b/c/6.mkv")}
    assert scanned.scan(kind).changes == expected
    scanned.settled()
    assert scanned.scan(kind).tasks == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_directory_that_returns_revives_the_rows_in_it(scanned: Library, kind: Kind) -> None:
    before = scanned.ids()
    shutil.rmtree(scanned.root / "b")
    scanned.scan(kind)
    scanned.fill("b/4.mkv", "b/c/5.mkv", "b/c/new.mkv")
    assert scanned.scan(kind).changes == {("added", path) for path in ("b/4.mkv", "b/c/5.mkv", "b/c/new.mkv")}
    assert scanned.id_of("b/c/5.mkv") == before["b/c/5.mkv"]
    scanned.settled()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_becomes_a_directory_is_deleted(scanned: Library, kind: Kind) -> None:
    (scanned.root / "a/1.mkv").unlink()
    scanned.fill("a/1.mkv/inside.mkv")
    assert scanned.scan(kind).changes == {("deleted", "a/1.mkv"), ("added", "a/1.mkv/inside.mkv")}
    scanned.settled()


@pytest.mark.parametrize("kind", KINDS)
def test_a_directory_that_becomes_a_file_is_deleted(scanned: Library, kind: Kind) -> None:
    shutil.rmtree(scanned.root / "b/c")
    scanned.fill("b/c")
    assert scanned.scan(kind).changes == {("deleted", "b/c/5.mkv"), ("deleted", "b/c/6.mkv")}
    shutil.rmtree(scanned.root / "a")
    scanned.write("a", b"")
    (scanned.root / "a").rename(scanned.root / "a.mkv")
    os.mkdir(scanned.root / "a")
    scanned.scan(kind)
    scanned.settled()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_becomes_a_link_or_a_pipe_is_deleted(scanned: Library, kind: Kind) -> None:
    for name in ("a/1.mkv", "a/2.mkv"):
        (scanned.root / name).unlink()
    (scanned.root / "a/1.mkv").symlink_to("3.mkv")
    os.mkfifo(scanned.root / "a/2.mkv")
    assert scanned.scan(kind).changes == {("deleted", "a/1.mkv"), ("deleted", "a/2.mkv")}


def test_a_file_that_takes_another_kind_by_its_new_name_is_moved(scanned: Library) -> None:
    scanned.rename("a/1.mkv", "a/1.mp3")
    (task,) = scanned.scan().tasks
    assert (task.change, task.kind) == ("moved", "audio")
    scanned.write("a/1.mp3", b"later content", PAST_NS)
    (task,) = scanned.scan().tasks
    assert (task.change, task.kind) == ("modified", "audio")
    assert scanned.rows("SELECT DISTINCT kind FROM files WHERE name = '1.mp3'") == [(2,)]
