"""The lines that `scanner worker` writes: often enough to see that it works, never on and on about nothing."""

import pytest

from scanner.cli.worker import WorkerLines
from scanner.services.work import WorkState, WorkStatus

MINUTE = 120
"""Looks in a minute."""


def told(capsys: pytest.CaptureFixture[str], *seen: WorkStatus) -> list[str]:
    shown = WorkerLines(quiet=False)
    for status in seen:
        shown.observe(status)
    return capsys.readouterr().err.splitlines()


def test_worker_that_works_says_every_ten_seconds_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    working = [WorkStatus(WorkState.WORKING, in_hand=1, results={"ok": 50 * n}) for n in range(1, MINUTE + 1)]
    lines = told(capsys, *working)
    assert len(lines) == 6
    assert lines[-1].endswith("files done, 100 files/s")


def test_idle_worker_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    idle = WorkStatus(WorkState.IDLE, results={"ok": 50})
    assert told(capsys, *[idle] * MINUTE) == ["worker: idle, 50 files done"]


def test_outage_is_one_line_however_many_attempts_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    attempts = [WorkStatus(WorkState.RECONNECTING, f"reconnecting in {n} s: away") for n in range(1, MINUTE)]
    assert told(capsys, *attempts) == ["worker: reconnecting in 1 s: away"]
