"""A scan that was stopped, killed or limited goes on where its rows say; other options begin anew."""

import os
import signal
import threading
from typing import Any

import pytest

from scanner.catalog.libraries import Library as LibraryRow
from scanner.catalog.resending import resend
from scanner.catalog.scans import Kind
from scanner.files.walk import Walker
from scanner.media import Kind as MediaKind
from tests.integration.scan.harness import Killed, Library, Scanned, Stops
from tests.support.trees import make_flat

NAMES = [f"{folder}/{number}.mkv" for folder in "abcdef" for number in range(3)]


def stopped(library: Library, after: int, kind: Kind = "full", **options: Any) -> Scanned:
    """Scan until the Nth transaction, then ask it to stop."""
    stop = threading.Event()
    stops = Stops(library.database, after, stop)
    with stops.counting():
        scanned = library.scan(kind, stop=stop, **options)
    assert stops.hit
    return scanned


def killed(library: Library, after: int, kind: Kind = "full", **options: Any) -> bool:
    """Scan until the Nth transaction and die there; return whether it got that far."""
    stops = Stops(library.database, after, None)
    with library.held() as grant:
        scan = library.prepare(grant, library.options(kind, **options))
        try:
            with stops.counting():
                scan.run()
        except Killed:
            with library.database.write() as connection:  # the dead write no last words
                connection.exec_driver_sql("UPDATE scans SET state = 'running' WHERE state = 'interrupted'")
    library.consume()
    return stops.hit


@pytest.mark.parametrize("kind", ["full", "quick"])
def test_a_scan_killed_after_any_of_its_transactions_is_continued_to_the_same_end(
    library: Library, kind: Kind
) -> None:
    library.fill(*NAMES[:9])
    library.scan()
    library.fill(*NAMES[9:], "a/new.mkv")
    (library.root / "b/0.mkv").unlink()
    library.rename("c", "moved")
    after = 1
    while killed(library, after, kind, batch_files=2):
        had_ended = library.rows("SELECT state FROM scans ORDER BY id DESC LIMIT 1") == [("completed",)]
        resumed = library.scan(kind, batch_files=2)
        assert (resumed.outcome.end, resumed.resumed) == ("completed", not had_ended)
        library.settled()
        after += 1
        there, free = ("moved", "c") if (library.root / "moved").exists() else ("c", "moved")
        library.rename(there, free)  # so that each round has something to find
        library.write(f"a/round {after}.mkv")
    assert after > 6
    assert library.scan(kind).outcome.end == "completed"
    library.settled()


def test_a_kill_before_the_frontier_is_marked_does_not_end_in_an_empty_scan(library: Library) -> None:
    library.fill(*NAMES)
    assert killed(library, 1)
    assert len(library.scan().tasks) == len(NAMES)
    library.settled()


def test_an_orderly_stop_commits_what_was_listed_and_the_next_run_lists_the_rest(library: Library) -> None:
    library.fill(*NAMES)
    first = stopped(library, 5, batch_files=2)
    assert first.outcome.end == "interrupted"
    second = library.scan(batch_files=2)
    assert (second.resumed, second.scan_id) == (True, first.scan_id)
    assert first.listed + second.listed <= 7 + 2
    assert sorted(first.paths + second.paths) == sorted(NAMES)
    assert second.counters.files == len(NAMES)
    assert second.counters.directories == 7
    library.settled()


def test_a_limit_stops_there_and_the_runs_together_give_each_file_once(library: Library) -> None:
    library.fill(*NAMES)
    paths: list[str] = []
    for run in range(20):
        scanned = library.scan(limit=4)
        paths += scanned.paths
        if scanned.outcome.end == "completed":
            break
        assert scanned.outcome.end == "limit"
        assert len(scanned.tasks) == 4
        assert scanned.resumed == (run > 0)
    assert sorted(paths) == sorted(NAMES)
    library.settled()


def test_a_limit_holds_within_one_large_directory(library: Library) -> None:
    make_flat(library.root, 700)
    counts = [len(library.scan(limit=300, part_size=100, batch_files=100).tasks) for _ in range(4)]
    assert counts[:3] == [300, 300, 100]
    assert sum(counts) == 700
    assert library.scan(limit=300).outcome.end == "completed"
    library.settled()


def test_restart_forgets_the_interrupted_scan_and_repeats_nothing(library: Library) -> None:
    library.fill(*NAMES)
    first = library.scan(limit=5)
    again = library.scan(restart=True)
    assert not again.resumed
    assert again.scan_id != first.scan_id
    assert sorted(first.paths + again.paths) == sorted(NAMES)
    library.settled()


@pytest.mark.parametrize(
    "other",
    [{"kinds": frozenset({MediaKind.VIDEO})}, {"kind": "quick"}, {"kind": "partial", "start": "a"}],
    ids=str,
)
def test_other_options_replace_an_interrupted_scan(library: Library, other: dict[str, Any]) -> None:
    library.fill(*NAMES)
    first = library.scan(limit=5)
    second = library.scan(**other)
    assert not second.resumed
    assert second.outcome.end == "completed"
    library.scan()
    assert first.scan_id != second.scan_id
    library.settled()


