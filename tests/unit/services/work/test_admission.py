"""What is not ours, malformed or malicious never comes near the file system, and says why."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner import paths
from scanner.broker.api import Delivery
from scanner.services.work.admission import MOST_BYTES, NewerVersion, Refused, admit

CATALOG = "6f0c2a4e-1d0b-4c43-9a53-0f6e1a1f6f5e"
MESSAGE = "0b7d2c8e-5a53-4f0e-9a53-0f6e1a1f6f5e"
TASK: dict[str, Any] = {
    "file": 17,
    "revision": 3,
    "content": 2,
    "change": "added",
    "path": "Show/Season 01/x.mkv",
    "size": 7,
    "mtime_ns": "1700000000000000000",
    "kind": "video",
}


def body(*tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "version": 1,
        "catalog": CATALOG,
        "scan": "12",
        "library": "films",
        "root": "/srv/films",
        "tasks": list(tasks) or [TASK],
    }
    return given | fields


def delivery(content: object, **fields: Any) -> Delivery:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    given: dict[str, Any] = {"tag": 1, "message_id": MESSAGE, "type": "scanner.tasks.v1", "body": raw}
    return Delivery(**given | fields)


def test_a_message_as_the_contract_has_it_is_admitted() -> None:
    admitted = admit(delivery(body(TASK, TASK | {"file": 18, "path": "y.mkv"})))
    assert admitted.root == "/srv/films"
    assert admitted.places == ("Show/Season 01/x.mkv", "y.mkv")


def test_the_bytes_of_a_name_decide_not_its_readable_form() -> None:
    raw = base64.b64encode(b"Sh\xffw/\xe9.mkv").decode()
    admitted = admit(delivery(body(TASK | {"path": "Sh\ufffdw/\ufffd.mkv", "path_bytes": raw})))
    assert paths.to_bytes(admitted.places[0]) == b"Sh\xffw/\xe9.mkv"


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../etc/passwd"},
        {"path": "a/../../etc/passwd"},
        {"path": "/etc/passwd"},
        {"path": ""},
        {"path": "a//b"},
        {"path": "./a"},
        {"path": "a\x00b"},
        {"path": "x" * 40_000},
        {"path_bytes": base64.b64encode(b"../etc/passwd").decode()},
        {"path_bytes": base64.b64encode(b"/etc/passwd").decode()},
        {"path_bytes": base64.b64encode(b"a\x00b").decode()},
        {"path_bytes": "no base64!"},
        {"file": 0},
        {"file": -1},
        {"revision": 2**70},
        {"size": -1},
        {"size": 2**63},
        {"mtime_ns": "soon"},
        {"mtime_ns": "9" * 19},
        {"mtime_ns": "1" * 5_000},
        {"mtime_ns": 17},
        {"kind": "virus"},
        {"change": "exploded"},
        {"path": 5},
    ],
    ids=str,
)
def test_a_malicious_or_malformed_task_is_refused_with_a_reason(change: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"mali|malformed|not a task"):
        admit(delivery(body(TASK, TASK | change)))


@pytest.mark.parametrize(
    "change",
    [
        {"root": "srv/films"},
        {"root": "/srv/../etc"},
        {"root": "/srv\x00"},
        {"catalog": "mine"},
        {"catalog": "../" + CATALOG},
        {"tasks": []},
        {"tasks": [TASK] * 1_001},
        {"version": 0},
        {"version": "1"},
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_malicious_or_malformed_message_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        admit(delivery(body(**change)))


@pytest.mark.parametrize(
    "sent",
    [
        delivery(b"\xff\xfe no json"),
        delivery(b"[1]"),
        delivery(b'{"version": 1, "catalog": "\xff\xfe"}'),
        delivery(b"[" * 100_000),
        delivery(b'{"version": 1, "x": ' + b'{"a":' * 50_000),
        delivery(b" " * (MOST_BYTES + 1)),
        delivery(body(), type=None),
        delivery(body(), type="celery"),
        delivery(body(), type="scanner.results.v1"),
        delivery(body(), message_id=""),
        delivery(body(), message_id="1"),
    ],
    ids=[
        "no JSON",
        "a list",
        "no UTF-8",
        "nested lists",
        "nested objects",
        "too large",
        "no type",
        "other type",
        "results",
        "no id",
        "no UUID",
    ],
)
def test_what_is_not_ours_is_refused(sent: Delivery) -> None:
    with pytest.raises(Refused):
        admit(sent)


@pytest.mark.parametrize(
    "sent",
    [
        delivery(body(version=2)),
        delivery({"version": 2, "shape": "new"}),
        delivery(b"?", type="scanner.tasks.v2"),
    ],
)
def test_a_newer_version_is_left_to_a_newer_worker(sent: Delivery) -> None:
    with pytest.raises(NewerVersion):
        admit(sent)


@given(st.binary(max_size=60))
def test_whatever_bytes_a_path_has_what_is_admitted_stays_below_its_root(raw: bytes) -> None:
    task = TASK | {"path": "x", "path_bytes": base64.b64encode(raw).decode()}
    try:
        (place,) = admit(delivery(body(task))).places
    except Refused:
        return
    found = paths.to_bytes(place) if raw else b"x"
    assert found == (raw or b"x")
    assert not found.startswith(b"/") and b"\0" not in found
    assert b".." not in found.split(b"/")
