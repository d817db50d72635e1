"""Results: what workers answered, written in ONE transaction together with what it settles in the outbox.

Which result counts is decided in `verdicts`; here the rows are read under lock, and written where they changed.
A crash leaves nothing of a batch, and the batch is delivered again; what is delivered twice changes nothing.

Invariant: a file that is `new` has no task outstanding, and its directory no digest and no trust, so the next
look at it compares, finds the file without a task, and makes one (`checkpoint` keeps the other half of this).
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, select

from scanner.catalog import letters
from scanner.catalog import media as rows
from scanner.catalog.bulk import insert_rows, select_in, update_rows, upsert_rows
from scanner.catalog.checkpoint import mark_dirty
from scanner.catalog.engine import Database, database_now
from scanner.catalog.letters import Letter
from scanner.catalog.tables import FileState, directories, files, media, outbox
from scanner.catalog.verdicts import Standing, Verdict
from scanner.message import ErrorKind, Result, ResultBatch

_HIGHEST_ID = 2**63 - 1
_PROCESSED: frozenset[Verdict] = frozenset({"ok", "failed", "retrying"})


class Delayed(NamedTuple):
    """A message that becomes a row of the outbox, to be sent after `delay_s` seconds (0 is at once)."""

    scan_id: int
    message_id: str
    routing_key: str
    body: bytes
    task_count: int
    attempt: int
    delay_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One delivery: a batch of results, and what the embedded broker wants committed with it.

    `settles` are rows of the outbox that are done with, `delayed` what takes their place. A delivery whose rows
    are gone was committed before: then nothing takes their place once more.

    Raises:
        ValueError: `delayed` would take no row's place, and come again with every repeat of the delivery.
    """

    batch: ResultBatch | None
    delayed: Sequence[Delayed] = ()
    settles: Sequence[int] = ()

    def __post_init__(self) -> None:
        if self.delayed and not self.settles:
            raise ValueError(f"{len(self.delayed)} delayed messages that settle no row of the outbox")


@dataclass(slots=True)
class Applied:
    """What came of some answers, in results; `kinds` counts the failures, those to be retried too.

    `unknown` are about a file or a catalog that is not here, `stale` about a content or revision that is past,
    `repeated` say what is known. `letters` are those that were not kept before.
    """

    ok: int = 0
    renamed: int = 0
    failed: int = 0
    retrying: int = 0
    gone: int = 0
    changed: int = 0
    cleared: int = 0
    repeated: int = 0
    stale: int = 0
    unknown: int = 0
    letters: int = 0
    kinds: dict[ErrorKind, int] = field(default_factory=dict)
    libraries: dict[str, int] = field(default_factory=dict)
    """How many files were processed (ok, failed or to be retried), by the library's readable name."""


def apply(
    database: Database, catalog: str, answers: Sequence[Answer], unreadable: Sequence[Letter] = ()
) -> Applied:
    """Write answers, as if each result had come alone and in this order; return what changed.

    What came with them and was `unreadable` is kept in the same transaction.

    Raises:
        DatabaseError: nothing was written.
    """
    with database.write() as connection:
        kept = letters.keep(connection, unreadable)
        _settle(connection, answers)
        ids = {result.file for answer in answers if answer.batch for result in answer.batch.results}
        standings = _read(connection, sorted(key for key in ids if 0 < key <= _HIGHEST_ID))
        taking = _Taking(catalog, standings)
        for answer in answers:
            if answer.batch is not None:
                taking.take(answer.batch)
        taking.write(connection)
        taking.applied.letters = kept
    return taking.applied


def _settle(connection: Connection, answers: Sequence[Answer]) -> None:
    """Take what is settled out of the outbox, and put in what takes its place, exactly once."""
    there = _delete_settled(connection, {key for answer in answers for key in answer.settles})
    coming: list[Delayed] = []
    for answer in answers:
        settled = set(answer.settles)
        if settled <= there:
            coming += answer.delayed
            there -= settled
    if not coming:
        return
    now = connection.execute(select(database_now())).scalar_one()
    columns = (
        "scan_id",
        "message_id",
        "routing_key",
        "body",
        "task_count",
        "attempt",
        "not_before",
        "created_at",
    )
    waiting = [(*message[:6], now + message.delay_s if message.delay_s else None, now) for message in coming]
    insert_rows(connection, outbox, columns, waiting)


def _delete_settled(connection: Connection, ids: set[int]) -> set[int]:
    if not ids:
        return set()
    return {row[0] for row in select_in(connection, "DELETE FROM outbox WHERE id IN {ids} RETURNING id", ids)}


