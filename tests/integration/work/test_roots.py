"""A library that is away is no library full of deleted files; one file that is gone is looked at again."""

import signal

import pytest

from tests.support.acts import direct
from tests.support.publishing import Letter, Results, batch, batch_of, send, take, task
from tests.support.stage import Stage, assert_no_defect, says
from tests.support.waiting import wait_until

FILES = 7
AWAY_QUEUE = "retry.60s"


def send_again(stage: Stage) -> None:
    """Let the delay of what waits for its library be over."""
    postponed = take(stage, AWAY_QUEUE)
    assert all(letter.headers["x-attempt"] == 0 for letter in postponed), "being away is no attempt"
    send(stage, *postponed)


def done_when_back(stage: Stage, results: Results, files: set[int]) -> bool:
    """Let postponed tasks come back; tell whether these files have their results."""
    if stage.waiting(AWAY_QUEUE):
        send_again(stage)
    return files <= results.fetch()


@pytest.mark.parametrize("how", ["renamed", "emptied"])
def test_nothing_is_called_gone_while_the_library_is_away_and_all_is_done_when_it_is_back(
    directed: Stage, results: Results, how: str
) -> None:
    library, elsewhere = directed.library, directed.folder / "elsewhere"
    paths = [direct(library / "Show" / f"{n}.mkv") for n in range(FILES)]
    letter = Letter(batch_of(library, paths))
    library.rename(elsewhere)
    if how == "emptied":
        library.mkdir()  # a mount point that nothing is mounted on
    with directed.start_worker() as worker:
        send(directed, letter)
        wait_until(lambda: directed.waiting(AWAY_QUEUE), 20, what="the tasks are postponed")
        wait_until(lambda: says(worker, "work.library_away"), 20, what="it says so")
        wait_until(lambda: says(worker, f"{library} is away"), 20, what="it shows so")
        assert results.fetch() == set()
        (postponed,) = take(directed, AWAY_QUEUE, requeue=True)
        assert (postponed.message_id, postponed.body) == (letter.message_id, letter.body)
        assert postponed.headers["x-attempt"] == 0
        if how == "emptied":
            library.rmdir()
        elsewhere.rename(library)
        expected = set(range(1, FILES + 1))
        wait_until(lambda: done_when_back(directed, results, expected), 30, what="all is done", interval_s=0.3)
        wait_until(lambda: says(worker, "work.library_back"), 20, what="it says so")
        assert_no_defect(worker)
    assert {status for found in results.by_file.values() for status, _ in found} == {"ok"}
    assert all(len(found) == 1 for found in results.by_file.values())
    assert {result["attempt"] for found in results.by_file.values() for _, result in found} == {0}


def test_a_library_that_goes_away_under_a_stray_file_is_known_by_what_was_seen_in_it(
    directed: Stage, results: Results
) -> None:
    """One file in the mount point, left by somebody, is what a guard on `not empty` falls for."""
    library, elsewhere = directed.library, directed.folder / "elsewhere"
    paths = [direct(library / "Show" / f"{n}.mkv") for n in range(FILES)]
    with directed.start_worker() as worker:
        send(directed, Letter(batch_of(library, paths)))
        results.wait_for(range(1, FILES + 1))
        more = [direct(library / "Other" / f"{n}.mkv") for n in range(FILES)]
        later = Letter(batch_of(library, more, first=100))
        library.rename(elsewhere)
        direct(library / "stray.mkv")
        send(directed, later)
        wait_until(lambda: directed.waiting(AWAY_QUEUE), 20, what="the tasks are postponed")
        assert results.fetch() == set(range(1, FILES + 1))
        assert says(worker, "work.library_away")


def test_deleted_and_changed_files_mark_their_directory_and_the_next_scan_decides(directed: Stage) -> None:
    library = directed.library
    for number in range(4):
        direct(library / "a" / f"{number}.mkv")
        direct(library / "b" / f"{number}.mkv")
    with directed.start_scan("--wait") as run:
        wait_until(lambda: directed.catalog.last_scan_state == "completed", 30, what="the scan is over")
        (library / "a" / "0.mkv").unlink()
        (library / "b" / "0.mkv").write_text("something else")
        with directed.start_worker() as worker:
            result = directed.ended(run)
            assert (result["failed"], result["retrying"]) == (0, 0)
            assert directed.catalog.states() == {"ok": 6, "new": 2}
            marks = dict(directed.catalog.rows("SELECT path, reason FROM dirty"))
            assert marks == {"a": "gone", "b": "changed"}
            again = directed.scan("--wait", "--quick")
            assert (again["deleted"], again["modified"] + again["added"]) == (1, 1)
            assert directed.catalog.states() == {"ok": 7, "missing": 1}
            assert directed.catalog.one("SELECT count(*) FROM dirty") == 0
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 143


def test_map_says_where_a_root_is_on_this_machine(directed: Stage, results: Results) -> None:
    direct(directed.library / "Films" / "film.mkv")
    below = task("film.mkv", 1, root=directed.library / "Films")
    other = {**below, "file": 2}
    with directed.start_worker("--map", f"/srv/scanner-test={directed.library}") as worker:
        send(directed, Letter(batch("/srv/scanner-test/Films", [below])))
        send(directed, Letter(batch("/srv/scanner-test-2/Films", [other])))
        results.wait_for([1])
        wait_until(lambda: directed.waiting(AWAY_QUEUE), 20, what="a root that only begins like it is away")
        assert_no_defect(worker)
    assert results.status(1) == "ok"
    assert results.fetch() == {1}
