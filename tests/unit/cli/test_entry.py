"""Every way a command can end: exit codes, the error's document, arguments that are wrong."""

import dataclasses
import errno
import json
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanner import __version__
from scanner.app import progress as values
from scanner.app.progress import ProblemGroup, RunRequest, RunResult, ScanTotals
from scanner.app.reports import Finding, LibraryRow, SchemaReport, StatusReport
from scanner.cli import main
from scanner.cli.options import ProbeOptions, RunOptions, Shared, WorkerOptions
from scanner.config import Settings
from scanner.config.settings import face_of
from scanner.errors import (
    BrokerRefused,
    DatabaseUnavailable,
    LibraryBusy,
    ScannerError,
    ServiceStalled,
    UsageError,
)

RunScans = Callable[[Settings, RunRequest, object], RunResult]
CONTRACT_KEYS = [
    *("scan_id", "library", "state", "resumed", "directories", "listed", "files", "added", "modified", "moved"),
    *("deleted", "held_back", "unchanged", "unsettled", "tasks", "messages", "problems", "processed", "failed"),
    *("retrying", "seconds"),
]


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("scanner.log.configure", lambda *_given, **_more: None)


@pytest.fixture
def app_module(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put functions in the place of a module of `scanner.app`."""

    def replace(name: str, **functions: object) -> None:
        module = types.ModuleType(f"scanner.app.{name}")
        module.__dict__.update(functions)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(sys.modules["scanner.app"], name, module, raising=False)

    return replace


def ends_with(result: RunResult) -> RunScans:
    return lambda _settings, _request, _observe: result


def fails_with(error: BaseException) -> Callable[..., Any]:
    def fail(*_given: object) -> None:
        raise error

    return fail


def test_run_json_has_the_keys_of_the_contract(
    app_module: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    scans = (
        ScanTotals(scan_id=1, library="a", files=2, seconds=1.0),
        ScanTotals(scan_id=2, library="b", files=3),
    )
    app_module("run", run_scans=ends_with(RunResult(scans)))
    assert main(["run", "/a", "/b", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document["scans"][0]) == CONTRACT_KEYS
    assert list(document)[: len(CONTRACT_KEYS)] == CONTRACT_KEYS
    assert (document["files"], document["library"], document["seconds"]) == (5, None, 1.0)


def test_totals_of_one_library_are_its_own() -> None:
    row = ScanTotals(scan_id=7, library="films", files=2)
    assert RunResult((row,)).totals == row
    assert {"files", "seconds", "retrying"} <= set(values.COUNTS)
    assert not {"resumed", "state", "scan_id"} & set(values.COUNTS)


@pytest.mark.parametrize(
    ("codes", "worst"), [([0, 1, 4], 4), ([4, 3], 3), ([5, 3, 130], 5), ([], 0), ([2, 1], 2), ([1, 0], 1)]
)
def test_worst_exit_code_wins_in_the_order_of_the_contract(codes: list[int], worst: int) -> None:
    assert values.worst_exit(codes) == worst


@pytest.mark.parametrize("code", [0, 1, 3, 4, 5, 130, 143])
def test_exit_code_is_that_of_the_result(app_module: Callable[..., None], code: int) -> None:
    app_module("run", run_scans=ends_with(RunResult((ScanTotals(library="a"),), exit_code=code)))
    assert main(["run", "/a"]) == code


@pytest.mark.parametrize(
    "error",
    [UsageError("u"), DatabaseUnavailable("d"), BrokerRefused("b"), LibraryBusy("l"), ServiceStalled("s")],
)
def test_error_is_a_document_on_stdout_and_a_sentence_on_stderr(
    app_module: Callable[..., None], capsys: pytest.CaptureFixture[str], error: ScannerError
) -> None:
    app_module("run", run_scans=fails_with(error))
    assert main(["run", "/a", "--json"]) == type(error).exit_code
    written = capsys.readouterr()
    assert json.loads(written.out) == {"error": {"kind": error.kind, "text": str(error)}}
    assert written.err == f"scanner: {error}\n"


def test_error_without_json_leaves_stdout_empty(
    app_module: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    app_module("run", run_scans=fails_with(BrokerRefused("no \x1b[31m way to amqp://u:hush@h/")))
    assert main(["run", "/a"]) == 3
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err == "scanner: no \\x1b[31m way to amqp://u:***@h/\n"


def test_error_of_one_of_several_libraries_stands_beside_the_results(
    app_module: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    busy = values.LibraryError(path="/b", kind="library_busy", text="held by process 7", exit_code=4)
    app_module("run", run_scans=ends_with(RunResult((ScanTotals(library="a"),), exit_code=4, errors=(busy,))))
    assert main(["run", "/a", "/b", "--json"]) == 4
    written = capsys.readouterr()
    assert json.loads(written.out)["error"] == {"kind": "library_busy", "text": "held by process 7"}
    assert written.err == "error: /b: held by process 7\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run"], "Missing argument"),
        (["run", "/a", "--bogus"], "No such option: --bogus"),
        (["run", "/a", "--limit", "0"], "--limit"),
        (["run", "/a", "--batch-size", "0"], "--batch-size = '0' is refused"),
        (["run", "/a", "/b", "--name", "x"], "--name x names one library"),
        (["run", "/a", "--dry-run", "--restart"], "--dry-run writes nothing"),
        (["run", "/a", "--database", "mysql://u:hush@h/"], "mysql://u:***@h/"),
        (["resend", "--state", "some"], "neither queued nor all"),
        (["files", "--limit", "0"], "--limit"),
        (["failures", "retry"], "say what to try again: FILE"),
        (["failures", "retry", "--all", "7"], "--all tries every failed file again, but files are named"),
        (["failures", "show"], "Missing argument"),
        (["failures", "nonsense"], "No such command"),
        (["library"], "Missing command"),
        (["library", "add"], "Missing argument"),
        (["nonsense"], "No such command"),
    ],
)
def test_wrong_arguments_are_exit_2_in_both_forms(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(arguments) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert told in written.err
    assert main([*arguments, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["kind"] == "usage"
    if "nonsense" not in arguments and arguments != ["library"]:
        assert told in error["text"]


def test_two_forms_of_one_answer_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["files", "--json", "--csv"]) == 2
    assert "give one of them" in json.loads(capsys.readouterr().out)["error"]["text"]


def test_interrupt_before_the_app_listens_is_130(app_module: Callable[..., None]) -> None:
    app_module("run", run_scans=fails_with(KeyboardInterrupt()))
    assert main(["run", "/a"]) == 130


def test_defect_shows_its_traceback_and_is_no_exit_code_of_the_table(
    app_module: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    app_module("run", run_scans=fails_with(RuntimeError("oh \x1b")))
    assert main(["run", "/a", "--json"]) == 70
    written = capsys.readouterr()
    assert json.loads(written.out)["error"]["kind"] == "internal"
    assert "Traceback" in written.err
    assert "\x1b" not in written.err


def test_reader_that_goes_away_ends_no_command(
    app_module: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app_module("run", run_scans=ends_with(RunResult((ScanTotals(library="a"),), exit_code=1)))
    monkeypatch.setattr(sys, "stdout", _Gone())
    assert main(["run", "/a", "--json"]) == 1
    assert capsys.readouterr().err == ""


class _Gone:
    def write(self, _text: str) -> int:
        raise BrokenPipeError(errno.EPIPE, "gone")

    def flush(self) -> None:
        raise BrokenPipeError(errno.EPIPE, "gone")

    def fileno(self) -> int:
        raise ValueError("no descriptor")


def test_options_reach_settings_and_request(
    app_module: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Settings, RunRequest]] = []

    def run_scans(settings: Settings, request: RunRequest, _observe: object) -> RunResult:
        seen.append((settings, request))
        return RunResult(())

    app_module("run", run_scans=run_scans)
    monkeypatch.setenv("SCANNER_SETTLE_S", "3")
    monkeypatch.setenv("SCANNER_HIDDEN", "true")
    given = (
        "--quick --limit 5 --confirm-deletes --exclude a --exclude b --no-hidden --io-timeout 7 --broker-wait 1"
    )
    assert main(["run", "/x/../a\udcff", "/a\udcff", *given.split(), "--broker", "amqp://h"]) == 0
    [(settings, request)] = seen
    assert request == RunRequest(("/a\U0010ffff",), quick=True, limit=5, confirm_deletes=True)
    assert (settings.exclude, settings.hidden, settings.io_timeout_s) == (("a", "b"), False, 7)
    assert (settings.settle_s, settings.broker_wait_s, settings.embedded_broker) == (3, 1, False)


def test_option_that_a_setting_names_exists() -> None:
    known = {
        name
        for group in (Shared, RunOptions, ProbeOptions, WorkerOptions)
        for row in dataclasses.fields(group)
        for name in str(row.type.__metadata__[0].default).split("/")  # type: ignore[union-attr]
    }
    named = {face_of(setting).option for setting in Settings.model_fields.values()} - {""}
    assert named <= known


def test_the_other_commands_show_what_the_app_answers(
    app_module: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    row = LibraryRow("films\x1b", "/srv/films", "nas", "online", 12, {"queued": 2}, lease="host nas, process 7")
    app_module(
        "admin",
        status=lambda _settings: StatusReport("sqlite:///c.db", "amqp://u:***@h", (row,), 3, 200, letters=1),
        list_libraries=lambda _settings: [row],
        add_library=lambda _settings, path, name: dataclasses.replace(row, root=path, name=name or "films"),
        remove_library=lambda _settings, _name: None,
        relocate_library=lambda _settings, name, path: dataclasses.replace(row, root=path, name=name),
        resend=lambda _settings, _library, _state: 12,
        backup=lambda _settings, _target: None,
        upgrade_database=lambda _settings: SchemaReport("0002", "0002", "/c.db.copy"),
        check_database=lambda _settings: SchemaReport("0001", "0002"),
    )
    findings = [Finding("database", "ok", "fine"), Finding("broker", "fail", "absent", "start it")]
    app_module("doctor", diagnose=lambda _settings: findings)
    commands = {
        "status": (0, "3 messages, 200 tasks\nletters   1 message that nobody could read: scanner failures\n"),
        "library list": (0, "films\\x1b is being scanned by host nas, process 7"),
        "library add /srv/new": (0, "nas:/srv/new"),
        "library remove films": (0, "films is no longer in the catalog"),
        "library relocate films /mnt": (0, "nas:/mnt"),
        "resend": (0, "12 tasks"),
        "backup /copy.db": (0, "/copy.db"),
        "db upgrade": (0, "copied to /c.db.copy"),
        "db check": (1, "scanner db upgrade"),
        "doctor": (1, "FAIL  broker: absent\n      -> start it"),
    }
    for command, (code, told) in commands.items():
        assert main(command.split()) == code
        assert told in capsys.readouterr().out
        assert main([*command.split(), "--json"]) == code
        assert json.loads(capsys.readouterr().out)


def test_problem_paths_in_json_are_readable(
    app_module: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    problems = {"unreadable": ProblemGroup(1, ("/a/\U0010ffff\n",))}
    app_module("run", run_scans=ends_with(RunResult((), exit_code=1, problems_by_kind=problems)))
    assert main(["run", "/a", "--json"]) == 1
    written = capsys.readouterr()
    assert json.loads(written.out)["problems_by_kind"] == {"unreadable": {"count": 1, "paths": ["/a/\ufffd\n"]}}
    assert written.err == "1 problem: unreadable\n  /a/\\xff\\n\n"


@pytest.mark.parametrize("module", ["scanner", "scanner.cli"])
def test_version_by_both_modules(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"scanner {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    heavy = "pydantic sqlalchemy aio_pika rich structlog asyncio"
    code = (
        "import sys; from scanner.cli import main; main(['--help']);"
        f"print([name for name in '{heavy}'.split() if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert "resend" in done.stdout
