"""Failures as a person meets them: what failed and why, what is known of one file, and trying it again.

Retrying only writes tasks: whoever works off the outbox or the queue, this command is not it.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from scanner import paths
from scanner.app import search
from scanner.app.database import open_catalog
from scanner.app.search import Wanted
from scanner.catalog import failures, letters, outbox, queries
from scanner.catalog.engine import Database
from scanner.catalog.letters import KeptLetter
from scanner.catalog.media import Probed, probed
from scanner.catalog.schema import catalog_uuid
from scanner.catalog.search import Filter, FoundFile
from scanner.catalog.search import files as find
from scanner.catalog.search import sidecars as sidecars_of
from scanner.config import Settings
from scanner.errors import UsageError
from scanner.owner import described

FIRST = 5
"""How many files of a group are listed."""
LETTERS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Group:
    """Files of a library that failed in one way: how many, how many are tried again, and the first of them."""

    library: str
    error_kind: str | None
    files: int
    retrying: int
    first: tuple[FoundFile, ...]


@dataclass(frozen=True, slots=True)
class FailureReport:
    """What failed, the most frequent first, and the newest messages that nobody could read."""

    groups: tuple[Group, ...]
    letters: tuple[KeptLetter, ...] = ()
    letters_in_all: int = 0


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file and all that the catalog knows of it; `result` is that for its present content."""

    file: FoundFile
    result: Probed | None = None
    sidecars: tuple[FoundFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Retried:
    """How many tasks were written, how many the outbox holds now, and who sends them (None: nobody yet)."""

    tasks: int
    outbox_tasks: int
    relay: str | None = None


def grouped_failures(settings: Settings, wanted: Wanted) -> FailureReport:
    """Return the failures that match, by library and kind of error; letters only if all is asked for.

    Raises:
        UsageError: a word means nothing, or there is no such library.
    """
    with open_catalog(settings) as database:
        asked = search.filter_of(database, wanted)
        groups = tuple(_group(database, asked, group) for group in failures.grouped(database, asked))
        if wanted != Wanted():
            return FailureReport(groups)
        return FailureReport(groups, tuple(letters.kept(database, LETTERS_SHOWN)), letters.count(database))


def _group(database: Database, asked: Filter, group: failures.FailureGroup) -> Group:
    alike = dataclasses.replace(asked, library=group.library, error_kind=group.error_kind)
    return Group(*group, tuple(failures.listed(database, alike, limit=FIRST)))


@contextmanager
def listed_failures(settings: Settings, wanted: Wanted) -> Iterator[Iterator[FoundFile | KeptLetter]]:
    """Give the failures that match as they come out of the database, then the letters if all is asked for.

    Raises:
        UsageError: a word means nothing, or there is no such library.
    """
    with open_catalog(settings) as database:
        yield _everything(database, wanted)


def _everything(database: Database, wanted: Wanted) -> Iterator[FoundFile | KeptLetter]:
    yield from failures.listed(database, search.filter_of(database, wanted))
    if wanted == Wanted():
        yield from letters.kept(database, letters.MOST_LETTERS)


def known_file(settings: Settings, file: str) -> KnownFile:
    """Return what is known of a file, whatever its state.

    Raises:
        UsageError: there is no such file, or more than one.
    """
    with open_catalog(settings) as database:
        found = list(find(database, search.filter_of(database, Wanted(file=file)), limit=2))
        if len(found) > 1:
            name = paths.printable(paths.from_os(file))
            raise UsageError(f"{name!r} names more than one file: give an id (scanner files lists them)")
        return _known(database, found[0])


def _known(database: Database, row: FoundFile) -> KnownFile:
    return KnownFile(row, probed(database, row.id, row.content), tuple(sidecars_of(database, row.id)))


def retry(settings: Settings, chosen: Sequence[Wanted]) -> Retried:
    """Write tasks for the failed files that match; a file that is named is tried at once even if it waits.

    Raises:
        UsageError: a word means nothing, or there is no such library or file; nothing is written then.
    """
    with open_catalog(settings) as database:
        catalog = catalog_uuid(database)
        asked = [(search.filter_of(database, wanted), wanted.file is not None) for wanted in chosen]
        tasks = sum(
            failures.retry(database, catalog, one, retrying=named, tasks_per_message=settings.batch_size)
            for one, named in asked
        )
        relay = queries.role_holder(database, outbox.RELAY_ROLE)
        return Retried(tasks, outbox.task_count(database), None if relay is None else described(relay))


def document(found: FoundFile | KeptLetter) -> dict[str, object]:
    """Return a failure as an object; a letter's names no file, and its error is the reason."""
    if isinstance(found, FoundFile):
        return search.document(found)
    empty: dict[str, object] = dict.fromkeys(("id", "library", "path"))
    told = {"kind": "letter", "state": "unreadable", "size": len(found.body), "mtime_ns": None}
    known = {"error": found.reason, "message_id": found.message_id, "type": found.type}
    body = paths.readable(paths.from_bytes(found.body))
    return {**empty, **told, **known, "received_at": found.received_at, "body": body}


def known_document(known: KnownFile) -> dict[str, object]:
    """Return all that is known of a file as an object: that of a search, and the result and the sidecars."""
    found = known.result
    result = None if found is None else msgspec.to_builtins(found._asdict())
    beside = [search.document(row) for row in known.sidecars]
    return {**search.document(known.file), "result": result, "sidecars": beside}
