"""Leases: one writer a library, one relay a database, whoever is killed in between.

A lease is an owner, an epoch and an expiry on the database's clock. Taking it raises the epoch; every commit
under it renews it with `WHERE epoch = mine`, so that a holder that was taken over can write nothing more. An
owner whose death can be proved (`scanner.owner`) is taken over at once, any other when the lease runs out.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, select, update

from scanner.catalog.engine import Database, database_now
from scanner.catalog.tables import libraries, roles
from scanner.errors import LeaseLost
from scanner.owner import Owner, described


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease that is ours as long as its epoch stands."""

    table: Table
    key: int | str
    epoch: int
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody else who holds a lease now; times are seconds since the epoch by the database's clock."""

    owner: str
    since: float
    expires_at: float

    @property
    def described(self) -> str:
        """Host and process id."""
        return described(self.owner)


def acquire_library(database: Database, library_id: int, owner: Owner, ttl_s: float) -> Grant | Holder:
    """Take the library's lease, or tell who has it."""
    return _acquire(database, libraries, library_id, owner, ttl_s)


def acquire_role(database: Database, name: str, owner: Owner, ttl_s: float) -> Grant | Holder:
    """Take a role of the whole database (`relay`), or tell who has it."""
    with database.write() as connection:
        known = connection.scalar(select(roles.c.name).where(roles.c.name == name))
        if known is None:
            _insert_role(connection, name)
    return _acquire(database, roles, name, owner, ttl_s)


def _insert_role(connection: Connection, name: str) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("INSERT OR IGNORE INTO roles (name, epoch) VALUES (?, 0)", (name,))
    else:
        connection.exec_driver_sql(
            "INSERT INTO roles (name, epoch) VALUES (%s, 0) ON CONFLICT DO NOTHING", (name,)
        )


def renew(connection: Connection, grant: Grant) -> None:
    """Renew the lease in the transaction of `connection`.

    Raises:
        LeaseLost: somebody took it over; the transaction must be undone.
    """
    column = _Columns(grant.table)
    statement = (
        update(grant.table)
        .where(column.key == grant.key, column.epoch == grant.epoch)
        .values({column.expires_at: database_now() + grant.ttl_s})
    )
    if connection.execute(statement).rowcount != 1:
        raise LeaseLost(f"the lease of {grant.table.name} {grant.key} was taken over by another process")


def release(database: Database, grant: Grant) -> None:
    """Give the lease back; nothing happens if it is no longer ours."""
    column = _Columns(grant.table)
    statement = (
        update(grant.table)
        .where(column.key == grant.key, column.epoch == grant.epoch)
        .values({column.owner: None, column.since: None, column.expires_at: None})
    )
    with database.write() as connection:
        connection.execute(statement)


class _Columns:
    """The lease columns of a table, `lease_` in front of them or not."""

    def __init__(self, table: Table) -> None:
        prefix = "lease_" if "lease_epoch" in table.c else ""
        self.key: ColumnElement[int | str] = next(iter(table.primary_key.columns))
        self.owner = table.c[f"{prefix}owner"]
        self.epoch = table.c[f"{prefix}epoch"]
        self.since = table.c[f"{prefix}since"]
        self.expires_at = table.c[f"{prefix}expires_at"]


def _acquire(database: Database, table: Table, key: int | str, owner: Owner, ttl_s: float) -> Grant | Holder:
    column = _Columns(table)
    query = select(column.owner, column.epoch, column.since, column.expires_at, database_now())
    with database.write() as connection:
        row = connection.execute(query.where(column.key == key).with_for_update()).one_or_none()
        if row is None:
            raise LeaseLost(f"{table.name} {key} does not exist any more")
        text, epoch, since, expires_at, now = row
        if text is not None and expires_at > now and not _is_dead(text):
            return Holder(text, since, expires_at)
        values = {
            column.owner: str(owner),
            column.epoch: epoch + 1,
            column.since: now,
            column.expires_at: now + ttl_s,
        }
        connection.execute(update(table).where(column.key == key).values(values))
    return Grant(table, key, epoch + 1, ttl_s)


def _is_dead(text: str) -> bool:
    try:
        return Owner.parse(text).provably_dead
    except ValueError:
        return False
