"""The progress display and the summary: what they say, how often, and that no name can drive a terminal."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from scanner.app.progress import (
    LibraryError,
    LibraryProgress,
    Phase,
    PlannedChange,
    ProblemGroup,
    RunProgress,
    RunResult,
    ScanTotals,
)
from scanner.cli import summary, wording
from scanner.cli.display import Lines, Picture, Rate, Rates, _console, lines, open_display, picture

HOSTILE = "fi\x1b[31mlms\n[red]x[/red] :smile:\u202e"
HARMLESS = "fi\\x1b[31mlms\\n[red]x[/red] :smile:\\u202e"
ROW = LibraryProgress(
    HOSTILE, Phase.WALKING, resumed=True, directories_done=1_234, directories_pending=56, files=2_000, added=12
)
PROGRESS = RunProgress(
    12.0, (ROW,), tasks_sent=200, tasks_confirmed=100, outbox_messages=3, waiting_for="broker blocked"
)


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
        "broker: 100 tasks confirmed, 3 messages in the outbox",
        "waiting: broker blocked",
    ]


def test_picture_shows_hostile_names_as_text() -> None:
    shown = drawn(PROGRESS)
    assert [line.rstrip() for line in shown.splitlines()] == [
        f"{HARMLESS}  walking (resumed)",
        " " * len(HARMLESS) + "  1,234 directories and 56 to go, 2,000 files, 12 added",
        "broker".ljust(len(HARMLESS)) + "  100 tasks confirmed, 3 messages in the outbox",
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
    progress = RunProgress(
        1.0, (replace(ROW, library="a", waiting_for="outbox full"),), waiting_for="queue full"
    )
    assert progress.waits == ("a: outbox full", "queue full")


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


RESULT = RunResult(
    (
        ScanTotals(
            1, HOSTILE, directories=3, listed=1, files=10, added=2, unchanged=8, tasks=2, messages=1, problems=7
        ),
    ),
    exit_code=1,
    notes=("3 files held back: confirm with --confirm-deletes",),
    problems_by_kind={"unreadable": ProblemGroup(7, tuple(f"/{HOSTILE}/{number}" for number in range(6)))},
    errors=(LibraryError("/b", "library_busy", "held by process 7", 4),),
    outbox_messages=2,
)


def test_summary_says_what_was_found_what_is_wrong_and_what_to_do() -> None:
    told = summary.text(RESULT, embedded=False).splitlines()
    assert told == [
        f"{HARMLESS}: completed in 0.0 s",
        "  found     3 directories, 10 files (1 directory listed in this run)",
        "  changes   2 added, 0 modified, 0 moved, 0 deleted, 8 unchanged",
        "  tasks     2 tasks in 1 message",
        "  problems  7",
        "7 problems: unreadable",
        *(f"  /{HARMLESS}/{number}" for number in range(5)),
        "  and 2 more",
        "error: /b: held by process 7",
        "note: 3 files held back: confirm with --confirm-deletes",
        "result: needs a look (exit 1)",
    ]


def test_summary_says_how_to_configure_a_broker_when_there_is_none() -> None:
    told = summary.text(RESULT, embedded=True)
    assert "2 messages wait in the outbox" in told
    assert "--broker amqp://HOST/ (or SCANNER_BROKER_URL" in told
    assert "no broker" not in summary.text(RESULT, embedded=True, dry_run=True)


def test_error_names_its_path_once() -> None:
    errors = (
        LibraryError("/a", "usage", "path /a is not a directory", 2),
        LibraryError("", "broker_unavailable", "RabbitMQ cannot be reached", 3),
    )
    assert summary.troubles(RunResult((), exit_code=3, errors=errors)) == [
        "error: path /a is not a directory",
        "error: RabbitMQ cannot be reached",
    ]


def test_dry_run_lists_the_first_fifty_changes_and_counts_the_rest() -> None:
    moved = PlannedChange("films", "moved", f"new/{HOSTILE}", f"old/{HOSTILE}")
    changes = (moved, *(PlannedChange("films", "added", f"{number}.mkv") for number in range(60)))
    result = RunResult((ScanTotals(1, "films", tasks=61),), changes=changes)
    told = summary.text(result, embedded=True, dry_run=True).splitlines()
    start = told.index("would hand out:")
    assert told[start + 1] == f"  moved     old/{HARMLESS} -> new/{HARMLESS}"
    assert told[start + 2] == "  added     0.mkv"
    assert told[start + 51 :] == [
        "  and 11 more (--json lists 61)",
        "note: this was a dry run: nothing was written, nothing was sent",
    ]


def test_dry_run_in_json_has_every_change_and_another_run_has_none() -> None:
    result = RunResult((), changes=(PlannedChange("films", "moved", "b.mkv", "a.mkv"),))
    assert summary.document(result, dry_run=True)["changes"] == result.changes
    assert "changes" not in summary.document(result)


def test_quick_scan_that_listed_nothing_does_not_say_that_it_found_no_directory() -> None:
    told = summary.text(RunResult((ScanTotals(1, "a", files=5, unchanged=5),)), embedded=False).splitlines()
    assert told[1] == "  found     5 files, without a directory that had to be listed"


def test_broker_line_counts_what_waited_before_and_says_when_there_is_no_broker() -> None:
    earlier = RunProgress(1.0, tasks_sent=2, tasks_confirmed=300, outbox_messages=4)
    assert lines(earlier, Rates()) == ["broker: 300 tasks confirmed, 4 messages in the outbox"]
    alike = replace(PROGRESS, libraries=(replace(ROW, resumed=False),))
    assert lines(alike, Rates())[1] == "broker: 100 of 200 tasks confirmed, 3 messages in the outbox"
    without = replace(earlier, tasks_confirmed=0, has_broker=False)
    assert lines(without, Rates()) == ["broker: none is configured, 4 messages in the outbox"]
    assert lines(replace(without, outbox_messages=0), Rates()) == []


def test_summary_of_several_libraries_ends_with_all_together() -> None:
    scans = (
        ScanTotals(1, "a", files=1, seconds=1.0),
        ScanTotals(2, "b", files=2, state="interrupted", seconds=2.0),
    )
    told = summary.text(RunResult(scans, exit_code=130), embedded=False).splitlines()
    assert "all together: interrupted in 3.0 s" in told
    assert told[-1] == "result: interrupted; the same command continues (exit 130)"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (12.4, "12 s"), (59.6, "1:00 min"), (185, "3:05 min"), (7_620, "2:07 h")],
)
def test_duration_in_words(seconds: float, words: str) -> None:
    assert wording.duration(seconds) == words


def test_columns_are_aligned_whatever_the_width_of_a_character() -> None:
    assert wording.columns([("name", "files"), ("映画", "1,000"), ("a", "7")]) == (
        "name  files\n映画  1,000\na         7"
    )
