"""One library under scan: the scans run in this process, the tasks are read from the outbox as consumers do.

`Library.settled()` is what every scan test may end with: catalog, folded tasks and disk say the same.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from scanner import message, paths
from scanner.catalog import leases, libraries, outbox
from scanner.catalog.engine import Database
from scanner.catalog.leases import Grant
from scanner.catalog.scans import Counters, Kind
from scanner.catalog.schema import catalog_uuid
from scanner.catalog.tables import LIVING
from scanner.files.filters import Filters
from scanner.files.walk import WalkerSettings
from scanner.media import is_partial, kind_of
from scanner.message import Task, TaskBatch
from scanner.owner import Owner
from scanner.services.scan import LibraryScan, ScanOptions, ScanOutcome

PAST_NS = 1_600_000_000 * 10**9
_WALKER = ("threads", "io_timeout_s", "settle_s", "part_size")

Place = tuple[int, int]
"""size and mtime_ns of a file."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What one scan did, and the tasks that it wrote."""

    outcome: ScanOutcome
    counters: Counters
    scan_id: int
    resumed: bool
    listed: int
    batches: list[TaskBatch]

    @property
    def tasks(self) -> list[Task]:
        """The tasks of all messages, in their order."""
        return [task for batch in self.batches for task in batch.tasks]

    @property
    def changes(self) -> set[tuple[str, ...]]:
        """The tasks as (change, path) or, for moves, ("moved", from, path); each must come once."""
        found = [described(task) for task in self.tasks]
        assert len(found) == len(set(found)), f"a task came twice: {found}"
        return set(found)

    @property
    def paths(self) -> list[str]:
        """The path text of every task."""
        return [path_of(task) for task in self.tasks]


def path_of(task: Task) -> str:
    """Return the path text that a task names."""
    return message.path_text(task.path, task.path_bytes)


def described(task: Task) -> tuple[str, ...]:
    """Return change, (old path and) path of a task."""
    if task.moved_from is None:
        return task.change, path_of(task)
    return task.change, message.path_text(task.moved_from, task.from_bytes), path_of(task)


