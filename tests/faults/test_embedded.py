"""One command without any service: whatever of it is killed, each file has one result, committed once."""

import os
import signal
from pathlib import Path
from typing import Self, cast

import pytest

from tests.faults.chance import drawn, seeded
from tests.support.acts import direct, install_acts, lines
from tests.support.media import MediaFolder
from tests.support.processes import Role, ScannerRun
from tests.support.rabbitmq import RabbitNode
from tests.support.stage import Stage, size
from tests.support.waiting import wait_until
from tests.support.workers import frozen

FILES = size(600, 20_000)
ROLES: tuple[Role, ...] = ("parent", "broker", "prober")


@pytest.fixture(scope="module")
def library(media: MediaFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of real media."""
    root = tmp_path_factory.mktemp("embedded") / "library"
    media.library(root, FILES)
    return root


@pytest.fixture
def embedded(tmp_path: Path, database_url: str) -> Stage:
    """A stage without a broker on either database: the command probes by itself, two files at a time."""
    settings = {"broker_url": "embedded", "probe": "true", "concurrency": "2", "settle_s": "0"}
    stage = Stage(tmp_path, cast("RabbitNode", None), "unused", database_url, settings)
    install_acts(stage, TEST_OPENED=str(tmp_path / "opened"))
    return stage


class Crashes:
    """A run that is killed again and again while files are in hand; what was killed is started again."""

    def __init__(self, stage: Stage, library: Path) -> None:
        self.stage, self.library = stage, library
        self.killed: list[tuple[Role, int]] = []
        """Who was killed, and how many files were begun and not committed then."""
        self.run = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.run.kill_everything()

    def _start(self) -> ScannerRun:
        return self.stage.start("run", self.library, "--json")

    def kill_at(self, role: Role, files: int) -> None:
        """Kill a process once that many files are done and others are in hand."""
        wait_until(lambda: self._committed() >= files, 240, what=f"{files} files are done")
        in_hand = wait_until(lambda: self._kill(role), 60, what=f"a {role} is killed with files in hand")
        self.killed.append((role, in_hand))
        if role == "parent":
            assert self.run.wait(20) == -signal.SIGKILL
            self.run.assert_no_process_left(20)
            self.run = self._start()

    def _kill(self, role: Role) -> int:
        """Kill a process if files are in hand, and return how many; while that is looked up all stand still."""
        assert self.run.is_running(), f"it ended too early: {self.run.stdout}{self.run.stderr[-3000:]}"
        victims = self.run.processes(role)
        if not victims:
            return 0
        with frozen(*(one.pid for one in self.run.processes())):
            in_hand = len(self._begun() - self._done())
            if in_hand:
                os.kill(victims[0].pid, signal.SIGKILL)
        return in_hand

    def _committed(self) -> int:
        assert self.run.is_running(), f"it ended too early: {self.run.stdout}{self.run.stderr[-3000:]}"
        return self.stage.catalog.committed_results

    def _begun(self) -> set[str]:
        return {os.path.basename(path) for path in lines(self.stage.folder / "opened")}

    def _done(self) -> set[str]:
        return {name for (name,) in self.stage.catalog.rows("SELECT name FROM files WHERE state IN (2, 3, 4)")}


def retry_now(stage: Stage) -> None:
    """Let the time of every delayed retry come."""
    stage.catalog.execute("UPDATE outbox SET not_before = 0 WHERE not_before IS NOT NULL")


@pytest.mark.timeout(1800)
def test_every_file_is_committed_once_whatever_is_killed_of_the_single_command(
    embedded: Stage, library: Path
) -> None:
    catalog, chance = embedded.catalog, seeded()
    kills = size(4 if catalog.file else 2, 20)
    embedded.settings.update(handlers="act,probe,pace", TEST_PACE_S="0.02", batch_size="20")
    embedded.run("db", "upgrade")
    catalog.count_results()
    with Crashes(embedded, library) as crashes:
        for number, role in enumerate(drawn(chance, ROLES, kills)):
            crashes.kill_at(role, int((number + chance.uniform(0.2, 0.8)) * 0.9 * FILES / kills))
        result = embedded.ended(crashes.run)
    print(f"killed (files in hand): {crashes.killed}; {result['retrying']} to be tried again")
    assert len(crashes.killed) == kills
    assert all(in_hand > 0 for _, in_hand in crashes.killed)
    assert result["retrying"] == catalog.outbox <= kills, "only what a killed prober had in hand"
    retry_now(embedded)
    last = embedded.run("run", library)
    assert (last["unchanged"], last["failed"], last["retrying"]) == (FILES, 0, 0)
    catalog.assert_one_result_each(FILES)
    assert catalog.outbox == 0


def test_sigterm_in_the_middle_is_exit_143_and_the_next_run_completes(embedded: Stage) -> None:
    embedded.settings.update(handlers="act,pace", TEST_PACE_S="0.02", batch_size="10")
    for number in range(200):
        direct(embedded.library / f"{number:03d}.mkv")
    embedded.run("db", "upgrade")
    embedded.catalog.count_results()
    with embedded.start_scan() as run:
        wait_until(lambda: embedded.catalog.committed_results >= 50, 60, what="some files are done")
        run.signal(signal.SIGTERM)
        embedded.ended(run, exit_code=143)
    done = embedded.catalog.committed_results
    assert 50 <= done < 200
    assert embedded.catalog.outbox > 0
    result = embedded.scan()
    assert (result["unchanged"], result["failed"], result["retrying"]) == (200, 0, 0)
    embedded.catalog.assert_one_result_each(200)
    assert embedded.catalog.outbox == 0


def attempts(stage: Stage) -> list[tuple[int, int]]:
    """Return attempt and number of tasks of every delayed retry."""
    return stage.catalog.rows("SELECT attempt, task_count FROM outbox WHERE not_before IS NOT NULL")


def test_a_run_ends_when_only_delayed_retries_are_left_and_the_next_one_takes_them_up(embedded: Stage) -> None:
    state = embedded.folder / "state"
    for number in range(9):
        direct(embedded.library / f"{number}.mkv")
    direct(embedded.library / "flaky.mkv", "io", state, 1)
    result = embedded.scan()
    assert (result["processed"], result["failed"], result["retrying"]) == (10, 0, 1)
    assert embedded.catalog.states() == {"ok": 9, "retrying": 1}
    assert attempts(embedded) == [(1, 1)]
    early = embedded.scan()
    assert (early["retrying"], len(lines(state))) == (1, 1), "its time has not come"
    retry_now(embedded)
    late = embedded.scan()
    assert (late["retrying"], late["failed"], late["unchanged"]) == (0, 0, 10)
    assert embedded.catalog.states() == {"ok": 10}
    assert embedded.catalog.outbox == 0
    assert len(lines(state)) == 2


def test_a_file_that_fails_at_every_attempt_is_failed_with_its_reason_and_leaves_no_task(
    embedded: Stage,
) -> None:
    state = embedded.folder / "state"
    direct(embedded.library / "never.mkv", "crash", state, 99)
    direct(embedded.library / "fine.mkv")
    for attempt in range(3):
        assert embedded.scan()["retrying"] == 1
        assert attempts(embedded) == [(attempt + 1, 1)]
        retry_now(embedded)
    last = embedded.scan()
    assert (last["failed"], last["retrying"]) == (1, 0)
    assert embedded.catalog.states() == {"ok": 1, "failed": 1}
    ((kind, text, tried),) = embedded.catalog.rows(
        "SELECT error_kind, error, attempts FROM files WHERE state = 3"
    )
    assert (kind, tried, len(lines(state))) == ("crashed", 3, 4)
    assert "exit code 7" in text
    assert embedded.catalog.outbox == 0
    assert embedded.catalog.one("SELECT count(*) FROM letters") == 0
