"""The collector over both brokers: what is committed is acknowledged, what is not comes again."""

import asyncio
import secrets
import uuid
from collections import Counter
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from scanner import message
from scanner.broker.api import (
    DEAD,
    ERROR_KIND_HEADER,
    REASON_HEADER,
    Broker,
    OutgoingMessage,
    Source,
    retry_route,
)
from scanner.broker.consumer import Consumer
from scanner.broker.embedded import EmbeddedBroker
from scanner.broker.rabbit import RabbitBroker
from scanner.broker.session import BrokerSettings
from scanner.broker.topology import DELIVERY_LIMIT, Topology
from scanner.catalog import letters, outbox, results
from scanner.catalog.engine import Database
from scanner.catalog.results import Applied
from scanner.catalog.schema import open_database
from scanner.catalog.tables import FileState
from scanner.errors import BrokerUnavailable, DatabaseError, DatabaseUnavailable
from scanner.message import FINAL_ATTEMPT
from scanner.services.collect import Collect, CollectSettings, CollectState, intake
from tests.conftest import Amqp
from tests.integration.collect.messages import PATIENCE, SETTINGS, running, send, tasks
from tests.integration.collect.messages import results as results_message
from tests.support.proxy import TcpProxy
from tests.support.waiting import wait_until, wait_until_async
from tests.unit.catalog.stock import Stock, failed, ok

OTHER = "6f0c0000-0000-4000-8000-000000000000"
LIMIT_S = 60.0


@dataclass
class Place:
    """A catalog with a library, and a broker for it."""

    stock: Stock
    broker: Broker

    def collector(self, settings: CollectSettings = SETTINGS) -> Collect:
        """Return a collector that has not begun."""
        return Collect(self.stock.database, self.broker, self.stock.catalog, settings)

    def reasons(self) -> list[str]:
        """Return why letters were kept, the first first."""
        return [letter.reason for letter in reversed(letters.kept(self.stock.database))]

    def states(self, ids: Sequence[int]) -> set[FileState]:
        """Return the states that these files are in."""
        return {self.stock.row(file_id).state for file_id in ids}


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Stock]:
    with open_database(f"sqlite:///{tmp_path}/catalog.db") as database:
        yield Stock(database)


@pytest.fixture
def on_rabbitmq(stock: Stock, amqp: Amqp) -> Place:
    """RabbitMQ, for what only it can show."""
    return Place(stock, RabbitBroker(BrokerSettings(amqp.url, prefix=amqp.prefix, catalog=stock.catalog)))


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def place(request: pytest.FixtureRequest, stock: Stock) -> Place:
    if request.param == "embedded":
        return Place(stock, EmbeddedBroker(stock.catalog))
    found: Place = request.getfixturevalue("on_rabbitmq")
    return found