@dataclass
class Library:
    """A library on `root`; `consumer` is the highest revision of each file that its tasks told."""

    root: Path
    database: Database
    name: str = "films"
    consumer: dict[int, Task] = field(default_factory=dict)
    outbox_seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.catalog = catalog_uuid(self.database)
        known = libraries.library_containing(self.database, self.root_text)
        self.id = (known or libraries.add_library(self.database, self.root_text, self.name)).id

    @property
    def root_text(self) -> str:
        return paths.from_os(str(self.root))

    @property
    def row(self) -> libraries.Library:
        """The library as the catalog has it now."""
        return next(row for row in libraries.all_libraries(self.database) if row.id == self.id)

    # Files

    def write(self, path: str, content: bytes = b"", mtime_ns: int = PAST_NS) -> Path:
        """Make or overwrite a file of the past, and its directories."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        os.utime(target, ns=(mtime_ns, mtime_ns))
        return target

    def fill(self, *names: str) -> None:
        """Make files whose content is their own name, so that no two look alike."""
        for number, name in enumerate(names):
            self.write(name, name.encode(), PAST_NS + number * 10**9)

    def rename(self, source: str, target: str) -> None:
        os.rename(self.root / source, self.root / target)

    def age_directories(self) -> None:
        """Give every directory an old mtime, so that its listing can be trusted."""
        for folder, _, _ in os.walk(os.fsencode(self.root)):
            os.utime(folder, ns=(PAST_NS, PAST_NS))

    def disk(self) -> dict[str, Place]:
        """Return what a scan with default options must find: path text to size and mtime."""
        found: dict[str, Place] = {}
        root = os.fsencode(self.root)
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if not name.startswith(b".")]
            for name in names:
                text_name = paths.from_bytes(name)
                if text_name.startswith(".") or not kind_of(text_name) or is_partial(text_name):
                    continue
                status = os.lstat(os.path.join(folder, name))
                relative = os.path.relpath(os.path.join(folder, name), root)
                found[paths.from_bytes(relative)] = (status.st_size, status.st_mtime_ns)
        return found

    # Scans

    def options(self, kind: Kind = "full", **options: Any) -> ScanOptions:
        """Return scan options, those of the walker among them; nothing has to settle unless asked for."""
        walker = {name: options.pop(name) for name in _WALKER if name in options}
        settings = WalkerSettings(**{"settle_s": 0, "threads": 4, **walker})
        filters = {name: options.pop(name) for name in Filters._fields if name in options}
        return ScanOptions(kind=kind, walker=settings, filters=Filters(**filters), **options)

    @contextmanager
    def held(self) -> Iterator[Grant]:
        """Hold the library's lease."""
        grant = leases.acquire_library(self.database, self.id, Owner.current(), 60)
        assert isinstance(grant, Grant), f"held by {grant.described}"
        try:
            yield grant
        finally:
            leases.release(self.database, grant)

    def prepare(self, grant: Grant, options: ScanOptions, stop: threading.Event | None = None) -> LibraryScan:
        """Return a scan that has not begun."""
        stop = stop or threading.Event()
        return LibraryScan(self.database, grant, self.row, options, stop=stop, catalog=self.catalog)

    def scan(self, kind: Kind = "full", *, stop: threading.Event | None = None, **options: Any) -> Scanned:
        """Scan and return what came of it."""
        with self.held() as grant:
            scan = self.prepare(grant, self.options(kind, **options), stop)
            outcome = scan.run()
            return self.result(scan, outcome)

    def result(self, scan: LibraryScan, outcome: ScanOutcome) -> Scanned:
        """Return what a scan that has ended did."""
        record = scan.progress.record
        assert record is not None
        return Scanned(
            outcome, record.counters, record.id, record.resumed, scan.progress.listed, self.consume()
        )

    def consume(self) -> list[TaskBatch]:
        """Take what is in the outbox out of it, and fold it by the highest revision."""
        batches = [message.decode_tasks(body) for body in outbox.bodies(self.database)]
        with self.database.write() as connection:
            connection.execute(text("DELETE FROM outbox"))
        for batch in batches:
            for task in batch.tasks:
                known = self.consumer.get(task.file)
                assert known is None or known.revision != task.revision, f"revision given twice: {task}"
                if known is None or known.revision < task.revision:
                    self.consumer[task.file] = task
        return batches

    # What is known

    def catalog_files(self) -> dict[str, Place]:
        """Return the living files that the catalog has."""
        rows = self.rows(
            "SELECT d.path, f.name, f.size, f.mtime_ns FROM files f JOIN directories d ON d.id = f.directory_id"
            f" WHERE {LIVING.text.replace('state', 'f.state')} AND d.library_id = {self.id}"
        )
        found = {paths.join(path, name): (size, mtime_ns) for path, name, size, mtime_ns in rows}
        assert len(found) == len(rows), "a path has two living rows"
        return found

    def told(self) -> dict[str, Place]:
        """Return the files that a consumer of the tasks believes in."""
        living = [task for task in self.consumer.values() if task.change != "deleted"]
        found = {path_of(task): (task.size, int(task.mtime_ns)) for task in living}
        assert len(found) == len(living), "two files are told at one path"
        return found

    def id_of(self, path: str) -> int:
        """Return the id of a living file."""
        directory, _, name = path.rpartition("/")
        (row,) = self.rows(
            "SELECT f.id FROM files f JOIN directories d ON d.id = f.directory_id"
            " WHERE d.path = :directory AND f.name = :name AND f.state <> 5",
            directory=directory,
            name=name,
        )
        return int(row[0])

    def ids(self) -> dict[str, int]:
        """Return the ids of all living files by path."""
        return {path: self.id_of(path) for path in self.catalog_files()}

    def rows(self, query: str, **values: object) -> list[Any]:
        """Return the rows of a query."""
        with self.database.read() as connection:
            return list(connection.execute(text(query), values))

    def problems(self) -> list[tuple[str, str]]:
        """Return path and kind of the last scan's problems."""
        query = "SELECT path, kind FROM problems WHERE scan_id = (SELECT max(id) FROM scans) ORDER BY id"
        return [tuple(row) for row in self.rows(query)]

    def dirty(self) -> set[str]:
        """Return the directories that are marked to be looked at again."""
        return {row[0] for row in self.rows("SELECT path FROM dirty")}

    def settled(self) -> None:
        """Check that disk, catalog and consumer agree, and that the catalog's own count is right."""
        disk = self.disk()
        assert self.catalog_files() == disk
        assert self.told() == disk
        assert self.row.file_count == len(disk)
        assert not self.rows("SELECT id FROM directories WHERE pending_scan IS NOT NULL")


class Writes:
    """Counts, in the database itself, the rows of `files` that are written."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.write() as connection:
            connection.execute(text("CREATE TABLE writes (file BIGINT)"))
            for statement in _TRIGGERS[database.dialect]:
                connection.exec_driver_sql(statement)

    def take(self) -> int:
        """Return how many rows were written since the last call."""
        with self._database.write() as connection:
            count = connection.scalar(text("SELECT count(*) FROM writes"))
            connection.execute(text("DELETE FROM writes"))
        return int(count or 0)


_NOTE = """
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN INSERT INTO writes VALUES (1); RETURN NULL; END'
"""
_TRIGGERS = {
    "sqlite": [
        f"CREATE TRIGGER note_{event} AFTER {event} ON files BEGIN INSERT INTO writes VALUES (1); END"
        for event in ("INSERT", "UPDATE", "DELETE")
    ],
    "postgresql": [
        _NOTE,
        "CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON files FOR EACH ROW EXECUTE FUNCTION note()",
    ],
}


class Stops:
    """Sets a stop event, or raises like a kill, after the Nth transaction that the scan commits."""

    def __init__(self, database: Database, after: int, stop: threading.Event | None) -> None:
        self._database = database
        self._left = after
        self._stop = stop
        self.hit = False
        self.commits = 0

    @contextmanager
    def counting(self) -> Iterator["Stops"]:
        """Count write transactions while the body runs."""
        original = self._database.write

        @contextmanager
        def write() -> Iterator[Any]:
            with original() as connection:
                yield connection
            self.commits += 1
            self._left -= 1
            if self._left == 0:
                self.hit = True
                if self._stop is None:
                    raise Killed
                self._stop.set()

        self._database.write = write  # type: ignore[method-assign]
        try:
            yield self
        finally:
            del self._database.write


class Killed(BaseException):
    """Raised in a scan in the place of a kill: nothing after it is written."""
