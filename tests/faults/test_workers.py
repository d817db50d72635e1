"""Workers, collectors and the broker die in the middle of the work: each file has one result, committed once.

A process that is to be killed is frozen first, and killed only when the broker says that it holds messages.
"""

import os
import secrets
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Self

import psutil  # type: ignore[import-untyped]
import pytest

from tests.faults.chance import drawn, seeded
from tests.support.acts import direct, install_acts, lines
from tests.support.media import MediaFolder
from tests.support.postgresql import PostgresCluster
from tests.support.processes import ScannerRun, assert_no_process_left
from tests.support.publishing import Letter, Results, batch_of, send
from tests.support.rabbitmq import RabbitNode
from tests.support.stage import Stage, assert_no_defect, says, size
from tests.support.waiting import wait_until
from tests.support.workers import frozen, held_by, unacknowledged, wait_held

FILES = size(1200, 20_000)
WORKERS, BATCH = 3, 10
KILLS = ("worker", "collector", "broker", "run")


@pytest.fixture(scope="module")
def node(rabbitmq: RabbitNode) -> Iterator[RabbitNode]:
    """A node that these tests may kill."""
    own = type(rabbitmq)().start()
    yield own
    own.close()


@pytest.fixture(scope="module")
def library(media: MediaFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of real media."""
    root = tmp_path_factory.mktemp("workers") / "library"
    media.library(root, FILES)
    return root


class Crew:
    """A run that waits for results, and workers; whoever is killed is started again."""

    def __init__(self, stage: Stage, library: Path, chance: Random) -> None:
        self.stage, self.library, self.chance = stage, library, chance
        self.killed: list[tuple[str, int]] = []
        """Who was killed, and how many messages were in its hands, unacknowledged."""
        self.most_probers = 0
        self._pause = stage.folder / "pause"
        self.workers = [stage.start_worker() for _ in range(WORKERS)]
        self.run = self._start_run()

    def _start_run(self) -> ScannerRun:
        return self.stage.start("run", self.library, "--wait", "--json", SCANNER_TEST_MARK=secrets.token_hex(8))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (*self.workers, self.run):
            one.kill_everything()

    def work_until(self, condition: Callable[[], bool], what: str) -> None:
        """Let files be done until something is so; otherwise those that were begun stay in hand."""

        def sampled() -> bool:
            assert self.run.is_running(), f"it ended too early: {self.run.stdout}{self.run.stderr[-3000:]}"
            self._count_probers()
            return condition()

        self._pause.unlink(missing_ok=True)
        wait_until(sampled, 240, what=what, interval_s=0.02)
        self._pause.touch()

    def _count_probers(self) -> None:
        counts = [len(worker.processes("prober")) for worker in self.workers]
        self.most_probers = max(self.most_probers, *counts)

    def kill(self, what: str) -> None:
        """Kill something that has messages in hand, and start it again."""
        self.killed.append((what, getattr(self, f"_kill_{what}")()))

    def _kill_worker(self) -> int:
        index = self.chance.randrange(WORKERS)
        victim = self.workers[index]
        with frozen(victim.pid):
            held = wait_held(self.stage.node, victim.pid)
            victim.kill()
        victim.assert_no_process_left()
        self.workers[index] = self.stage.start_worker()
        return held

    def _kill_collector(self) -> int:
        side = self.run.one("broker")
        with frozen(side.pid):
            self._let_results_come()
            held = wait_held(self.stage.node, side.pid)
            os.kill(side.pid, signal.SIGKILL)
        wait_until(lambda: not side.alive, 20, what="the collector is gone")
        return held

    def _let_results_come(self) -> None:
        """Let workers send more results than the batches in their hands account for."""
        enough = opened(self.stage) + 2 * WORKERS * BATCH
        self.work_until(lambda: opened(self.stage) >= enough, "results have come")

    def _kill_run(self) -> int:
        side = self.run.one("broker")
        with frozen(side.pid):
            self._let_results_come()
            held = wait_held(self.stage.node, side.pid)
            self.run.kill()
        self.run.assert_no_process_left(20)
        self.run = self._start_run()
        return held

    def _kill_broker(self) -> int:
        pids = [worker.pid for worker in self.workers]
        with frozen(*pids):
            held = wait_until(
                lambda: unacknowledged(self.stage.node, self.stage.tasks), 60, what="messages are in hand"
            )
            self.stage.node.kill()
        connected = [worker.stderr.count("work.connected") for worker in self.workers]
        self.stage.node.start()

        def again() -> bool:
            self._count_probers()
            now = [worker.stderr.count("work.connected") for worker in self.workers]
            return all(one > before for one, before in zip(now, connected, strict=True))

        wait_until(again, 60, what="all workers are connected again", interval_s=0.1)
        return held

    def finish(self) -> None:
        """Let the run end, and end the workers in order once nothing is left for them."""
        self._pause.unlink(missing_ok=True)
        self.stage.ended(self.run)
        wait_until(lambda: not self.stage.waiting("tasks"), 120, what="repeats are worked off")
        for worker in self.workers:
            worker.signal(signal.SIGTERM)
        for worker in self.workers:
            assert worker.wait() == 143, worker.stderr[-3000:]
            worker.assert_no_process_left()
            assert_no_defect(worker)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def crashed(request: pytest.FixtureRequest, node: RabbitNode, tmp_path: Path) -> Iterator[Stage]:
    """A stage on the node that is killed, with 15 ms a file and 20 files a message, on either database."""
    cluster: PostgresCluster | None = None
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    if request.param == "postgresql":
        cluster = request.getfixturevalue("postgresql")
        url = cluster.database()
    stage = Stage(
        tmp_path,
        node,
        f"t{secrets.token_hex(4)}",
        url,
        {"batch_size": str(BATCH), "heartbeat_s": "5", "probe_timeout_s": "600"},
    )
    pace = {"TEST_PACE_S": "0.015", "TEST_PAUSE": str(tmp_path / "pause")}
    install_acts(stage, handlers="act,probe,pace", TEST_OPENED=str(tmp_path / "opened"), **pace)
    yield stage
    if cluster is not None:
        cluster.drop(url)


@pytest.mark.timeout(1800)
def test_every_file_is_committed_once_whatever_is_killed_while_messages_are_in_hand(
    crashed: Stage, library: Path
) -> None:
    catalog, chance = crashed.catalog, seeded()
    kills = size(4 if catalog.file else 2, 20)
    crashed.run("db", "upgrade")
    catalog.count_results()
    with Crew(crashed, library, chance) as crew:
        for number, what in enumerate(drawn(chance, KILLS, kills)):
            done = int((number + chance.uniform(0.2, 0.8)) * 0.8 * FILES / kills)
            crew.work_until(lambda: catalog.committed_results >= done, f"{done} are done")  # noqa: B023
            crew.kill(what)
        crew.finish()
    print(f"killed (messages in hand): {crew.killed}, most probers of a worker: {crew.most_probers}")
    assert len(crew.killed) == kills
    assert all(held > 0 for _, held in crew.killed)
    assert crew.most_probers <= 3, "one at work, one that takes its place, one that looks at the root"
    again = crashed.run("run", library, "--wait")  # collects repeats that came late: they change nothing
    assert (again["unchanged"], again["tasks"], again["failed"]) == (FILES, 0, 0)
    catalog.assert_one_result_each(FILES)
    assert catalog.outbox == 0
    assert catalog.one("SELECT count(*) FROM letters") == 0
    assert crashed.waiting("dead") == 0
    assert_no_process_left(crashed.mark)


@pytest.fixture
def directed(stage: Stage) -> Stage:
    """A stage on the session's node whose workers run the handler `act`."""
    install_acts(stage, TEST_OPENED=str(stage.folder / "opened"), settle_s="0")
    stage.library.mkdir()
    return stage


def opened(stage: Stage) -> int:
    """Return how many files were begun."""
    return len(lines(stage.folder / "opened"))


def test_sigterm_finishes_what_is_in_hand_and_gives_the_rest_back(directed: Stage) -> None:
    gate, results = directed.folder / "gate", Results(directed)
    paths = [direct(directed.library / f"{n}.mkv", "wait", gate) for n in range(60)]
    letters = [Letter(batch_of(directed.library, paths[n : n + 1], first=n + 1)) for n in range(60)]
    with directed.start_worker() as worker:
        send(directed, *letters)
        wait_until(lambda: opened(directed), 20, what="a file is in hand")
        in_hand = held_by(directed.node, worker.pid)
        assert 0 < in_hand < 60
        worker.signal(signal.SIGTERM)
        wait_until(lambda: says(worker, "draining"), 20, what="it takes nothing more")
        gate.touch()
        assert worker.wait() == 143
        worker.assert_no_process_left()
        assert_no_defect(worker)
    assert unacknowledged(directed.node, directed.tasks) == 0
    assert len(results.fetch()) == in_hand == opened(directed)
    assert directed.waiting("tasks") == 60 - in_hand


def test_sigterm_gives_back_what_is_not_done_within_the_drain_timeout(directed: Stage) -> None:
    gate = directed.folder / "never"
    paths = [direct(directed.library / f"{n}.mkv", "wait", gate) for n in range(10)]
    with directed.start_worker("--drain-timeout", "1") as worker:
        send(directed, *(Letter(batch_of(directed.library, [path])) for path in paths))
        wait_until(lambda: opened(directed), 20, what="a file is in hand")
        assert held_by(directed.node, worker.pid) > 0
        worker.signal(signal.SIGTERM)
        assert worker.wait(20) == 143
        worker.assert_no_process_left()
        assert "work.given_back" in worker.stderr
        assert_no_defect(worker)
    assert unacknowledged(directed.node, directed.tasks) == 0
    assert directed.waiting("tasks") == 10


def test_a_second_sigterm_ends_the_worker_at_once_and_loses_nothing(directed: Stage) -> None:
    path = direct(directed.library / "film.mkv", "wait", directed.folder / "never")
    with directed.start_worker("--drain-timeout", "3000") as worker:
        send(directed, Letter(batch_of(directed.library, [path])))
        wait_until(lambda: opened(directed), 20, what="a file is in hand")
        worker.signal(signal.SIGTERM)
        wait_until(lambda: says(worker, "worker.stopping"), 20, what="it stops in order")
        assert worker.is_running()
        worker.signal(signal.SIGTERM)
        assert worker.wait(10) == 143
        worker.assert_no_process_left()
    wait_until(lambda: directed.waiting("tasks") == 1, 20, what="the message is back")


def test_a_worker_whose_files_keep_every_core_busy_keeps_one_connection(directed: Stage) -> None:
    heartbeat_s, seconds, results = 2, 12, Results(directed)
    cores = len(os.sched_getaffinity(0))
    paths = [direct(directed.library / f"{n}.mkv", "burn", seconds / 4) for n in range(4 * cores)]
    with directed.start_worker(heartbeat_s=str(heartbeat_s), concurrency=str(cores)) as worker:
        send(directed, Letter(batch_of(directed.library, paths)))
        wait_until(lambda: opened(directed) >= cores, 20, what="every core is busy")
        before = connections(directed, worker)
        wait_until(lambda: opened(directed) == len(paths), 120, what="the last files are begun")
        after = connections(directed, worker)
        results.wait_for(range(1, len(paths) + 1), 120)
        assert worker.stderr.count("work.connected") == 1
        assert "work.session_lost" not in worker.stderr
    assert len(before) == 2, "one publishes, the other consumes"
    assert {timeout_s for _, timeout_s in before} == {heartbeat_s}
    assert after == before
    busy_s = sum(result["seconds"] for found in results.by_file.values() for _, result in found)
    assert busy_s / cores > 5 * heartbeat_s, "every core was busy for five heartbeats"


def connections(stage: Stage, worker: ScannerRun) -> set[tuple[str, int]]:
    """Return a worker's connections: what the broker calls them, and their heartbeat."""
    ports = {one.laddr.port for one in psutil.Process(worker.pid).net_connections("tcp")}
    return {(row.pid, row.timeout_s) for row in stage.node.connections() if row.peer_port in ports}
