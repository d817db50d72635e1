"""Failures: counted, listed, and given back under whoever else writes."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from scanner import message
from scanner.catalog import failures, letters, outbox
from scanner.catalog.engine import Database
from scanner.catalog.letters import Letter
from scanner.catalog.search import Filter
from scanner.catalog.tables import FileState, files
from scanner.errors import DatabaseError
from scanner.media import Kind
from scanner.message import FINAL_ATTEMPT, Task
from tests.unit.catalog.stock import Stock, failed, ok


@pytest.fixture
def stock(database: Database) -> Stock:
    """Two corrupt videos, a corrupt song, a video that is retried and one that is ok."""
    stock = Stock(database)
    corrupt = [stock.add("a/1.mkv"), stock.add("a/2.mkv"), stock.add("b/3.mp3")]
    slow, good = stock.add("b/4.mkv"), stock.add("b/5.mkv")
    stock.apply(
        stock.batch("failed", *map(failed, corrupt), failed(slow, "timeout", attempt=1)),
        stock.batch("ok", ok(good)),
    )
    return stock


def sent(stock: Stock) -> list[Task]:
    return [task for body in outbox.bodies(stock.database) for task in message.decode_tasks(body).tasks]


def test_failures_are_counted_by_library_and_kind(stock: Stock) -> None:
    other = Stock(stock.database, "series")
    other.apply(other.batch("failed", failed(other.add("x.mkv"), "io", attempt=FINAL_ATTEMPT)))
    assert failures.grouped(stock.database) == [
        ("films", "corrupt", 3, 0),
        ("films", "timeout", 1, 1),
        ("series", "io", 1, 0),
    ]
    assert failures.grouped(stock.database, Filter(library="series")) == [("series", "io", 1, 0)]
    assert failures.grouped(stock.database, Filter(kind=Kind.AUDIO)) == [("films", "corrupt", 1, 0)]


def test_failures_are_listed_with_their_error(stock: Stock) -> None:
    listed = list(failures.listed(stock.database))
    assert [row.path for row in listed] == ["a/1.mkv", "a/2.mkv", "b/3.mp3", "b/4.mkv"]
    assert {row.error for row in listed} == {"no"}
    (retried,) = failures.listed(stock.database, Filter(state=FileState.RETRYING))
    assert (retried.state, retried.attempts, retried.error_kind) == ("retrying", 1, "timeout")
    after = list(failures.listed(stock.database, Filter(error_kind="corrupt"), after=listed[0].id, limit=1))
    assert after == [listed[1]]


@pytest.mark.parametrize(
    ("wanted", "retrying", "expected"),
    [
        ({}, False, {"a/1.mkv", "a/2.mkv", "b/3.mp3"}),
        ({}, True, {"a/1.mkv", "a/2.mkv", "b/3.mp3", "b/4.mkv"}),
        ({"path": "a"}, False, {"a/1.mkv", "a/2.mkv"}),
        ({"kind": Kind.AUDIO}, False, {"b/3.mp3"}),
        ({"error_kind": "timeout"}, True, {"b/4.mkv"}),
        ({"error_kind": "timeout"}, False, set()),
        ({"library": "none"}, False, set()),
    ],
)
def test_a_retry_writes_tasks_for_new_content(
    stock: Stock, wanted: dict[str, Any], retrying: bool, expected: set[str]
) -> None:
    count = failures.retry(stock.database, stock.catalog, Filter(**wanted), retrying=retrying)
    tasks = sent(stock)
    assert count == len(tasks)
    assert {task.path for task in tasks} == expected
    assert {(task.change, task.revision, task.content) for task in tasks} <= {("modified", 2, 2)}
    for task in tasks:
        assert stock.row(task.file) == (FileState.QUEUED, 2, 2, 0, None, None)
    assert failures.retry(stock.database, stock.catalog, Filter(**wanted), retrying=retrying) == 0


def test_messages_of_a_retry_name_a_row_of_the_history(stock: Stock) -> None:
    failures.retry(stock.database, stock.catalog, tasks_per_message=2)
    batches = [message.decode_tasks(body) for body in outbox.bodies(stock.database)]
    assert [len(batch.tasks) for batch in batches] == [2, 1]
    ((scan_id, kind, state),) = stock.rows("SELECT id, kind, state FROM scans")
    assert (kind, state) == ("retry", "completed")
    assert {batch.scan for batch in batches} == {str(scan_id)}
    assert {batch.root for batch in batches} == {"/srv/films"}


def test_what_is_on_its_way_for_the_old_content_counts_for_nothing(stock: Stock) -> None:
    failures.retry(stock.database, stock.catalog, retrying=True)
    (slow,) = [task.file for task in sent(stock) if task.path == "b/4.mkv"]
    late = stock.apply(
        stock.batch("failed", failed(slow, "timeout", attempt=FINAL_ATTEMPT)), stock.batch("ok", ok(slow))
    )
    assert late.stale == 2
    assert stock.apply(stock.batch("ok", ok(slow, revision=2, content=2))).ok == 1


def test_a_result_that_comes_between_reading_and_writing_is_not_undone(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = [row.id for row in failures.listed(stock.database, Filter(path="a/1.mkv"))]
    original = failures._requeue

    def meanwhile(connection: Any, ids: list[int], states: set[int]) -> Any:
        """Let the collector be first: on SQLite it had to commit before this transaction began."""
        connection.execute(update(files).where(files.c.id == first).values(state=2, revision=5))
        return original(connection, ids, states)

    monkeypatch.setattr(failures, "_requeue", meanwhile)
    assert failures.retry(stock.database, stock.catalog) == 2
    assert stock.row(first)[:3] == (FileState.OK, 5, 1)


def test_two_retries_at_once_make_one_task_a_file(stock: Stock) -> None:
    barrier = threading.Barrier(4)
    counts: list[int] = []

    def retry() -> None:
        barrier.wait()
        counts.append(failures.retry(stock.database, stock.catalog))

    threads = [threading.Thread(target=retry) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 3
    tasks = sent(stock)
    assert len({(task.file, task.revision) for task in tasks}) == len(tasks) == 3


def test_letters_are_kept_once_bounded_and_the_newest_first(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "MOST_LETTERS", 3)
    huge = Letter("m" * 10_000, "r\x1b[31m" * 1000, "t\0", b"x" * 1_000_000)
    plain = Letter("", "", None, b"")
    with stock.database.write() as connection:
        assert letters.keep(connection, [huge, plain, huge, plain]) == 2
    newest, oldest = letters.kept(stock.database)
    assert (newest.message_id, newest.type, newest.body) == ("", None, b"")
    assert (len(oldest.message_id), len(oldest.body)) == (500, letters.MOST_BODY_BYTES)
    assert "\x1b" not in oldest.reason
    with stock.database.write() as connection:
        letters.keep(connection, [Letter(str(number), "r", None, b"") for number in range(5)])
    assert [letter.message_id for letter in letters.kept(stock.database)] == ["4", "3", "2"]
    assert letters.count(stock.database) == 3


def test_a_letter_is_told_from_others_by_its_digest_and_never_kept_twice(stock: Stock) -> None:
    letter = Letter("m", "r", None, b"x")
    with stock.database.write() as connection:
        assert letters.keep(connection, [letter, replace(letter, type=""), replace(letter, body=b"y")]) == 3
    with stock.database.write() as connection:
        assert letters.keep(connection, [letter]) == 0
    with pytest.raises(DatabaseError), stock.database.write() as connection:
        copied = "INSERT INTO letters (message_id, reason, received_at, digest, body)"
        connection.exec_driver_sql(f"{copied} SELECT message_id, reason, 0, digest, body FROM letters")
