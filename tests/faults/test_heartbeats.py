"""However slow or busy the walk, the AMQP connection stands from its beginning to its end."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import processes, trees
from tests.support.processes import REPOSITORY, ScannerRun
from tests.support.rabbitmq import BrokerConnection, RabbitNode
from tests.support.shims import Shims
from tests.support.stage import Stage, assert_same, size
from tests.support.waiting import wait_until

HEARTBEAT_S = 2
SILENT_DIRECTORIES = size(230, 1500)
FILES = 600


@pytest.fixture
def beaten(rabbitmq: RabbitNode, stage: Stage) -> Iterator[Stage]:
    """A stage on a virtual host of its own, so that the broker's log tells its connections apart."""
    rabbitmq.add_vhost(stage.prefix)
    yield Stage(
        stage.folder,
        rabbitmq,
        stage.prefix,
        stage.database_url,
        {"broker_url": rabbitmq.url(stage.prefix), "heartbeat_s": str(HEARTBEAT_S)},
    )
    rabbitmq.ctl("delete_vhost", stage.prefix)


def make_library_with_a_silent_stretch(root: Path) -> None:
    """Make files at the top, then a long chain of directories without a file, and files at its end.

    A chain, since a walk finds each of its directories only in the one before.
    """
    trees.make_flat(root / "a", FILES // 2, directories=20)
    end = root / "b" / "/".join(["d"] * SILENT_DIRECTORIES)
    trees.make_flat(end, FILES // 2, directories=100)


def relays(stage: Stage) -> list[BrokerConnection]:
    """Return the connections in the stage's virtual host."""
    return [row for row in stage.node.connections() if row.vhost == stage.prefix]


def longest_silence_s(stage: Stage, run: ScannerRun, until: int) -> float:
    """Watch tasks being written until there are `until`; return the longest time without a new one."""
    seen, since, longest = 0, time.monotonic(), 0.0

    def enough() -> bool:
        nonlocal seen, since, longest
        assert run.is_running(), run.stderr[-2000:]
        tasks = stage.catalog.counters.get("tasks", 0)
        if tasks != seen:
            longest = max(longest, time.monotonic() - since) if seen else 0.0
            seen, since = tasks, time.monotonic()
        return tasks >= until

    wait_until(enough, 240, what="tasks after the silence", interval_s=0.02)
    return longest


def test_connection_stands_while_a_slow_walk_has_nothing_to_publish_and_a_naive_scanner_loses_its_own(
    beaten: Stage, shims: Shims
) -> None:
    make_library_with_a_silent_stretch(beaten.library)
    slow = shims.slow(root=beaten.library, directory_ms=35)
    with (
        _naive(beaten, slow) as naive,
        beaten.start_scan(**slow, walk_threads="1", settle_s="0", batch_s="0.5") as run,
    ):
        first = wait_until(lambda: relays(beaten), 20, what="the relay is connected")
        silence_s = longest_silence_s(beaten, run, FILES // 2 + 1)
        last = relays(beaten)
        result = beaten.ended(run)
        said = naive.communicate(timeout=60)[1]
    assert silence_s > 3 * HEARTBEAT_S
    assert [(row.pid, row.timeout_s) for row in first] == [(first[0].pid, HEARTBEAT_S)]
    assert [row.pid for row in last] == [first[0].pid]
    assert missed_heartbeats(beaten.node, first[0]) == 0
    assert (result["tasks"], result["outbox_messages"]) == (FILES, 0)
    assert_same(beaten.handed_over(), trees.find_files(beaten.library))
    assert naive.returncode == 1
    assert b"connection lost" in said


def missed_heartbeats(node: RabbitNode, connection: BrokerConnection) -> int:
    """Return how often the broker's log says that it missed this connection's heartbeats."""
    lines = node.log_text().splitlines()
    about = [number for number, line in enumerate(lines) if f":{connection.peer_port} ->" in line]
    said = [line for number in about for line in lines[number : number + 2]]
    return sum("missed heartbeats" in line for line in said)


def _naive(stage: Stage, slow: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start the control: the same walk on an event loop."""
    stage.node.add_vhost(f"{stage.prefix}-naive")
    url = stage.node.url(f"{stage.prefix}-naive", heartbeat_s=HEARTBEAT_S)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.naive", str(stage.library), url, "naive"],
        cwd=REPOSITORY,
        env=processes.scanner_environment(stage.folder, **slow),
        stderr=subprocess.PIPE,
    )


@pytest.mark.long
@pytest.mark.timeout(900)
def test_connection_stands_while_a_million_files_keep_both_cores_busy(beaten: Stage) -> None:
    trees.make_flat(beaten.library, 1_000_000, directories=20_000)
    with beaten.start_scan(settle_s="0") as run:
        first = wait_until(lambda: relays(beaten), 20, what="the relay is connected")
        wait_until(lambda: beaten.catalog.counters.get("files", 0) > 900_000, 300, what="most is walked")
        last = relays(beaten)
        result = beaten.ended(run, timeout_s=600)
    assert result["tasks"] == 1_000_000
    assert [(row.pid, row.timeout_s) for row in first + last] == [(first[0].pid, HEARTBEAT_S)] * 2
    assert missed_heartbeats(beaten.node, first[0]) == 0
    assert len(beaten.handed_over()) == 1_000_000
