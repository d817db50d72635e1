"""Messages are what CONTRACT.md says, byte for byte, and come back as they went."""

import json
from typing import Any

import msgspec
import pytest

from scanner import message, paths
from scanner.catalog.libraries import Library
from scanner.catalog.scans import Counters
from scanner.catalog.tasks import Subject, TaskWriter

LIBRARY = Library(1, "films", "nas", "/srv/films", None, "online", 0)
PLAIN = Subject(17, 3, 2, "Show/Season 01/x.mkv", 734003200, 1_700_000_000_000_000_000, 1)
ODD = Subject(18, 1, 1, paths.from_bytes(b"Sh\xffw/\xe9.mkv"), 5, -1, 1)


def written(writer: TaskWriter) -> list[dict[str, Any]]:
    return [json.loads(row.body) for row in writer.messages(Counters())]


def writer(tasks_per_message: int = 100) -> TaskWriter:
    return TaskWriter("6f0c", 12, LIBRARY, tasks_per_message)


def test_a_task_message_has_the_contract_s_fields() -> None:
    tasks = writer()
    tasks.add("modified", PLAIN)
    assert written(tasks) == [
        {
            "version": 1,
            "catalog": "6f0c",
            "scan": "12",
            "library": "films",
            "root": "/srv/films",
            "tasks": [
                {
                    "file": 17,
                    "revision": 3,
                    "content": 2,
                    "change": "modified",
                    "path": "Show/Season 01/x.mkv",
                    "size": 734003200,
                    "mtime_ns": "1700000000000000000",
                    "kind": "video",
                }
            ],
        }
    ]


def test_a_move_says_from_where_and_whether_to_probe() -> None:
    tasks = writer()
    tasks.add_move(PLAIN, "Old/x.mkv", probe=True)
    task = written(tasks)[0]["tasks"][0]
    assert (task["change"], task["from"], task["probe"]) == ("moved", "Old/x.mkv", True)
    assert "from_bytes" not in task


def test_a_name_that_is_not_utf8_also_comes_as_bytes() -> None:
    tasks = writer()
    tasks.add("added", ODD)
    (row,) = tasks.messages(Counters())
    (task,) = message.decode_tasks(row.body).tasks
    assert task.path == "Sh\ufffdw/\ufffd.mkv"
    assert paths.to_bytes(message.path_text(task.path, task.path_bytes)) == b"Sh\xffw/\xe9.mkv"


def test_tasks_are_cut_into_messages_of_the_set_size_and_counted() -> None:
    tasks, counters = writer(2), Counters()
    for _ in range(5):
        tasks.add("added", PLAIN)
    rows = tasks.messages(counters)
    assert [row.task_count for row in rows] == [2, 2, 1]
    assert len({row.message_id for row in rows}) == 3
    assert (counters.tasks, counters.messages) == (5, 3)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"version": 1}', b'{"tasks": "x"}', b"\xff"])
def test_what_is_no_task_message_is_refused(body: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        message.decode_tasks(body)
