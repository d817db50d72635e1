"""Files that may still be written are not handed out: those that settle meanwhile are, the others are noted."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.scan.harness import Library
from tests.support.waiting import wait_until


@contextmanager
def growing(path: Path) -> Iterator[None]:
    """Append to a file all the while, as a copy does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    stop = threading.Event()

    def append() -> None:
        while not stop.wait(0.02):
            with path.open("ab") as file:
                file.write(b"more")

    thread = threading.Thread(target=append)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_fresh_file_is_published_after_its_second_look(library: Library) -> None:
    library.fill("a/old.mkv")
    (library.root / "a/fresh.mkv").write_bytes(b"just written")
    scanned = library.scan(settle_s=0.6)
    assert scanned.changes == {("added", "a/old.mkv"), ("added", "a/fresh.mkv")}
    assert scanned.counters.unsettled == 0
    assert (scanned.counters.files, scanned.counters.directories) == (2, 2)
    assert library.dirty() == set()
    library.settled()


def test_a_file_that_grows_is_counted_and_found_later(library: Library) -> None:
    library.fill("a/old.mkv")
    with growing(library.root / "a/growing.mkv"):
        scanned = library.scan(settle_s=0.5)
        assert (scanned.changes, scanned.counters.unsettled) == ({("added", "a/old.mkv")}, 1)
        assert library.dirty() == {"a"}
        library.age_directories()
        assert library.scan("quick", settle_s=0.5).counters.unsettled == 1
    assert library.scan("quick", settle_s=0.2).changes == {("added", "a/growing.mkv")}
    assert library.dirty() == set()
    library.settled()


def test_a_known_file_that_grows_is_neither_modified_nor_deleted(library: Library) -> None:
    library.fill("a/1.mkv", "a/2.mkv")
    library.scan()
    with growing(library.root / "a/1.mkv"):
        scanned = library.scan(settle_s=0.5)
        assert (scanned.tasks, scanned.counters.unsettled) == ([], 1)
        assert "a/1.mkv" in library.catalog_files()
    assert library.scan(settle_s=0.2).changes == {("modified", "a/1.mkv")}
    library.settled()


def test_a_young_file_that_equals_its_row_is_settled(library: Library) -> None:
    (library.root / "fresh.mkv").write_bytes(b"young")
    library.scan()
    started = time.monotonic()
    scanned = library.scan(settle_s=30)
    assert (scanned.tasks, scanned.counters.unsettled) == ([], 0)
    assert time.monotonic() - started < 20


def test_a_file_from_the_future_settles_by_two_equal_looks(library: Library) -> None:
    path = library.write("a/future.mkv", b"x", time.time_ns() + 10**15)
    assert library.scan(settle_s=0.3).changes == {("added", "a/future.mkv")}
    library.settled()
    with growing_times(path):
        scanned = library.scan(settle_s=0.3)
    assert scanned.counters.unsettled == 1
    assert library.scan(settle_s=0.3).changes == {("modified", "a/future.mkv")}


@contextmanager
def growing_times(path: Path) -> Iterator[None]:
    """Give a file a new mtime in the future all the while."""
    stop = threading.Event()

    def touch() -> None:
        while not stop.wait(0.02):
            future_ns = time.time_ns() + 10**15
            os.utime(path, ns=(future_ns, future_ns))

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_stop_while_waiting_for_files_to_settle_ends_the_scan_at_once(library: Library) -> None:
    (library.root / "fresh.mkv").write_bytes(b"x")
    stop = threading.Event()
    with library.held() as grant:
        scan = library.prepare(grant, library.options(settle_s=60), stop)
        ends: list[str] = []
        thread = threading.Thread(target=lambda: ends.append(scan.run().end))
        thread.start()
        wait_until(lambda: scan.progress.stage == "settling", 20, what="it waits for settling")
        stop.set()
        thread.join(10)
    assert ends == ["interrupted"]
    resumed = library.scan(settle_s=0.2)
    assert resumed.resumed
    assert resumed.changes == {("added", "fresh.mkv")}
    library.settled()


def test_a_fresh_file_in_a_huge_directory_settles_too(library: Library) -> None:
    library.fill(*(f"a/{number}.mkv" for number in range(600)))
    (library.root / "a/fresh.mkv").write_bytes(b"x")
    scanned = library.scan(settle_s=0.5, part_size=256)
    assert (len(scanned.tasks), scanned.counters.unsettled) == (601, 0)
    library.settled()


def test_a_rename_of_a_young_file_is_a_move_once_settled(library: Library) -> None:
    (library.root / "a.mkv").write_bytes(b"young")
    library.scan()
    library.rename("a.mkv", "b.mkv")
    assert library.scan(settle_s=0.5).changes == {("moved", "a.mkv", "b.mkv")}
    library.settled()
