"""What the pool gives back: verdicts on files of every sort, from as many processes as it may have."""

import asyncio
import os
import socket
from pathlib import Path

import pytest
import structlog.testing

from scanner.errors import ProbeUnavailable, UsageError
from scanner.probe import pool as pool_module
from scanner.probe.child import DESCRIPTORS
from scanner.probe.jobs import ProbeSettings
from scanner.probe.pool import Pool
from scanner.probe.rate import Bucket
from tests.integration.probe.harness import Answers, Probing, extra, look, result
from tests.support.processes import assert_no_process_left
from tests.support.waiting import wait_until_async


def test_a_mapping_lands_in_the_result_under_the_handlers_name(probing: Probing) -> None:
    job = probing.job(probing.file("Show/Café \udcff.mkv", "four"), place="Show/Café \ufffd.mkv")

    async def scenario(pool: Pool) -> None:
        (verdict,) = await look(pool, [job])
        assert verdict.status == "ok"
        assert extra(verdict, "size")["bytes"] == 4
        assert extra(verdict, "size")["place"] == "Show/Café \ufffd.mkv"
        found = result(verdict)
        assert (found.file, found.revision, found.content, found.attempt) == (job.file, 3, 2, 1)
        assert (found.size, found.mtime_ns) == (4, str(job.mtime_ns))
        assert 0 < verdict.opened_s <= found.seconds + 1e-4

    probing.run(scenario, handlers=("noop", "size"))


def test_what_is_no_regular_file_is_refused_and_never_read(probing: Probing) -> None:
    pipe, folder, bound = (probing.folder / name for name in ("pipe.mkv", "folder.mkv", "socket.mkv"))
    os.mkfifo(pipe)
    folder.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.fspath(bound))
    jobs = [probing.job(path) for path in (pipe, folder, bound, Path("/dev/zero"))]

    async def scenario(pool: Pool) -> None:
        verdicts = await look(pool, jobs)
        assert [verdict.error_kind for verdict in verdicts] == ["unsupported"] * 4
        assert verdicts[0].text == "it is no regular file but a named pipe"
        assert verdicts[1].text == "it is no regular file but a directory"

    with listener:
        probing.run(scenario)


def test_a_file_that_vanished_is_gone(probing: Probing) -> None:
    jobs = [probing.job(path) for path in probing.files(2)]
    (probing.folder / "file").touch()
    jobs.append(probing.job(probing.folder / "file" / "below.mkv"))
    os.unlink(jobs[0].path)

    async def scenario(pool: Pool) -> None:
        assert [verdict.status for verdict in await look(pool, jobs)] == ["gone", "ok", "gone"]

    probing.run(scenario)


def test_a_file_that_is_not_what_the_task_says_is_changed(probing: Probing) -> None:
    path = probing.file("a.mkv")
    same = probing.job(path)
    os.utime(path, ns=(0, 3_999_999_999))
    jobs = [
        same,
        probing.job(path, size=5),
        probing.job(path, mtime_ns=2_000_000_000),
        probing.job(path, mtime_ns=2_000_000_000, granularity_ns=2_000_000_000),
        probing.job(probing.file("b.mkv", "grow")),
    ]

    async def scenario(pool: Pool) -> None:
        verdicts = await look(pool, jobs)
        assert [verdict.status for verdict in verdicts] == ["changed", "changed", "changed", "ok", "changed"]
        assert (result(verdicts[0]).size, result(verdicts[0]).mtime_ns) == (4, "3999999999")
        assert result(verdicts[4]).size == len("grow") + len("more")

    probing.run(scenario)


def test_a_time_beyond_64_bits_is_the_one_the_walk_gives(probing: Probing) -> None:
    path = probing.file("future.mkv")
    try:
        os.utime(path, (1 << 34, 1 << 34))
    except OverflowError:
        pytest.skip("the file system has no such times")
    if path.stat().st_mtime_ns < 1 << 63:
        pytest.skip("the file system has no such times")

    async def scenario(pool: Pool) -> None:
        (verdict,) = await look(pool, [probing.job(path, mtime_ns=(1 << 63) - 1)])
        assert verdict.status == "ok"

    probing.run(scenario)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything (test_examine covers the errors)")
def test_an_unreadable_file_is_said_to_be_so(probing: Probing) -> None:
    path = probing.file("secret.mkv")
    path.chmod(0)

    async def scenario(pool: Pool) -> None:
        assert (await look(pool, [probing.job(path)]))[0].error_kind == "unreadable"

    probing.run(scenario)


