"""The progress display: what it says, how often, and that no name can drive a terminal."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from scanner.app.progress import Dispatched, LibraryProgress, Phase, RunProgress
from scanner.cli.display import Lines, Picture, Rate, Rates, _console, lines, open_display, picture

HOSTILE = "fi\x1b[31mlms\n[red]x[/red] :smile:\u202e"
HARMLESS = "fi\\x1b[31mlms\\n[red]x[/red] :smile:\\u202e"
ROW = LibraryProgress(
    HOSTILE, Phase.WALKING, resumed=True, directories_done=1_234, directories_pending=56, files=2_000, added=12
)
PROGRESS = RunProgress(
    12.0,
    (ROW,),
    tasks_sent=200,
    outbox_messages=3,
    dispatched=Dispatched(tasks_confirmed=100, waits=("broker blocked",)),
)
PROBING = Dispatched(processes=True, processed=40, left=960, failures={"timeout": 1, "corrupt": 2_000})


def steady(row: LibraryProgress, *, files_per_s: int) -> Rates:
    rates = Rates()
    for second in range(3):
        rates.add(RunProgress(float(second), (replace(row, files=second * files_per_s),)))
    return rates


def drawn(progress: RunProgress) -> str:
    console = Console(
        file=io.StringIO(), width=120, force_terminal=True, color_system=None, markup=False, emoji=False
    )
    with console.capture() as capture:
        console.print(picture(progress, Rates()))
    return capture.get()


def test_lines_say_everything_once() -> None:
    assert lines(PROGRESS, Rates()) == [
        f"{HARMLESS}: walking (resumed), 1,234 directories and 56 to go, 2,000 files, 12 added",
        "tasks: 100 tasks confirmed, 3 messages in the outbox",
        "waiting: broker blocked",
    ]


def test_picture_shows_hostile_names_as_text() -> None:
    shown = drawn(PROGRESS)
    assert [line.rstrip() for line in shown.splitlines()] == [
        f"{HARMLESS}  walking (resumed)",
        " " * len(HARMLESS) + "  1,234 directories and 56 to go, 2,000 files, 12 added",
        "tasks".ljust(len(HARMLESS)) + "  100 tasks confirmed, 3 messages in the outbox",
        "waiting".ljust(len(HARMLESS)) + "  broker blocked",
        "12 s",
    ]


def test_rest_is_estimated_once_an_earlier_scan_tells_the_total() -> None:
    rates = steady(ROW, files_per_s=1_000)
    assert "1,000 files/s" in lines(PROGRESS, rates)[0]
    assert "left" not in lines(PROGRESS, rates)[0]
    expected = RunProgress(12.0, (replace(ROW, expected_files=92_000),))
    assert lines(expected, rates)[0].endswith("1,000 files/s, about 1:30 min left")
    more_than_expected = RunProgress(12.0, (replace(ROW, expected_files=7),))
    assert lines(more_than_expected, rates)[0].endswith("1,000 files/s")


def test_rate_is_of_the_last_ten_seconds() -> None:
    rate = Rate()
    for second in range(30):
        rate.add(float(second), 1_000 if second >= 5 else 0)
    assert rate.per_second == 0
    assert Rate().per_second == 0


def test_lines_come_every_five_seconds_and_when_something_changes(capsys: pytest.CaptureFixture[str]) -> None:
    display = Lines()
    moments = {
        0.0: None,
        1.0: None,
        2.0: "outbox full",
        3.0: "outbox full",
        6.9: "outbox full",
        7.1: "outbox full",
    }
    seen = []
    for elapsed_s, reason in moments.items():
        display.observe(RunProgress(elapsed_s, (replace(ROW, waiting_for=reason),)))
        seen.append(bool(capsys.readouterr().err))
    assert seen == [True, False, True, False, False, True]


def test_waits_name_their_library_and_come_once() -> None:
    waits = Dispatched(waits=("queue full", "queue full"))
    progress = RunProgress(1.0, (replace(ROW, library="a", waiting_for="outbox full"),), dispatched=waits)
    assert progress.waits == ("a: outbox full", "queue full")


def processing(second: int, processed: int, phase: Phase = Phase.PROCESSING, **more: Any) -> RunProgress:
    done = replace(PROBING, processed=processed, **more)
    return RunProgress(float(second), (replace(ROW, phase=phase),), tasks_sent=1_000, dispatched=done)


def test_failures_are_told_a_line_a_kind_with_what_it_means() -> None:
    told = lines(processing(1, 40), Rates())
    assert told[1:] == [
        "tasks: 40 files processed, 960 to go",
        "failed: 2,000 files corrupt (damaged or cut off)",
        "failed: 1 file timeout (took too long (--probe-timeout))",
    ]
    shown = drawn(processing(1, 40))
    assert "2,000 files corrupt (damaged or cut off)" in shown
    assert shown.count("failed") == 2


def test_kind_of_failure_is_told_at_once_and_then_only_with_the_other_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    display = Lines()
    seen = []
    for second, failures in (
        (0, {}),
        (1, {"io": 1}),
        (2, {"io": 9}),
        (3, {"io": 9, "corrupt": 1}),
        (7, {"io": 9}),
    ):
        display.observe(processing(second, 10, failures=failures))
        seen.append(capsys.readouterr().err.count("failed: "))
    assert seen == [0, 1, 0, 2, 1]


@pytest.mark.parametrize(
    ("left", "phase", "told"),
    [
        (960, Phase.PROCESSING, "480 files/s, about 2.0 s left"),
        (960, Phase.WALKING, "480 files/s, about 2.0 s left so far"),
        (None, Phase.PROCESSING, "480 files/s"),
        (0, Phase.PROCESSING, "480 files/s"),
    ],
)
def test_rest_of_the_processing_is_estimated_also_while_the_walk_goes_on(
    left: int | None, phase: Phase, told: str
) -> None:
    rates = Rates()
    for second in range(3):
        rates.add(processing(second, second * 480, phase))
    progress = replace(
        processing(3, 1_440, phase, left=left), libraries=(replace(ROW, phase=phase, resumed=True),)
    )
    assert lines(progress, rates)[1].endswith(told)


def test_without_a_known_rest_it_is_what_was_sent_and_has_no_result_yet() -> None:
    progress = processing(1, 400, left=None)
    assert "to go" not in lines(progress, Rates())[1]
    alike = replace(progress, libraries=(replace(ROW, resumed=False),))
    assert lines(alike, Rates())[1] == "tasks: 400 files processed, 600 to go"


def test_terminal_that_goes_away_does_not_end_the_scan() -> None:
    class Gone(io.StringIO):
        broken = False

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            if self.broken:
                raise BrokenPipeError
            return super().write(text)

    terminal = Gone()
    with Picture(_console(terminal)) as display:
        display.observe(PROGRESS)
        assert "walking" in terminal.getvalue()
        terminal.broken = True
        display.observe(PROGRESS)
        display.observe(PROGRESS)


def test_display_is_quiet_beside_json_and_plain_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with open_display(quiet=True) as display:
        display.observe(PROGRESS)
    assert capsys.readouterr().err == ""
    with open_display(quiet=False) as display:
        display.observe(PROGRESS)
    assert capsys.readouterr().err.startswith(HARMLESS)


def test_task_line_counts_what_waited_before_and_says_when_nobody_takes_them() -> None:
    earlier = RunProgress(1.0, tasks_sent=2, outbox_messages=4, dispatched=Dispatched(tasks_confirmed=300))
    assert lines(earlier, Rates()) == ["tasks: 300 tasks confirmed, 4 messages in the outbox"]
    alike = replace(PROGRESS, libraries=(replace(ROW, resumed=False),))
    assert lines(alike, Rates())[1] == "tasks: 100 of 200 tasks confirmed, 3 messages in the outbox"
    without = replace(earlier, dispatched=None)
    assert lines(without, Rates()) == ["tasks: nobody takes the tasks, 4 messages in the outbox"]
    assert lines(replace(without, outbox_messages=0), Rates()) == []
