"""Faults in the middle of publishing: each is seen to hit, and nothing is missing afterwards."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiormq.abc import AbstractChannel

from scanner.broker.rabbit import RabbitBroker
from scanner.broker.session import BrokerSettings
from scanner.errors import BrokerUnavailable
from scanner.services.relay import RelaySettings, RelayState
from tests.conftest import Amqp
from tests.integration.broker.bench import (
    FAST,
    PATIENT,
    SLOW,
    RelayThread,
    assert_all_arrived,
    settings_of,
    wait_empty,
    work,
)
from tests.support import amqp as amqp_calls
from tests.support.proxy import TcpProxy
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_until

IN_FLIGHT = 1_500
"""The most that may come twice: the window, and what was confirmed and not yet deleted."""


@pytest.fixture(scope="module")
def node(rabbitmq: RabbitNode) -> Iterator[RabbitNode]:
    """A node that the tests of this module may kill, freeze and alarm; it is well again after each."""
    own = type(rabbitmq)().start()
    yield own
    own.close()


def test_nothing_is_missing_when_the_node_is_killed_and_restarted(node: RabbitNode, tmp_path: Path) -> None:
    broker = settings_of(node.url(heartbeat_s=2), "killed")
    with work(tmp_path) as done, RelayThread(done.database, broker, SLOW) as relay:
        relay.wait_state(RelayState.IDLE)
        settled = time.monotonic() + 2.5
        done.add(1)  # a first message proves the queue's leader; 3.10.8 may lose one that is killed too young
        wait_until(lambda: done.left == 0 and time.monotonic() > settled, 10)
        done.add(3_000)
        relay.wait_between(3_000)
        node.kill()
        relay.wait_state(RelayState.RECONNECTING, 5)
        assert done.left > 0
        node.start()
        wait_empty(done, relay)
        assert relay.status.reconnects >= 1
    assert_all_arrived(done, node.url(), "killed.tasks", repeats=IN_FLIGHT)


def test_a_frozen_broker_is_detected_and_replaced_when_it_answers_again(
    node: RabbitNode, tmp_path: Path
) -> None:
    broker = settings_of(node.url(heartbeat_s=1), "frozen")
    with work(tmp_path, 3_000) as done, RelayThread(done.database, broker, SLOW) as relay:
        relay.wait_between(3_000)
        node.freeze()
        try:
            relay.wait_state(RelayState.RECONNECTING, 10)
            assert done.left > 0
        finally:
            node.thaw()
        wait_empty(done, relay)
    assert_all_arrived(done, node.url(), "frozen.tasks", repeats=IN_FLIGHT)


def test_a_memory_alarm_blocks_without_a_reconnect_and_nothing_is_missing(
    node: RabbitNode, tmp_path: Path
) -> None:
    broker = settings_of(node.url(heartbeat_s=2), "alarm")
    with work(tmp_path, 5_000) as done, RelayThread(done.database, broker, SLOW) as relay:
        relay.wait_between(5_000, 0.05, 0.6)
        with node.memory_alarm():
            relay.wait_state(RelayState.BLOCKED)
            left = done.left
            # Longer than a publish may take, and than the heartbeat's detection: neither clock may run.
            wait_until(lambda: relay.status.blocked_s > SLOW.publish_timeout_s + 2, 15)
            assert relay.status.state is RelayState.BLOCKED
            assert 0 < left - 10 <= done.left
        wait_empty(done, relay)
        assert relay.status.reconnects == 0
    assert_all_arrived(done, node.url(), "alarm.tasks")


def test_a_blocked_relay_drains_in_bounded_time(node: RabbitNode, tmp_path: Path) -> None:
    broker = settings_of(node.url(heartbeat_s=2), "stuck")
    with work(tmp_path, 5_000) as done:
        quick = RelaySettings(drain_s=1.0, patience=PATIENT)
        with RelayThread(done.database, broker, SLOW, quick) as relay:
            relay.wait_between(5_000, 0.01, 0.6)
            with node.memory_alarm():
                relay.wait_state(RelayState.BLOCKED)
                relay.drain()
                assert relay.wait_end(6) is None
        with RelayThread(done.database, broker, FAST) as relay:
            wait_empty(done, relay)
        assert_all_arrived(done, node.url(), "stuck.tasks", repeats=IN_FLIGHT)


def test_a_cut_line_is_a_new_session(amqp: Amqp, proxy: TcpProxy, tmp_path: Path) -> None:
    broker = settings_of(amqp.node.url(port=proxy.port), amqp.prefix)
    with work(tmp_path, 3_000) as done, RelayThread(done.database, broker, SLOW) as relay:
        relay.wait_between(3_000)
        assert proxy.cut() == 1
        wait_until(lambda: relay.status.reconnects == 1)
        wait_empty(done, relay)
        assert proxy.accepted == 2
    assert_all_arrived(done, amqp.url, amqp.tasks, repeats=IN_FLIGHT)


def test_a_silent_line_is_detected_by_the_publish_clock(amqp: Amqp, proxy: TcpProxy, tmp_path: Path) -> None:
    broker = settings_of(amqp.node.url(port=proxy.port, heartbeat_s=30), amqp.prefix)
    with work(tmp_path, 3_000) as done, RelayThread(done.database, broker, SLOW) as relay:
        relay.wait_between(3_000)
        proxy.blackhole()
        wait_until(lambda: relay.status.reconnects == 1, SLOW.publish_timeout_s + 5)
        assert any("no confirm from the broker within 2 s" in detail for _, detail in relay.seen)
        proxy.resume()
        wait_empty(done, relay)
    assert_all_arrived(done, amqp.url, amqp.tasks, repeats=IN_FLIGHT)


def test_a_dead_line_without_work_is_detected_by_heartbeats(
    amqp: Amqp, proxy: TcpProxy, tmp_path: Path
) -> None:
    broker = settings_of(amqp.node.url(port=proxy.port, heartbeat_s=1), amqp.prefix)
    with work(tmp_path) as done, RelayThread(done.database, broker) as relay:
        relay.wait_state(RelayState.IDLE)
        proxy.blackhole()
        wait_until(lambda: relay.status.reconnects == 1, 12)
        proxy.resume()
        done.add(100)
        wait_empty(done, relay)
    assert_all_arrived(done, amqp.url, amqp.tasks)


def test_a_peer_that_accepts_and_stays_silent_costs_the_connect_timeout_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = BrokerSettings(f"amqp://u:p@127.0.0.1:{listener.getsockname()[1]}/", connect_timeout_s=0.5)
        before = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="does not answer in time"):
            asyncio.run(RabbitBroker(settings).open_publishing())
        assert 0.4 < time.monotonic() - before < 3


def test_the_tasks_queue_deleted_in_the_middle_is_declared_again(amqp: Amqp, tmp_path: Path) -> None:
    broker = settings_of(amqp.url, amqp.prefix)
    with work(tmp_path, 3_000) as done, RelayThread(done.database, broker, SLOW) as relay:
        relay.wait_between(3_000)
        before = amqp.node.queue_depth(amqp.tasks)
        amqp.node.delete_queue(amqp.tasks)
        wait_until(lambda: relay.status.reconnects >= 1)
        wait_empty(done, relay)
        assert before > 0
    # What was in the deleted queue went with it; nothing that had no queue was taken for confirmed.
    depth = amqp.node.queue_depth(amqp.tasks)
    assert relay.status.messages == 3_000
    assert 3_000 - before - IN_FLIGHT <= depth < 3_000


def test_a_returned_message_is_no_success_and_its_way_is_declared_again(amqp: Amqp, tmp_path: Path) -> None:
    async def unbind(channel: AbstractChannel) -> None:
        await channel.queue_unbind(amqp.tasks, amqp.tasks, "tasks")

    broker = settings_of(amqp.url, amqp.prefix)
    with work(tmp_path, 3_000) as done, RelayThread(done.database, broker, SLOW) as relay:
        relay.wait_between(3_000)
        amqp_calls.call(amqp.url, unbind)
        wait_until(lambda: relay.status.returned > 0, what="a returned message")
        wait_empty(done, relay)
        assert relay.status.reconnects == 1
    assert_all_arrived(done, amqp.url, amqp.tasks, repeats=IN_FLIGHT)


def test_the_tasks_exchange_deleted_in_the_middle_is_declared_again(amqp: Amqp, tmp_path: Path) -> None:
    broker = settings_of(amqp.url, amqp.prefix)
    with work(tmp_path, 3_000) as done, RelayThread(done.database, broker, SLOW) as relay:
        relay.wait_between(3_000)
        amqp.node.delete_exchange(amqp.tasks)
        wait_until(lambda: relay.status.reconnects >= 1)
        wait_empty(done, relay)
    assert_all_arrived(done, amqp.url, amqp.tasks, repeats=IN_FLIGHT)


def test_connections_closed_by_the_operator_are_opened_again(amqp: Amqp, tmp_path: Path) -> None:
    broker = settings_of(amqp.url, amqp.prefix)
    with work(tmp_path, 5_000) as done, RelayThread(done.database, broker, SLOW) as relay:
        relay.wait_between(5_000, 0.02, 0.5)
        amqp.node.ctl("close_all_connections", "maintenance")
        wait_until(lambda: relay.status.reconnects >= 1)
        assert done.left > 0
        wait_empty(done, relay)
        assert any("maintenance" in detail or "CONNECTION_FORCED" in detail for _, detail in relay.seen)
    assert_all_arrived(done, amqp.url, amqp.tasks, repeats=IN_FLIGHT)


def test_slow_start_after_every_reconnect(amqp: Amqp, proxy: TcpProxy, tmp_path: Path) -> None:
    settings = settings_of(amqp.node.url(port=proxy.port), amqp.prefix)

    async def windows() -> list[int]:
        found = []
        for _ in range(2):
            session = await RabbitBroker(settings, FAST).open_publishing()
            found.append(session.window)
            await session.close()
        return found

    assert asyncio.run(windows()) == [FAST.window_at_start] * 2


def test_heartbeats_hold_while_a_thread_keeps_the_interpreter_busy(amqp: Amqp, tmp_path: Path) -> None:
    """The loop shares its process with a busy thread here: harsher than the broker side ever has it."""
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(10_000))

    busy = threading.Thread(target=spin)
    broker = settings_of(amqp.node.url(heartbeat_s=1), amqp.prefix)
    with work(tmp_path) as done, RelayThread(done.database, broker) as relay:
        relay.wait_state(RelayState.IDLE)
        busy.start()
        until = time.monotonic() + 4
        wait_until(lambda: time.monotonic() > until)
        stop.set()
        busy.join()
        assert relay.status.reconnects == 0
