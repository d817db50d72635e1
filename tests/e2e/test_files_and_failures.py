"""What `run`, `files` and `failures` tell of real media on a bare machine: no service, one command."""

import csv
import io
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scanner.catalog.engine import Database
from scanner.catalog.letters import Letter, keep
from tests.support.media import MediaFolder
from tests.support.processes import ScannerRun, scanner_command, scanner_environment
from tests.support.stage import assert_no_defect
from tests.support.trees import PAST_NS

pytestmark = pytest.mark.timeout(180)

EVIL = 'evil\x1b[31m\u202e\n"quoted",.mkv'
EVIL_SHOWN = 'evil\\x1b[31m\\u202e\\n"quoted",.mkv'
FORMULA = "=cmd|' -C calc'!A1.mkv"
LATIN = b"caf\xe9.mkv"
GOOD = {"a/Film (2019).mkv", "a/Film (2019).de.srt", "a/Film (2019)-poster.jpg", EVIL, FORMULA, "song.flac"}
BROKEN = {"broken.mkv": "unsupported", "empty.mp3": "corrupt"}


class Machine:
    """A bare machine: a library and a catalog of its own, no broker."""

    def __init__(self, folder: Path, media: MediaFolder) -> None:
        self.folder, self.media = folder, media
        self.library = folder / "films"
        self.catalog = folder / "catalog.db"
        self.environment = scanner_environment(
            folder, database_url=f"sqlite:///{self.catalog}", probe="true", settle_s="0"
        )

    def make_library(self) -> None:
        film = self.media["film.mkv"]
        for name, master in (
            *(("a/Film (2019).mkv", film), ("a/Film (2019).de.srt", self.media["words.srt"])),
            *(("a/Film (2019)-poster.jpg", self.media["photo.jpg"]), ("song.flac", self.media["song.flac"])),
            *((EVIL, film), (FORMULA, film), (os.fsdecode(LATIN), film)),
        ):
            self.put(name, master.read_bytes())
        self.put("broken.mkv", (b"no film at all " * film.stat().st_size)[: film.stat().st_size])
        self.put("empty.mp3", b"")

    def put(self, name: str, content: bytes) -> None:
        path = self.library / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, ns=(PAST_NS, PAST_NS))

    def said(self, *arguments: str | Path, exit_code: int = 0) -> str:
        """Run a command to its end; return what it printed once nothing of it is left."""
        with ScannerRun(arguments, environment=self.environment, folder=self.folder) as run:
            assert run.wait(120) == exit_code, run.stderr[-4000:]
            run.assert_no_process_left()
            assert_no_defect(run)
            return run.stdout

    def told(self, *arguments: str | Path, exit_code: int = 0) -> Any:
        return json.loads(self.said(*arguments, "--json", exit_code=exit_code))

    def states(self) -> dict[str, str]:
        return {row["path"]: row["state"] for row in self.told("files")}


@pytest.fixture
def machine(tmp_path: Path, media: MediaFolder) -> Machine:
    """A machine with a library that was never scanned."""
    made = Machine(tmp_path, media)
    made.make_library()
    return made


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory, media: MediaFolder) -> Machine:
    """A machine whose library is scanned and probed; leave it as it is."""
    made = Machine(tmp_path_factory.mktemp("scanned"), media)
    made.make_library()
    made.told("run", made.library)
    return made


@pytest.fixture
def copied(tmp_path: Path, scanned: Machine) -> Machine:
    """A machine with a copy of that catalog, of the same library."""
    made = Machine(tmp_path, scanned.media)
    made.library = scanned.library
    shutil.copy(scanned.catalog, made.catalog)
    return made


def test_one_command_tells_what_is_held_and_what_failed_and_the_next_that_nothing_changed(
    machine: Machine,
) -> None:
    told = machine.said("run", machine.library)
    assert "9 added" in told
    assert "films holds" in told
    words = [line.split() for line in told.splitlines()]
    counts = {row[0]: int(row[1]) for row in words if len(row) > 1 and row[1].isdigit()}
    assert {"video": 5, "audio": 2, "image": 1, "subtitle": 1}.items() <= counts.items()
    assert "h264 4" in told
    assert "matroska 4" in told
    for path, kind in BROKEN.items():
        assert any(line.split()[:2] == [kind, "1"] and line.endswith(path) for line in told.splitlines())
    again = machine.said("run", machine.library)
    assert again.startswith("films: nothing has changed, 9 files looked at in")
    assert again.endswith("2 failed before (scanner failures)\n")
    assert again.count("\n") == 1


