"""The walker process and its client, with real processes and real hangs."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scanner import paths
from scanner.files import frames
from scanner.files.walk import Walker, WalkerSettings
from scanner.files.wire import Checked, CheckRequest, Listing, ListRequest, Request, Verified, VerifyRequest
from tests.support.shims import Shims, read_report
from tests.support.waiting import wait_until

from .support import EVERYTHING, SETTLED, Walk, drive, make_tree, walk

_HASTY = WalkerSettings(settle_s=0, io_timeout_s=1.0, threads=4)


def _tree(root: Path, directories: int = 60, files: int = 5) -> Path:
    return make_tree(
        root, *(f"d{number:03}/f{file}.mkv" for number in range(directories) for file in range(files))
    )


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _use(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_a_walk_finds_what_find_finds() -> None:
    root = Path(__file__).parents[3] / "scanner"
    found = subprocess.run(["find", ".", "-type", "f", "-not", "-path", "*/.*", "-printf", "%P\\0"],
                           cwd=root, capture_output=True, check=True).stdout  # fmt: skip
    expected = {paths.from_bytes(name) for name in found.split(b"\0") if name}
    assert {name for name in walk(root).names if "__pycache__" not in name} == {
        name for name in expected if "__pycache__" not in name
    }


def test_every_kind_of_request_is_answered_with_its_key(tmp_path: Path) -> None:
    make_tree(tmp_path, "a.mkv")
    with Walker(str(tmp_path), EVERYTHING, SETTLED) as walker:
        walker.submit(
            [ListRequest(7, ""), CheckRequest(8, [("", 1)]), VerifyRequest(9, "a.mkv"), ListRequest(10, "no")]
        )
        replies = []
        while walker.outstanding:
            replies += walker.receive(10)
    by_key = {reply.key: reply for reply in replies}
    assert [type(by_key[key]) for key in (7, 8, 9, 10)] == [Listing, Checked, Verified, Listing]
    assert walker.receive(0) == []


def test_receive_returns_at_its_timeout_when_there_is_nothing(tmp_path: Path) -> None:
    with Walker(str(tmp_path), EVERYTHING, SETTLED) as walker:
        assert walker.receive(0.05) == []


def test_a_walker_killed_midway_costs_nothing(tmp_path: Path) -> None:
    root = _tree(tmp_path, directories=400)
    expected = walk(root)
    killed: set[int] = set()

    def kill(seen: Walk) -> None:
        if len(killed) < 3 and seen.final_answers > 100 * (len(killed) + 1):
            killed.add(walker.pid)
            os.kill(walker.pid, signal.SIGKILL)

    with Walker(str(root), EVERYTHING, SETTLED) as walker:
        result = drive(walker, seen=kill, window=50)
    assert len(killed) == 3
    assert result.files == expected.files
    assert set(result.statuses.values()) == {"ok"}
    assert not any(_is_running(pid) for pid in killed | {walker.pid})


def test_a_directory_that_kills_walkers_is_failed_and_the_rest_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shims: Shims
) -> None:
    root = _tree(tmp_path / "library", directories=12)
    _use(monkeypatch, shims.use("files_kill", {"SHIM_KILL": "/d007"}))
    result = walk(root)
    assert [path for path, status in result.statuses.items() if status != "ok"] == ["d007"]
    assert [(problem.path, problem.kind) for problem in result.problems] == [("d007", "io")]
    assert "3 times" in result.problems[0].text
    assert len(result.names) == 11 * 5


def test_a_walker_that_cannot_start_fails_every_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    result = walk(tmp_path)
    assert [problem.kind for problem in result.problems] == ["io"]


def test_a_walker_that_died_idle_is_replaced_when_it_is_needed(tmp_path: Path) -> None:
    with Walker(str(_tree(tmp_path)), EVERYTHING, SETTLED) as walker:
        drive(walker)
        first = walker.pid
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not _is_running(first))
        assert walker.receive(0.05) == []
        assert walker.pid == first
        assert len(drive(walker).names) == 300
        assert walker.pid != first


def test_a_silent_walker_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner.files.walk._LIFE_MARGIN_S", 0.5)
    root = _tree(tmp_path)
    with Walker(str(root), EVERYTHING, WalkerSettings(settle_s=0, io_timeout_s=0.5)) as walker:
        first = walker.pid
        os.kill(first, signal.SIGSTOP)
        result = drive(walker)
        assert walker.pid != first
    assert len(result.names) == 300


def test_the_process_leaves_when_its_stdin_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-E", "-s", "-c", _main(), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as popen:
        assert popen.stdin is not None
        popen.stdin.close()
        assert popen.wait(10) == 0


def _main() -> str:
    place = str(Path(__file__).parents[3])
    return f"import sys; sys.path.insert(0, {place!r}); from scanner.files.walker import main; main()"


def test_a_killed_parent_leaves_no_walker_even_one_that_hangs(tmp_path: Path, shims: Shims) -> None:
    root = _tree(tmp_path)
    code = (
        "import sys; from tests.unit.files.support import *\n"
        "walker = Walker(sys.argv[1], EVERYTHING, SETTLED); walker.submit([ListRequest(1, 'd003')])\n"
        "print(walker.pid, flush=True); walker.receive(600)"
    )
    environment = {**os.environ, **shims.hang("/d003")}
    command = [sys.executable, "-c", code, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        wait_until(lambda: len(list(Path(f"/proc/{pid}/task").iterdir())) >= 3, what="a listing thread")
        parent.kill()
    wait_until(lambda: not _is_running(pid), 5, what="the walker is gone")


def test_the_process_ignores_sigint_and_dies_of_sigterm(tmp_path: Path) -> None:
    with Walker(str(_tree(tmp_path)), EVERYTHING, SETTLED) as walker:
        first = walker.pid
        os.kill(first, signal.SIGINT)
        drive(walker)
        os.kill(first, signal.SIGINT)
        assert len(drive(walker).names) == 300
        assert walker.pid == first
        os.kill(first, signal.SIGTERM)
        assert len(drive(walker).names) == 300
        assert walker.pid != first


def test_a_directory_that_never_answers_is_a_timeout_and_the_rest_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shims: Shims
) -> None:
    root = _tree(tmp_path)
    _use(monkeypatch, shims.hang("/d01"))
    with Walker(str(root), EVERYTHING, WalkerSettings(settle_s=0, io_timeout_s=1.0)) as walker:
        result = drive(walker)
        started_s = time.monotonic()
    assert time.monotonic() - started_s < 3
    hung = {f"d{number:03}" for number in range(10, 20)}
    assert {path for path, status in result.statuses.items() if status == "failed"} == hung
    assert {(problem.path, problem.kind) for problem in result.problems} == {(path, "timeout") for path in hung}
    assert len(result.names) == 50 * 5
    assert not _is_running(walker.pid)


def test_a_mount_that_never_answers_is_given_up_after_as_many_calls_as_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shims: Shims
) -> None:
    root, holding = _tree(tmp_path / "library", directories=200), tmp_path / "holding"
    holding.touch()
    _use(monkeypatch, shims.hang("/d", while_exists=holding))
    with Walker(str(root), EVERYTHING, _HASTY) as walker:
        started_s = time.monotonic()
        result = drive(walker)
        assert time.monotonic() - started_s < 10  # 200 hangs of a second, four at a time, would be 50
        assert list(result.statuses.values()).count("failed") == 200
        assert len(list(Path(f"/proc/{walker.pid}/task").iterdir())) <= 2 + 2 * _HASTY.threads
        holding.unlink()
        key = iter(range(10_000, 20_000))

        def answers_again() -> bool:
            walker.submit([ListRequest(next(key), "d001")])
            (reply,) = walker.receive(10)
            assert isinstance(reply, Listing)
            return reply.status == "ok"

        wait_until(answers_again, 10)
        assert len(drive(walker).names) == 1000


def test_verify_and_check_that_never_answer_conclude_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shims: Shims
) -> None:
    root = _tree(tmp_path)
    _use(monkeypatch, shims.hang("/d001"))
    with Walker(str(root), EVERYTHING, _HASTY) as walker:
        walker.submit([VerifyRequest(1, "d001/f1.mkv"), VerifyRequest(2, "d002/f1.mkv")])
        replies = {}
        while walker.outstanding:
            replies.update({reply.key: reply for reply in walker.receive(10)})
    statuses = {key: reply.status for key, reply in replies.items() if isinstance(reply, Verified)}
    assert statuses == {1: "failed", 2: "present"}


def test_close_ends_a_stopped_walker_in_bounded_time(tmp_path: Path) -> None:
    walker = Walker(str(_tree(tmp_path)), EVERYTHING, SETTLED)
    walker.submit([ListRequest(1, "")])
    os.kill(walker.pid, signal.SIGSTOP)
    started_s = time.monotonic()
    walker.close()
    walker.close()
    assert time.monotonic() - started_s < 3
    assert not _is_running(walker.pid)


def test_close_from_another_thread_wakes_receive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shims: Shims
) -> None:
    root = _tree(tmp_path)
    _use(monkeypatch, shims.hang("/d001"))
    walker = Walker(str(root), EVERYTHING, SETTLED)
    walker.submit([ListRequest(1, "d001")])

    def close() -> None:
        wait_until(lambda: len(list(Path(f"/proc/{walker.pid}/task").iterdir())) >= 3, what="a listing thread")
        walker.close()

    closer = threading.Thread(target=close)
    closer.start()
    started_s = time.monotonic()
    assert walker.receive(60) == []
    assert time.monotonic() - started_s < 5
    closer.join(5)
    assert not _is_running(walker.pid)


def test_an_error_while_reading_fails_the_listing_and_keeps_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shims: Shims
) -> None:
    make_tree(tmp_path, "good/x.mkv", *(f"bad/{number:04}.mkv" for number in range(600)))
    _use(monkeypatch, shims.eio("/bad", after=520))
    result = walk(tmp_path)
    assert result.statuses == {"": "ok", "good": "ok", "bad": "failed"}
    assert [(problem.path, problem.kind, problem.errno) for problem in result.problems] == [("bad", "io", 5)]
    assert "good/x.mkv" in result.names
    assert 256 <= sum(name.startswith("bad/") for name in result.names) < 600


def test_a_slow_mount_gets_more_threads_and_never_more_than_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shims: Shims
) -> None:
    root, report = _tree(tmp_path / "library", directories=150, files=2), tmp_path / "report"
    _use(monkeypatch, shims.slow(root=root, directory_ms=20, report=report))
    assert len(walk(root, settings=WalkerSettings(settle_s=0, threads=6)).names) == 300
    assert read_report(report).most_directories_at_once == 6
    assert read_report(report).directories <= 152


def test_a_quick_disk_is_listed_by_few_threads(tmp_path: Path) -> None:
    with Walker(str(_tree(tmp_path)), EVERYTHING, SETTLED) as walker:
        drive(walker)
        threads = len(list(Path(f"/proc/{walker.pid}/task").iterdir()))
    assert threads <= 2 + 4


def test_submit_never_blocks_and_memory_stays_bounded_when_nobody_reads(tmp_path: Path) -> None:
    make_tree(tmp_path, *(f"{number:05}{'x' * 200}.mkv" for number in range(2000)))
    with Walker(str(tmp_path), EVERYTHING, SETTLED) as walker:
        walker.submit([ListRequest(key, "") for key in range(150)])  # about 38 MB of answers
        walker.submit([ListRequest(key, "y" * 200) for key in range(1000, 11_000)])
        wait_until(lambda: _is_blocked_writing(walker.pid), what="the walker waits for its reader")
        peak_kb = int(_status(walker.pid)["VmHWM"].split()[0])
        files = answered = 0
        while walker.outstanding:
            for reply in walker.receive(30):
                assert isinstance(reply, Listing)
                files += reply.file_count
                answered += reply.status != "part"
    assert (files, answered) == (300_000, 10_150)
    assert peak_kb < 40_000


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _is_blocked_writing(pid: int) -> bool:
    calls = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/wchan")]
    return any("pipe_write" in call for call in calls)


def test_frames_survive_any_cut() -> None:
    requests: list[Request] = [
        ListRequest(1, "é", b"x" * 16),
        CheckRequest(2, [("", 3), ("d", 4)]),
        VerifyRequest(4, "a\nb"),
    ]
    data = frames.request_frame(requests) + frames.frame([])
    for size in (1, 3, 1000):
        reader = frames.FrameReader()
        documents = [
            document for at in range(0, len(data), size) for document in reader.feed(data[at : at + size])
        ]
        assert [frames.requests_of(document) for document in documents] == [requests, []]


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="out of range"):
        WalkerSettings(threads=0)