def test_a_moved_file_is_not_opened_and_a_deleted_one_is_forgotten(probing: Probing) -> None:
    path = probing.file("film.mkv")
    job = probing.job(path)

    async def scenario(pool: Pool) -> None:
        (seen,) = await look(pool, [job])
        assert extra(seen, "derived") == {"limit_s": 30.0}
        path.unlink()
        (moved,) = await look(pool, [probing.job(path, "name", place="New/film.mkv")])
        assert extra(moved, "derived") == {"moved_to": "New/film.mkv"}
        (forgotten,) = await look(pool, [probing.job(path, "forget")])
        assert (forgotten.status, result(forgotten).extra) == ("ok", None)
        assert list(probing.folder.iterdir()) == []

    probing.run(scenario, handlers=("derived",))


def test_processes_are_replaced_after_so_many_files(probing: Probing) -> None:
    jobs = [probing.job(path) for path in probing.files(95)]

    async def scenario(pool: Pool) -> None:
        verdicts = await look(pool, jobs)
        pids = [extra(verdict)["pid"] for verdict in verdicts]
        assert max(pids.count(pid) for pid in set(pids)) <= 10
        await wait_until_async(lambda: pool.status.replaced["recycled"] >= 9)
        assert pool.status.replaced["crashed"] == 0

    probing.run(scenario, recycle_after=10)


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        ("no_such", "handlers: none is named 'no_such'; installed are .*, misbehave, .*probe"),
        ("broken", "handlers: broken cannot be loaded: ModuleNotFoundError"),
        ("not_callable", "handlers: not_callable cannot be loaded: TypeError"),
    ],
)
def test_a_handler_that_is_not_there_is_an_error_that_names_the_setting(
    probing: Probing, handler: str, text: str
) -> None:
    async def scenario(pool: Pool) -> None:
        raise AssertionError("it started")

    with pytest.raises(UsageError, match=text):
        probing.run(scenario, handlers=(handler,))


@pytest.mark.parametrize("memory_mib", [16, 64, 100])
def test_too_little_memory_for_the_handlers_is_no_fault_of_theirs(probing: Probing, memory_mib: int) -> None:
    async def scenario(pool: Pool) -> None:
        raise AssertionError("it started")

    with pytest.raises(ProbeUnavailable, match=rf"\(`probe_memory_mib`, {memory_mib} MiB\)") as caught:
        probing.run(scenario, handlers=("probe",), memory_mib=memory_mib)
    assert caught.value.exit_code == 5


def test_a_machine_too_slow_to_start_a_process_is_not_called_a_wrong_setting(
    probing: Probing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "_START_S", 0.001)

    async def scenario(pool: Pool) -> None:
        raise AssertionError("it started")

    with pytest.raises(ProbeUnavailable, match="probing cannot start: no probe process was ready within"):
        probing.run(scenario)


def test_a_start_that_is_cancelled_leaves_no_process(probing: Probing) -> None:
    async def start_and_cancel() -> None:
        starting = asyncio.create_task(Pool(ProbeSettings(handlers=("misbehave",))).start())
        await wait_until_async(probing.processes)
        starting.cancel()
        await asyncio.wait({starting})
        assert starting.cancelled()

    asyncio.run(start_and_cancel())
    assert_no_process_left(probing.mark)


