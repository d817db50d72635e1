"""Nothing is deleted before the conclusion, against the guard, or because something could not be looked at."""

import os
import shutil

import pytest

from scanner.catalog import files as catalog_files
from scanner.catalog.scans import Kind
from scanner.files.walk import Walker
from scanner.files.wire import Checked, CheckRequest, Verified
from tests.integration.scan.harness import Library
from tests.support.shims import Shims

KINDS: list[Kind] = ["full", "quick"]


def many(count: int, folder: str = "many") -> list[str]:
    """Return names of files that the guard's count may be exceeded with."""
    return [f"{folder}/{number}.mkv" for number in range(count)]


def remove(library: Library, names: list[str]) -> None:
    for name in names:
        (library.root / name).unlink()


def test_no_delete_is_written_before_the_scan_concludes(library: Library) -> None:
    library.fill("a/1.mkv", "b/2.mkv", "c/3.mkv")
    library.scan()
    (library.root / "a/1.mkv").unlink()
    library.fill("b/new.mkv", "c/new.mkv")
    interrupted = library.scan(limit=1)
    assert interrupted.outcome.end == "limit"
    assert {change for change, *_ in interrupted.changes} == {"added"}
    assert "a/1.mkv" in library.catalog_files()
    assert ("deleted", "a/1.mkv") in library.scan().changes
    library.settled()


