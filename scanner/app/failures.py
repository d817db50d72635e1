"""Failures as a person meets them: what failed and why, what is known of one file, and trying it again.

Retrying only writes tasks: whoever works off the outbox or the queue, this command is not it.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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
from scanner.owner import described

FIRST = 5
"""How many files of a group are listed."""
FILES_SHOWN = 10
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


def known_files(settings: Settings, wanted: Wanted) -> list[KnownFile]:
    """Return what is known of the file that is named; of a folder's first ones.

    Raises:
        UsageError: there is no such file.
    """
    with open_catalog(settings) as database:
        found = list(find(database, search.filter_of(database, wanted), limit=FILES_SHOWN))
        return [_known(database, row) for row in found]


def _known(database: Database, row: FoundFile) -> KnownFile:
    return KnownFile(row, probed(database, row.id, row.content), tuple(sidecars_of(database, row.id)))


def retry(settings: Settings, wanted: Wanted) -> Retried:
    """Write tasks for the failed files that match; a file that is named is tried at once even if it waits.

    Raises:
        UsageError: a word means nothing, or there is no such library or file.
    """
    with open_catalog(settings) as database:
        tasks = failures.retry(
            database,
            catalog_uuid(database),
            search.filter_of(database, wanted),
            retrying=wanted.file is not None,
            tasks_per_message=settings.batch_size,
        )
        relay = queries.role_holder(database, outbox.RELAY_ROLE)
        return Retried(tasks, outbox.task_count(database), None if relay is None else described(relay))


def letter_document(letter: KeptLetter) -> dict[str, object]:
    """Return a letter as an object beside those of files: it names none, and its error is the reason."""
    empty = dict.fromkeys(("id", "library", "path"))
    told = {"kind": "letter", "state": "unreadable", "size": len(letter.body), "mtime_ns": None}
    known = {"error": letter.reason, "message_id": letter.message_id, "type": letter.type}
    body = paths.printable(paths.from_bytes(letter.body))
    return {**empty, **told, **known, "received_at": letter.received_at, "body": body}