def test_a_process_costs_no_more_descriptors_than_room_is_made_for(probing: Probing, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    jobs = [probing.job(path) for path in probing.files(4, f"wait_for_file {gate}")]

    async def scenario(pool: Pool) -> None:
        def open_files() -> int:
            return len(os.listdir("/proc/self/fd"))

        before, answers = open_files(), Answers()
        pool.submit("library", jobs, answers)
        await wait_until_async(lambda: probing.in_hand() == 4)
        assert open_files() - before == 3 * DESCRIPTORS
        gate.touch()
        await wait_until_async(lambda: len(answers) == 4)

    probing.run(scenario, processes=4)


def test_an_end_of_what_looks_after_processes_is_logged(probing: Probing) -> None:
    async def scenario(pool: Pool) -> None:
        def fail() -> bool:
            raise RuntimeError("lost")

        pool._is_busy = fail  # type: ignore[method-assign]
        assert pool._ticking is not None
        await asyncio.wait({pool._ticking})
        await asyncio.sleep(0)

    with structlog.testing.capture_logs() as logs:
        probing.run(scenario)
    (line,) = (line for line in logs if line["event"] == "probe.nobody_looks_after_processes")
    assert (line["log_level"], line["error"]) == ("error", "RuntimeError('lost')")


def test_the_limit_is_kept_as_it_falls_and_rises(probing: Probing, tmp_path: Path) -> None:
    gates = [tmp_path / f"gate{number}" for number in range(60)]
    jobs = [probing.job(probing.file(f"{gate.name}.mkv", f"wait_for_file {gate}")) for gate in gates]

    async def scenario(pool: Pool) -> None:
        answers = Answers()
        most_busy = 0

        async def open_gates(count: int) -> None:
            nonlocal most_busy
            before, most_busy = len(answers), 0
            for number in range(before, before + count):
                gates[number].touch()
            while len(answers) < before + count:
                await asyncio.sleep(0)
                most_busy = max(most_busy, pool.status.busy)

        pool.limit = 1
        pool.submit("library", jobs, answers)
        await open_gates(3)
        assert most_busy == pool.status.processes == 1
        pool.limit = 99
        assert pool.limit == 3
        await wait_until_async(lambda: pool.status.busy == 3)
        pool.limit = 2
        await open_gates(20)
        await open_gates(5)
        assert (most_busy, pool.status.waiting > 0) == (2, True)
        await open_gates(60 - len(answers))
        assert answers.statuses() == {"ok": 60}

    probing.run(scenario, processes=3)


def test_a_small_group_does_not_wait_behind_a_large_one(probing: Probing) -> None:
    large = [probing.job(path) for path in probing.files(4000)]
    small = [probing.job(path) for path in probing.files(100)]

    async def scenario(pool: Pool) -> None:
        of_large, of_small = Answers(), Answers()
        pool.submit("large", large, of_large)
        await wait_until_async(lambda: len(of_large) > 100)
        pool.submit("small", small, of_small)
        await wait_until_async(lambda: len(of_small) == 100)
        assert len(of_large) < 3000
        await wait_until_async(lambda: len(of_large) == 4000)

    probing.run(scenario)


def test_one_who_fails_to_take_a_verdict_does_not_cost_others_theirs(probing: Probing) -> None:
    jobs = [probing.job(path) for path in probing.files(20)]

    async def scenario(pool: Pool) -> None:
        answers = Answers()

        def take(verdict: object) -> None:
            raise RuntimeError("full")

        pool.submit("library", jobs[:5], take)
        pool.submit("library", jobs[5:], answers)
        await wait_until_async(lambda: len(answers) == 15)

    probing.run(scenario, processes=1)


def test_a_rate_makes_processes_read_no_faster(probing: Probing, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that stands still: what is read beyond the rate is never begun."""
    monkeypatch.setattr(Bucket.__init__, "__defaults__", (lambda: 0.0,))
    jobs = [probing.job(path) for path in probing.files(40, "read " + "x" * 100_000)]

    async def scenario(pool: Pool) -> None:
        answers = Answers()
        pool.submit("library", jobs, answers)
        await wait_until_async(lambda: len(answers) and not pool.status.busy)
        assert 10 <= len(answers) < 40
        assert pool.status.waiting == 40 - len(answers)

    probing.run(scenario, processes=1, io_rate_mib_s=1.0)


def test_a_long_read_rests_within_a_file_and_its_time_does_not_run_meanwhile(
    probing: Probing, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, looks = 0.0, 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return now_s

    monkeypatch.setattr(Bucket.__init__, "__defaults__", (clock,))
    path = probing.file("long.mkv", "x" * (24 << 20))
    pieces = probing.folder / "long.mkv.pieces"

    async def scenario(pool: Pool) -> None:
        nonlocal now_s
        answers = Answers()
        pool.submit("library", [probing.job(path)], answers)
        await wait_until_async(lambda: pieces.exists() and pieces.stat().st_size >= 16)
        before = looks
        await wait_until_async(lambda: looks > before + 30)  # twice the file's time limit, at least
        assert answers == {}
        assert pieces.stat().st_size < 24
        now_s = 1000.0
        await wait_until_async(lambda: answers)
        assert answers.statuses() == {"ok": 1}

    probing.run(scenario, processes=1, io_rate_mib_s=16.0, time_limit_s=0.3, handlers=("paced",))


def test_a_root_is_known_by_what_it_holds(probing: Probing, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    probing.file("Films/a.mkv")
    root, empty = os.fsencode(probing.folder), os.fsencode(tmp_path / "empty")

    async def scenario(pool: Pool) -> None:
        assert await pool.check_root(root, []) == "known"
        assert await pool.check_root(root, [b"Films/gone.mkv", b"Films/a.mkv"]) == "known"
        assert await pool.check_root(root, [b"Films/gone.mkv"]) == "unknown"
        assert await pool.check_root(empty, []) == "unknown"
        assert await pool.check_root(root + b"/none", []) == "unknown"
        assert await pool.check_root(root + b"/Films/a.mkv", []) == "unknown"
        states = await asyncio.gather(*(pool.check_root(root, []) for _ in range(5)))
        assert states == ["known"] * 5

    probing.run(scenario)
