"""Looking at roots: side by side, once at a time each, and no answer is ever taken for another's."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from scanner.probe import roots
from scanner.probe.frames import RootCheck
from scanner.probe.pool import Pool
from tests.integration.probe.harness import Probing
from tests.support.shims import Shims
from tests.support.waiting import wait_until_async

SILENT = 12


@pytest.fixture
def silent(probing: Probing, shims: Shims, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Roots that never answer."""
    found = []
    for number in range(SILENT):
        probing.file(f"silent/{number}/a.mkv")
        found.append(os.fsencode(probing.folder / "silent" / str(number)))
    for name, value in shims.hang("/library/silent").items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The roots that processes were asked for, in order."""
    seen: list[bytes] = []
    real: Callable[..., Awaitable[object]] = roots.RootChecker._ask

    async def ask(self: object, root: bytes, samples: object) -> object:
        seen.append(root)
        return await real(self, root, samples)

    monkeypatch.setattr(roots.RootChecker, "_ask", ask)
    return seen


def test_an_answer_that_nobody_waited_for_is_not_given_to_the_next(probing: Probing, tmp_path: Path) -> None:
    live, other = tmp_path / "live", tmp_path / "other"
    for root in (live, other):
        root.mkdir()
        (root / "x").touch()
    slow = [b"/nowhere/%d" % number for number in range(60_000)]

    async def scenario(pool: Pool) -> None:
        for _ in range(3):
            looking = asyncio.create_task(pool.check_root(os.fsencode(live), [*slow, b"x"]))
            await wait_until_async(lambda: any(child.unanswered for child in pool._roots.children))
            looking.cancel()
            await asyncio.wait({looking})
            assert looking.cancelled()
            assert await pool.check_root(os.fsencode(other), slow) == "unknown"
            assert await pool.check_root(os.fsencode(live), []) == "known"
            assert await pool.check_root(os.fsencode(other), []) == "known"

    probing.run(scenario)


def test_a_look_that_is_ended_leaves_no_process_with_a_question(probing: Probing, silent: list[bytes]) -> None:
    async def scenario(pool: Pool) -> None:
        looking = asyncio.create_task(pool.check_root(silent[0], []))
        await wait_until_async(lambda: any(child.unanswered for child in pool._roots.children))
        (_, look) = pool._roots._looks[silent[0]]
        look.cancel()
        await asyncio.wait({looking})
        await wait_until_async(lambda: not pool._roots.children)
        assert await pool.check_root(os.fsencode(probing.folder), []) == "known"

    probing.run(scenario)


def test_an_answer_with_another_number_is_not_believed(probing: Probing) -> None:
    slow = [b"/nowhere/%d" % number for number in range(60_000)]

    async def scenario(pool: Pool) -> None:
        root = os.fsencode(probing.folder)
        probing.file("a.mkv")
        assert await pool.check_root(root, []) == "known"
        (child,) = pool._roots.children
        child._send(RootCheck(77, root, []))  # its answer comes while the next question is looked at
        assert await pool.check_root(root, slow) == "unknown"
        assert child not in pool._roots.children

    probing.run(scenario)


def test_who_no_longer_waits_for_a_look_does_not_end_it_for_others(
    probing: Probing, asked: list[bytes]
) -> None:
    root = os.fsencode(probing.folder)
    probing.file("a.mkv")

    async def scenario(pool: Pool) -> None:
        looks = [asyncio.create_task(pool.check_root(root, [])) for _ in range(2)]
        await wait_until_async(lambda: asked)
        looks[0].cancel()
        assert await looks[1] == "known"
        assert asked == [root]
        assert looks[0].cancelled()

    probing.run(scenario)


def test_silent_roots_are_looked_at_side_by_side_and_the_processes_are_bounded(
    probing: Probing, silent: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roots, "_ANSWER_S", 1.0)

    async def scenario(pool: Pool) -> None:
        looks = asyncio.gather(*(pool.check_root(root, []) for root in silent))
        most = 0

        def at_once() -> int:
            nonlocal most
            busy = sum(bool(child.unanswered) for child in pool._roots.children)
            most = max(most, len(pool._roots.children))
            return busy

        await wait_until_async(lambda: at_once() == roots.MOST_PROCESSES)
        await wait_until_async(lambda: at_once() >= 0 and looks.done())
        assert await looks == ["silent"] * SILENT
        assert most == roots.MOST_PROCESSES
        assert await pool.check_root(os.fsencode(probing.folder), []) == "known"

    probing.run(scenario)


def test_a_living_root_is_known_while_others_are_silent(probing: Probing, silent: list[bytes]) -> None:
    async def scenario(pool: Pool) -> None:
        looks = [asyncio.create_task(pool.check_root(root, [])) for root in silent[:3]]
        await wait_until_async(lambda: sum(bool(one.unanswered) for one in pool._roots.children) == 3)
        assert await pool.check_root(os.fsencode(probing.folder), []) == "known"
        assert not any(look.done() for look in looks)
        for look in looks:
            look.cancel()
        await asyncio.wait(looks)

    probing.run(scenario)


def test_who_asks_at_once_for_a_root_shares_one_look(probing: Probing, asked: list[bytes]) -> None:
    probing.file("a.mkv")
    root = os.fsencode(probing.folder)

    async def scenario(pool: Pool) -> None:
        assert await asyncio.gather(*(pool.check_root(root, []) for _ in range(20))) == ["known"] * 20
        assert asked == [root]
        samples: list[list[bytes]] = [[b"a.mkv"], [b"none"], [b"a.mkv"]]
        states = await asyncio.gather(*(pool.check_root(root, one) for one in samples))
        assert states == ["known", "unknown", "known"]

    probing.run(scenario)


def test_a_silent_root_is_silent_for_all_who_ask_whatever_their_samples(
    probing: Probing, silent: list[bytes], asked: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roots, "_ANSWER_S", 0.5)

    async def scenario(pool: Pool) -> None:
        states = await asyncio.gather(*(pool.check_root(silent[0], [b"%d" % one]) for one in range(20)))
        assert states == ["silent"] * 20
        assert asked == [silent[0]]

    probing.run(scenario)


def test_a_stop_answers_whoever_waits_for_a_look(probing: Probing, silent: list[bytes]) -> None:
    async def scenario(pool: Pool) -> None:
        looking = asyncio.create_task(pool.check_root(silent[0], []))
        await wait_until_async(lambda: any(child.unanswered for child in pool._roots.children))
        await pool.stop(0)
        assert await looking == "silent"

    probing.run(scenario)