def test_run_in_json_has_the_holdings_and_strict_makes_failures_an_exit_code(machine: Machine) -> None:
    result = machine.told("run", machine.library, "--strict", exit_code=1)
    assert (result["added"], result["failed"], result["retrying"]) == (9, 2, 0)
    [held] = result["holdings"]
    assert held["library"] == "films"
    assert held["states"] == {"ok": 7, "failed": 2}
    assert {one["kind"]: one["examples"] for one in held["failures"]} == {
        kind: [path] for path, kind in BROKEN.items()
    }


def test_files_in_json_and_csv_are_all_files_with_their_names_as_they_are(scanned: Machine) -> None:
    rows = scanned.told("files")
    assert {row["path"] for row in rows} == {*GOOD, *BROKEN, "caf\ufffd.mkv"}
    [latin] = [row for row in rows if "path_bytes" in row]
    assert latin["path_bytes"] == "Y2Fm6S5ta3Y="
    film = next(row for row in rows if row["path"] == EVIL)
    assert (film["library"], film["kind"], film["state"], film["error"]) == ("films", "video", "ok", None)
    assert film["size"] == (scanned.library / EVIL).stat().st_size
    assert film["mtime_ns"] == PAST_NS
    assert (film["container"], film["width"], film["height"], film["video_codec"]) == (
        *("matroska", 128, 72, "h264"),
    )
    table = list(csv.DictReader(io.StringIO(scanned.said("files", "--csv"), newline="")))
    plain = {row["path"].removeprefix("'") for row in table}
    assert plain == {row["path"] for row in rows}
    assert f"'{FORMULA}" in {row["path"] for row in table}
    assert {row["size"] for row in table} == {str(row["size"]) for row in rows}


def test_table_escapes_names_and_shows_sidecars_below_their_film(scanned: Machine) -> None:
    told = scanned.said("files")
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert EVIL_SHOWN in told
    assert "caf\\xe9.mkv" in told
    lines = told.splitlines()
    at = next(number for number, line in enumerate(lines) if line.endswith("  a/Film (2019).mkv"))
    assert {line.rpartition("  + ")[2] for line in lines[at + 1 : at + 3]} == {
        *("Film (2019).de.srt", "Film (2019)-poster.jpg"),
    }
    assert len(lines) == 1 + 9
    assert scanned.said("files", "--limit", "2").endswith(
        "and 7 more: narrow the search, or take all with --json or --csv\n"
    )


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (["--kind", "audio"], {"song.flac", "empty.mp3"}),
        (["--state", "failed"], set(BROKEN)),
        (["--codec", "FLAC"], {"song.flac"}),
        (["--height", "72-72", "film"], {"a/Film (2019).mkv"}),
        (["--height", "-64", "--kind", "image"], {"a/Film (2019)-poster.jpg"}),
        (["--height", "73"], set()),
        (["--duration", "1-5", "--container", "flac"], {"song.flac"}),
        (["--duration", "1h"], set()),
        (["SONG"], {"song.flac"}),
        (["--library", "films", "de.srt"], {"a/Film (2019).de.srt"}),
    ],
)
def test_search_finds_what_matches_and_nothing_else(
    scanned: Machine, search: list[str], found: set[str]
) -> None:
    assert {row["path"] for row in scanned.told("files", *search)} == found


def test_reader_that_takes_the_first_lines_ends_the_command_in_good_order(scanned: Machine) -> None:
    command = " ".join(f"'{part}'" for part in scanner_command("files", "--csv"))
    script = f"{command} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], env=scanned.environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("id,library,path,")


