"""Letters: messages that nobody could read, kept with the reason so that a person can.

Whoever writes to the queues decides what comes here, so it is bounded: long bodies are cut, and beyond a number
of letters the oldest go. A letter that is delivered again, because its acknowledgement was lost, is kept once.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from scanner.catalog.engine import Database, database_now
from scanner.catalog.tables import letters
from scanner.log import shown

MOST_BODY_BYTES = 16 * 1024
MOST_LETTERS = 10_000
_MOST_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to be kept, and why it is."""

    message_id: str
    reason: str
    type: str | None
    body: bytes


class KeptLetter(NamedTuple):
    """A letter that was kept; `received_at` in seconds since the epoch, `body` cut to `MOST_BODY_BYTES`."""

    id: int
    message_id: str
    reason: str
    type: str | None
    received_at: float
    body: bytes


def keep(connection: Connection, given: Sequence[Letter]) -> int:
    """Keep letters in the transaction of `connection`; return how many are new."""
    return sum(_keep(connection, letter) for letter in given)


def _keep(connection: Connection, letter: Letter) -> bool:
    values = {
        "message_id": _bounded(letter.message_id),
        "reason": _bounded(letter.reason),
        "type": None if letter.type is None else _bounded(letter.type),
        "body": letter.body[:MOST_BODY_BYTES],
    }
    digest = hashlib.blake2b(msgspec.msgpack.encode(values), digest_size=16).digest()
    if connection.scalar(select(letters.c.id).where(letters.c.digest == digest)) is not None:
        return False  # looked for first: on PostgreSQL an insert that gives way uses up an id all the same
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    given = dialect.insert(letters).values(digest=digest, received_at=database_now(), **values)
    newest = connection.scalar(given.on_conflict_do_nothing().returning(letters.c.id))
    if newest is None:
        return False  # another collector was quicker
    connection.execute(delete(letters).where(letters.c.id <= newest - MOST_LETTERS))
    return True


def _bounded(text: str) -> str:
    return shown(text[:_MOST_CHARACTERS])[:_MOST_CHARACTERS]


def kept(database: Database, limit: int = 100) -> list[KeptLetter]:
    """Return the newest letters, the last to come first."""
    query = select(*(letters.c[name] for name in KeptLetter._fields)).order_by(letters.c.id.desc()).limit(limit)
    with database.read() as connection:
        return [KeptLetter(*row) for row in connection.execute(query)]


def count(database: Database) -> int:
    """Return how many letters are kept."""
    with database.read() as connection:
        return connection.scalar(select(func.count()).select_from(letters)) or 0
