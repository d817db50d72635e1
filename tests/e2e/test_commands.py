"""The commands of every day, as a person or a script meets them."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import trees
from tests.support.consumer import tasks_of
from tests.support.processes import ScannerRun
from tests.support.stage import Stage, assert_all_handed_over, assert_no_defect, assert_same
from tests.support.waiting import wait_until


def test_limit_stops_after_so_many_new_files_and_the_next_run_continues(stage: Stage) -> None:
    trees.make_flat(stage.library, 300, directories=10)
    small = stage.scan("--limit", "50")
    assert (small["added"], small["tasks"], small["state"]) == (50, 50, "interrupted")
    assert len(stage.catalog.rows("SELECT 1 FROM files")) == 50
    rest = stage.scan()
    assert (rest["state"], rest["files"]) == ("completed", 300)
    assert assert_all_handed_over(stage.drain(), trees.find_files(stage.library)) == 0


def test_dry_run_says_what_would_change_and_writes_and_sends_nothing(stage: Stage) -> None:
    trees.make_flat(stage.library, 20, directories=2)
    stage.scan()
    stage.drain()
    (stage.library / "00000/new.mkv").touch()
    (stage.library / "00001/0000001.mkv").unlink()
    before = stage.catalog.rows("SELECT * FROM files"), stage.catalog.rows("SELECT * FROM scans")
    result = stage.scan("--dry-run", "--settle", "0")
    assert (result["added"], result["deleted"]) == (1, 1)
    assert (stage.catalog.rows("SELECT * FROM files"), stage.catalog.rows("SELECT * FROM scans")) == before
    assert stage.catalog.outbox == 0
    assert stage.drain() == []
    real = stage.scan("--settle", "0")
    assert (real["added"], real["deleted"]) == (1, 1)


def test_resend_fills_a_purged_queue_with_the_same_revisions_under_new_ids(stage: Stage) -> None:
    trees.make_flat(stage.library, 250, directories=5)
    stage.scan()
    first = stage.drain()
    assert stage.run("resend")["tasks"] == 250
    stage.scan()
    again = stage.drain()
    (stage.library / "00000/0000000.mkv").unlink()
    stage.scan()
    stage.drain()
    assert stage.run("resend", "--library", "library", "--state", "all")["tasks"] == 250
    stage.scan()
    everything = tasks_of(stage.drain())
    assert {message.message_id for message in first}.isdisjoint(message.message_id for message in again)
    key = {(task.file, task.revision, task.content, task.path) for task in tasks_of(first)}
    assert {(task.file, task.revision, task.content, task.path) for task in tasks_of(again)} == key
    assert sorted(task.change for task in everything) == ["added"] * 249 + ["deleted"]


def test_library_is_added_listed_relocated_and_removed(stage: Stage) -> None:
    trees.make_flat(stage.library, 30)
    stage.run("library", "add", stage.library, "--name", "films")
    stage.scan()
    stage.drain()
    elsewhere = stage.folder / "elsewhere"
    stage.library.rename(elsewhere)
    stage.run("library", "relocate", "films", elsewhere)
    result = stage.run("run", elsewhere)
    assert (result["library"], result["tasks"], result["unchanged"]) == ("films", 0, 30)
    listed = stage.run("library", "list")["libraries"]
    assert [(row["name"], row["root"], row["files"]) for row in listed] == [("films", str(elsewhere), 30)]
    stage.run("library", "remove", "films")
    assert stage.run("library", "list")["libraries"] == []
    assert len(list(elsewhere.iterdir())) == 30
    unknown = stage.run("library", "remove", "films", exit_code=2)
    assert "films" in unknown["error"]["text"]


def test_backup_is_a_catalog_to_go_on_with_and_another_one(stage: Stage) -> None:
    trees.make_flat(stage.library, 100, directories=5)
    stage.scan()
    catalog_before = stage.drain()[0].body["catalog"]
    copy = stage.folder / "copy.db"
    stage.run("backup", copy)
    (stage.library / "00001/new.mkv").touch()
    restored = stage.scan("--settle", "0", database_url=f"sqlite:///{copy}")
    assert (restored["tasks"], restored["unchanged"]) == (1, 100)
    assert stage.drain()[0].body["catalog"] != catalog_before
    refused = stage.run("backup", copy, exit_code=3)
    assert str(copy) in refused["error"]["text"]


def test_status_and_doctor_tell_how_things_stand(stage: Stage) -> None:
    trees.make_flat(stage.library, 40)
    stage.scan(broker_url="embedded")
    status = stage.run("status")
    assert (status["outbox_messages"], status["outbox_tasks"]) == (1, 40)
    assert status["libraries"][0]["files_by_state"] == {"queued": 40}
    assert "guest:guest" not in json.dumps(status)
    findings = {finding["name"]: finding for finding in stage.run("doctor")["findings"]}
    assert {name: finding["ok"] for name, finding in findings.items()} == {
        "database": "ok",
        "broker": "ok",
        "probing": "ok",
        "outbox": "ok",
        "library library": "ok",
    }
    trees.remove(stage.library)
    findings = {finding["name"]: finding for finding in stage.run("doctor", exit_code=1)["findings"]}
    assert findings["library library"]["ok"] == "fail"
    assert findings["library library"]["remedy"]


def test_without_a_broker_the_tasks_wait_and_the_next_run_with_one_sends_them(stage: Stage) -> None:
    trees.make_library(stage.library, 300, seed=5)
    with stage.start("run", stage.library, "--kinds", "all", broker_url="embedded") as run:
        assert run.wait() == 0
        assert_no_defect(run)
        assert "no broker is configured" in run.stdout
    assert stage.catalog.outbox > 0
    stage.scan("--kinds", "all")
    assert_same(stage.handed_over(), trees.find_files(stage.library))


def test_several_paths_are_scanned_in_one_run_and_the_worst_exit_code_wins(stage: Stage) -> None:
    one, other = stage.folder / "one", stage.folder / "other"
    trees.make_flat(one, 10)
    trees.make_flat(other, 20)
    result = stage.run("run", one, other)
    assert (result["files"], [scan["library"] for scan in result["scans"]]) == (30, ["one", "other"])
    missing = stage.run("run", one, stage.folder / "nowhere", exit_code=2)
    assert [scan["state"] for scan in missing["scans"]] == ["completed"]
    assert str(stage.folder / "nowhere") in missing["error"]["text"]


@pytest.fixture
def small_disk(stage: Stage) -> Iterator[tuple[Stage, ScannerRun, Path]]:
    """A first scan whose database lies on a disk of 2 MB, in a mount namespace of its own."""
    trees.make_library(stage.library, 20_000, seed=9)
    disk = stage.folder / "small"
    disk.mkdir()
    mount = 'mount -t tmpfs -o size=2m none "$1" && shift && exec "$@"'
    _need_root("unshare", "-m", "true")
    wrapper = ["unshare", "-m", "sh", "-c", mount, "sh", str(disk)]
    settings = {"broker_url": "embedded", "database_url": f"sqlite:///{disk}/catalog.db"}
    with stage.start_in(wrapper, "run", stage.library, "--kinds", "all", **settings) as run:
        yield stage, run, disk


def _need_root(*probe: str) -> None:
    if os.geteuid() or subprocess.run(probe, check=False).returncode:
        pytest.skip(f"{probe[0]} is not permitted here")


def test_full_disk_under_the_database_is_named_and_waited_for(
    small_disk: tuple[Stage, ScannerRun, Path],
) -> None:
    stage, run, disk = small_disk
    wait_until(lambda: "the disk is full" in run.stderr, 30, what="it says that the disk is full")
    assert f"{disk}/catalog.db" in run.stderr
    remount = ["nsenter", "-t", str(run.pid), "-m", "mount", "-o", "remount,size=300m", str(disk)]
    subprocess.run(remount, check=True)
    assert run.wait(60) == 0, run.stderr
    assert_no_defect(run)
    assert f"{len(trees.find_files(stage.library)):,} files" in run.stdout


@pytest.mark.long
def test_disk_that_stays_full_under_the_database_is_exit_3(
    small_disk: tuple[Stage, ScannerRun, Path],
) -> None:
    _, run, disk = small_disk
    assert run.wait(200) == 3
    assert_no_defect(run)
    assert f"{disk}/catalog.db" in run.stderr


def _foreign_folder(state: Path) -> None:
    state.mkdir()
    os.chown(state, 65534, 65534)


def _foreign_file(state: Path) -> None:
    state.mkdir()
    (state / "catalog.db").touch(mode=0o644)
    os.chown(state / "catalog.db", 65534, 65534)


def _foreign_parent(state: Path) -> None:
    os.chown(state.parent, 65534, 65534)


@pytest.mark.parametrize("make", [_foreign_folder, _foreign_file, _foreign_parent])
def test_unwritable_state_is_exit_3_with_path_and_remedy(stage: Stage, make: Callable[[Path], None]) -> None:
    """Without its power over foreign files root is a user like any other."""
    powerless = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    _need_root(*powerless, "true")
    stage.library.mkdir()
    state = stage.folder / "parent" / "state"
    state.parent.mkdir()
    make(state)
    url = f"sqlite:///{state}/catalog.db"
    with stage.start_in(powerless, "run", stage.library, "--json", database_url=url) as run:
        document = stage.ended(run, exit_code=3)
    assert document["error"]["kind"] == "database_refused"
    assert str(state) in document["error"]["text"]
    assert f"chown {os.getuid()}:{os.getgid()} " in document["error"]["text"] or make is _foreign_parent
    assert "--database" in document["error"]["text"]