def test_failures_are_listed_with_their_reasons_and_shown_one_by_one(scanned: Machine) -> None:
    told = scanned.said("failures")
    assert "films: 1 file corrupt (damaged or cut off)" in told
    assert "broken.mkv: " in told
    rows = scanned.told("failures", "list")
    assert {row["path"]: row["error_kind"] for row in rows} == BROKEN
    assert all(row["error"] and row["state"] == "failed" for row in rows)
    assert scanned.told("failures", "--kind", "timeout") == []
    broken = next(row for row in rows if row["path"] == "broken.mkv")
    for name in (str(broken["id"]), "broken.mkv", str(scanned.library / "broken.mkv")):
        assert scanned.told("failures", "show", name)["id"] == broken["id"]
    shown = scanned.told("failures", "show", "a/Film (2019).mkv")
    assert [stream["type"] for stream in shown["result"]["details"]["streams"]][:3] == [
        *("video", "audio", "audio"),
    ]
    assert len(shown["sidecars"]) == 2
    assert (
        "'nix' is neither the id nor the path"
        in scanned.told("failures", "show", "nix", exit_code=2)["error"]["text"]
    )


def test_repaired_file_that_looks_the_same_is_ok_after_a_retry_and_a_run(machine: Machine) -> None:
    machine.told("run", machine.library)
    machine.put("broken.mkv", machine.media["film.mkv"].read_bytes())
    assert machine.told("run", machine.library)["modified"] == 0
    assert machine.states()["broken.mkv"] == "failed"
    assert machine.told("failures", "retry", "broken.mkv")["tasks"] == 1
    assert machine.states()["broken.mkv"] == "queued"
    assert machine.told("run", machine.library)["failed"] == 1
    assert machine.states() == {
        **dict.fromkeys((*GOOD, "broken.mkv", "caf\ufffd.mkv"), "ok"),
        "empty.mp3": "failed",
    }


@pytest.mark.parametrize(
    ("chosen", "tasks"),
    [
        (["--all"], 2),
        (["--kind", "corrupt"], 1),
        (["--library", "films"], 2),
        (["--kind", "io"], 0),
        (["broken.mkv", "empty.mp3"], 2),
        (["song.flac"], 0),
        (["FOLDER"], 2),
    ],
)
def test_retry_takes_exactly_what_is_chosen(copied: Machine, chosen: list[str], tasks: int) -> None:
    given = [str(copied.library) if word == "FOLDER" else word for word in chosen]
    retried = copied.told("failures", "retry", *given)
    assert (retried["tasks"], retried["outbox_tasks"]) == (tasks, tasks)
    assert list(copied.states().values()).count("queued") == tasks


def test_what_is_tried_again_in_vain_has_failed_again_after_the_next_run(copied: Machine) -> None:
    said = copied.said("failures", "retry", "--all")
    assert (
        said == "2 files will be tried again; the outbox holds 2 tasks: the next scanner run works them off\n"
    )
    again = copied.told("run", copied.library)
    assert (again["failed"], again["outbox_messages"]) == (2, 0)


def test_status_counts_files_by_state(scanned: Machine) -> None:
    [library] = scanned.told("status")["libraries"]
    assert library["files_by_state"] == {"ok": 7, "failed": 2}
    head, row = scanned.said("status").splitlines()[-2:]
    counts = dict(zip(head.split()[2:8], row.split()[2:8], strict=True))
    assert counts == {"files": "9", "queued": "0", "ok": "7", "failed": "2", "retrying": "0", "missing": "0"}


def test_message_that_nobody_could_read_is_listed_with_its_reason(copied: Machine) -> None:
    with Database(f"sqlite:///{copied.catalog}") as database, database.write() as connection:
        keep(connection, [Letter("id-7", "not JSON\x1b at 3", None, b"\x1b{\xff")])
    assert "1 message that nobody could read" in copied.said("failures")
    [letter] = [row for row in copied.told("failures") if row["kind"] == "letter"]
    assert (letter["state"], letter["error"], letter["message_id"]) == (
        "unreadable",
        "not JSON\\x1b at 3",
        "id-7",
    )
    assert (letter["id"], letter["path"], letter["body"]) == (None, None, "\x1b{\ufffd")
    assert "nobody could read" not in copied.said("failures", "--kind", "corrupt")
    assert "letters   1 message that nobody could read" in copied.said("status")
