"""The broker fails in the middle of a run: it ends with exit 0 or the right error, and nothing is lost.

How the relay gets through each fault is held in `tests/integration/broker`; here it is the command that counts.
"""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import amqp as amqp_calls
from tests.support import trees
from tests.support.processes import ScannerRun
from tests.support.proxy import TcpProxy
from tests.support.rabbitmq import RabbitNode
from tests.support.stage import Stage, assert_all_handed_over
from tests.support.waiting import wait_until

FILES = 3000
IN_FLIGHT = 1500
"""The most that may come twice: the window, and what was confirmed and not yet deleted."""
SLOWLY = {
    "batch_size": "1",
    "publish_window": "2",
    "publish_timeout_s": "2",
    "heartbeat_s": "1",
    "outbox_high_water": "100000",
}
"""About a thousand messages a second, of one file each: slow enough to strike in the middle."""


@pytest.fixture(scope="module")
def node(rabbitmq: RabbitNode) -> Iterator[RabbitNode]:
    """A node that these tests may kill, freeze and alarm; it is well again after each."""
    own = type(rabbitmq)().start()
    yield own
    own.close()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of 3,000 files."""
    root = tmp_path_factory.mktemp("faults") / "library"
    trees.make_flat(root, FILES, directories=60)
    return root


@pytest.fixture(scope="module")
def prefix(node: RabbitNode, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The prefix of a topology that is there and settled: a first task has proved the queue's leader."""
    folder = tmp_path_factory.mktemp("first")
    first = Stage(folder, node, "struck", f"sqlite:///{folder / 'catalog.db'}")
    trees.make_flat(first.library, 1)
    first.scan()
    return first.prefix


@pytest.fixture
def struck(node: RabbitNode, prefix: str, tmp_path: Path) -> Stage:
    """A stage on the node that is struck, publishing slowly into an empty queue."""
    stage = Stage(tmp_path, node, prefix, f"sqlite:///{tmp_path / 'catalog.db'}", dict(SLOWLY))
    stage.drain()
    return stage


def strike_and_see(
    stage: Stage,
    library: Path,
    strike: Callable[[ScannerRun], None],
    *,
    through: TcpProxy | None = None,
    repeats: int = IN_FLIGHT,
) -> ScannerRun:
    """Run a scan, strike between 20 and 80 % confirmed, and see exit 0 and every file handed over."""
    url = stage.node.url(port=through.port if through else None)
    with stage.start("run", library, "--json", broker_url=url) as run:
        stage.wait_confirmed(run, FILES)
        strike(run)
        result = stage.ended(run)
    assert (result["tasks"], result["outbox_messages"]) == (FILES, 0)
    assert assert_all_handed_over(stage.drain(), trees.find_files(library)) <= repeats
    return run


def lost(run: ScannerRun, timeout_s: float = 20.0) -> None:
    """Wait until the run says that it lost its session."""
    wait_until(lambda: "relay.session_lost" in run.stderr, timeout_s, what="the session is lost")


def test_run_outlives_a_node_that_is_killed_and_restarted(struck: Stage, library: Path) -> None:
    def strike(run: ScannerRun) -> None:
        struck.node.kill()
        lost(run)
        struck.node.start()

    strike_and_see(struck, library, strike)


def test_run_outlives_a_line_that_is_cut(struck: Stage, library: Path) -> None:
    with TcpProxy(struck.node.port) as line:

        def strike(run: ScannerRun) -> None:
            assert line.cut() == 1
            lost(run)

        strike_and_see(struck, library, strike, through=line)
        assert line.accepted == 2


def test_run_outlives_a_line_that_falls_silent(struck: Stage, library: Path) -> None:
    with TcpProxy(struck.node.port) as line:

        def strike(run: ScannerRun) -> None:
            line.blackhole()
            lost(run)
            line.resume()

        strike_and_see(struck, library, strike, through=line)


def test_run_outlives_a_broker_frozen_beyond_its_detection_time(struck: Stage, library: Path) -> None:
    def strike(run: ScannerRun) -> None:
        struck.node.freeze()
        try:
            lost(run)
        finally:
            struck.node.thaw()

    strike_and_see(struck, library, strike)


def test_run_waits_out_a_memory_alarm_and_says_so(struck: Stage, library: Path) -> None:
    struck.settings["publish_timeout_s"] = "30"
    with struck.start("run", library) as run:
        struck.wait_confirmed(run, FILES, high=0.5)
        with struck.node.memory_alarm():
            wait_until(lambda: "the broker blocks publishers" in run.stderr, 10, what="it says so")
            assert struck.catalog.outbox > 0
        assert run.wait() == 0, run.stderr
    assert "relay.session_lost" not in run.stderr
    assert struck.catalog.outbox == 0
    assert assert_all_handed_over(struck.drain(), trees.find_files(library)) == 0


