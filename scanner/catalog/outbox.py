"""The outbox: messages that wait for the broker's confirm, one row each, written with the work they announce.

Rows leave only when they are confirmed, in one transaction with the renewal of the relay's role: a relay that
was fenced off deletes nothing. A crash between confirm and delete repeats messages under the same message ids.
The lowest ready rows come first; "after the last id" is never asked, since PostgreSQL's sequences commit out
of order and a late low row would be left behind.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, or_, select

from scanner.catalog import leases
from scanner.catalog.engine import Database, database_now
from scanner.catalog.tables import outbox

RELAY_ROLE = "relay"


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One message, ready to send."""

    id: int
    message_id: str
    routing_key: str
    body: bytes
    task_count: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Held:
    """The span of rows that are on their way; what lies within it is not fetched again."""

    lowest: int
    highest: int


_COLUMNS = (
    outbox.c.id,
    outbox.c.message_id,
    outbox.c.routing_key,
    outbox.c.body,
    outbox.c.task_count,
    outbox.c.attempt,
)


def fetch_ready(database: Database, limit: int, held: Held | None = None) -> list[OutboxRow]:
    """Return up to `limit` of the lowest rows whose time has come and that lie outside `held`.

    A row within the span that was committed late is seen as soon as the span has moved on.
    """
    with database.read() as connection:
        if held is None:
            return _fetch(connection, limit)
        rows = _fetch(connection, limit, below=held.lowest)
        if len(rows) < limit:
            rows += _fetch(connection, limit - len(rows), above=held.highest)
        return rows


def _fetch(
    connection: Connection, limit: int, *, below: int | None = None, above: int | None = None
) -> list[OutboxRow]:
    query = select(*_COLUMNS).order_by(outbox.c.id).limit(limit)
    query = query.where(_is_due())
    if below is not None:
        query = query.where(outbox.c.id < below)
    if above is not None:
        query = query.where(outbox.c.id > above)
    return [OutboxRow(*row) for row in connection.execute(query)]


def _is_due() -> ColumnElement[bool]:
    return or_(outbox.c.not_before.is_(None), outbox.c.not_before <= database_now())


def delete_confirmed(database: Database, grant: leases.Grant, ids: Sequence[int]) -> None:
    """Delete rows that the broker confirmed, and renew the relay's role with it.

    Raises:
        LeaseLost: another relay took over; nothing was deleted, publishing must stop.
    """
    with database.write() as connection:
        leases.renew(connection, grant)
        _delete(connection, ids)


def _delete(connection: Connection, ids: Sequence[int]) -> None:
    """Delete by one parameter, whatever the number of ids: the statement is parsed once."""
    if connection.dialect.name == "sqlite":
        statement = "DELETE FROM outbox WHERE id IN (SELECT value FROM json_each(?))"
        connection.exec_driver_sql(statement, (json.dumps(list(ids)),))
    else:
        connection.exec_driver_sql("DELETE FROM outbox WHERE id = ANY(%s)", (list(ids),))


def depth(database: Database) -> int:
    """Return how many messages wait, delayed ones included."""
    with database.read() as connection:
        return connection.scalar(select(func.count()).select_from(outbox)) or 0


def oldest_age_s(database: Database) -> float:
    """Return the age of the lowest row; 0 when the outbox is empty."""
    query = select(database_now() - outbox.c.created_at).order_by(outbox.c.id).limit(1)
    with database.read() as connection:
        return max(0.0, connection.scalar(query) or 0.0)


def has_ready(database: Database) -> bool:
    """Tell whether a message waits that may be sent now: delayed retries are left until their time comes."""
    with database.read() as connection:
        return bool(_fetch(connection, 1))


def last_id(database: Database) -> int:
    """Return the highest id that waits; 0 when the outbox is empty."""
    with database.read() as connection:
        return connection.scalar(select(func.max(outbox.c.id))) or 0


def holds_up_to(database: Database, highest_id: int) -> bool:
    """Tell whether a row up to this id waits that may be sent now: a run is published when none does.

    What an embedded run left to be tried again later is not waited for.
    """
    query = select(outbox.c.id).where(outbox.c.id <= highest_id, _is_due()).limit(1)
    with database.read() as connection:
        return connection.scalar(query) is not None


def task_count(database: Database) -> int:
    """Return how many tasks the waiting messages hold."""
    with database.read() as connection:
        return int(connection.scalar(select(func.coalesce(func.sum(outbox.c.task_count), 0))) or 0)


def bodies(database: Database) -> Iterator[bytes]:
    """Yield the bodies of all waiting messages, the lowest first."""
    with database.unbuffered() as connection:
        for row in connection.execute(select(outbox.c.body).order_by(outbox.c.id)):
            yield row[0]
