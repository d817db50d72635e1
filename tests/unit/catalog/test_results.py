"""Which results count, on both databases: any order, any repetition, any batching ends in the same rows."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from scanner.catalog import media, results
from scanner.catalog.engine import Database
from scanner.catalog.letters import Letter
from scanner.catalog.results import Answer, Applied, Delayed
from scanner.catalog.tables import FileState
from scanner.catalog.verdicts import Standing
from scanner.message import FINAL_ATTEMPT, Media, Name, Result, Status, Stream
from tests.unit.catalog.stock import VIDEO, Stock, failed, missed, ok

NEW, QUEUED, OK, FAILED, RETRYING, MISSING = FileState


@pytest.fixture
def stock(database: Database) -> Stock:
    return Stock(database)


def test_a_result_is_stored_with_what_is_searched_in_columns_and_the_rest_beside(stock: Stock) -> None:
    file_id = stock.add()
    name = Name(title="Show", type="episode", season=1, episode=4)
    result = ok(file_id, name=name, fingerprint={"oshash": "ab", "blake3": "cd"}, extra={"mine": {"a": 1}})
    assert stock.apply(stock.batch("ok", result)) == Applied(ok=1, libraries={"films": 1})
    assert stock.row(file_id) == (OK, 1, 1, 0, None, None)
    (row,) = stock.rows(
        "SELECT content, container, duration_s, width, height, video_codec, audio_codec, language, title,"
        " season, episode, oshash, blake3, worker FROM media"
    )
    expected = (1, "matroska", 7200.0, 1920, 800, "hevc", "aac", "eng", "Show", 1, 4, "ab", "cd", "host:1")
    assert tuple(row) == expected
    found = media.probed(stock.database, file_id, content=1)
    assert found is not None
    assert (found.worker, found.name, found.details.streams) == ("host:1", name, VIDEO.streams)
    assert found.details.handlers == {"mine": {"a": 1}}
    assert media.probed(stock.database, file_id, content=2) is None


def test_a_picture_is_not_the_video_of_an_audio_file(stock: Stock) -> None:
    file_id = stock.add()
    cover = Stream("video", "mjpeg", width=600, height=600, picture=True)
    stock.apply(stock.batch("ok", ok(file_id, media=Media("mp3", streams=[cover, Stream("audio", "mp3")]))))
    assert stock.rows("SELECT video_codec, audio_codec, height FROM media") == [(None, "mp3", None)]


def test_a_failure_is_final_or_to_be_retried_by_its_kind_and_attempt(stock: Stock) -> None:
    corrupt, slow, worn = stock.add(), stock.add(), stock.add()
    applied = stock.apply(
        stock.batch(
            "failed", failed(corrupt), failed(slow, "timeout"), failed(worn, "io", attempt=FINAL_ATTEMPT)
        )
    )
    assert applied == Applied(
        failed=2, retrying=1, kinds={"corrupt": 1, "timeout": 1, "io": 1}, libraries={"films": 3}
    )
    assert stock.row(corrupt) == (FAILED, 1, 1, 0, "corrupt", "no")
    assert stock.row(slow) == (RETRYING, 1, 1, 0, "timeout", "no")
    assert stock.row(worn) == (FAILED, 1, 1, FINAL_ATTEMPT, "io", "no")


def test_ok_is_final_and_takes_the_error_away(stock: Stock) -> None:
    file_id = stock.add()
    stock.apply(stock.batch("failed", failed(file_id, "timeout")))
    stock.apply(stock.batch("ok", ok(file_id, attempt=1)))
    late = stock.apply(stock.batch("failed", failed(file_id, attempt=FINAL_ATTEMPT)))
    assert (late.failed, late.repeated) == (0, 1)
    assert stock.row(file_id) == (OK, 1, 1, 1, None, None)


def test_a_higher_attempt_beats_a_lower_one_and_not_the_other_way_round(stock: Stock) -> None:
    file_id = stock.add()
    stock.apply(stock.batch("failed", failed(file_id, "io", attempt=1)))
    stock.apply(stock.batch("failed", failed(file_id, "timeout", attempt=0)))
    assert stock.row(file_id) == (RETRYING, 1, 1, 1, "io", "no")
    assert stock.apply(stock.batch("failed", failed(file_id, "timeout", attempt=1, text="x"))).repeated == 1
    assert stock.row(file_id) == (RETRYING, 1, 1, 1, "io", "no")
    stock.apply(stock.batch("failed", failed(file_id, "crashed", attempt=2)))
    assert stock.row(file_id) == (RETRYING, 1, 1, 2, "crashed", "no")


def test_a_result_of_older_content_is_dropped(stock: Stock) -> None:
    file_id = stock.add(content=2, revision=2)
    applied = stock.apply(stock.batch("ok", ok(file_id)), stock.batch("failed", failed(file_id)))
    assert applied == Applied(stale=2)
    assert stock.row(file_id) == (QUEUED, 2, 2, 0, None, None)
    assert stock.rows("SELECT * FROM media") == []


def test_a_result_of_an_older_revision_with_the_same_content_counts(stock: Stock) -> None:
    file_id = stock.add(revision=4)  # moved since
    assert stock.apply(stock.batch("ok", ok(file_id, revision=1))).ok == 1
    assert stock.row(file_id).state == OK


def test_what_failed_before_a_move_does_not_outlive_what_its_task_says(stock: Stock) -> None:
    file_id = stock.add(revision=2)
    stock.apply(stock.batch("failed", failed(file_id, "io", revision=1, attempt=2)))
    assert stock.row(file_id).state == RETRYING
    stock.apply(stock.batch("failed", failed(file_id, "corrupt", revision=2, attempt=0)))
    assert stock.row(file_id) == (FAILED, 2, 1, 0, "corrupt", "no")


def test_unknown_files_and_other_catalogs_are_counted_and_nothing_else(stock: Stock) -> None:
    file_id = stock.add()
    other = stock.batch("ok", ok(file_id), catalog="6f0c0000-0000-4000-8000-000000000000")
    strange = stock.batch("ok", ok(10**40), ok(-1), ok(0), ok(file_id + 1000))
    assert stock.apply(other, strange) == Applied(unknown=5)
    assert stock.row(file_id).state == QUEUED


def test_a_moved_files_name_is_updated_only_if_its_content_has_its_result(stock: Stock) -> None:
    file_id = stock.add()
    stock.apply(stock.batch("ok", ok(file_id, name=Name(title="Old"))))
    with stock.database.write() as connection:
        connection.execute(text("UPDATE files SET revision = 2"))
    renamed = ok(file_id, revision=2, media=None, name=Name(title="New", year=1999))
    late = ok(file_id, revision=1, media=None, name=Name(title="Late"))
    assert stock.apply(stock.batch("ok", renamed), stock.batch("ok", renamed), stock.batch("ok", late)) == (
        Applied(renamed=1, repeated=2)
    )
    query = "SELECT title, year, video_codec, duration_s FROM media"
    assert stock.rows(query) == [("New", 1999, "hevc", 7200.0)]
    with stock.database.write() as connection:
        connection.execute(text("UPDATE media SET content = 7"))
    assert (
        stock.apply(stock.batch("ok", ok(file_id, revision=2, media=None, name=Name(title="X")))).repeated == 1
    )
    assert stock.rows(query) == [("New", 1999, "hevc", 7200.0)]


def test_the_task_of_a_deleted_file_clears_what_was_derived(stock: Stock) -> None:
    file_id = stock.add()
    stock.apply(stock.batch("ok", ok(file_id)))
    with stock.database.write() as connection:
        connection.execute(text("UPDATE files SET revision = 2, state = 5"))
    assert stock.apply(stock.batch("ok", ok(file_id, media=None))).stale == 1
    assert len(stock.rows("SELECT * FROM media")) == 1
    forgotten = ok(file_id, revision=2, media=None)
    assert stock.apply(stock.batch("ok", forgotten)) == Applied(cleared=1)
    assert stock.apply(stock.batch("ok", forgotten)) == Applied(repeated=1)
    assert stock.rows("SELECT * FROM media") == []
    assert stock.row(file_id).state == MISSING


@pytest.mark.parametrize("status", ["gone", "changed"])
def test_a_file_that_is_not_as_told_loses_its_task_and_gets_a_look_that_cannot_be_skipped(
    stock: Stock, status: Status
) -> None:
    file_id, other = stock.add("a/1.mkv"), stock.add("b/2.mkv")
    applied = stock.apply(stock.batch(status, missed(file_id)))
    assert (applied.gone, applied.changed) == ((1, 0) if status == "gone" else (0, 1))
    assert stock.row(file_id).state == NEW
    assert stock.row(other).state == QUEUED
    assert stock.dirty() == stock.distrusted() == {"a"}
    assert stock.rows("SELECT * FROM media") == []


def test_gone_of_an_older_revision_asks_for_nothing(stock: Stock) -> None:
    file_id = stock.add("a/1.mkv", revision=2)
    assert stock.apply(stock.batch("gone", missed(file_id))) == Applied(stale=1)
    assert (stock.row(file_id).state, stock.dirty()) == (QUEUED, set())


def test_gone_leaves_a_result_in_place_until_the_look_decides(stock: Stock) -> None:
    file_id = stock.add("a/1.mkv")
    stock.apply(stock.batch("ok", ok(file_id)))
    assert stock.apply(stock.batch("gone", missed(file_id))).gone == 1
    assert stock.row(file_id).state == OK
    assert stock.distrusted() == {"a"}


def test_nothing_is_deleted_by_a_result(stock: Stock) -> None:
    file_id = stock.add("a/1.mkv")
    stock.apply(stock.batch("gone", missed(file_id), missed(file_id)), stock.batch("changed", missed(file_id)))
    assert stock.row(file_id).state != MISSING


def test_numbers_and_texts_that_no_column_holds_do_not_stop_the_batch(stock: Stock) -> None:
    monstrous, sound, broken = stock.add(), stock.add(), stock.add()
    wild = Media(
        container="x\0" * 10_000,
        duration_s=-1.0,
        bit_rate=10**30,
        streams=[Stream("video", "h264", width=10**12, height=-5)],
        tags={"a\0": "b\0"},
    )
    name = Name(title="t\0", year=10**20)
    stock.apply(
        stock.batch("ok", ok(monstrous, media=wild, name=name, attempt=10**9), ok(sound)),
        stock.batch("failed", failed(broken, text="\x1b[31m\0" + "x" * 100_000, attempt=-4)),
    )
    assert [stock.row(key).state for key in (monstrous, sound, broken)] == [OK, OK, FAILED]
    error = stock.row(broken).error
    assert error is not None
    assert len(error) == 1000
    assert "\x1b" not in error
    (row,) = stock.rows(
        "SELECT duration_s, bit_rate, width, height, title, year FROM media ORDER BY file_id LIMIT 1"
    )
    assert tuple(row) == (None, None, None, None, "t", None)


# The outbox


def put(stock: Stock) -> int:
    with stock.database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO outbox (scan_id, message_id, routing_key, body, task_count, created_at)"
            " VALUES (1, 'first', 'tasks', 'x', 1, 0)"
        )
        return int(connection.exec_driver_sql("SELECT max(id) FROM outbox").scalar_one())


def waiting(stock: Stock) -> list[tuple[Any, ...]]:
    query = "SELECT message_id, routing_key, attempt, scan_id, not_before - created_at FROM outbox ORDER BY id"
    return [tuple(row) for row in stock.rows(query)]


def test_what_is_settled_leaves_the_outbox_and_what_is_delayed_comes_exactly_once(stock: Stock) -> None:
    row_id = put(stock)
    delayed = [Delayed(7, "later", "tasks", b"b", 1, 1, 10.0), Delayed(7, "soon", "tasks", b"b", 1, 0, 0.0)]
    answer = Answer(None, delayed, [row_id])
    results.apply(stock.database, stock.catalog, [answer, answer])
    results.apply(stock.database, stock.catalog, [answer])
    assert waiting(stock) == [("later", "tasks", 1, 7, 10.0), ("soon", "tasks", 0, 7, None)]


def test_what_would_come_again_with_every_repeat_is_refused() -> None:
    with pytest.raises(ValueError, match="settle no row"):
        Answer(None, [Delayed(7, "later", "tasks", b"b", 1, 1, 10.0)])


def test_a_transaction_that_fails_leaves_results_outbox_and_letters_as_they_were(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_id, file_id = put(stock), stock.add("a/1.mkv")

    def break_down(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(results, "_ask_for_a_look", break_down)
    delayed = Delayed(7, "later", "tasks", b"b", 1, 1, 10.0)
    answer = Answer(stock.batch("gone", missed(file_id)), [delayed], [row_id])
    with pytest.raises(RuntimeError):
        results.apply(stock.database, stock.catalog, [answer], [Letter("m", "garbage", None, b"x")])
    assert [row[0] for row in waiting(stock)] == ["first"]
    assert stock.row(file_id).state == QUEUED
    assert stock.rows("SELECT * FROM letters") == []


# Any order, any repetition

Event = tuple[Status, Result]


def events(file_id: int) -> st.SearchStrategy[Event]:
    """Results of one file at content 2 and revision 3, of the past and the future too."""
    attempts, contents = st.integers(0, FINAL_ATTEMPT), st.sampled_from([1, 2, 2, 2, 3])
    revisions = st.sampled_from([2, 3, 3, 3, 4])
    titles = st.sampled_from([None, Name(title="A"), Name(title="B")])

    def failure(kind: Any, attempt: int, content: int, revision: int) -> Event:
        return "failed", failed(file_id, kind, attempt=attempt, content=content, revision=revision)

    def success(attempt: int, content: int, revision: int, name: Name | None) -> Event:
        return "ok", ok(file_id, attempt=attempt, content=content, revision=revision, name=name)

    def absence(status: Any, attempt: int, content: int, revision: int) -> Event:
        return status, missed(file_id, attempt=attempt, content=content, revision=revision)

    kinds = st.sampled_from(["corrupt", "timeout", "crashed", "io"])
    absences = st.sampled_from(["gone", "changed"])
    failures = st.builds(failure, kinds, attempts, contents, revisions)
    successes = st.builds(success, attempts, contents, revisions, titles)
    return failures | failures | successes | st.builds(absence, absences, attempts, contents, revisions)


def taken(given_events: Sequence[Event], state: FileState = QUEUED) -> Standing:
    standing = Standing(1, 1, int(state), 3, 2, 0)
    for status, result in given_events:
        standing.take(status, result, media.encoded_name(result))
    return standing


def expected(given_events: Sequence[Event]) -> tuple[FileState, int | None]:
    """The rules of CONTRACT.md, said in another way: the state, and the attempt where there is no result."""
    ranks = [(0, -1, QUEUED)]
    for status, result in given_events:
        if status in {"gone", "changed"}:
            if result.revision == 3:
                ranks.append((result.attempt, 2, NEW))
        elif result.content == 2 and status == "ok":
            return OK, None
        elif result.content == 2:
            attempt = result.attempt if result.revision == 3 else 0
            ranks.append((attempt, 0, RETRYING) if result.will_be_retried else (attempt, 1, FAILED))
    attempt, _, state = max(ranks)
    return state, attempt


@settings(deadline=None, max_examples=500)
@given(st.data())
def test_any_order_and_repetition_of_results_ends_in_the_same_state(data: st.DataObject) -> None:
    some = data.draw(st.lists(events(1), max_size=8))
    repeated = data.draw(st.lists(st.sampled_from(some), max_size=5)) if some else []
    shuffled = data.draw(st.permutations(some + repeated))
    state, attempt = expected(some)
    for order in (some, shuffled):
        standing = taken(order)
        assert standing.state == state
        assert attempt is None or standing.attempts == attempt
        assert (standing.error is None) == (standing.state not in {FAILED, RETRYING})


@settings(deadline=None, max_examples=200)
@given(st.lists(events(1), max_size=8))
def test_a_repetition_of_everything_changes_no_row(some: list[Event]) -> None:
    once, twice = taken(some), taken(some + some)
    assert (once.state, once.attempts, once.error, once.probed) == (
        twice.state,
        twice.attempts,
        twice.error,
        twice.probed,
    )


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_results_taken_together_come_out_as_if_applied_one_by_one(stock: Stock, data: st.DataObject) -> None:
    apart = [stock.add(revision=3, content=2) for _ in range(2)]
    together = [stock.add(revision=3, content=2) for _ in range(2)]
    chosen = data.draw(st.lists(st.tuples(st.integers(0, 1), events(0)), max_size=10))
    cuts = data.draw(st.sets(st.integers(0, 10), max_size=3))
    batches = []
    for position, (which, (status, result)) in enumerate(chosen):
        result.file = apart[which]
        stock.apply(stock.batch(status, result))
        batches.append(stock.batch(status, msgspec.structs.replace(result, file=together[which])))
        if position in cuts:
            stock.apply(*batches)
            batches = []
    stock.apply(*batches)
    for one, other in zip(apart, together, strict=True):
        assert stock.row(one) == stock.row(other)
        assert _media(stock, one) == _media(stock, other)


def _media(stock: Stock, file_id: int) -> list[Any]:
    return stock.rows(
        "SELECT content, title, name, details, seconds FROM media WHERE file_id = :id", id=file_id
    )
