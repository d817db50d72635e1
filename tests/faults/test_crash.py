"""Processes of a scan die by SIGKILL, one after another: what they leave is complete, and goes on at once."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import pytest

from tests.support import trees
from tests.support.consumer import tasks_of, without_repeats
from tests.support.processes import Role, ScannerRun
from tests.support.proxy import TcpProxy
from tests.support.shims import Shims, combined, read_listed
from tests.support.stage import Stage, assert_all_handed_over, size
from tests.support.waiting import wait_until

FILES = 20_000
BATCH_FILES = 200
ROLES: tuple[Role, ...] = ("parent", "walker", "broker")
AT_ONCE_S = 10.0
"""How soon the next run must be at work: well below the 15 s that a lease lasts."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of 20,000 files in about 1,600 directories."""
    root = tmp_path_factory.mktemp("crash") / "library"
    trees.make_library(root, FILES, seed=11)
    return root


@dataclass
class Crashes:
    """A scan that is killed again and again, each time when something was seen to be committed or confirmed."""

    stage: Stage
    library: Path
    settings: dict[str, str]
    killed: list[tuple[Role, int, int]] = field(default_factory=list)
    """Role, committed directories and confirmed messages at each kill."""
    slowest_start_s: float = 0.0
    _run: ScannerRun | None = None

    def start(self) -> ScannerRun:
        """Start the scan, or go on with the one that runs."""
        if self._run is None:
            self._run = self.stage.start("run", self.library, "--kinds", "all", "--json", **self.settings)
        return self._run

    def kill(self, role: Role, grown: Callable[[], int]) -> None:
        """Kill a process of the run as soon as `grown` has."""
        before = grown()
        run = self.start()
        wait_until(lambda: self._alive(run) and grown() > before, 60, what="progress", interval_s=0.002)
        run.kill(role)
        catalog = self.stage.catalog
        self.killed.append((role, catalog.committed_directories, catalog.confirmed))
        if role == "parent":
            assert run.process.returncode == -signal.SIGKILL
            self._run = None
            self._see_it_go_on()

    def _see_it_go_on(self) -> None:
        started = time.monotonic()
        run = self.start()
        wait_until(
            lambda: self._alive(run) and "scan.resumed" in run.stderr, 30, what="it goes on", interval_s=0.01
        )
        self.slowest_start_s = max(self.slowest_start_s, time.monotonic() - started)

    @staticmethod
    def _alive(run: ScannerRun) -> bool:
        assert run.is_running(), f"it ended before it could be killed: {run.stdout}{run.stderr[-2000:]}"
        return True


@pytest.mark.timeout(1200)
def test_nothing_is_missing_repeated_wrongly_or_left_over_after_kills(
    any_stage: Stage, library: Path, shims: Shims, tmp_path: Path
) -> None:
    kills = size(6 if any_stage.catalog.file else 4, 30)
    report = tmp_path / "listed"
    slow = combined(shims.slow(root=library, directory_ms=size(4, 25)), shims.listed(library, report))
    crashes = Crashes(
        any_stage, library, {**slow, "walk_threads": "1", "batch_files": str(BATCH_FILES), "batch_size": "5"}
    )
    catalog = any_stage.catalog
    conditions = cycle((lambda: catalog.committed_directories, lambda: catalog.confirmed))
    for role, grown in zip(islice(cycle(ROLES), kills), conditions, strict=False):
        crashes.kill(role, grown)
    result = any_stage.ended(crashes.start())

    expected = trees.find_files(library)
    repeats = assert_all_handed_over(any_stage.drain(), expected)
    assert (result["state"], result["resumed"], result["files"]) == ("completed", True, len(expected))
    assert catalog.files() == {"living": len(expected), "deleted": 0}
    assert catalog.outbox == 0
    assert crashes.slowest_start_s < AT_ONCE_S
    listed = read_listed(report)
    print(f"{crashes.killed}: {repeats} repeats, {listed} listings of {result['directories']} directories")
    assert result["directories"] <= listed <= result["directories"] + kills * _undone_by_a_kill(result)


def _undone_by_a_kill(result: dict[str, int]) -> int:
    """Return how many directories a kill may undo: the batch in the making, and two listed ahead of it."""
    entries = result["files"] + result["directories"]
    return 3 * (BATCH_FILES * result["directories"] // entries + 1)


def test_a_kill_while_the_scan_concludes_deletes_neither_more_nor_less(stage: Stage, shims: Shims) -> None:
    trees.make_flat(stage.library, 3000, directories=300)
    stage.scan()
    stage.drain()
    gone = {os.fsencode(path.relative_to(stage.library)) for path in sorted(stage.library.rglob("*7.mkv"))[:80]}
    for path in gone:
        (stage.library / os.fsdecode(path)).unlink()
    slow = shims.slow(root=stage.library, stat_ms=10)
    with stage.start("run", stage.library, **slow) as run:
        wait_until(lambda: "concluding" in run.stderr, 60, what="the conclusion begins", interval_s=0.005)
        run.kill()
        assert stage.catalog.counters["deleted"] == 0
    result = stage.scan()
    handed = tasks_of(without_repeats(stage.drain()))
    assert (result["resumed"], result["deleted"], result["tasks"]) == (True, 80, 80)
    assert sorted((task.change, task.path) for task in handed) == sorted(("deleted", path) for path in gone)
    assert stage.catalog.files() == {"living": 2920, "deleted": 80}


def test_a_kill_while_the_outbox_drains_leaves_the_rest_to_the_next_run(stage: Stage, proxy: TcpProxy) -> None:
    trees.make_flat(stage.library, 2000, directories=100)
    through = {"broker_url": stage.node.url(port=proxy.port), "batch_size": "1", "publish_window": "2"}
    with stage.start("run", stage.library, **through) as run:
        wait_until(lambda: "publishing" in run.stderr, 60, what="the scan is done", interval_s=0.005)
        stage.wait_confirmed(run, 2000, low=0.05, high=0.95)
        proxy.pause()
        run.kill()
        proxy.resume()
    waiting = stage.catalog.outbox
    assert 0 < waiting < 2000
    result = stage.scan()
    assert (result["resumed"], result["added"], result["unchanged"]) == (False, 0, 2000)
    repeats = assert_all_handed_over(stage.drain(), trees.find_files(stage.library))
    assert repeats <= 200
    assert stage.catalog.outbox == 0
