"""A second scan: nothing new costs nothing, and trouble on the disk never looks like a deletion."""

import os
import time
from pathlib import Path

import pytest

from tests.support import trees
from tests.support.consumer import tasks_of
from tests.support.shims import Shims
from tests.support.stage import Stage, assert_same, size

FILES = size(20_000, 100_000)


def test_unchanged_library_gives_no_task_no_message_and_changes_no_row(any_stage: Stage) -> None:
    trees.make_library(any_stage.library, FILES, seed=3)
    first = any_stage.scan("--kinds", "all")
    any_stage.drain()
    any_stage.catalog.count_changed_files()
    again = any_stage.scan("--kinds", "all")
    quick = any_stage.scan("--kinds", "all", "--quick")
    for result in (again, quick):
        assert (result["tasks"], result["messages"], result["problems"]) == (0, 0, 0)
        assert (result["unchanged"], result["files"]) == (first["files"], first["files"])
    assert again["listed"] == first["directories"]
    assert any_stage.catalog.changed_files <= 20
    assert any_stage.drain() == []


def test_edits_give_exactly_their_tasks(stage: Stage) -> None:
    trees.make_flat(stage.library, 200, directories=10)
    stage.scan()
    stage.drain()
    (stage.library / "00001/0000001.mkv").unlink()
    os.rename(stage.library / "00002/0000002.mkv", stage.library / "00003/moved.mkv")
    (stage.library / "00004/0000004.mkv").write_bytes(b"longer")
    (stage.library / "00005/new.mkv").write_bytes(b"new")
    result = stage.scan("--settle", "0")
    tasks = {(task.change, task.path, task.moved_from) for task in tasks_of(stage.drain())}
    assert tasks == {
        ("deleted", b"00001/0000001.mkv", None),
        ("moved", b"00003/moved.mkv", b"00002/0000002.mkv"),
        ("modified", b"00004/0000004.mkv", None),
        ("added", b"00005/new.mkv", None),
    }
    assert [result[key] for key in ("added", "modified", "moved", "deleted")] == [1, 1, 1, 1]


def test_read_error_in_the_middle_of_a_listing_deletes_nothing(stage: Stage, shims: Shims) -> None:
    trees.make_flat(stage.library, 300, directories=3)
    stage.scan()
    stage.drain()
    result = stage.scan(exit_code=1, **shims.eio("/00001", after=40))
    assert (result["deleted"], result["held_back"], result["tasks"], result["problems"]) == (0, 0, 0, 1)
    assert list(result["problems_by_kind"]) == ["io"]
    assert [os.fsencode(path) for path in result["problems_by_kind"]["io"]["paths"]] == [
        os.fsencode(stage.library / "00001")
    ]
    assert stage.catalog.files() == {"living": 300, "deleted": 0}
    assert_healthy_again(stage)


@pytest.mark.parametrize("first", [False, True], ids=["rescan", "first scan"])
def test_directory_that_never_answers_ends_in_bounded_time_and_deletes_nothing(
    stage: Stage, shims: Shims, first: bool
) -> None:
    trees.make_flat(stage.library, 300, directories=3)
    if not first:
        stage.scan()
        stage.drain()
    started = time.monotonic()
    result = stage.scan("--io-timeout", "2", exit_code=1, **shims.hang("/00001"))
    assert time.monotonic() - started < 20
    assert (result["deleted"], result["problems"], result["tasks"]) == (0, 1, 200 if first else 0)
    assert list(result["problems_by_kind"]) == ["timeout"]
    assert_healthy_again(stage)


def assert_healthy_again(stage: Stage) -> None:
    """See the next run, with the disk well, find every file and delete none."""
    before = {task.path: task.size for task in tasks_of(stage.drain())}
    result = stage.scan()
    assert (result["deleted"], result["problems"], result["files"]) == (0, 0, 300)
    assert stage.catalog.files() == {"living": 300, "deleted": 0}
    if before:
        assert_same(before | stage.handed_over(), trees.find_files(stage.library))


def test_emptied_mount_with_one_stray_file_deletes_nothing(stage: Stage) -> None:
    trees.make_flat(stage.library, 300, directories=3)
    stage.scan()
    stage.drain()
    away = stage.folder / "away"
    stage.library.rename(away)
    trees.make_flat(stage.library, 1, suffix="-stray.mkv")
    result = stage.scan(exit_code=1)
    assert result["deleted"] == 0
    assert stage.catalog.files()["deleted"] == 0
    trees.remove(stage.library)
    away.rename(stage.library)
    back = stage.scan()
    assert stage.catalog.files()["living"] == 300 + result["added"] - back["deleted"]
    assert {task.path for task in tasks_of(stage.drain()) if task.change == "deleted"} <= {b"0000000-stray.mkv"}


def test_deletions_beyond_the_guard_are_held_back_until_confirmed(stage: Stage) -> None:
    trees.make_flat(stage.library, 1000, directories=10)
    stage.scan()
    stage.drain()
    trees.remove(stage.library / "00003")
    (stage.library / "00004/0000004.mkv").unlink()
    held = stage.scan(exit_code=1)
    assert (held["held_back"], held["deleted"]) == (101, 0)
    assert any("--confirm-deletes" in note for note in held["notes"])
    assert stage.drain() == []
    released = stage.scan("--confirm-deletes")
    assert (released["held_back"], released["deleted"]) == (0, 101)
    assert [task.change for task in tasks_of(stage.drain())] == ["deleted"] * 101


def test_folder_inside_a_known_library_is_a_partial_scan_of_it(stage: Stage) -> None:
    trees.make_flat(stage.library, 100, directories=10)
    stage.scan()
    stage.drain()
    (stage.library / "00007/new.mkv").touch()
    (stage.library / "00008/unseen.mkv").touch()
    result = stage.run("run", stage.library / "00007", "--settle", "0")
    assert (result["library"], result["listed"], result["tasks"]) == ("library", 1, 1)
    assert [task.path for task in tasks_of(stage.drain())] == [b"00007/new.mkv"]


def test_roots_that_overlap_are_refused_and_both_named(stage: Stage) -> None:
    inner = stage.library / "inner"
    trees.make_flat(inner, 5)
    stage.run("run", inner)
    document = stage.scan(exit_code=2)
    assert document["error"]["kind"] == "usage"
    assert str(inner) in document["error"]["text"]
    assert f"{stage.library} " in document["error"]["text"].replace(",", " ").replace(":", " ")
    assert Path(inner).is_dir()
