"""A stage for whole runs: the scanner as a subprocess, its database read by another hand, its queue drained.

Nothing here imports the scanner: what a run did is read with plain SQL, from the broker and from /proc.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.support import amqp, consumer, processes
from tests.support.consumer import ReceivedMessage
from tests.support.processes import ScannerRun
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_until

FULL = bool(os.environ.get("SCANNER_TEST_FULL"))
"""Whether the full forms are asked for; CI runs short ones."""

DEFECTS = ("Traceback (most recent call last)", "Fatal Python error", "was never awaited", "ResourceWarning")
Argument = str | os.PathLike[str]


def size(short: int, full: int) -> int:
    """Return a size by the form that is asked for."""
    return full if FULL else short


class Catalog:
    """A scanner's database in plain SQL; a table that does not exist yet is an empty one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.file = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        if self.file is None:
            return self._postgresql_rows(query)
        try:
            with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=20)) as connection:
                return connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error) or "unable to open" in str(error):
                return []
            raise

    def _postgresql_rows(self, query: str) -> list[tuple[Any, ...]]:
        try:
            with psycopg.connect(self.url, autocommit=True, connect_timeout=10) as connection:
                return connection.execute(query.encode()).fetchall()
        except psycopg.errors.UndefinedTable:
            return []

    def one(self, query: str) -> Any:
        """Return the only value of a query, None when there is no row."""
        found = self.rows(query)
        return found[0][0] if found else None

    def execute(self, *statements: str) -> None:
        """Change something behind the scanner's back."""
        if self.file is None:
            with psycopg.connect(self.url, connect_timeout=10) as other:
                for statement in statements:
                    other.execute(statement.encode())
            return
        with closing(sqlite3.connect(self.file, timeout=20)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    @property
    def counters(self) -> dict[str, int]:
        """The committed counters of the last scan."""
        return self._progress()[0]

    @property
    def outbox(self) -> int:
        """How many messages wait."""
        return self._progress()[1]

    @property
    def confirmed(self) -> int:
        """How many messages of the last scan were confirmed and deleted; the outbox was empty before it."""
        counters, waiting = self._progress()
        return counters.get("messages", 0) - waiting

    def _progress(self) -> tuple[dict[str, int], int]:
        """Return the last scan's counters and the depth of the outbox, at one and the same moment."""
        found = self.rows(
            "SELECT (SELECT counters FROM scans WHERE kind <> 'resend' ORDER BY id DESC LIMIT 1),"
            " (SELECT count(*) FROM outbox)"
        )
        text, waiting = found[0] if found else (None, 0)
        return (json.loads(text) if text else {}), waiting

    @property
    def committed_directories(self) -> int:
        """How many directories the last scan has committed."""
        return self.counters.get("directories", 0)

    def files(self) -> dict[str, int]:
        """Return how many living and how many deleted files there are."""
        rows = self.rows(
            "SELECT CASE WHEN state = 5 THEN 'deleted' ELSE 'living' END, count(*) FROM files GROUP BY 1"
        )
        return {"living": 0, "deleted": 0, **dict(rows)}

    def count_changed_files(self) -> None:
        """Begin to count, in the database itself, every row of `files` that is written."""
        if self.file is None:
            self.execute(*_POSTGRESQL_COUNTING)
            return
        self.execute(
            "CREATE TABLE test_changes (n)",
            *(
                f"CREATE TRIGGER test_{event} AFTER {event} ON files"
                " BEGIN INSERT INTO test_changes VALUES (1); END"
                for event in ("insert", "update", "delete")
            ),
        )

    @property
    def changed_files(self) -> int:
        """How many rows of `files` were written since the counting began."""
        return int(self.one("SELECT count(*) FROM test_changes"))

    def count_results(self) -> None:
        """Begin to note, in the database itself, every result that is committed."""
        if self.file is None:
            self.execute(*_POSTGRESQL_NOTING)
            return
        note = "BEGIN INSERT INTO test_results VALUES ('{}', NEW.{}, NEW.content); END"
        self.execute(
            "CREATE TABLE test_results (what, file, content)",
            *(
                f"CREATE TRIGGER test_media_{event} AFTER {event} ON media {note.format('media', 'file_id')}"
                for event in ("insert", "update")
            ),
            "CREATE TRIGGER test_ok AFTER UPDATE ON files WHEN NEW.state = 2 AND OLD.state <> 2 "
            + note.format("ok", "id"),
        )

    @property
    def last_scan_state(self) -> str | None:
        """The state of the last scan: `completed` once its conclusion is over."""
        state: str | None = self.one("SELECT state FROM scans WHERE kind <> 'resend' ORDER BY id DESC LIMIT 1")
        return state

    @property
    def committed_results(self) -> int:
        """How many results were committed since the counting began, repeats included."""
        return int(self.one("SELECT count(*) FROM test_results WHERE what = 'media'") or 0)

    def assert_one_result_each(self, expected: int) -> None:
        """Check that `expected` files are ok, and that each (file, content) was committed exactly once."""
        assert self.states() == {"ok": expected}
        for what in ("media", "ok"):
            repeated = self.rows(
                "SELECT file, content, count(*) FROM test_results"
                f" WHERE what = '{what}' GROUP BY file, content HAVING count(*) > 1"
            )
            assert not repeated, f"{len(repeated)} committed more than once as {what}: {repeated[:5]}"
            assert self.one(f"SELECT count(*) FROM test_results WHERE what = '{what}'") == expected

    def states(self) -> dict[str, int]:
        """Return how many files are in each state, by its word."""
        words = ("new", "queued", "ok", "failed", "retrying", "missing")
        return {words[state]: n for state, n in self.rows("SELECT state, count(*) FROM files GROUP BY state")}


_POSTGRESQL_COUNTING = (
    "CREATE TABLE test_changes (n int)",
    """CREATE FUNCTION test_count() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO test_changes VALUES (1); RETURN NULL; END $$""",
    """CREATE TRIGGER test_changed AFTER INSERT OR UPDATE OR DELETE ON files
    FOR EACH ROW EXECUTE FUNCTION test_count()""",
)

_POSTGRESQL_NOTING = (
    "CREATE TABLE test_results (what text, file bigint, content int)",
    """CREATE FUNCTION test_note_media() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO test_results VALUES ('media', NEW.file_id, NEW.content); RETURN NULL; END $$""",
    """CREATE FUNCTION test_note_ok() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO test_results VALUES ('ok', NEW.id, NEW.content); RETURN NULL; END $$""",
    """CREATE TRIGGER test_media AFTER INSERT OR UPDATE ON media
    FOR EACH ROW EXECUTE FUNCTION test_note_media()""",
    """CREATE TRIGGER test_ok AFTER UPDATE ON files FOR EACH ROW
    WHEN (NEW.state = 2 AND OLD.state <> 2) EXECUTE FUNCTION test_note_ok()""",
)


@dataclass
class Stage:
    """Where runs of one test take place: a folder, a database, a prefix on a broker.

    `settings` are the scanner's variables for every run (`heartbeat_s="2"`).
    """

    folder: Path
    node: RabbitNode
    prefix: str
    database_url: str
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.catalog = Catalog(self.database_url)
        self.mark = processes.scanner_environment(self.folder)[processes.MARK]

    @property
    def library(self) -> Path:
        """The folder that is scanned."""
        return self.folder / "library"

    @property
    def tasks(self) -> str:
        """The name of the tasks queue."""
        return self.queue("tasks")

    def queue(self, name: str) -> str:
        """Return the name of a queue: `dead`, `retry.10s`, `results.<catalog>`."""
        return f"{self.prefix}.{name}"

    def waiting(self, name: str) -> int:
        """Return how many messages are ready in a queue; none in one that nobody has declared yet."""
        try:
            return self.node.queue_depth(self.queue(name))
        except amqp.QueueMissing:
            return 0

    def start_worker(self, *arguments: Argument, **settings: str) -> ScannerRun:
        """Start a worker of its own mark that probes one file at a time, and wait until it takes tasks."""
        alone = {processes.MARK: secrets.token_hex(8), "concurrency": "1", **settings}
        worker = self.start("worker", *arguments, **alone)
        try:
            wait_until(lambda: says(worker, "work.connected"), 30, what="the worker is connected")
        except BaseException:
            worker.kill_everything()
            raise
        return worker

    def start(self, *arguments: Argument, **settings: str) -> ScannerRun:
        """Start `scanner <arguments>`, against our broker unless `broker_url` says otherwise."""
        return self.start_in((), *arguments, **settings)

    def start_in(self, wrapper: Sequence[str], *arguments: Argument, **settings: str) -> ScannerRun:
        """Start `scanner <arguments>` through a command that becomes it."""
        given: dict[str, str] = {
            "database_url": self.database_url,
            "prefix": self.prefix,
            processes.MARK: self.mark,
            "broker_url": self.broker_url,
            **self.settings,
            **settings,
        }
        environment = processes.scanner_environment(self.folder, **given)
        return ScannerRun(arguments, environment=environment, folder=self.folder, wrapper=wrapper)

    def run(self, *arguments: Argument, exit_code: int = 0, **settings: str) -> dict[str, Any]:
        """Run a command with `--json` to its end, see that it left in good order, and return its document."""
        with self.start(*arguments, "--json", **settings) as run:
            return self.ended(run, exit_code=exit_code)

    def scan(self, *arguments: Argument, exit_code: int = 0, **settings: str) -> dict[str, Any]:
        """Run `scanner run` on the library."""
        return self.run("run", self.library, *arguments, exit_code=exit_code, **settings)

    def start_scan(self, *arguments: Argument, **settings: str) -> ScannerRun:
        """Start `scanner run --json` on the library."""
        return self.start("run", self.library, *arguments, "--json", **settings)

    def ended(self, run: ScannerRun, *, exit_code: int = 0, timeout_s: float = 280.0) -> dict[str, Any]:
        """Wait for the end of a run with `--json`; return its document once nothing of it is left."""
        document = run.result(timeout_s, exit_code=exit_code)
        run.assert_no_process_left()
        assert_no_defect(run)
        return document

    @property
    def broker_url(self) -> str:
        """The broker of every run: the node's default virtual host, unless the settings name another."""
        return self.settings.get("broker_url") or self.node.url()

    def drain(self) -> list[ReceivedMessage]:
        """Take every message out of the tasks queue."""
        return consumer.drain(self.broker_url, self.tasks)

    def handed_over(self) -> dict[bytes, int]:
        """Take every message out of the queue; return path to size, each path once."""
        return consumer.sizes(self.drain())

    def wait_confirmed(self, run: ScannerRun, total: int, low: float = 0.2, high: float = 0.8) -> int:
        """Wait until the share of confirmed messages lies within the bounds; return their number."""

        def enough() -> int:
            assert run.is_running(), f"it ended too early: {run.stderr[-2000:]}"
            confirmed = self.catalog.confirmed
            return confirmed if confirmed >= low * total else 0

        reached = wait_until(enough, 60, what=f"{low:.0%} of {total} messages confirmed", interval_s=0.003)
        assert reached <= high * total, f"too late to strike: {reached} of {total} confirmed"
        return reached


def says(run: ScannerRun, words: str) -> bool:
    """Tell whether a run has said something on stderr; it must not have ended without."""
    said = run.stderr
    assert words in said or run.is_running(), f"it ended without {words!r}: {said[-3000:]}"
    return words in said


def assert_no_defect(run: ScannerRun) -> None:
    """Check that a run's stderr holds no traceback and no last words of an interpreter."""
    said = run.stderr
    found = [sign for sign in DEFECTS if sign in said]
    assert not found, f"{found} in stderr:\n{said[-4000:]}"


def assert_all_handed_over(messages: Sequence[ReceivedMessage], expected: dict[bytes, int]) -> int:
    """Check that messages, repeats under one id left out, are exactly `expected`; return how many repeats.

    Each file comes as one `added` task in one message; nothing is deleted.
    """
    once = consumer.without_repeats(messages)
    assert_same(consumer.sizes(once), expected)
    assert {task.change for task in consumer.tasks_of(once)} <= {"added"}
    return len(messages) - len(once)


def assert_same(found: dict[bytes, int], expected: dict[bytes, int]) -> None:
    """Compare two listings, and tell the first differences rather than all of a large library."""
    missing = sorted(expected.keys() - found.keys())
    foreign = sorted(found.keys() - expected.keys())
    sizes = [path for path in expected.keys() & found.keys() if expected[path] != found[path]]
    assert not (missing or foreign or sizes), (
        f"{len(missing)} missing {missing[:3]}, {len(foreign)} foreign {foreign[:3]}, "
        f"{len(sizes)} of another size {sizes[:3]}"
    )