_STANDING = """
SELECT id, directory_id, state, revision, content, attempts, error_kind, error
FROM files WHERE id IN {ids} ORDER BY id
"""
_CLEAR = "DELETE FROM media WHERE file_id IN {ids} RETURNING file_id"
_PROBED = "SELECT file_id, content, name FROM media WHERE file_id IN {ids}"


def _read(connection: Connection, ids: Sequence[int]) -> dict[int, Standing]:
    """Read the files concerned and lock them: in the order of their ids, so that collectors don't deadlock."""
    locking = "" if connection.dialect.name == "sqlite" else " FOR UPDATE"
    found = {row[0]: Standing(*row) for row in select_in(connection, _STANDING + locking, ids)}
    # A second statement: what another collector committed while we waited for its locks is seen by this one.
    with_result = [row.id for row in found.values() if row.state in {FileState.OK, FileState.MISSING}]
    for file_id, content, name in select_in(connection, _PROBED, with_result) if with_result else ():
        found[file_id].probed, found[file_id].name = content, name
    return found


class _Taking:
    """Takes results one by one in memory, and writes what they come to."""

    def __init__(self, catalog: str, standings: dict[int, Standing]) -> None:
        self.applied = Applied()
        self._catalog = catalog
        self._standings = standings
        self._now = time.time()
        self._before = {key: _state_of(row) for key, row in standings.items()}
        self._media: dict[int, tuple[object, ...]] = {}
        self._names: dict[int, tuple[object, ...]] = {}
        self._cleared: list[int] = []
        self._displaced: dict[int, str] = {}

    def take(self, batch: ResultBatch) -> None:
        """Take the results of one message."""
        for result in batch.results:
            standing = self._standings.get(result.file) if batch.catalog == self._catalog else None
            if standing is None:
                self.applied.unknown += 1
                continue
            name = rows.encoded_name(result)
            verdict = standing.take(batch.status, result, name)
            self._note(verdict, standing, result, name, batch)

    def _note(
        self, verdict: Verdict, standing: Standing, result: Result, name: str | None, batch: ResultBatch
    ) -> None:
        applied = self.applied
        if verdict in _PROCESSED:
            applied.libraries[batch.library] = applied.libraries.get(batch.library, 0) + 1
        setattr(applied, verdict, getattr(applied, verdict) + 1)
        match verdict:
            case "ok":
                self._media[standing.id] = rows.row_of(result, batch.worker, self._now, name)
            case "renamed":
                self._names[standing.id] = rows.name_row_of(result.name, name)
            case "cleared":
                self._cleared.append(standing.id)
            case "failed" | "retrying":
                kind = result.error.kind if result.error else "rejected"
                applied.kinds[kind] = applied.kinds.get(kind, 0) + 1
            case "gone" | "changed":
                self._displaced[standing.directory_id] = verdict

    def write(self, connection: Connection) -> None:
        """Write the rows that changed: files first, then their directories (see `checkpoint`)."""
        states = [(key, _state_of(row)) for key, row in sorted(self._standings.items())]
        changed = [(*state, key) for key, state in states if state != self._before[key]]
        update_rows(connection, files, ("state", "attempts", "error_kind", "error"), ("id",), changed)
        upsert_rows(connection, media, rows.COLUMNS, ("file_id",), list(self._media.values()))
        named = [(*values, file_id) for file_id, values in self._names.items()]
        update_rows(connection, media, rows.NAME_COLUMNS, ("file_id",), named)
        if self._cleared:
            select_in(connection, _CLEAR, self._cleared)
        if self._displaced:
            _ask_for_a_look(connection, self._displaced)


def _state_of(row: Standing) -> tuple[object, ...]:
    return row.state, row.attempts, row.error_kind, row.error


def _ask_for_a_look(connection: Connection, reasons: dict[int, str]) -> None:
    """Mark directories, each with a reason, so that no scan passes over them."""
    forgotten = [(None, None, key) for key in sorted(reasons)]
    update_rows(connection, directories, ("trusted", "digest"), ("id",), forgotten)
    by_library: dict[int, dict[str, str]] = defaultdict(dict)
    for key, library_id, path in _places(connection, reasons):
        by_library[library_id][path] = reasons[key]
    for library_id in sorted(by_library):
        mark_dirty(connection, library_id, by_library[library_id], time.time_ns())


def _places(connection: Connection, ids: Iterable[int]) -> Sequence[tuple[int, int, str]]:
    return select_in(connection, "SELECT id, library_id, path FROM directories WHERE id IN {ids}", ids)
