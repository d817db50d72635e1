"""Whatever a file does to its process costs that file only."""

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from scanner.probe import child as child_module
from scanner.probe.pool import Pool
from tests.integration.probe.harness import Answers, Probing, extra, look, result
from tests.support.processes import process
from tests.support.waiting import wait_until_async

COSTS = [
    ("segfault", "crashed", "SIGSEGV"),
    ("allocate", "crashed", "`probe_memory_mib`"),
    ("hang", "timeout", "`probe_timeout_s`"),
    ("spin", "timeout", "`probe_timeout_s`"),
    ("leave", "crashed", "exit code 7"),
    ("kill", "crashed", "SIGKILL"),
    ("system_exit", "crashed", "SystemExit: 3"),
    ("raise_error", "crashed", r"LookupError: no \x1b[31m such thing"),
    ("noisy_death", "crashed", r"the last \x1b[2J words"),
    ("big", "unsupported", "2,097,"),
    ("unencodable", "crashed", "TypeError"),
    ("surrogates", "crashed", "UnicodeEncodeError"),
    ("nothing_known", "crashed", "returned a int"),
    ("child", "crashed", "exit code 5"),
]


@pytest.mark.parametrize(("act", "kind", "text"), COSTS, ids=[act for act, _, _ in COSTS])
def test_a_bad_file_costs_itself_only(probing: Probing, act: str, kind: str, text: str) -> None:
    jobs = [probing.job(path) for path in probing.files(30)]
    bad = probing.job(probing.file("bad.mkv", act))
    jobs.insert(15, bad)

    async def scenario(pool: Pool) -> None:
        verdicts = await look(pool, jobs)
        assert verdicts.pop(15).error_kind == kind
        assert {verdict.status for verdict in verdicts} == {"ok"}
        again = (await look(pool, [bad]))[0]
        assert text in again.text, again.text
        assert "\x1b" not in again.text
        error = result(again).error
        assert error is not None
        assert (error.kind, error.text) == (kind, again.text)
        assert (result(again).file, result(again).revision, result(again).attempt) == (bad.file, 3, 1)

    probing.run(scenario, time_limit_s=1.0 if kind == "timeout" else 30.0, memory_mib=256)


def test_output_far_above_a_pipes_buffer_neither_blocks_nor_mixes_with_answers(probing: Probing) -> None:
    jobs = [probing.job(path) for path in probing.files(10, "noise") + probing.files(10)]

    async def scenario(pool: Pool) -> None:
        assert {verdict.status for verdict in await look(pool, jobs)} == {"ok"}
        assert pool.status.replaced == {"crashed": 0, "timeout": 0, "recycled": 0}

    probing.run(scenario)


def test_a_process_killed_from_outside_costs_the_file_it_had_in_hand(probing: Probing, tmp_path: Path) -> None:
    first = probing.job(probing.file("held.mkv", f"wait_for_file {tmp_path / 'never'}"))
    rest = [probing.job(path) for path in probing.files(50)]

    async def scenario(pool: Pool) -> None:
        answers = Answers()
        pool.submit("library", [first, *rest], answers)
        await wait_until_async(lambda: probing.in_hand() == 1)
        pid = probing.processes()[0].pid
        os.kill(pid, signal.SIGKILL)
        await wait_until_async(lambda: len(answers) == 51)
        assert answers.pop(first.key).text.startswith("the probe process was ended by SIGKILL")
        assert answers.statuses() == {"ok": 50}
        assert pid not in {extra(verdict)["pid"] for verdict in answers.values()}

    probing.run(scenario, processes=1)


def test_an_idle_process_that_is_killed_costs_nothing(probing: Probing) -> None:
    async def scenario(pool: Pool) -> None:
        os.kill(probing.processes()[0].pid, signal.SIGKILL)
        await wait_until_async(lambda: pool.status.processes == 0)
        verdicts = await look(pool, [probing.job(path) for path in probing.files(10)])
        assert {verdict.status for verdict in verdicts} == {"ok"}

    probing.run(scenario)