def run(scenario: Awaitable[None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_S):
            await scenario

    asyncio.run(limited())


def dead(body: bytes, type: str | None = message.TASKS_TYPE, **headers: str) -> OutgoingMessage:  # noqa: A002
    """Return a dead letter; `reason` and `kind` are its headers."""
    names = {"reason": REASON_HEADER, "kind": ERROR_KIND_HEADER}
    given = {names[name]: value for name, value in headers.items()}
    return OutgoingMessage(0, message.new_message_id(), type or "", DEAD, body, headers=given)


def test_results_are_committed_and_then_acknowledged(place: Place, amqp_depth: Any) -> None:
    ids = [place.stock.add() for _ in range(30)]

    async def scenario() -> None:
        collector = place.collector()
        async with running(collector):
            good = [
                results_message(place.stock.catalog, "ok", *map(ok, ids[start : start + 5]))
                for start in range(0, 25, 5)
            ]
            bad = results_message(place.stock.catalog, "failed", failed(ids[25]), failed(ids[26], "io"))
            again = replace(good[0], message_id=message.new_message_id())
            outcome = await send(place.broker, *good, bad, again)
            assert len(outcome.confirmed) == 7
            await wait_until_async(lambda: collector.status.messages == 7)
        status = collector.status
        assert (status.ok, status.failed, status.retrying, status.dropped) == (25, 1, 1, 5)
        assert status.failures == {"corrupt": 1, "io": 1}
        assert status.state == CollectState.STOPPED

    run(scenario())
    assert place.states(ids[:25]) == {FileState.OK}
    assert place.states(ids[27:]) == {FileState.QUEUED}
    amqp_depth(place, 0)


@pytest.fixture
def amqp_depth(request: pytest.FixtureRequest) -> Any:
    """Check how many results are left in the queue, where there is one to look at."""

    def check(place: Place, expected: int) -> None:
        if isinstance(place.broker, RabbitBroker):
            amqp: Amqp = request.getfixturevalue("amqp")
            queue = Topology(amqp.prefix, place.stock.catalog).results_queue(place.stock.catalog)
            wait_until(lambda: amqp.node.queue_depth(queue.name) == expected)

    return check


def test_what_cannot_be_read_is_kept_with_the_reason_and_holds_nothing_up(place: Place) -> None:
    first, last = place.stock.add(), place.stock.add()
    catalog = place.stock.catalog
    good = [results_message(catalog, "ok", ok(file_id)) for file_id in (first, last)]
    garbage = replace(results_message(catalog, "ok"), body=b"\x00garbage\xff")
    misfit = replace(results_message(catalog, "ok"), body=b'{"version":1,"catalog":4}')
    foreign = replace(results_message(OTHER, "ok", ok(first)), route=good[0].route)
    misplaced = replace(results_message(catalog, "ok"), type="\x1b[31mscanner.tasks.v1", body=tasks(catalog, 1))

    async def scenario() -> None:
        collector = place.collector()
        async with running(collector):
            await send(place.broker, good[0], garbage, misfit, foreign, misplaced, good[1])
            await wait_until_async(lambda: collector.status.messages == 6)
        assert (collector.status.ok, collector.status.letters) == (2, 4)

    run(scenario())
    assert place.states([first, last]) == {FileState.OK}
    malformed, shapeless, stranger, other_type = place.reasons()
    assert "malformed" in malformed
    assert "Expected `str`" in shapeless
    assert OTHER in stranger
    assert "its type is" in other_type
    assert "\x1b" not in other_type


@pytest.mark.parametrize("version", ["in the body", "in a body of another shape", "in the type"])
def test_a_newer_version_is_left_alone_and_said(place: Place, amqp_depth: Any, version: str) -> None:
    file_id = place.stock.add()
    newer = results_message(place.stock.catalog, "ok", ok(file_id), version=2)
    if version == "in a body of another shape":
        newer = replace(newer, body=b'{"version":2,"everything":"else"}')
    elif version == "in the type":
        newer = replace(results_message(place.stock.catalog, "ok", ok(file_id)), type="scanner.results.v2")

    async def scenario() -> None:
        collector = place.collector()
        async with running(collector) as tasks_running:
            sending = asyncio.create_task(send(place.broker, newer))
            await wait_until_async(lambda: collector.status.state == CollectState.REFUSING)
            assert not tasks_running[0].done()
            assert "version 2" in collector.status.detail
            assert "upgrade" in collector.status.detail
            sending.cancel()  # the embedded broker's sender waits for ever

    run(scenario())
    assert place.states([file_id]) == {FileState.QUEUED}
    assert place.reasons() == []
    amqp_depth(place, 1)


@pytest.mark.parametrize("source", [Source.RESULTS, Source.DEAD])
def test_messages_of_a_newer_version_hold_nothing_up_and_never_die_of_waiting(
    place: Place, amqp_depth: Any, source: Source
) -> None:
    mine, catalog = place.stock.add(), place.stock.catalog
    some = [replace(results_message(catalog, "ok", version=2), id=number) for number in range(10)]
    good = results_message(catalog, "ok", ok(mine))
    if source is Source.DEAD:
        some, good = [replace(one, route=DEAD) for one in some], replace(good, route=DEAD)
    looks: Counter[str] = Counter()

    async def scenario() -> None:
        collector = place.collector(replace(SETTINGS, prefetch=4, batch=4, later_pause_s=0.01))
        settle = intake.Intake._settle

        async def counted(self: Any, session: Any, portion: Any, read: Any) -> None:
            looks.update(delivery.message_id for delivery in read.later)
            assert not any(delivery.redelivered for delivery in read.later)
            await settle(self, session, portion, read)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(intake.Intake, "_settle", counted)
            async with running(collector):
                sending = asyncio.create_task(send(place.broker, *some, good))
                await wait_until_async(lambda: collector.status.ok == 1)
                await wait_until_async(
                    lambda: len(looks) == 10 and min(looks.values()) > DELIVERY_LIMIT + 5, 40
                )
        sending.cancel()  # the embedded broker's sender waits for ever
        assert collector.status.messages == 1

    run(scenario())
    assert place.reasons() == []
    if source is Source.RESULTS:
        amqp_depth(place, 10)


def test_a_database_that_is_away_is_waited_for_with_nothing_acknowledged(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = place.stock.add()
    original, attempts = results.apply, 0
    back = asyncio.Event()

    def away(*arguments: Any) -> Applied:
        nonlocal attempts
        attempts += 1
        if not back.is_set():
            raise DatabaseUnavailable("away")
        return original(*arguments)

    monkeypatch.setattr(results, "apply", away)

    async def scenario() -> None:
        collector = place.collector()
        async with running(collector):
            sending = asyncio.create_task(
                send(place.broker, results_message(place.stock.catalog, "ok", ok(file_id)))
            )
            await wait_until_async(lambda: attempts >= 2)
            assert collector.status.messages == 0
            back.set()
            await sending
            await wait_until_async(lambda: collector.status.ok == 1)

    run(scenario())
    assert place.states([file_id]) == {FileState.OK}


def test_a_database_that_stays_away_ends_the_collector_and_the_message_comes_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = place.stock.add()

    def away(*_: Any) -> Applied:
        raise DatabaseUnavailable("away")

    async def scenario() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(results, "apply", away)
            collecting = asyncio.create_task(place.collector(replace(SETTINGS, database_wait_s=0.2)).run())
            sending = asyncio.create_task(
                send(place.broker, results_message(place.stock.catalog, "ok", ok(file_id)))
            )
            with pytest.raises(DatabaseUnavailable):
                await collecting
        successor = place.collector()
        async with running(successor):
            await sending
            await wait_until_async(lambda: successor.status.ok == 1)

    run(scenario())
    assert place.states([file_id]) == {FileState.OK}


def fail_on(poison: int, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every transaction fail that holds a result of this file."""
    original = results.apply

    def choosy(database: Database, catalog: str, answers: Any, kept: Any = ()) -> Applied:
        if any(result.file == poison for answer in answers if answer.batch for result in answer.batch.results):
            raise error
        return original(database, catalog, answers, kept)

    monkeypatch.setattr(results, "apply", choosy)


def test_a_message_that_the_database_refuses_is_kept_and_the_others_are_committed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison, *others = [place.stock.add() for _ in range(6)]
    fail_on(poison, DatabaseError("database refuses a row: of course"), monkeypatch)

    async def scenario() -> None:
        collector = place.collector(replace(SETTINGS, gather_s=0.3))
        async with running(collector):
            await send(
                place.broker,
                *(results_message(place.stock.catalog, "ok", ok(file_id)) for file_id in (*others, poison)),
            )
            await wait_until_async(lambda: collector.status.messages == 6)

    run(scenario())
    assert place.states(others) == {FileState.OK}
    assert place.states([poison]) == {FileState.QUEUED}
    assert place.reasons() == ["the database refuses it: database refuses a row: of course"]


DEEP = b'{"a":' * 5_000 + b"1" + b"}" * 5_000
HOSTILE = {"nested too deep": (b"}", b',"x":' + DEEP + b"}"), "no UTF-8": (b"films", b"\xff")}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("source", ["results", "dead letters"])
def test_a_body_that_breaks_its_decoder_is_kept_and_holds_nothing_up(
    place: Place, source: str, what: str
) -> None:
    mine = place.stock.add()
    good = results_message(place.stock.catalog, "ok", ok(mine))
    body = good.body if source == "results" else tasks(place.stock.catalog, mine)
    harmless, harm = HOSTILE[what]
    hostile = replace(good, message_id=message.new_message_id(), body=harm.join(body.rsplit(harmless, 1)))
    if source == "dead letters":
        good, hostile = replace(good, route=DEAD), dead(hostile.body)

    async def scenario() -> None:
        collector = place.collector(replace(SETTINGS, gather_s=0.3))
        async with running(collector):
            await send(place.broker, hostile, good)
            await wait_until_async(lambda: collector.status.messages == 2)
        assert (collector.status.ok, collector.status.letters) == (1, 1)

    run(scenario())
    assert place.states([mine]) == {FileState.OK}


def test_a_message_that_the_collector_itself_fails_on_is_kept_and_the_others_are_committed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison, *others = [place.stock.add() for _ in range(4)]
    fail_on(poison, ZeroDivisionError("a fault of ours"), monkeypatch)

    async def scenario() -> None:
        collector = place.collector(replace(SETTINGS, gather_s=0.3))
        async with running(collector):
            good = [results_message(place.stock.catalog, "ok", ok(file_id)) for file_id in (*others, poison)]
            await send(place.broker, *good, dead(tasks(place.stock.catalog, poison), reason="x"))
            await wait_until_async(lambda: collector.status.messages == 5)

    run(scenario())
    assert place.states(others) == {FileState.OK}
    assert place.states([poison]) == {FileState.QUEUED}
    assert len(place.reasons()) == 2
    assert all("a fault of ours" in reason for reason in place.reasons())


# Dead letters


def test_a_dead_letters_tasks_fail_with_its_reason(place: Place) -> None:
    known, unknown_kind, unexplained = [place.stock.add() for _ in range(3)]
    catalog = place.stock.catalog
    given = (
        dead(tasks(catalog, known), kind="timeout", reason="it took 31 s"),
        dead(tasks(catalog, unknown_kind), kind="bad luck", reason="path holds \x1b[31m"),
        dead(tasks(catalog, unexplained)),
    )

    async def scenario() -> None:
        collector = place.collector()
        async with running(collector):
            await send(place.broker, *given)
            await wait_until_async(lambda: collector.status.messages == 3)
        assert collector.status.failures == {"timeout": 1, "rejected": 2}

    run(scenario())
    assert place.stock.row(known)[3:] == (FINAL_ATTEMPT, "timeout", "it took 31 s")
    assert place.stock.row(unknown_kind)[4:] == ("rejected", "path holds \\x1b[31m")
    assert place.states([known, unknown_kind, unexplained]) == {FileState.FAILED}
    assert place.reasons() == []


def test_a_dead_letter_does_not_take_a_result_away(place: Place) -> None:
    file_id = place.stock.add()
    place.stock.apply(place.stock.batch("ok", ok(file_id)))

    async def scenario() -> None:
        collector = place.collector()
        async with running(collector):
            await send(place.broker, dead(tasks(place.stock.catalog, file_id), reason="x"))
            await wait_until_async(lambda: collector.status.messages == 1)

    run(scenario())
    assert place.states([file_id]) == {FileState.OK}


def test_results_among_the_dead_letters_are_results_all_the_same(place: Place) -> None:
    """A queue has a delivery limit: results that were given back too often die too."""
    file_id = place.stock.add()
    lost = replace(results_message(place.stock.catalog, "ok", ok(file_id)), route=DEAD)

    async def scenario() -> None:
        collector = place.collector()
        async with running(collector):
            await send(place.broker, lost)
            await wait_until_async(lambda: collector.status.ok == 1)

    run(scenario())
    assert place.states([file_id]) == {FileState.OK}


def test_letters_that_nobody_can_read_are_kept_once(place: Place) -> None:
    garbage = dead(b"garbage", reason="too large")
    nowhere = dead(tasks("../nowhere", 1))

    async def scenario() -> None:
        collector = place.collector()
        async with running(collector):
            await send(place.broker, garbage)
            await send(place.broker, garbage)
            await send(place.broker, nowhere)
            await wait_until_async(lambda: collector.status.messages == 3)
        assert collector.status.letters == 2

    run(scenario())
    unread, no_catalog = place.reasons()
    assert unread.startswith("too large: not a tasks message")
    assert "expected a UUID" in no_catalog


def test_a_letter_of_another_catalog_reaches_that_catalogs_collector(on_rabbitmq: Place, amqp: Amqp) -> None:
    place = on_rabbitmq
    other = RabbitBroker(BrokerSettings(amqp.url, prefix=amqp.prefix, catalog=OTHER))
    letter = dead(tasks(OTHER, 17), kind="crashed", reason="it died")

    async def scenario() -> None:
        theirs = await other.open_consuming(Source.RESULTS, 10)
        collector = place.collector()
        async with running(collector):
            await send(place.broker, letter)
            (delivery,) = await theirs.receive(1)
            await theirs.acknowledge([delivery])
            await wait_until_async(lambda: collector.status.messages == 1)
        await theirs.close()
        batch = message.decode_results(delivery.body)
        (result,) = batch.results
        assert delivery.type == message.RESULTS_TYPE
        assert delivery.message_id == message.result_message_id(letter.message_id, "failed", FINAL_ATTEMPT)
        assert (batch.catalog, batch.status, batch.message_id) == (OTHER, "failed", letter.message_id)
        assert result.error is not None
        assert (result.file, result.attempt, result.error.kind) == (17, FINAL_ATTEMPT, "crashed")

    run(scenario())
    assert place.reasons() == []
    assert amqp.node.queue_depth(f"{amqp.prefix}.dead") == 0


def test_a_catalog_whose_queue_is_full_does_not_hold_up_the_letters_of_others(
    on_rabbitmq: Place, amqp: Amqp
) -> None:
    place = on_rabbitmq
    other = RabbitBroker(BrokerSettings(amqp.url, prefix=amqp.prefix, catalog=OTHER))
    theirs_queue = Topology(amqp.prefix, OTHER).results_queue(OTHER).name
    amqp.node.set_policy(amqp.prefix, f"^{theirs_queue}$", {"max-length": 1, "overflow": "reject-publish"})
    mine = place.stock.add()
    letters_of_others = [dead(tasks(OTHER, number), reason="x") for number in range(20)]

    async def scenario() -> None:
        theirs = await other.open_consuming(Source.RESULTS, 1)
        collector = place.collector(replace(SETTINGS, prefetch=4, batch=4, later_pause_s=0.05))
        async with running(collector):
            await send(place.broker, *letters_of_others)
            await send(place.broker, dead(tasks(place.stock.catalog, mine), reason="x"))
            await wait_until_async(lambda: collector.status.failed == 1)
            assert collector.status.messages < 20, "their queue was never full"
            amqp.node.clear_policy(amqp.prefix)
            found: set[int] = set()
            while len(found) < 20:
                got = await theirs.receive(1)
                found |= {row.file for one in got for row in message.decode_results(one.body).results}
                await theirs.acknowledge(got)
            await wait_until_async(lambda: collector.status.messages == 21)
        assert collector.status.reconnects == 0
        await theirs.close()

    run(scenario())
    assert place.reasons() == []
    assert place.states([mine]) == {FileState.FAILED}


def test_a_letter_of_a_catalog_without_a_queue_is_kept(place: Place) -> None:
    mine = place.stock.add()

    async def scenario() -> None:
        collector = place.collector(replace(SETTINGS, gather_s=0.3))
        async with running(collector):
            given = (dead(tasks(OTHER, 17)), dead(tasks(place.stock.catalog, mine)))
            await send(place.broker, *given)
            await wait_until_async(lambda: collector.status.messages == 2)

    run(scenario())
    (reason,) = place.reasons()
    assert "no collector of its catalog" in reason
    assert place.states([mine]) == {FileState.FAILED}


def test_a_task_that_kills_every_worker_ends_as_crashed(on_rabbitmq: Place) -> None:
    place = on_rabbitmq
    file_id = place.stock.add()
    task = OutgoingMessage(
        0, message.new_message_id(), message.TASKS_TYPE, message.TASKS, tasks(place.stock.catalog, file_id)
    )

    async def scenario() -> None:
        await send(place.broker, task)
        worker = await place.broker.open_consuming(Source.TASKS, 1)
        for _ in range(DELIVERY_LIMIT + 1):
            await worker.give_back(await worker.receive(1))
        collector = place.collector()
        async with running(collector):
            await wait_until_async(lambda: collector.status.failed == 1)
        await worker.close()

    run(scenario())
    row = place.stock.row(file_id)
    assert (row.state, row.error_kind) == (FileState.FAILED, "crashed")
    assert row.error is not None
    assert "delivery_limit" in row.error


# Faults


def test_a_lost_connection_is_replaced_and_nothing_is_missed(
    on_rabbitmq: Place, amqp: Amqp, proxy: TcpProxy
) -> None:
    place = on_rabbitmq
    ids = [place.stock.add() for _ in range(200)]
    line = RabbitBroker(
        BrokerSettings(amqp.node.url(port=proxy.port), prefix=amqp.prefix, catalog=place.stock.catalog)
    )

    async def scenario() -> None:
        collector = Collect(
            place.stock.database, line, place.stock.catalog, replace(SETTINGS, batch=5, prefetch=5)
        )
        async with running(collector):
            await wait_until_async(lambda: collector.status.connected)
            for start in range(0, 200, 50):
                some = [results_message(place.stock.catalog, "ok", ok(key)) for key in ids[start : start + 50]]
                await send(place.broker, *some)
                await wait_until_async(lambda: collector.status.ok > start)  # noqa: B023
                assert await asyncio.to_thread(proxy.cut) > 0
            await wait_until_async(lambda: place.states(ids) == {FileState.OK})
        assert collector.status.reconnects > 0

    run(scenario())


def test_a_broker_that_stays_away_ends_the_collector_with_the_remedy(stock: Stock) -> None:
    nowhere = RabbitBroker(BrokerSettings("amqp://127.0.0.1:1", prefix="x", catalog=stock.catalog))
    settings = CollectSettings(patience=replace(PATIENCE, start_s=0.5))
    with pytest.raises(BrokerUnavailable, match="results wait in their queue"):
        asyncio.run(Collect(stock.database, nowhere, stock.catalog, settings).run())


class Killed(BaseException):
    """Raised in a collector in the place of a kill: it acknowledges nothing after it."""


def test_a_kill_between_commit_and_acknowledgement_repeats_and_changes_nothing(
    on_rabbitmq: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = on_rabbitmq
    ids = [place.stock.add() for _ in range(20)]
    writes = counted_writes(place.stock)

    async def killed(*_: object) -> None:
        raise Killed

    async def scenario() -> None:
        await send(place.broker, *(results_message(place.stock.catalog, "ok", ok(key)) for key in ids))
        with monkeypatch.context() as patched:
            patched.setattr(Consumer, "acknowledge", killed)
            with pytest.raises(Killed):
                await place.collector(replace(SETTINGS, gather_s=1.0)).run()
        assert writes() == dict.fromkeys(ids, 1)
        successor = place.collector()
        async with running(successor):
            await wait_until_async(lambda: successor.status.messages == 20)
        assert (successor.status.ok, successor.status.dropped) == (0, 20)

    run(scenario())
    assert writes() == dict.fromkeys(ids, 1)


def counted_writes(stock: Stock) -> Any:
    """Count, in the database itself, how often each file's result is written."""
    with stock.database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE written (file BIGINT)")
        if stock.database.dialect == "sqlite":
            for event in ("INSERT", "UPDATE"):
                connection.exec_driver_sql(
                    f"CREATE TRIGGER note_{event} AFTER {event} ON media"
                    " BEGIN INSERT INTO written VALUES (NEW.file_id); END"
                )
        else:
            connection.exec_driver_sql(
                "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN INSERT INTO written VALUES (NEW.file_id); RETURN NULL; END'"
            )
            connection.exec_driver_sql(
                "CREATE TRIGGER note AFTER INSERT OR UPDATE ON media FOR EACH ROW EXECUTE FUNCTION note()"
            )
    return lambda: dict(tuple(row) for row in stock.rows("SELECT file, count(*) FROM written GROUP BY file"))


def test_several_collectors_write_each_result_once(amqp: Amqp, database_url: str) -> None:
    with open_database(database_url) as database:
        place = Place(Stock(database), EmbeddedBroker())
        place.broker = RabbitBroker(BrokerSettings(amqp.url, prefix=amqp.prefix, catalog=place.stock.catalog))
        ids = [place.stock.add() for _ in range(150)]
        writes = counted_writes(place.stock)
        some = [
            results_message(place.stock.catalog, "ok", *map(ok, ids[n : n + 10])) for n in range(0, 150, 10)
        ]
        gone = [
            results_message(place.stock.catalog, "gone", *map(ok, ids[n : n + 30])) for n in range(0, 150, 30)
        ]

        async def scenario() -> None:
            repeated = [replace(one, message_id=str(uuid.uuid4())) for one in (some + gone) * 8]
            collectors = [place.collector(replace(SETTINGS, batch=4, prefetch=8)) for _ in range(3)]
            async with running(*collectors):
                await send(place.broker, *sorted(repeated, key=lambda _: secrets.randbits(8)))
                await wait_until_async(
                    lambda: sum(one.status.messages for one in collectors) == len(repeated), timeout_s=40
                )
            assert all(one.status.messages for one in collectors), "one collector took them all"

        run(scenario())
        assert writes() == dict.fromkeys(ids, 1)
        assert place.states(ids) == {FileState.OK}


def test_an_answer_settles_its_row_and_leaves_its_retries_in_the_outbox(stock: Stock) -> None:
    """The embedded broker's promise, kept by the collector: all of an answer in one transaction."""
    place = Place(stock, EmbeddedBroker(stock.catalog))
    good, slow = stock.add(), stock.add()
    with stock.database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO outbox (scan_id, message_id, routing_key, body, task_count, created_at)"
            " VALUES (7, ?, 'tasks', ?, 2, 0)",
            (message.new_message_id(), tasks(stock.catalog, good, slow)),
        )

    async def scenario() -> None:
        (row,) = outbox.fetch_ready(stock.database, 10)
        sender = await place.broker.open_publishing()
        sending = asyncio.create_task(
            sender.publish(
                [OutgoingMessage(row.id, row.message_id, message.TASKS_TYPE, row.routing_key, row.body)]
            )
        )
        worker = await place.broker.open_consuming(Source.TASKS, 1)
        (delivery,) = await worker.receive(1)
        answer = [
            results_message(stock.catalog, "ok", ok(good)),
            replace(results_message(stock.catalog, "failed", failed(slow, "timeout")), id=1),
            OutgoingMessage(
                2, "again", message.TASKS_TYPE, retry_route(10), tasks(stock.catalog, slow), attempt=1
            ),
        ]
        collector = place.collector()
        async with running(collector):
            answering = await worker_publisher(place.broker, answer, delivery)
            assert set(answering.confirmed) == {0, 1, 2}
            await worker.acknowledge([delivery])
            assert (await sending).confirmed == (row.id,)

    run(scenario())
    assert [stock.row(key).state for key in (good, slow)] == [FileState.OK, FileState.RETRYING]
    waiting = stock.rows("SELECT message_id, attempt, scan_id, not_before - created_at FROM outbox")
    assert [tuple(row) for row in waiting] == [("again", 1, 7, 10.0)]


async def worker_publisher(broker: Broker, answer: Sequence[OutgoingMessage], delivery: Any) -> Any:
    """Publish an answer as a worker does."""
    session = await broker.open_publishing()
    return await session.publish(list(answer), answers=delivery)
