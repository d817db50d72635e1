"""Several runs at once on one database: each task once, one relay, one writer a library."""

import os
import re
import signal
import time

import pytest

from tests.support import trees
from tests.support.processes import ScannerRun
from tests.support.shims import Shims
from tests.support.stage import Stage, assert_all_handed_over
from tests.support.waiting import wait_until


def wait_working(stage: Stage, run: ScannerRun, directories: int = 1) -> None:
    """Wait until a run has committed some directories."""
    wait_until(
        lambda: not run.is_running() or stage.catalog.committed_directories >= directories,
        30,
        what="it has committed something",
    )
    assert run.is_running(), run.stderr[-2000:]


def test_two_runs_of_two_libraries_on_one_database_hand_over_each_task_once(any_stage: Stage) -> None:
    one, other = any_stage.folder / "one", any_stage.folder / "other"
    trees.make_flat(one, 3000, directories=100)
    trees.make_flat(other, 3000, directories=100, suffix="-other.mkv")
    settings = {"batch_size": "1", "batch_files": "200"}
    with (
        any_stage.start("run", one, "--json", **settings) as first,
        any_stage.start("run", other, "--json", **settings) as second,
    ):
        runs = (first, second)
        wait_until(lambda: all("scan.started" in run.stderr for run in runs), 30, what="both scan")
        documents = [run.result() for run in runs]
        relays = sum("relay.connected" in run.stderr for run in runs)
        stood_by = sum("relay.standby" in run.stderr for run in runs)
    first.assert_no_process_left()
    expected = trees.find_files(one) | trees.find_files(other)
    assert assert_all_handed_over(any_stage.drain(), expected) == 0
    assert [document["tasks"] for document in documents] == [3000, 3000]
    assert any_stage.catalog.outbox == 0
    assert relays == 1 or stood_by, "the second relay waited for the first"


def test_second_run_of_a_library_is_exit_4_and_names_who_scans_it(stage: Stage, shims: Shims) -> None:
    trees.make_flat(stage.library, 200, directories=200)
    slow = shims.slow(root=stage.library, directory_ms=35)
    settings = {**slow, "walk_threads": "1", "batch_s": "0.3", "lease_s": "2"}
    with stage.start_scan(**settings) as first:
        wait_working(stage, first)
        started = time.monotonic()
        with stage.start_scan(lease_s="2", SCANNER_TEST_MARK="second") as second:
            document = second.result(exit_code=4)
        assert time.monotonic() - started < 15
        assert first.is_running()
        assert document["error"]["kind"] == "library_busy"
        assert f"host {os.uname().nodename}, process {first.pid}" in document["error"]["text"]
        assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d", document["error"]["text"])
        result = stage.ended(first)
    assert (result["state"], result["tasks"]) == ("completed", 200)
    assert assert_all_handed_over(stage.drain(), trees.find_files(stage.library)) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_stops_in_order_within_ten_seconds_and_the_next_run_resumes(
    stage: Stage, shims: Shims, number: signal.Signals, code: int
) -> None:
    trees.make_flat(stage.library, 600, directories=300)
    slow = shims.slow(root=stage.library, directory_ms=35)
    with stage.start_scan(**slow, walk_threads="1", batch_s="0.3") as run:
        wait_working(stage, run, 20)
        signalled = time.monotonic()
        run.signal(number)
        stopped = stage.ended(run, exit_code=code)
    assert time.monotonic() - signalled < 10
    assert stopped["state"] == "interrupted"
    assert 20 <= stopped["listed"] < 300
    assert stage.catalog.one("SELECT lease_owner FROM libraries") is None
    result = stage.scan()
    assert (result["state"], result["resumed"]) == ("completed", True)
    assert result["listed"] == result["directories"] - stopped["listed"]
    assert assert_all_handed_over(stage.drain(), trees.find_files(stage.library)) == 0


def test_second_interrupt_ends_at_once(stage: Stage, shims: Shims) -> None:
    trees.make_flat(stage.library, 300, directories=300)
    with stage.start_scan(**shims.hang("/00100"), walk_threads="1", batch_s="0.3", io_timeout_s="60") as run:
        wait_working(stage, run, 10)
        run.signal(signal.SIGINT)
        wait_until(lambda: "run.stopping" in run.stderr, 5, what="the first signal is taken")
        signalled = time.monotonic()
        run.signal(signal.SIGINT)
        assert run.wait() == 130
        assert time.monotonic() - signalled < 2
        run.assert_no_process_left(timeout_s=12)
    result = stage.scan()
    assert (result["state"], result["resumed"]) == ("completed", True)