def test_a_file_that_is_back_before_the_conclusion_is_not_deleted(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.fill("a/1.mkv", "a/2.mkv")
    library.scan()
    os.rename(library.root / "a/1.mkv", library.root.parent / "away")
    original = catalog_files.vanished_files

    def meanwhile_back(*arguments: object) -> object:
        if (library.root.parent / "away").exists():
            os.rename(library.root.parent / "away", library.root / "a/1.mkv")
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(catalog_files, "vanished_files", meanwhile_back)
    assert library.scan().tasks == []
    assert not library.rows("SELECT id FROM files WHERE vanished_scan IS NOT NULL")
    assert library.scan("quick").tasks == []
    library.settled()


def test_as_many_deletions_as_the_guard_allows_are_written(library: Library) -> None:
    library.fill(*many(100), "keep.mkv")
    library.scan()
    remove(library, many(100))
    scanned = library.scan()
    assert (scanned.counters.deleted, scanned.counters.held_back) == (100, 0)
    library.settled()


def test_a_tenth_of_a_large_library_may_go(library: Library) -> None:
    library.fill(*many(1010))
    library.scan()
    remove(library, many(101))
    assert library.scan().counters.deleted == 101
    library.settled()


@pytest.mark.parametrize("kind", KINDS)
def test_more_deletions_are_held_back_until_confirmed(library: Library, kind: Kind) -> None:
    library.fill(*many(101), "keep.mkv")
    library.age_directories()
    library.scan()
    remove(library, many(101))
    for _ in range(2):
        held = library.scan(kind)
        assert (held.tasks, held.counters.held_back, held.counters.deleted) == ([], 101, 0)
        assert len(library.catalog_files()) == 102
    released = library.scan(kind, confirm_deletes=True)
    assert (released.counters.deleted, released.counters.held_back) == (101, 0)
    library.settled()


@pytest.mark.parametrize("kind", KINDS)
def test_a_deleted_directory_that_was_held_back_is_released(library: Library, kind: Kind) -> None:
    """The directory above it has no file of its own, and its parent shows nothing new any more."""
    library.fill(*many(101, "Show/Season 1/Disc 1"), "keep.mkv")
    library.age_directories()
    library.scan()
    shutil.rmtree(library.root / "Show")
    for _ in range(2):
        held = library.scan(kind)
        assert (held.tasks, held.counters.held_back, held.outcome.end) == ([], 101, "completed")
    assert library.scan(kind, confirm_deletes=True).counters.deleted == 101
    library.settled()
    assert library.scan(kind).tasks == []
    library.fill("Show/Season 1/Disc 1/0.mkv")
    assert library.scan(kind).changes == {("added", "Show/Season 1/Disc 1/0.mkv")}


def test_held_back_files_that_return_are_as_they_were(library: Library) -> None:
    library.fill(*many(101, "Show/1"), "keep.mkv")
    library.scan()
    os.rename(library.root / "Show", library.root.parent / "away")
    assert library.scan().counters.held_back == 101
    os.rename(library.root.parent / "away", library.root / "Show")
    back = library.scan()
    assert (back.tasks, back.counters.held_back) == ([], 0)
    library.settled()


def test_the_guard_adds_up_deletions_over_scans_of_all_kinds(library: Library) -> None:
    library.fill(*many(200))
    library.scan()
    remove(library, many(60))
    assert library.scan("quick").counters.deleted == 60
    remove(library, many(100)[60:])
    assert library.scan("partial", start="many").counters.deleted == 40
    remove(library, ["many/150.mkv"])
    held = library.scan()
    assert (held.counters.deleted, held.counters.held_back) == (0, 1)
    with library.database.write() as connection:
        connection.exec_driver_sql("UPDATE scans SET finished_at = finished_at - 90000")
    assert library.scan().counters.deleted == 1
    library.settled()


def test_a_directory_that_cannot_be_read_keeps_all_that_is_below(
    library: Library, shims: Shims, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.fill("broken/1.mkv", "broken/2.mkv", "broken/deep/3.mkv", "fine/4.mkv")
    library.scan()
    remove(library, ["fine/4.mkv", "broken/1.mkv"])
    with monkeypatch.context() as patched:
        for name, value in shims.eio("/broken", after=1).items():
            patched.setenv(name, value)
        scanned = library.scan(threads=1)
    assert scanned.changes == {("deleted", "fine/4.mkv")}
    assert ("broken", "io") in library.problems()
    assert {"broken/1.mkv", "broken/2.mkv", "broken/deep/3.mkv"} <= library.catalog_files().keys()
    assert library.scan("quick").changes == {("deleted", "broken/1.mkv")}
    library.settled()


def test_a_file_that_cannot_be_looked_at_at_the_end_is_kept(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.fill("a/1.mkv", "b/2.mkv")
    library.scan()
    remove(library, ["a/1.mkv"])
    original = Walker.receive

    def failing(self: Walker, timeout_s: float) -> list[object]:
        return [
            reply._replace(status="failed", errno=5)
            if isinstance(reply, Verified) and reply.status == "gone"
            else reply
            for reply in original(self, timeout_s)
        ]

    with monkeypatch.context() as patched:
        patched.setattr(Walker, "receive", failing)
        assert library.scan().tasks == []
    assert library.problems() == [("a/1.mkv", "io")]
    assert library.scan("quick").changes == {("deleted", "a/1.mkv")}
    library.settled()


@pytest.mark.parametrize("kind", KINDS)
def test_an_emptied_root_is_offline_and_deletes_nothing(library: Library, kind: Kind) -> None:
    library.fill("a/1.mkv", "2.mkv")
    library.scan()
    before = library.catalog_files()
    os.rename(library.root, library.root.parent / "away")
    library.root.mkdir()
    scanned = library.scan(kind)
    assert (scanned.outcome.end, scanned.tasks) == ("offline", [])
    assert (library.row.state, library.catalog_files()) == ("offline", before)
    assert library.problems() == [("", "offline")]
    library.root.rmdir()
    os.rename(library.root.parent / "away", library.root)
    assert library.scan(kind).tasks == []
    assert library.row.state == "online"
    library.settled()


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_root_is_offline_and_deletes_nothing(library: Library, kind: Kind) -> None:
    library.fill("a/1.mkv", "2.mkv")
    library.scan()
    os.rename(library.root, library.root.parent / "away")
    assert library.scan(kind).outcome.end == "offline"
    library.root.write_bytes(b"a stray file")
    assert library.scan(kind).outcome.end == "offline"
    library.root.unlink()
    os.rename(library.root.parent / "away", library.root)
    assert library.scan(kind).tasks == []
    library.settled()


def test_a_root_that_goes_away_in_the_middle_is_offline(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.fill("a/1.mkv", "b/2.mkv")
    library.scan()
    remove(library, ["a/1.mkv"])
    original = Walker.submit

    def away_at_the_recheck(self: Walker, requests: list[object]) -> None:
        if any(isinstance(request, CheckRequest) for request in requests) and library.root.exists():
            os.rename(library.root, library.root.parent / "away")
        original(self, requests)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Walker, "submit", away_at_the_recheck)
        scanned = library.scan()
    assert (scanned.outcome.end, scanned.tasks) == ("offline", [])
    os.rename(library.root.parent / "away", library.root)
    assert library.scan().changes == {("deleted", "a/1.mkv")}
    library.settled()


def test_a_directory_deleted_while_its_listing_was_asked_for_is_deleted(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.fill("a/1.mkv", "b/2.mkv", "b/deep/3.mkv")
    library.scan()
    original = Walker.submit

    def gone_before_it_is_listed(self: Walker, requests: list[object]) -> None:
        if any(getattr(request, "path", "") == "b" for request in requests):
            shutil.rmtree(library.root / "b", ignore_errors=True)
        original(self, requests)  # type: ignore[arg-type]

    monkeypatch.setattr(Walker, "submit", gone_before_it_is_listed)
    assert library.scan().changes == {("deleted", "b/2.mkv"), ("deleted", "b/deep/3.mkv")}
    library.settled()


def test_a_file_made_in_a_directory_already_listed_is_found_before_the_end(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.fill("a/1.mkv", "b/2.mkv")
    library.age_directories()
    original = Walker.submit
    done: list[bool] = []

    def meanwhile(self: Walker, requests: list[object]) -> None:
        if any(isinstance(request, CheckRequest) for request in requests) and not done:
            done.append(True)
            library.fill("a/late.mkv", "b/new/late.mkv")
            remove(library, ["a/1.mkv"])
        original(self, requests)  # type: ignore[arg-type]

    monkeypatch.setattr(Walker, "submit", meanwhile)
    changes = library.scan().changes
    assert {("added", "a/late.mkv"), ("added", "b/new/late.mkv"), ("deleted", "a/1.mkv")} <= changes
    library.settled()


def test_a_directory_that_changes_all_the_time_does_not_keep_a_scan_from_its_end(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.fill("a/1.mkv", "b/2.mkv")
    original = Walker.receive

    def always_changed(self: Walker, timeout_s: float) -> list[object]:
        return [
            reply._replace(changed=list(range(reply.asked))) if isinstance(reply, Checked) else reply
            for reply in original(self, timeout_s)
        ]

    monkeypatch.setattr(Walker, "receive", always_changed)
    assert library.scan().outcome.end == "completed"
    library.settled()


@pytest.mark.parametrize("kind", KINDS)
def test_deleted_directories_are_no_problems(library: Library, kind: Kind) -> None:
    library.fill("a/1.mkv", "a/b/2.mkv", "c.mkv")
    library.scan()
    shutil.rmtree(library.root / "a")
    library.scan(kind)
    assert library.problems() == []
