"""Relaying on a healthy broker, and what the broker may refuse."""

import asyncio
import uuid
from pathlib import Path

import pytest

from scanner import message as wire
from scanner.broker.rabbit import RabbitBroker
from scanner.broker.topology import Topology
from scanner.errors import BrokerRefused, BrokerUnavailable
from scanner.retry import Patience
from scanner.services.relay import RelaySettings, RelayState
from tests.conftest import Amqp
from tests.integration.broker.bench import (
    CATALOG,
    FAST,
    PATIENT,
    SLOW,
    RelayThread,
    assert_all_arrived,
    one_message,
    settings_of,
    wait_empty,
    work,
)
from tests.support import amqp as amqp_calls
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_until


def test_every_row_is_published_once_and_deleted(amqp: Amqp, database_url: str, tmp_path: Path) -> None:
    with (
        work(tmp_path, 2_000, url=database_url) as done,
        RelayThread(done.database, settings_of(amqp.url, amqp.prefix)) as relay,
    ):
        wait_empty(done, relay)
        wait_until(lambda: relay.status.messages == 2_000)
        assert relay.status.tasks == 200_000
        assert relay.status.reconnects == 0
    assert relay.status.state is RelayState.STOPPED
    with work(tmp_path, url=database_url) as done_again:
        done_again.message_ids = done.message_ids
        assert_all_arrived(done_again, amqp.url, amqp.tasks)


def test_message_has_the_properties_of_the_contract(amqp: Amqp, tmp_path: Path) -> None:
    with (
        work(tmp_path, 1) as done,
        RelayThread(done.database, settings_of(amqp.url, amqp.prefix)) as relay,
    ):
        wait_empty(done, relay)
        message = one_message(amqp.url, amqp.tasks)
    properties = message.header.properties
    assert properties.message_id == done.message_ids[0]
    assert (properties.content_type, properties.delivery_mode) == ("application/json", 2)
    assert (properties.message_type, properties.app_id) == (wire.TASKS_TYPE, "scanner")
    assert (properties.headers or {})["x-attempt"] == 0
    assert properties.timestamp is not None


def test_topology_is_that_of_the_contract_and_declared_again_without_complaint(amqp: Amqp) -> None:
    async def open_twice() -> None:
        broker = RabbitBroker(settings_of(amqp.url, amqp.prefix))
        for _ in range(2):
            session = await broker.open_publishing()
            await session.close()

    asyncio.run(open_twice())
    rows = [row.split("\t") for row in amqp.node.ctl("list_queues", "name", "type").splitlines()]
    queues = {name.removeprefix(f"{amqp.prefix}."): kind for name, kind in rows if name.startswith(amqp.prefix)}
    expected = {"tasks", "dead", "retry.10s", "retry.60s", "retry.600s", f"results.{CATALOG}"}
    assert queues == dict.fromkeys(expected, "quorum")
    exchanges = amqp.node.ctl("list_exchanges", "name", "type").splitlines()
    kinds = dict(row.split("\t") for row in exchanges if row.startswith(amqp.prefix))
    assert {name.removeprefix(f"{amqp.prefix}."): kind for name, kind in kinds.items()} == {
        "tasks": "direct",
        "retry": "direct",
        "results": "topic",
        "dead": "fanout",
        "control": "fanout",
    }


def test_a_queue_with_other_arguments_is_named_with_the_argument(amqp: Amqp, tmp_path: Path) -> None:
    needed = Topology(amqp.prefix).tasks_queue.arguments
    amqp_calls.declare_queue(amqp.url, amqp.tasks, {**needed, "x-delivery-limit": 3})
    with work(tmp_path, 1) as done, RelayThread(done.database, settings_of(amqp.url, amqp.prefix)) as relay:
        error = relay.wait_end()
    assert isinstance(error, BrokerRefused)
    assert amqp.tasks in str(error)
    assert "x-delivery-limit" in str(error)
    assert amqp.node.queue_exists(amqp.tasks)


@pytest.mark.parametrize("wrong", ["password", "vhost", "permissions"])
def test_a_refusal_is_not_tried_again_and_shows_no_password(amqp: Amqp, tmp_path: Path, wrong: str) -> None:
    secret = "wr0ng-s3cret"
    if wrong == "permissions":
        amqp.node.ctl("add_user", amqp.prefix, secret)
        amqp.node.ctl("set_permissions", "-p", "/", amqp.prefix, "^nothing$", ".*", ".*")
        url = amqp.node.url(user=amqp.prefix, password=secret)
    else:
        url = amqp.node.url(password=secret) if wrong == "password" else amqp.node.url(vhost=amqp.prefix)
    with work(tmp_path, 1) as done, RelayThread(done.database, settings_of(url, amqp.prefix)) as relay:
        error = relay.wait_end(10)
    assert isinstance(error, BrokerRefused)
    assert secret not in str(error)
    assert "***" in str(error)
    assert RelayState.RECONNECTING not in relay.states


