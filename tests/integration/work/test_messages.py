"""What anybody may send to the tasks queue: the worker takes what is its own, and touches nothing else."""

import ctypes
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.acts import direct, lines
from tests.support.publishing import CATALOG, Letter, Results, batch, batch_of, send, take, task
from tests.support.stage import Stage, assert_no_defect, says
from tests.support.waiting import wait_until

CANARY = "canary.mkv"
HUGE_BYTES = 20 * 1024 * 1024


@contextmanager
def watched(path: Path) -> Iterator[int]:
    """Give a descriptor that becomes readable when somebody opens `path`. Source: inotify(7)."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    in_open = 0x20
    assert libc.inotify_add_watch(descriptor, os.fsencode(path), in_open) > 0, os.strerror(ctypes.get_errno())
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def was_opened(descriptor: int) -> bool:
    """Tell whether a watched file was opened since last asked."""
    try:
        return bool(os.read(descriptor, 4096))
    except BlockingIOError:
        return False


def hostile(library: Path) -> dict[str, Letter]:
    """Return messages that nobody should take, by a word of the reason that is to be given."""
    good = task("good.mkv", 1, root=library)
    canary = library.parent / CANARY
    deleted = task(f"a/../../{CANARY}", 1, change="deleted")
    return {
        "not a task message": Letter(b"\x00\xff garbage"),
        "JSON is malformed": Letter(b'{"version": 1, "tasks": ['),
        "not ours: type 'else.v1'": Letter(batch(library, [good]), "else.v1"),
        "not ours: type 'None'": Letter(batch(library, [good]), None),
        "message id": Letter(batch(library, [good]), message_id=None),
        "the message id 'seven'": Letter(batch(library, [good]), message_id="seven"),
        "'../canary.mkv'": Letter(batch(library, [task(f"../{CANARY}", 1)])),
        "'a/../../canary.mkv'": Letter(batch(library, [good, deleted])),
        f"path {str(canary)!r}": Letter(batch(library, [task(str(canary), 1)])),
        "holds NUL": Letter(batch(library, [task("good.mkv\0", 1)])),
        "path_bytes is not base64": Letter(batch(library, [task("good.mkv", 1, path_bytes="***")])),
        "malicious: root": Letter(batch(f"{library}/..", [task(CANARY, 1)])),
        "root 'library'": Letter(batch("library", [good])),
        "1,001 tasks": Letter(batch(library, [good] * 1001)),
        "0 tasks": Letter(batch(library, [])),
        "too large: ": Letter(batch(library, [good], padding="x" * HUGE_BYTES)),
        "catalog '../../etc'": Letter(batch(library, [good], catalog="../../etc")),
        "file -1": Letter(batch(library, [task("good.mkv", -1)])),
        "size 0, mtime_ns 'soon'": Letter(batch(library, [task("good.mkv", 1, mtime_ns="soon")])),
        "Expected `object`": Letter(b"[" * 100_000 + b"]" * 100_000),
    }


def test_hostile_messages_end_as_dead_letters_with_a_reason_and_never_come_near_the_files(
    directed: Stage, results: Results
) -> None:
    good = direct(directed.library / "good.mkv")
    canary = direct(directed.folder / CANARY)
    letters = hostile(directed.library)
    with watched(canary) as canary_watch, directed.start_worker() as worker:
        pid = worker.pid
        for letter in letters.values():
            send(directed, letter)
        send(directed, Letter(batch_of(directed.library, [good], first=99)))
        results.wait_for([99])
        wait_until(lambda: directed.waiting("dead") == len(letters), 20, what="all are dead letters")
        assert worker.is_running()
        assert worker.pid == pid
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 143
        assert_no_defect(worker)
        assert not was_opened(canary_watch)
        canary.read_bytes()
        assert was_opened(canary_watch), "the watch works"
    found = take(directed, "dead")
    reasons = [letter.headers["x-reason"] for letter in found]
    assert sorted(letter.body for letter in found) == sorted(letter.body for letter in letters.values())
    unexplained = [word for word in letters if not any(word in reason for reason in reasons)]
    assert not unexplained, reasons
    assert {letter.headers["x-error-kind"] for letter in found} == {"rejected"}
    assert lines(directed.folder / "opened") == [str(good)]
    assert results.fetch() == {99}
    assert directed.waiting("tasks") == 0


@pytest.mark.parametrize("by", ["type", "version"])
def test_a_newer_message_is_left_to_a_newer_worker_and_this_one_stops_and_says_so(
    directed: Stage, results: Results, by: str
) -> None:
    good = direct(directed.library / "good.mkv")
    newer = (
        Letter(b'{"nobody": "knows"}', "scanner.tasks.v2")
        if by == "type"
        else Letter(batch(directed.library, [task("good.mkv", 1)], version=2))
    )
    with directed.start_worker() as worker:
        send(directed, Letter(batch_of(directed.library, [good], first=7)))
        results.wait_for([7])
        send(directed, newer)
        wait_until(lambda: says(worker, "work.newer_version"), 20, what="it says so")
        wait_until(lambda: directed.waiting("tasks") == 1, 20, what="the message is back")
        send(directed, Letter(batch_of(directed.library, [good], first=8)))
        assert "upgrade this worker" in worker.stderr
        assert directed.waiting("tasks") == 2
        # Another worker, which knows more than this one, has them both.
        taken = take(directed, "tasks")
        assert [letter.body for letter in taken][:1] == [newer.body]
        assert taken[1].files == [8]
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 143
        assert_no_defect(worker)
    assert directed.waiting("dead") == 0
    assert results.fetch() == {7}


def test_tasks_of_several_catalogs_are_answered_to_each_of_them(directed: Stage, results: Results) -> None:
    good = direct(directed.library / "good.mkv")
    other = "7d0f5a44-0a0e-4a55-8a55-6a3cf8f8a001"
    with directed.start_worker():
        send(directed, Letter(batch_of(directed.library, [good], first=1)))
        foreign = task("good.mkv", 5, root=directed.library)
        send(directed, Letter(batch(directed.library, [foreign], catalog=other)))
        results.wait_for([1])
        wait_until(lambda: directed.waiting(f"results.{other}") == 1, 20, what="the other's result")
    found = take(directed, f"results.{other}")
    assert [(letter.json["catalog"], letter.json["results"][0]["file"]) for letter in found] == [(other, 5)]
    assert found[0].type == "scanner.results.v1"
    assert json.loads(found[0].body)["version"] == 1
    assert other != CATALOG