def test_run_waits_for_a_full_queue_to_be_emptied(struck: Stage, library: Path) -> None:
    struck.node.set_policy("full", f"^{struck.tasks}$", {"max-length": 1000, "overflow": "reject-publish"})
    with struck.start("run", library, "--json") as run:
        wait_until(lambda: struck.node.queue_depth(struck.tasks) >= 1000, 30, what="the queue is full")
        assert struck.catalog.outbox > 0
        struck.node.clear_policy("full")
        result = struck.ended(run)
    assert (result["tasks"], result["outbox_messages"]) == (FILES, 0)
    assert assert_all_handed_over(struck.drain(), trees.find_files(library)) <= IN_FLIGHT


def test_run_declares_a_deleted_queue_again_and_counts_no_returned_message_as_sent(
    struck: Stage, library: Path
) -> None:
    with struck.start("run", library, "--json") as run:
        confirmed = struck.wait_confirmed(run, FILES)
        struck.node.delete_queue(struck.tasks)
        lost(run)
        result = struck.ended(run)
    assert (result["tasks"], result["outbox_messages"]) == (FILES, 0)
    # What lay in the queue went with it; all that was confirmed later is there.
    found = len({message.message_id for message in struck.drain()})
    assert FILES - confirmed - IN_FLIGHT <= found < FILES


def test_absent_broker_is_exit_3_with_the_remedy_and_the_next_run_sends(stage: Stage) -> None:
    trees.make_flat(stage.library, 500, directories=5)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"amqp://guest:s3cret-word@127.0.0.1:{unused.getsockname()[1]}/"
        started = time.monotonic()
        with stage.start("run", stage.library, "--broker-wait", "2", "--json", broker_url=url) as run:
            document = stage.ended(run, exit_code=3)
    assert time.monotonic() - started < 15
    assert document["error"]["kind"] == "broker_unavailable"
    assert "the next run sends them" in document["error"]["text"]
    assert "--broker" in run.stderr
    assert "s3cret-word" not in run.stdout + run.stderr
    waiting = stage.catalog.outbox
    assert waiting == document["outbox_messages"] > 0
    result = stage.scan()
    assert result["outbox_messages"] == 0
    assert_all_handed_over(stage.drain(), trees.find_files(stage.library))


def test_absent_broker_is_exit_3_though_nothing_has_to_be_sent(stage: Stage) -> None:
    trees.make_flat(stage.library, 5)
    stage.scan()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"amqp://guest:guest@127.0.0.1:{unused.getsockname()[1]}/"
        document = stage.scan("--broker-wait", "1", exit_code=3, broker_url=url)
    assert document["error"]["kind"] == "broker_unavailable"
    assert (document["state"], document["unchanged"]) == ("completed", 5)


@pytest.mark.long
def test_peer_that_accepts_and_stays_silent_is_exit_3_in_bounded_time(stage: Stage) -> None:
    trees.make_flat(stage.library, 50)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"amqp://guest:guest@127.0.0.1:{listener.getsockname()[1]}/"
        started = time.monotonic()
        document = stage.scan("--broker-wait", "1", exit_code=3, broker_url=url)
    assert time.monotonic() - started < 30
    assert document["error"]["kind"] == "broker_unavailable"
    assert stage.catalog.outbox > 0


def test_wrong_password_is_exit_3_and_shown_nowhere(stage: Stage) -> None:
    trees.make_flat(stage.library, 50)
    url = stage.node.url(password="wr0ng p@ss/word")
    with stage.start("run", stage.library, "--json", "--log-level", "debug", broker_url=url) as run:
        document = stage.ended(run, exit_code=3)
    said = run.stdout + run.stderr
    assert document["error"]["kind"] == "broker_refused"
    assert "***" in document["error"]["text"]
    assert not [secret for secret in ("wr0ng", "p%40ss", "p@ss") if secret in said]
    with stage.start("status", broker_url=url) as status:
        assert status.wait() == 0
        assert "wr0ng" not in status.stdout + status.stderr


def test_topology_mismatch_is_exit_3_and_names_queue_and_argument(stage: Stage) -> None:
    trees.make_flat(stage.library, 50)
    ours = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": f"{stage.prefix}.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    amqp_calls.declare_queue(stage.node.url(), stage.tasks, {**ours, "x-delivery-limit": 5})
    document = stage.scan(exit_code=3)
    assert document["error"]["kind"] == "broker_refused"
    assert stage.tasks in document["error"]["text"]
    assert "x-delivery-limit" in document["error"]["text"]
    assert stage.node.queue_depth(stage.tasks) == 0, "it is never deleted"
    assert stage.catalog.outbox > 0
