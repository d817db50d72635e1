"""The outbox as the relay uses it, on both databases."""

from collections.abc import Iterator

import pytest

from scanner.catalog import leases, outbox
from scanner.catalog.engine import Database
from scanner.catalog.outbox import Held
from scanner.catalog.schema import open_database
from scanner.errors import LeaseLost
from scanner.owner import Owner


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with open_database(database_url) as opened:
        yield opened


def add(database: Database, count: int, not_before: str = "NULL") -> None:
    with database.write() as connection:
        for index in range(count):
            connection.exec_driver_sql(
                "INSERT INTO outbox "
                "(scan_id, message_id, routing_key, body, task_count, not_before, created_at) "
                f"VALUES (1, 'm{index}', 'tasks', 'x', 7, {not_before}, 0)"
            )


def ids(rows: list[outbox.OutboxRow]) -> list[int]:
    return [row.id for row in rows]


def test_lowest_ready_rows_come_first_and_held_ones_not_at_all(database: Database) -> None:
    add(database, 10)
    assert ids(outbox.fetch_ready(database, 4)) == [1, 2, 3, 4]
    assert ids(outbox.fetch_ready(database, 4, Held(3, 6))) == [1, 2, 7, 8]
    assert outbox.fetch_ready(database, 4, Held(1, 10)) == []


def test_a_row_waits_for_its_time(database: Database) -> None:
    add(database, 1, "99999999999")
    add(database, 1, "1")
    assert ids(outbox.fetch_ready(database, 10)) == [2]
    assert outbox.depth(database) == 2


def test_confirmed_rows_leave_and_the_role_is_renewed(database: Database) -> None:
    add(database, 5)
    grant = leases.acquire_role(database, outbox.RELAY_ROLE, Owner.current(), 15)
    assert isinstance(grant, leases.Grant)
    outbox.delete_confirmed(database, grant, [1, 3, 5])
    assert ids(outbox.fetch_ready(database, 10)) == [2, 4]
    assert outbox.last_id(database) == 4
    assert outbox.holds_up_to(database, 2)
    assert not outbox.holds_up_to(database, 1)


def test_a_fenced_off_relay_deletes_nothing(database: Database) -> None:
    add(database, 2)
    grant = leases.acquire_role(database, outbox.RELAY_ROLE, Owner.current(), 15)
    assert isinstance(grant, leases.Grant)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE roles SET epoch = epoch + 1")
    with pytest.raises(LeaseLost):
        outbox.delete_confirmed(database, grant, [1, 2])
    assert outbox.depth(database) == 2


def test_an_empty_outbox_has_no_depth_age_or_last_id(database: Database) -> None:
    assert (outbox.depth(database), outbox.oldest_age_s(database), outbox.last_id(database)) == (0, 0.0, 0)


def test_ids_are_never_used_again(database: Database) -> None:
    add(database, 3)
    grant = leases.acquire_role(database, outbox.RELAY_ROLE, Owner.current(), 15)
    assert isinstance(grant, leases.Grant)
    outbox.delete_confirmed(database, grant, [1, 2, 3])
    add(database, 1)
    assert ids(outbox.fetch_ready(database, 10)) == [4]


def test_a_run_is_published_though_a_delayed_row_waits(database: Database) -> None:
    add(database, 1)
    add(database, 1, "99999999999")
    assert outbox.holds_up_to(database, 2)
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM outbox WHERE id = 1")
    assert not outbox.holds_up_to(database, 2)
