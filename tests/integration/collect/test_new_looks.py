"""A file whose task came to nothing gets another by the next look, which nothing can make pass it over."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from scanner.catalog import checkpoint
from scanner.catalog.results import Answer, Applied, apply
from scanner.catalog.scans import Kind
from scanner.catalog.tables import FileState
from scanner.message import Media, Result, ResultBatch, ResultError, Status, Task
from scanner.services.scan import context as scan_context
from tests.integration.scan.harness import Library, path_of


def answer(library: Library, status: Status, path: str, **changes: Any) -> Applied:
    """Apply a worker's answer to the last task of a file."""
    task = next(task for task in library.consumer.values() if path_of(task) == path)
    return apply(library.database, library.catalog, [Answer(_batch(library, status, task, **changes))])


def _batch(library: Library, status: Status, task: Task, **changes: Any) -> ResultBatch:
    found = Media("matroska") if status == "ok" else None
    error = ResultError("corrupt", "no") if status == "failed" else None
    result = Result(
        task.file, task.revision, task.content, 0, task.size, task.mtime_ns, 0.1, media=found, error=error
    )
    for name, value in changes.items():
        setattr(result, name, value)
    return ResultBatch(1, library.catalog, "host:1", "m", library.name, status, [result])


def state_of(library: Library, path: str) -> FileState:
    ((state,),) = library.rows("SELECT state FROM files WHERE id = :id", id=library.id_of(path))
    return FileState(state)


@pytest.fixture
def scanned(library: Library) -> Library:
    """A library whose directories are trusted: a further scan lists none of them in full."""
    library.fill("a/1.mkv", "a/2.mkv", "b/3.mkv")
    library.age_directories()
    library.scan()
    assert library.scan("quick").listed == 0
    return library


@pytest.mark.parametrize("kind", ["full", "quick"])
@pytest.mark.parametrize("status", ["gone", "changed"])
def test_a_file_that_a_worker_missed_and_is_there_gets_a_new_task(
    scanned: Library, status: Status, kind: Kind
) -> None:
    before = next(task for task in scanned.consumer.values() if path_of(task) == "a/1.mkv")
    answer(scanned, status, "a/1.mkv")
    assert state_of(scanned, "a/1.mkv") == FileState.NEW
    (task,) = scanned.scan(kind).tasks
    assert (task.change, path_of(task)) == ("modified", "a/1.mkv")
    assert (task.file, task.revision, task.content) == (before.file, before.revision + 1, before.content + 1)
    assert state_of(scanned, "a/1.mkv") == FileState.QUEUED
    assert scanned.dirty() == set()
    assert scanned.scan(kind).tasks == []
    scanned.settled()


def test_a_look_is_trusted_again_once_the_file_has_its_task(scanned: Library) -> None:
    answer(scanned, "gone", "a/1.mkv")
    assert scanned.scan("quick").listed == 1
    assert scanned.scan("quick").listed == 0


def test_a_file_that_is_gone_is_deleted_by_the_look_and_by_nothing_else(scanned: Library) -> None:
    (scanned.root / "a/1.mkv").unlink()
    answer(scanned, "gone", "a/1.mkv")
    assert "a/1.mkv" in scanned.catalog_files()
    assert scanned.scan("quick").changes == {("deleted", "a/1.mkv")}
    scanned.settled()


def test_a_file_that_changed_is_told_once(scanned: Library) -> None:
    scanned.write("a/1.mkv", b"longer than it was")
    answer(scanned, "changed", "a/1.mkv")
    assert scanned.scan("quick").changes == {("modified", "a/1.mkv")}
    scanned.settled()


def test_a_vanished_file_that_is_back_gets_a_new_task(scanned: Library) -> None:
    (scanned.root / "a/1.mkv").rename(scanned.root.parent / "aside.mkv")
    answer(scanned, "gone", "a/1.mkv")
    with scanned.database.write() as connection:
        connection.execute(text("UPDATE files SET vanished_scan = 1 WHERE name = '1.mkv'"))
    (scanned.root.parent / "aside.mkv").rename(scanned.root / "a/1.mkv")
    assert scanned.scan().changes == {("modified", "a/1.mkv")}
    scanned.settled()