def test_a_resend_in_between_does_not_keep_a_scan_from_being_resumed(library: Library) -> None:
    library.fill(*NAMES)
    first = library.scan(limit=5)
    row: LibraryRow = library.row
    assert resend(library.database, library.catalog, row, "all", 100) == 5
    with library.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM outbox")
    second = library.scan()
    assert (second.resumed, second.scan_id) == (True, first.scan_id)
    library.settled()


def test_a_completed_scan_is_not_resumed(library: Library) -> None:
    library.fill(*NAMES)
    library.scan()
    assert not library.scan().resumed


@pytest.mark.parametrize("start", ["a", "new/folder"])
def test_a_partial_scan_touches_nothing_else(library: Library, start: str) -> None:
    library.fill("a/1.mkv", "a/b/2.mkv", "c/3.mkv")
    library.scan()
    library.fill("a/new.mkv", "a/b/new.mkv", "c/new.mkv", "new/folder/deep/4.mkv", "new/5.mkv")
    (library.root / "c/3.mkv").unlink()
    scanned = library.scan("partial", start=start)
    expected = {"a": {"a/new.mkv", "a/b/new.mkv"}, "new/folder": {"new/folder/deep/4.mkv"}}[start]
    assert scanned.changes == {("added", path) for path in expected}
    assert "c/3.mkv" in library.catalog_files()
    library.scan("quick")
    library.settled()


def test_a_partial_scan_of_a_folder_that_is_gone_deletes_what_was_in_it(library: Library) -> None:
    library.fill("a/1.mkv", "c/3.mkv")
    library.scan()
    (library.root / "a/1.mkv").unlink()
    (library.root / "a").rmdir()
    assert library.scan("partial", start="a").changes == {("deleted", "a/1.mkv")}
    library.settled()


def test_a_partial_scan_sees_what_moved_in_from_elsewhere(library: Library) -> None:
    library.fill("a/1.mkv", "c/Show/3.mkv")
    library.scan()
    library.rename("c/Show", "a/Show")
    assert library.scan("partial", start="a").changes == {("moved", "c/Show/3.mkv", "a/Show/3.mkv")}
    assert library.scan().tasks == []
    library.settled()


# Directories that come in parts

PARTS: dict[str, Any] = {"part_size": 256, "batch_files": 256}


@pytest.fixture
def huge(library: Library) -> Library:
    """A library of one directory with 12,000 files."""
    make_flat(library.root / "huge", 12_000)
    return library


def test_a_huge_directory_comes_whole_and_is_unchanged_afterwards(huge: Library) -> None:
    scanned = huge.scan(**PARTS)
    assert len(scanned.tasks) == 12_000
    assert (scanned.counters.files, scanned.counters.directories) == (12_000, 2)
    again = huge.scan(**PARTS)
    assert (again.tasks, again.counters.unchanged, again.counters.files) == ([], 12_000, 12_000)
    huge.settled()


def test_edits_in_a_huge_directory_give_exactly_their_tasks(huge: Library) -> None:
    huge.scan(**PARTS)
    names = sorted(path.name for path in (huge.root / "huge").iterdir())
    gone = names[100:11_900:700]
    for name in gone:
        (huge.root / "huge" / name).unlink()
    huge.rename(f"huge/{names[0]}", "huge/renamed.mkv")
    huge.rename(f"huge/{names[1]}", "elsewhere.mkv")
    huge.fill("huge/new.mkv")
    assert huge.scan(**PARTS).changes == {
        *(("deleted", f"huge/{name}") for name in gone),
        ("moved", f"huge/{names[0]}", "huge/renamed.mkv"),
        ("moved", f"huge/{names[1]}", "elsewhere.mkv"),
        ("added", "huge/new.mkv"),
    }
    huge.settled()


def test_a_stop_between_two_parts_repeats_and_loses_nothing(huge: Library) -> None:
    first = stopped(huge, 12, **PARTS)
    assert 0 < len(first.tasks) < 12_000
    second = huge.scan(**PARTS)
    assert second.resumed
    assert len(first.tasks) + len(second.tasks) == 12_000
    huge.settled()


def test_a_walker_that_dies_between_two_parts_repeats_and_loses_nothing(
    huge: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Walker.receive
    deaths: list[int] = []

    def deadly(self: Walker, timeout_s: float) -> list[object]:
        replies = original(self, timeout_s)
        if any(getattr(reply, "status", "") == "part" for reply in replies) and len(deaths) < 2:
            deaths.append(self.pid)
            os.kill(self.pid, signal.SIGKILL)
        return list(replies)

    monkeypatch.setattr(Walker, "receive", deadly)
    scanned = huge.scan(**PARTS)
    assert len(deaths) == 2
    assert len(scanned.tasks) == 12_000
    assert len({task.file for task in scanned.tasks}) == 12_000
    huge.settled()


def test_odd_names_in_a_huge_directory_are_recognized(library: Library) -> None:
    library.fill(*(f"huge/é\U0010ffe9 {number}'\"\\.mkv" for number in range(600)))
    (library.root / "huge/raw\udcff.mkv").write_bytes(b"")
    assert len(library.scan(**PARTS).tasks) == 601
    assert library.scan(**PARTS).tasks == []
    library.settled()
