"""The summary of a run: what was found, what is held, what failed and why, and what to do about it."""

from dataclasses import replace

import pytest

from scanner.app.progress import (
    FailureKind,
    HeldKind,
    LibraryError,
    LibraryHoldings,
    PlannedChange,
    ProblemGroup,
    RunResult,
    ScanTotals,
)
from scanner.cli import summary, wording

HOSTILE = "fi\x1b[31mlms\n[red]x[/red] :smile:\u202e"
HARMLESS = "fi\\x1b[31mlms\\n[red]x[/red] :smile:\\u202e"
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
        f"{HARMLESS}: scan completed in 0.0 s",
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
    told = summary.text(RESULT, embedded=True, probe=False)
    assert "2 messages wait in the outbox" in told
    assert "--broker amqp://HOST/ (or SCANNER_BROKER_URL" in told
    assert "no broker" not in summary.text(RESULT, embedded=True, probe=False, dry_run=True)
    assert "no broker" not in summary.text(RESULT, embedded=True)


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
    told = summary.text(
        RunResult((ScanTotals(1, "a", files=5, modified=1, unchanged=4),)), embedded=False
    ).splitlines()
    assert told[1] == "  found     5 files, without a directory that had to be listed"


def test_summary_of_several_libraries_ends_with_all_together() -> None:
    scans = (
        ScanTotals(1, "a", files=1, seconds=1.0),
        ScanTotals(2, "b", files=2, state="interrupted", seconds=2.0),
    )
    told = summary.text(RunResult(scans, exit_code=130), embedded=False).splitlines()
    assert "all together: scan interrupted in 3.0 s" in told
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


HELD = LibraryHoldings(
    HOSTILE,
    kinds={
        "video": HeldKind(1_200, 3_400_000_000_000, 2_345.67),
        "audio": HeldKind(30, 90_000_000, 0.75),
        "subtitle": HeldKind(4, 999),
    },
    states={"ok": 1_220, "failed": 10, "retrying": 4},
    containers={"matroska": 1_000, "mp4": 200},
    video_codecs=dict.fromkeys(("h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "vc1", "wmv3"), 150),
    failures=(FailureKind("corrupt", 10, 0, (f"{HOSTILE}.mkv", "b.mkv")), FailureKind(None, 4, 4)),
)
PROBED = RunResult(
    (ScanTotals(1, HOSTILE, files=1_234, added=1_234, tasks=1_234, processed=1_234, failed=10, retrying=4),),
    holdings=(HELD,),
)


def test_summary_tells_what_the_library_holds_and_what_failed_and_why() -> None:
    told = summary.text(PROBED, embedded=True).splitlines()
    assert told[told.index("") + 1 :] == [
        f"{HARMLESS} holds",
        "  kind      files  plays      size",
        "  video     1,200  2,345.7 h  3.4 TB",
        "  audio        30  45:00 min  90.0 MB",
        "  subtitle      4             999 B",
        "  video codecs  h264 150, hevc 150, av1 150, vp9 150, mpeg4 150, mpeg2video 150, 2 more",
        "  containers    matroska 1,000, mp4 200",
        "",
        "  failed   files  tried again  because              for example",
        f"  corrupt     10               damaged or cut off   {HARMLESS}.mkv",
        "  -            4            4  no reason was given",
        "note: 4 files are tried again later, by the next run",
    ]


def test_what_waits_for_a_retry_is_left_to_workers_where_there_is_a_broker() -> None:
    one = replace(PROBED, scans=(replace(PROBED.scans[0], retrying=1),))
    assert summary.text(one, embedded=False).endswith("note: 1 file is tried again later, by a worker")
    dry = summary.text(one, embedded=True, dry_run=True)
    assert "tried again later" not in dry


def test_run_that_changed_nothing_says_so_in_one_line() -> None:
    same = ScanTotals(1, "films", directories=7, listed=7, files=1_234, unchanged=1_234, seconds=0.4)
    result = RunResult((same,), holdings=(replace(HELD, library="films"),))
    assert summary.text(result, embedded=True) == "films: nothing has changed, 1,234 files looked at in 0.4 s"
    failed = replace(result, scans=(replace(same, failed=3),))
    assert summary.text(failed, embedded=True).endswith("in 0.4 s; 3 failed before (scanner failures)")


@pytest.mark.parametrize(
    "news", [{"processed": 1}, {"deleted": 1}, {"problems": 1}, {"state": "interrupted"}, {"files": 0}]
)
def test_run_with_any_news_is_told_in_full(news: dict[str, object]) -> None:
    scan = replace(ScanTotals(1, "films", files=5, unchanged=5), **news)  # type: ignore[arg-type]
    told = summary.text(RunResult((scan,), holdings=(replace(HELD, library="films"),)), embedded=True)
    assert "nothing has changed" not in told
    assert "films holds" in told


def test_summary_in_json_has_the_holdings_as_objects() -> None:
    held = summary.document(PROBED)["holdings"]
    assert held == (HELD,)


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (10**16, "10.0 PB"),
    ],
)
def test_size_in_words(size_bytes: int, words: str) -> None:
    assert wording.size(size_bytes) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, ""), (5, "0:05"), (754.6, "12:35"), (3_600, "1:00:00"), (36_061, "10:01:01")]
)
def test_clock_in_words(seconds: float | None, words: str) -> None:
    assert wording.clock(seconds) == words