@pytest.mark.parametrize("spent", ["gone", "failed"])
@pytest.mark.parametrize("target", ["b/9.mkv", "c"], ids=["file", "directory"])
def test_a_file_without_a_result_that_moves_is_queued_by_its_move(
    scanned: Library, spent: Status, target: str
) -> None:
    answer(scanned, spent, "a/1.mkv")
    if target == "c":
        scanned.rename("a", "c")
        target = "c/1.mkv"
    else:
        scanned.rename("a/1.mkv", target)
    moved = [task for task in scanned.scan().tasks if path_of(task) == target]
    assert [(task.change, task.probe) for task in moved] == [("moved", True)]
    assert state_of(scanned, target) == FileState.QUEUED
    assert answer(scanned, "failed", target).failed == 1
    assert state_of(scanned, target) == FileState.FAILED
    assert scanned.scan().tasks == []
    scanned.settled()


def test_a_file_with_a_result_keeps_it_through_a_move(scanned: Library) -> None:
    answer(scanned, "ok", "a/1.mkv")
    scanned.rename("a/1.mkv", "b/9.mkv")
    (task,) = scanned.scan().tasks
    assert (task.change, task.probe) == ("moved", False)
    assert state_of(scanned, "b/9.mkv") == FileState.OK


def _before_commits(library: Library, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Call `meanwhile` once: after a scan has built a checkpoint that closes `a`, before it commits that."""
    original = checkpoint.commit
    (row,) = library.rows("SELECT id FROM directories WHERE path = 'a'")
    called: list[bool] = []

    def commit(*arguments: Any) -> None:
        if not called and row[0] in arguments[3].done_directories:
            called.append(True)
            meanwhile()
        original(*arguments)

    monkeypatch.setattr(scan_context, "commit", commit)
    library.fill("sentinel/x.mkv")


@pytest.mark.parametrize("listed", ["same", "ok"])
@pytest.mark.parametrize("status", ["gone", "changed"])
def test_a_scan_that_read_before_the_collector_wrote_cannot_hide_the_file(
    scanned: Library, monkeypatch: pytest.MonkeyPatch, status: Status, listed: str
) -> None:
    if listed == "ok":
        scanned.fill("a/4.mkv")  # the directory is listed in full, and found to hold what it holds
        scanned.age_directories()
    _before_commits(scanned, monkeypatch, lambda: answer(scanned, status, "a/1.mkv"))
    tasks = scanned.scan().changes
    assert ("modified", "a/1.mkv") not in tasks, "the collector did not come in between"
    assert state_of(scanned, "a/1.mkv") == FileState.NEW
    assert scanned.rows("SELECT digest, trusted FROM directories WHERE path = 'a'") == [(None, None)]
    assert scanned.dirty() == {"a"}
    monkeypatch.undo()
    assert scanned.scan("quick").changes == {("modified", "a/1.mkv")}
    scanned.settled()


def test_a_row_that_is_new_for_no_known_reason_is_not_stuck_either(scanned: Library) -> None:
    with scanned.database.write() as connection:
        connection.execute(text("UPDATE files SET state = 0 WHERE name = '1.mkv'"))
        connection.execute(text("UPDATE directories SET digest = NULL"))
    assert scanned.scan().changes == {("modified", "a/1.mkv")}
    scanned.settled()


def test_a_scan_whose_row_was_queued_meanwhile_by_somebody_else_compares_again(
    scanned: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scan is about to make a task for the new row; the late `ok` of its old task comes in between."""
    before = dict(scanned.consumer)
    answer(scanned, "gone", "a/1.mkv")
    late = _batch(scanned, "ok", next(task for task in before.values() if path_of(task) == "a/1.mkv"))
    _before_commits(scanned, monkeypatch, lambda: apply(scanned.database, scanned.catalog, [Answer(late)]))
    scanned.scan()
    monkeypatch.undo()
    assert state_of(scanned, "a/1.mkv") == FileState.QUEUED  # one probe too many, none lost
    scanned.settled()


def test_a_large_directory_in_parts_is_compared_part_by_part(library: Library) -> None:
    library.fill(*(f"big/{number}.mkv" for number in range(30)))
    library.scan(part_size=7)
    answer(library, "gone", "big/11.mkv")
    assert library.scan(part_size=7).changes == {("modified", "big/11.mkv")}
    library.settled()


def test_results_leave_removed_libraries_behind(scanned: Library, tmp_path: Any) -> None:
    from scanner.catalog.libraries import remove_library

    answer(scanned, "ok", "a/1.mkv")
    assert remove_library(scanned.database, scanned.row) == 3
    assert scanned.rows("SELECT * FROM media") == []
    shutil.rmtree(scanned.root)
