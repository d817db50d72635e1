"""What a task message is answered with: one results message a status, retries and dead letters alone."""

import json
import uuid
from dataclasses import replace

from scanner import message
from scanner.broker.api import DEAD, ERROR_KIND_HEADER, REASON_HEADER, Delivery
from scanner.message import Task, TaskBatch
from scanner.probe.jobs import Verdict
from scanner.services.work.answer import Answer, refusal

CATALOG = "6f0c2a4e-1d0b-4c43-9a53-0f6e1a1f6f5e"
MESSAGE = "0b7d2c8e-5a53-4f0e-9a53-0f6e1a1f6f5e"
TASKS = [Task(number, 1, 1, "added", f"{number}.mkv", 5, "7", "video") for number in (1, 2, 3)]


def answer(attempt: int = 0) -> Answer:
    batch = TaskBatch(1, CATALOG, "12", "films", "/srv/films", TASKS)
    sent = Delivery(9, MESSAGE, message.TASKS_TYPE, message.encode(batch), attempt)
    return Answer(sent, batch, "nas:1")


def result(number: int) -> bytes:
    return json.dumps({"file": number, "seconds": 0.5}).encode()


def test_results_go_in_one_message_a_status_with_ids_that_a_repeat_has_too() -> None:
    verdicts = [
        Verdict(1, "ok", result(1)),
        Verdict(2, "gone", result(2)),
        Verdict(3, "ok", result(3)),
    ]
    made, again = answer(), answer()
    made.results(verdicts)
    again.results(verdicts)
    assert [row.route for row in made.messages] == [f"result.{CATALOG}.ok", f"result.{CATALOG}.gone"]
    assert made.messages == again.messages
    first = json.loads(made.messages[0].body)
    assert (first["status"], first["worker"], first["message_id"]) == ("ok", "nas:1", MESSAGE)
    assert [row["file"] for row in first["results"]] == [1, 3]


def test_a_retry_goes_alone_with_the_next_attempt_and_an_id_of_its_own() -> None:
    made = answer(attempt=1)
    made.retry(TASKS[1])
    (row,) = made.messages
    assert (row.route, row.attempt, row.type) == ("retry.60s", 2, message.TASKS_TYPE)
    assert row.message_id == str(uuid.uuid5(uuid.UUID(MESSAGE), "2:1:2"))
    assert [task.file for task in message.decode_tasks(row.body).tasks] == [2]


def test_what_failed_for_the_last_time_is_buried_with_its_reason() -> None:
    made = answer(attempt=3)
    made.bury(TASKS[0], "timeout", "took longer than 30 s")
    (row,) = made.messages
    assert (row.route, row.attempt) == (DEAD, 3)
    assert row.headers == {ERROR_KIND_HEADER: "timeout", REASON_HEADER: "took longer than 30 s"}


def test_a_whole_batch_whose_library_is_away_waits_as_it_came_without_an_attempt_counted() -> None:
    made = answer(attempt=2)
    made.postpone(TASKS)
    (row,) = made.messages
    assert (row.route, row.message_id, row.attempt, row.body) == ("retry.60s", MESSAGE, 2, made.delivery.body)


def test_a_part_of_a_batch_is_sent_on_task_by_task() -> None:
    made = answer()
    made.postpone(TASKS[:2])
    assert [row.attempt for row in made.messages] == [0, 0]
    assert len({row.message_id for row in made.messages} | {MESSAGE}) == 3


def test_a_redelivered_batch_is_split_into_messages_with_derived_ids() -> None:
    made = answer()
    made.split(TASKS)
    assert [row.route for row in made.messages] == [message.TASKS] * 3
    assert [row.message_id for row in made.messages] == [
        str(uuid.uuid5(uuid.UUID(MESSAGE), f"{number}:1:0")) for number in (1, 2, 3)
    ]


def test_a_refused_message_is_buried_whole_under_an_id_that_is_not_in_flight_already() -> None:
    sent = Delivery(1, "twice the same", None, b"garbage", 7)
    first, second = refusal(sent, "not ours"), refusal(sent, "not ours")
    assert first.message_id != second.message_id
    assert (first.body, first.route, first.headers[REASON_HEADER]) == (b"garbage", DEAD, "not ours")


def test_a_library_that_stays_away_is_asked_for_less_often() -> None:
    first = answer()
    first.postpone(TASKS)
    (sent,) = first.messages
    again = Answer(replace(first.delivery, headers=sent.headers), first.batch, "nas:1")
    again.postpone(TASKS)
    assert (sent.route, again.messages[0].route) == ("retry.60s", "retry.600s")


def test_results_too_large_for_one_message_go_in_several_with_ids_of_their_own() -> None:
    made = answer()
    big = [
        Verdict(number, "ok", json.dumps({"file": number, "text": "x" * 3_000_000}).encode())
        for number in (1, 2, 3)
    ]
    made.results(big)
    assert [len(row.body) < 5_000_000 for row in made.messages] == [True] * 3
    assert len({row.message_id for row in made.messages}) == 3
    assert [json.loads(row.body)["results"][0]["file"] for row in made.messages] == [1, 2, 3]
