"""What failed for a reason that may pass is tried again, alone and later; nobody waits for it."""

import signal
import time
import uuid

from tests.support.acts import direct, lines
from tests.support.publishing import Letter, Results, batch_of, send, take
from tests.support.stage import Stage, assert_no_defect
from tests.support.waiting import wait_until

DELAY_S = 10.0


def test_a_failed_file_comes_back_from_its_delay_as_an_attempt_of_its_own_and_holds_nobody_up(
    directed: Stage, results: Results
) -> None:
    library = directed.library
    paths = [direct(library / f"{n}.mkv") for n in range(4)]
    paths += [direct(library / f"{how}.mkv", how, directed.folder / how, 1) for how in ("io", "crash")]
    letter = Letter(batch_of(library, paths))
    assert letter.message_id is not None
    with directed.start_worker() as worker:
        send(directed, letter)
        wait_until(lambda: directed.waiting("retry.10s") == 2, 20, what="the retries wait")
        since = time.monotonic()
        results.wait_for(range(1, 7))
        assert [results.status(n) for n in range(1, 7)] == ["ok"] * 4 + ["failed"] * 2
        for file, kind in ((5, "io"), (6, "crashed")):
            ((_, failed),) = results.by_file[file]
            assert (failed["attempt"], failed["error"]["kind"]) == (0, kind)
        for retry in take(directed, "retry.10s", requeue=True):
            (file,) = retry.files
            assert retry.message_id == str(uuid.uuid5(uuid.UUID(letter.message_id), f"{file}:1:1"))
            assert (retry.type, retry.headers) == ("scanner.tasks.v1", {"x-attempt": 1})
        assert directed.waiting("tasks") == 0
        wait_until(lambda: results.fetch() and count(results, 5, 6) == 4, 30, what="they came back")
        assert time.monotonic() - since > DELAY_S - 2
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 143
        assert_no_defect(worker)
    for file, how in ((5, "io"), (6, "crash")):
        status, done = results.by_file[file][1]
        assert (status, done["attempt"], done["revision"], done["content"]) == ("ok", 1, 1, 1)
        assert len(lines(directed.folder / how)) == 2
    assert count(results, 1, 2, 3, 4) == 4
    assert directed.waiting("dead") == 0


def count(results: Results, *files: int) -> int:
    """Return how many results there are of some files."""
    return sum(len(results.by_file[file]) for file in files)


def test_each_attempt_waits_longer_and_the_last_one_ends_as_a_dead_letter(
    directed: Stage, results: Results
) -> None:
    path = direct(directed.library / "never.mkv", "crash", directed.folder / "state", 99)
    letter = Letter(batch_of(directed.library, [path]))
    with directed.start_worker():
        for attempt, queue in enumerate(("retry.10s", "retry.60s", "retry.600s", "dead")):
            send(directed, letter)
            wait_until(lambda: directed.waiting(queue), 20, what=f"it is in {queue}")  # noqa: B023
            (letter,) = take(directed, queue)
            assert letter.headers["x-attempt"] == min(attempt + 1, 3)
            assert letter.files == [1]
        results.wait_for([1])
        wait_until(lambda: results.fetch() and len(results.by_file[1]) == 4, 20, what="four results")
    assert letter.headers["x-error-kind"] == "crashed"
    assert "exit code 7" in letter.headers["x-reason"]
    assert [result["attempt"] for _, result in results.by_file[1]] == [0, 1, 2, 3]
    assert {status for status, _ in results.by_file[1]} == {"failed"}


def test_a_dead_letter_becomes_a_failed_file_with_its_reason(directed: Stage) -> None:
    direct(directed.library / "never.mkv", "crash", directed.folder / "state", 99)
    direct(directed.library / "fine.mkv")
    directed.scan()
    (letter,) = take(directed, "tasks")
    with directed.start_worker() as worker:
        send(directed, Letter(letter.body, headers={"x-attempt": 3}))
        wait_until(lambda: directed.waiting("dead") == 1, 20, what="the last attempt has failed")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 143
    result = directed.scan("--wait")
    assert (result["state"], result["failed"], result["outbox_messages"]) == ("completed", 1, 0)
    assert directed.catalog.states() == {"ok": 1, "failed": 1}
    ((kind, text),) = directed.catalog.rows("SELECT error_kind, error FROM files WHERE name = 'never.mkv'")
    assert kind == "crashed"
    assert "exit code 7" in text
    assert directed.scan("--wait", "--strict", exit_code=1)["failed"] == 1


def test_a_letter_that_no_worker_wrote_becomes_a_failed_file_too(directed: Stage) -> None:
    """RabbitMQ itself lets messages die: beyond the delivery limit, without a word of ours about why."""
    direct(directed.library / "worn.mkv")
    directed.scan()
    (letter,) = take(directed, "tasks")
    _bury(directed, letter)
    result = directed.scan("--wait")
    assert result["failed"] == 1
    assert directed.catalog.states() == {"failed": 1}
    ((kind, text),) = directed.catalog.rows("SELECT error_kind, error FROM files")
    assert kind
    assert text
    assert directed.waiting("dead") == 0


def _bury(stage: Stage, letter: Letter) -> None:
    """Give a message back so often that RabbitMQ sends it to the dead letters."""
    send(stage, letter)

    def is_dead() -> bool:
        take(stage, "tasks", requeue=True)
        return stage.waiting("dead") == 1

    wait_until(is_dead, 30, what="it is a dead letter")