def test_an_absent_broker_is_waited_for_and_then_given_up_with_a_remedy(tmp_path: Path) -> None:
    settings = RelaySettings(patience=Patience(first_s=0.05, cap_s=0.2, start_s=1.0))
    broker = settings_of("amqp://guest:s3cret@127.0.0.1:1/", "t")
    with work(tmp_path, 1) as done, RelayThread(done.database, broker, FAST, settings) as relay:
        error = relay.wait_end(10)
        assert done.left == 1
    assert isinstance(error, BrokerUnavailable)
    assert "next run sends them" in str(error)
    assert "s3cret" not in str(error)
    assert any("reconnecting in" in detail for _, detail in relay.seen)


def test_publishing_pauses_at_the_queue_limit_and_goes_on_when_there_is_room(
    amqp: Amqp, tmp_path: Path
) -> None:
    settings = RelaySettings(queue_limit=300, depth_every_s=0.1, patience=PATIENT)
    with (
        work(tmp_path, 1_000) as done,
        RelayThread(done.database, settings_of(amqp.url, amqp.prefix), SLOW, settings) as relay,
    ):
        relay.wait_state(RelayState.QUEUE_FULL)
        depth = amqp.node.queue_depth(amqp.tasks)
        assert 300 <= depth < 600
        found = 0
        while done.left:
            found += _purge(amqp)
            wait_until(lambda: relay.status.state is not RelayState.QUEUE_FULL)
            wait_until(lambda: relay.status.state is RelayState.QUEUE_FULL or done.left == 0)
        found += _purge(amqp)
        assert found == 1_000
        assert relay.status.reconnects == 0


def _purge(amqp: Amqp) -> int:
    async def purge(channel: object) -> int:
        return int((await channel.queue_purge(amqp.tasks)).message_count)  # type: ignore[attr-defined]

    return amqp_calls.call(amqp.url, purge)


def test_what_the_broker_rejects_stays_and_is_sent_when_there_is_room(amqp: Amqp, tmp_path: Path) -> None:
    policy = {"max-length": 100, "overflow": "reject-publish"}
    amqp.node.set_policy(amqp.prefix, f"^{amqp.tasks}$", policy)
    with (
        work(tmp_path, 600) as done,
        RelayThread(done.database, settings_of(amqp.url, amqp.prefix)) as relay,
    ):
        wait_until(lambda: relay.status.refused > 0, what="a nack")
        wait_until(lambda: relay.status.state is RelayState.QUEUE_FULL)
        wait_until(lambda: 0 < done.left < 600, what="some were taken, some were not")
        assert 0 < amqp.node.queue_depth(amqp.tasks) < 600
        amqp.node.clear_policy(amqp.prefix)
        wait_empty(done, relay)
        assert relay.status.reconnects == 0
        assert_all_arrived(done, amqp.url, amqp.tasks)


def test_a_second_relay_stands_by_and_takes_over(amqp: Amqp, tmp_path: Path) -> None:
    broker = settings_of(amqp.url, amqp.prefix)
    with work(tmp_path) as done:
        first, second = RelayThread(done.database, broker), RelayThread(done.database, broker)
        with second.__class__(done.database, broker) as waiting_for_nobody:
            waiting_for_nobody.wait_state(RelayState.IDLE)
            with first:
                first.wait_state(RelayState.STANDBY)
                assert "relays this database" in first.status.detail
                waiting_for_nobody.drain()
                done.add(50)
                wait_empty(done, first)
        assert_all_arrived(done, amqp.url, amqp.tasks)


def test_a_relay_that_was_fenced_off_deletes_nothing_more(amqp: Amqp, tmp_path: Path) -> None:
    with (
        work(tmp_path, 8_000) as done,
        RelayThread(done.database, settings_of(amqp.url, amqp.prefix), SLOW) as relay,
    ):
        relay.wait_between(8_000, 0.05, 0.7)
        with done.database.write() as connection:
            connection.exec_driver_sql(
                "UPDATE roles SET epoch = epoch + 1, owner = 'another host', expires_at = expires_at + 1000"
            )
            left = connection.exec_driver_sql("SELECT count(*) FROM outbox").scalar()
        relay.wait_state(RelayState.STANDBY)
        assert done.left == left
        assert 0 < done.left < 8_000


def test_two_rows_with_one_message_id_never_travel_together(amqp: Amqp, tmp_path: Path) -> None:
    with work(tmp_path, 20) as done:
        with done.database.write() as connection:
            connection.exec_driver_sql("UPDATE outbox SET message_id = ?", (done.message_ids[0],))
        done.message_ids = done.message_ids[:1]
        settings = RelaySettings(poll_s=0.02, delete_every_s=0.01, patience=PATIENT)
        with RelayThread(done.database, settings_of(amqp.url, amqp.prefix), FAST, settings) as relay:
            wait_empty(done, relay)
        assert_all_arrived(done, amqp.url, amqp.tasks, repeats=19)


def test_vhosts_are_honoured(rabbitmq: RabbitNode, tmp_path: Path) -> None:
    vhost = f"v/{uuid.uuid4().hex[:6]}"
    url = rabbitmq.add_vhost(vhost)
    with work(tmp_path, 5) as done, RelayThread(done.database, settings_of(url, "scanner")) as relay:
        wait_empty(done, relay)
        assert rabbitmq.queue_depth("scanner.tasks", vhost) == 5
    rabbitmq.ctl("delete_vhost", vhost)
