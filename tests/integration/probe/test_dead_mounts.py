"""A mount that is gone: opening a file on it never returns, and only files on it are held up."""

import os
from pathlib import Path

import pytest

from scanner.probe import roots
from scanner.probe.pool import Pool
from tests.integration.probe.harness import Answers, Probing, look
from tests.support.shims import Shims
from tests.support.waiting import wait_until_async


@pytest.fixture
def dead(probing: Probing, shims: Shims, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file: while it is there, no file below `dead/` opens."""
    while_exists = tmp_path / "away"
    while_exists.touch()
    settings = {"SHIM_HANG": "/library/dead/", "SHIM_HANG_WHILE": str(while_exists)}
    for name, value in shims.use("hang_file", settings).items():
        monkeypatch.setenv(name, value)
    return while_exists


@pytest.mark.usefixtures("dead")
def test_files_elsewhere_go_on_while_every_process_hangs(probing: Probing) -> None:
    hanging = [probing.job(probing.file(f"dead/{number}.mkv")) for number in range(20)]
    good = [probing.job(path) for path in probing.files(200)]

    async def scenario(pool: Pool) -> None:
        answers = Answers()
        pool.submit("dead", hanging, answers)
        await wait_until_async(lambda: pool.status.groups["dead"].processes == 2)
        assert {verdict.status for verdict in await look(pool, good, "good")} == {"ok"}
        assert answers == {}
        assert pool.status.groups["dead"].hanging == pool.status.hanging == 2
        assert pool.status.groups["good"].hanging == 0
        assert await pool.check_root(os.fsencode(probing.folder), []) == "known"

    probing.run(scenario)


def test_a_group_whose_opens_time_out_has_one_process_until_one_opens_again(
    probing: Probing, dead: Path
) -> None:
    jobs = [probing.job(probing.file(f"dead/{number}.mkv")) for number in range(40)]

    async def scenario(pool: Pool) -> None:
        answers = Answers()
        pool.submit("dead", jobs, answers)
        await wait_until_async(lambda: len(answers) >= 4)
        timed_out = list(answers.values())
        assert {(verdict.error_kind, verdict.opened) for verdict in timed_out} == {("timeout", False)}
        assert timed_out[0].text == "it did not open within 0.3 s (`probe_timeout_s`)"
        await wait_until_async(lambda: pool.status.groups["dead"].processes == 1)
        assert pool.status.groups["dead"].is_held
        before, seen = len(answers), set()

        def three_more() -> bool:
            seen.add(pool.status.groups["dead"].processes)
            return len(answers) >= before + 3

        await wait_until_async(three_more)
        assert seen <= {0, 1}
        os.unlink(dead)
        await wait_until_async(lambda: len(answers) == 40)
        assert answers.statuses()["ok"] >= 30
        assert not pool.status.groups["dead"].is_held

    probing.run(scenario, processes=3, time_limit_s=0.3)


def test_a_root_that_does_not_answer_is_silent_and_others_are_still_known(
    probing: Probing, shims: Shims, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roots, "_ANSWER_S", 0.5)
    probing.file("silent/a.mkv")
    for name, value in shims.hang("/library/silent").items():
        monkeypatch.setenv(name, value)

    async def scenario(pool: Pool) -> None:
        silent = os.fsencode(probing.folder / "silent")
        assert await pool.check_root(silent, []) == "silent"
        assert await pool.check_root(os.fsencode(tmp_path), []) == "known"
        assert await pool.check_root(silent, [b"a.mkv"]) == "silent"

    probing.run(scenario)