def test_two_hundred_hostile_files_leave_two_thousand_good_ones_ok(probing: Probing) -> None:
    bad: dict[str, tuple[int, str]] = {
        "segfault": (50, "crashed"),
        "leave": (40, "crashed"),
        "kill": (30, "crashed"),
        "raise_error": (30, "crashed"),
        "big": (20, "unsupported"),
        "noisy_death": (14, "crashed"),
        "allocate": (10, "crashed"),
        "hang": (6, "timeout"),
    }
    good = [probing.job(path) for path in probing.files(2000)]
    hostile = [
        (probing.job(path), kind) for act, (count, kind) in bad.items() for path in probing.files(count, act)
    ]
    jobs = good + [job for job, _ in hostile]
    random.Random(5).shuffle(jobs)

    async def scenario(pool: Pool) -> None:
        answers = Answers()
        pool.submit("library", jobs, answers)
        await wait_until_async(lambda: len(answers) == len(jobs), 110)
        assert {answers[job.key].status for job in good} == {"ok"}
        assert [answers[job.key].error_kind for job, _ in hostile] == [kind for _, kind in hostile]
        assert pool.status.replaced["crashed"] >= 144
        assert pool.status.replaced["timeout"] == 6

    probing.run(scenario, time_limit_s=2.0, memory_mib=256)
    assert probing.most_processes >= 2


def test_what_a_process_answered_before_it_died_is_not_done_again(probing: Probing, tmp_path: Path) -> None:
    tally = tmp_path / "tally"
    jobs = [probing.job(path) for path in probing.files(300, f"tally {tally}")]
    killers = [probing.job(path) for path in probing.files(10, "leave")]
    mixed = [job for ten in range(10) for job in [*jobs[ten * 30 : ten * 30 + 30], killers[ten]]]

    async def scenario(pool: Pool) -> None:
        verdicts = await look(pool, mixed)
        assert sum(verdict.status == "ok" for verdict in verdicts) == 300
        assert sorted(tally.read_bytes().splitlines()) == sorted(job.path for job in jobs)

    probing.run(scenario)


def test_a_process_that_cannot_be_killed_stays_counted_and_the_pool_shrinks(
    probing: Probing, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = [probing.job(path) for path in probing.files(2, "hang")]
    good = [probing.job(path) for path in probing.files(20)]
    monkeypatch.setattr(child_module, "_STUCK_S", 0.2)
    killed: list[int] = []

    async def scenario(pool: Pool) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(os, "killpg", lambda pid, _: killed.append(pid))
            answers = Answers()
            pool.submit("library", [stuck[0], *good[:10], stuck[1], *good[10:]], answers)
            await wait_until_async(lambda: pool.status.stuck == 2)
            assert answers.statuses() == {"timeout": 2, "ok": 10}
            assert (pool.status.processes, pool.status.waiting) == (0, 10)
            assert all(process(pid) is not None for pid in killed)
        for pid in set(killed):
            os.killpg(pid, signal.SIGKILL)
        await wait_until_async(lambda: len(answers) == 22)
        assert answers.statuses() == {"timeout": 2, "ok": 20}
        assert pool.status.stuck == 0

    probing.run(scenario, processes=1, time_limit_s=0.3)


def test_stopping_ends_processes_that_hang(probing: Probing) -> None:
    jobs = [probing.job(path) for path in probing.files(4, "hang")]

    async def scenario(pool: Pool) -> None:
        answers = Answers()
        pool.submit("library", jobs, answers)
        await wait_until_async(lambda: probing.in_hand() == 2)
        await pool.stop(0.1)
        assert probing.processes() == []
        assert answers == {}

    probing.run(scenario)


def test_what_is_in_hand_may_be_finished_while_the_pool_stops(probing: Probing, tmp_path: Path) -> None:
    job = probing.job(probing.file("held.mkv", f"wait_for_file {tmp_path / 'go'}"))

    async def scenario(pool: Pool) -> None:
        answers = Answers()
        pool.submit("library", [job], answers)
        await wait_until_async(lambda: probing.in_hand() == 1)
        stopping = asyncio.create_task(pool.stop(60))
        await asyncio.sleep(0)
        (tmp_path / "go").touch()
        await stopping
        assert answers.statuses() == {"ok": 1}

    probing.run(scenario)
