"""Files as a table, as CSV and as JSON: no name drives a terminal or a spreadsheet, and nothing is lost."""

import csv
import io
import json
from typing import Any

import pytest

from scanner.app.failures import FailureReport, Group, KnownFile, Retried
from scanner.app.search import COLUMNS, Page, document
from scanner.catalog.letters import KeptLetter
from scanner.catalog.media import Details, Probed
from scanner.catalog.search import FoundFile
from scanner.cli import output, rows, tables
from scanner.message import Stream

EVIL = 'evil\x1b[31m\u202e\n,"x".mkv'
SHOWN = 'evil\\x1b[31m\\u202e\\n,"x".mkv'
NOTHING: dict[str, Any] = dict.fromkeys(FoundFile._fields)


def found(file_id: int, path: str, **known: Any) -> FoundFile:
    least = {"library": "films", "kind": "video", "state": "ok", "size": 1_234_567, "mtime_ns": 10**18}
    counters = {"revision": 1, "content": 1, "attempts": 0}
    return FoundFile(**{**NOTHING, **least, **counters, "id": file_id, "path": path, **known})


FILM = found(7, f"a/{EVIL}", duration_s=5_025.4, width=1920, height=1080, video_codec="hevc", audio_codec="aac")
SIDECAR = found(12, "a/film.de.srt", kind="subtitle", size=812)
BROKEN = found(100, "b.mkv", state="failed", error_kind="corrupt", error="no\x07 header", attempts=3)


def test_table_shows_a_hostile_name_escaped_and_a_sidecar_below_its_video() -> None:
    told = rows.table(Page((FILM, BROKEN), {7: [SIDECAR]}, more=1_234)).splitlines()
    assert told == [
        " id  kind      state            size    length   picture    codecs    library  path".replace(
            " id", "id ", 1
        ),
        f"  7  video     ok               1.2 MB  1:23:45  1920x1080  hevc/aac  films    a/{SHOWN}",
        " 12  subtitle  ok               812 B                                 films      + film.de.srt",
        "100  video     failed: corrupt  1.2 MB                                films    b.mkv",
        "and 1,234 more: narrow the search, or take all with --json or --csv",
    ]
    assert rows.table(Page(())) == "no file matches"


@pytest.mark.parametrize("harmless", [False, True])
def test_csv_is_read_back_as_it_was_and_starts_no_formula(harmless: bool) -> None:
    paths = [EVIL, "=1+1.mkv", "+x", "-x", "@x", "\tx", "a=b", "latin\U0010ffe9.mkv"]
    written = "".join(rows.csv_rows([document(found(1, path)) for path in paths], COLUMNS, harmless=harmless))
    assert written.count("\r\n") == len(paths) + 1
    read = list(csv.DictReader(io.StringIO(written, newline="")))
    assert list(read[0]) == list(COLUMNS)
    tab = "\\tx" if harmless else "'\tx"
    first = SHOWN if harmless else EVIL
    assert [row["path"] for row in read] == [
        *(first, "'=1+1.mkv", "'+x", "'-x", "'@x", tab, "a=b", "latin\ufffd.mkv")
    ]
    assert {(row["size"], row["mtime_ns"], row["error"]) for row in read} == {("1234567", str(10**18), "")}


def test_number_below_zero_is_a_number_and_no_formula() -> None:
    [_, line] = rows.csv_rows([{"mtime_ns": -5}], ["mtime_ns"], harmless=False)
    assert line == "-5\r\n"


@pytest.mark.parametrize("number", [0, 1, 3])
def test_json_is_one_array_whatever_the_number_of_rows(number: int) -> None:
    written = "".join(output.json_rows(document(found(one, EVIL)) for one in range(number)))
    assert written.isascii()
    assert [row["path"] for row in json.loads(written)] == [EVIL] * number
    assert written.count("\n") == (number + 2 if number else 1)


def test_document_has_the_keys_of_the_contract_first_and_the_bytes_of_a_name_that_is_not_utf_8() -> None:
    told = document(BROKEN)
    assert list(told)[:8] == ["id", "library", "path", "kind", "state", "size", "mtime_ns", "error"]
    assert (told["mtime_ns"], told["attempts"], told["error"]) == (10**18, 4, "no\x07 header")
    assert "path_bytes" not in told
    assert document(found(1, "latin\U0010ffe9.mkv"))["path_bytes"] == "bGF0aW7pLm1rdg=="
    assert document(found(1, "x", state="queued"))["attempts"] == 0


def test_stream_of_rows_ends_quietly_when_the_reader_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    class Head(io.StringIO):
        def write(self, text: str) -> int:
            if len(taken) > 2:
                raise BrokenPipeError
            return super().write(text)

    def endless() -> Any:
        while True:
            taken.append(1)
            yield "row\n"

    monkeypatch.setattr("sys.stdout", Head())
    output.stream(endless())
    assert len(taken) == 3


def test_failures_are_listed_by_kind_with_what_it_means_and_the_first_files() -> None:
    letter = KeptLetter(1, "id\x1b", "not JSON at \x07", None, 0.0, b"{")
    report = FailureReport((Group("films", "corrupt", 12, 3, (BROKEN, FILM)),), (letter,), 2)
    told = tables.failures(report).splitlines()
    assert told[:4] == [
        "films: 12 files corrupt (damaged or cut off), 3 of them tried again later",
        "  100  b.mkv: no\\x07 header",
        f"    7  a/{SHOWN}: ",
        "  and 10 more (--json lists them all)",
    ]
    assert told[4] == "2 messages that nobody could read"
    assert told[5].endswith("  id\\x1b: not JSON at \\x07")
    assert tables.failures(FailureReport(())) == "nothing has failed"


def test_retry_says_how_many_tasks_wait_and_who_sends_them() -> None:
    assert tables.retried(Retried(2, 5), embedded=True) == (
        "2 files will be tried again; the outbox holds 5 tasks: the next scanner run works them off"
    )
    assert tables.retried(Retried(1, 1, "host nas, process 7"), embedded=False).endswith(
        "holds 1 task: host nas, process 7 sends them"
    )
    assert "no task was written" in tables.retried(Retried(0, 9), embedded=True)


def test_file_is_shown_with_its_error_its_streams_and_who_probed_it() -> None:
    stream = Stream("video", codec="hevc", width=1920, height=1080, hdr="HDR10", language="ger", default=True)
    details = Details(streams=[stream], tags={"title": EVIL})
    probed = Probed("nas:7", 0.0, 0.25, None, details)
    told = tables.known_file(KnownFile(FILM, probed, (SIDECAR,))).splitlines()
    assert "stream     video hevc, 1920x1080, HDR10, ger, default" in told
    assert f"tag        title: {SHOWN}" in told
    assert "sidecar    film.de.srt" in told
    assert told[-2].endswith("by nas:7 in 0.2 s")
    failed = tables.known_file(KnownFile(BROKEN)).splitlines()
    assert failed[-2:] == ["error      corrupt (damaged or cut off): no\\x07 header", "tried      4 times"]
