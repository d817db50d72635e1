"""What the broker side reports: in one piece through the pipe, with its counters, whatever it has to tell."""

import dataclasses
from typing import Any

import pytest

from scanner.app.broker_side.lines import LONGEST_LINE_BYTES, Fatal, Report, decode_report, encode_report
from scanner.services.collect.status import CollectState, CollectStatus
from scanner.services.relay.status import RelayState, RelayStatus
from scanner.services.work.status import WorkState, WorkStatus

RELAY = RelayStatus(RelayState.QUEUE_FULL, "full", connected=True, messages=7, tasks=70, blocked_s=1.5)
WORK = WorkStatus(WorkState.WORKING, connected=True, messages=5, results={"ok": 9}, replaced={"timeout": 2})
COLLECT = CollectStatus(CollectState.COLLECTING, connected=True, ok=9, failed=3, failures={"io": 3})
LIBRARIES = {f"{number:02} " + "f" * 250: 100 - number for number in range(30)}
LONG = "\x01" * 5_000


def read(report: Report) -> Report:
    line = encode_report(report)
    assert len(line) <= LONGEST_LINE_BYTES
    found = decode_report(line)
    assert found is not None
    return found


def counters(status: Any) -> dict[str, Any]:
    texts = {"detail", "libraries", "away"}
    return {name: value for name, value in dataclasses.asdict(status).items() if name not in texts}


def test_what_fits_is_told_in_full() -> None:
    report = Report(RELAY, Fatal("broker", "why"), WORK, dataclasses.replace(COLLECT, libraries={"films": 9}))
    assert read(report) == report


def test_names_of_libraries_go_first_the_most_busy_ones_last() -> None:
    report = Report(RELAY, None, WORK, dataclasses.replace(COLLECT, libraries=LIBRARIES))
    found = read(report)
    assert (found.status, found.work) == (RELAY, WORK)
    assert found.collect is not None
    assert list(found.collect.libraries.items()) == list(LIBRARIES.items())[:10]


@pytest.mark.parametrize("detail", ["", LONG], ids=["a relay that says little", "one that says too much"])
def test_every_state_and_counter_arrives_whatever_there_is_to_tell(detail: str) -> None:
    relay = dataclasses.replace(RELAY, detail=detail)
    work = dataclasses.replace(WORK, detail=LONG, away=tuple(LIBRARIES))
    collect = dataclasses.replace(COLLECT, detail=LONG, libraries=LIBRARIES)
    found = read(Report(relay, Fatal("broker_refused", "why") if detail else None, work, collect))
    assert found.work is not None
    assert found.collect is not None
    pairs = [(found.status, relay), (found.work, work), (found.collect, collect)]
    assert [counters(told) for told, _ in pairs] == [counters(given) for _, given in pairs]
    assert detail or found.status == relay
    assert bool(found.fatal) == bool(detail)


def test_a_reason_to_give_up_arrives_however_long_it_is() -> None:
    found = read(Report(RelayStatus(), Fatal("database_refused", LONG)))
    assert found.fatal is not None
    assert found.fatal.kind == "database_refused"
