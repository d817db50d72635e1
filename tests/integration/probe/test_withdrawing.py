"""What was not begun can be taken back, wherever it is: an asker is held up by what is in hand alone."""

import asyncio
from pathlib import Path

from scanner.probe.pool import Pool
from tests.integration.probe.harness import Answers, Probing, look
from tests.support.waiting import wait_until_async

LIMIT_S = 0.5


async def _hand_out_many(pool: Pool, probing: Probing) -> None:
    """Have a process be handed many files at once, as after quick ones."""
    await look(pool, [probing.job(path) for path in probing.files(10)], "/library")
    pool._groups.by_name["/library"].chunk = 200


def test_of_a_hundred_hanging_files_all_but_those_in_hand_are_free_at_once(probing: Probing) -> None:
    jobs = [probing.job(path) for path in probing.files(100, "hang")]
    keys = {job.key for job in jobs}

    async def scenario(pool: Pool) -> None:
        await _hand_out_many(pool, probing)
        answers = Answers()
        pool.submit("/library", jobs, answers)
        await wait_until_async(lambda: probing.in_hand() == 2)
        assert pool.status.waiting < 98  # the others are in a process's chunk
        freed = pool.withdraw(keys)
        assert len(freed) == 98
        assert pool.withdraw(keys) == set()
        await wait_until_async(lambda: not pool.status.busy)
        assert pool.status.waiting == 0
        assert answers.keys() == keys - freed
        assert answers.statuses() == {"timeout": 2}
        assert pool.status.replaced["timeout"] == 2

    probing.run(scenario, time_limit_s=LIMIT_S)


def test_withdrawing_now_and_then_ends_a_hanging_batch_within_a_files_time(probing: Probing) -> None:
    jobs = [probing.job(path) for path in probing.files(100, "hang")]

    async def scenario(pool: Pool) -> None:
        await _hand_out_many(pool, probing)
        answers, left = Answers(), {job.key for job in jobs}
        pool.submit("/library", jobs, answers)
        while not left <= answers.keys():
            await asyncio.sleep(LIMIT_S / 2)
            left -= pool.withdraw(left)
        assert answers.statuses().keys() <= {"timeout"}
        assert len(answers) <= 4

    probing.run(scenario, time_limit_s=LIMIT_S)


def test_a_file_that_hangs_has_no_others_behind_it_the_next_time(probing: Probing) -> None:
    jobs = [probing.job(path) for path in probing.files(30, "hang")]

    async def scenario(pool: Pool) -> None:
        await _hand_out_many(pool, probing)
        answers = Answers()
        pool.submit("/library", jobs, answers)
        await wait_until_async(lambda: len(answers) == 1)
        await wait_until_async(lambda: probing.in_hand() == 1)
        assert pool.status.waiting == 28  # one answered, one in hand

    probing.run(scenario, processes=1, time_limit_s=LIMIT_S)


def test_what_a_process_was_handed_is_passed_over_once_it_is_withdrawn(
    probing: Probing, tmp_path: Path
) -> None:
    gate, tally = tmp_path / "gate", tmp_path / "tally"
    first = probing.job(probing.file("first.mkv", f"wait_for_file {gate}"))
    tallied = [probing.job(probing.file(f"{number}.mkv", f"tally {tally}")) for number in range(50)]
    (last,) = (probing.job(path) for path in probing.files(1))

    async def scenario(pool: Pool) -> None:
        await _hand_out_many(pool, probing)
        answers = Answers()
        pool.submit("/library", [first, *tallied, last], answers)
        await wait_until_async(lambda: probing.in_hand() == 1)
        assert pool.status.waiting == 0
        withdrawn = {job.key for job in tallied}
        assert pool.withdraw({first.key, *withdrawn}) == withdrawn
        gate.touch()
        await wait_until_async(lambda: len(answers) == 2)
        assert answers.statuses() == {"ok": 2}
        assert answers.keys() == {first.key, last.key}
        assert not tally.exists()
        assert {verdict.status for verdict in await look(pool, tallied)} == {"ok"}

    probing.run(scenario, processes=1)
