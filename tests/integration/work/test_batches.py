"""A batch whose worker died is taken apart, so that one poisonous file costs itself alone."""

import signal
import uuid
from pathlib import Path

import aiormq
from aiormq.abc import AbstractChannel

from tests.support import amqp
from tests.support.acts import direct, lines
from tests.support.publishing import Letter, Results, batch_of, send, take
from tests.support.stage import Stage
from tests.support.waiting import wait_until
from tests.support.workers import held_by

NEIGHBOURS = 99
DELIVERY_LIMIT = 20


def single_id(letter: Letter, file: int, attempt: int = 0) -> str:
    """Return the id of the message that holds one file of a batch alone (revision 1)."""
    assert letter.message_id is not None
    return str(uuid.uuid5(uuid.UUID(letter.message_id), f"{file}:1:{attempt}"))


def gated(stage: Stage, count: int) -> tuple[list[Path], Path]:
    """Make files that are done once a gate is there; return them and the gate."""
    gate = stage.folder / "gate"
    return [direct(stage.library / f"{n:03d}.mkv", "wait", gate) for n in range(count)], gate


def test_a_batch_whose_worker_was_killed_comes_back_as_single_tasks_with_derived_ids(
    directed: Stage, results: Results
) -> None:
    paths, gate = gated(directed, 10)
    letter = Letter(batch_of(directed.library, paths))
    with directed.start_worker() as first:
        send(directed, letter)
        wait_until(lambda: len(lines(directed.folder / "opened")) == 1, 20, what="a file is in hand")
        assert held_by(directed.node, first.pid) == 1
        first.kill()
        first.assert_no_process_left()
    with directed.start_worker(prefetch="1") as second:
        wait_until(lambda: directed.waiting("tasks") == 9, 20, what="it is split, and one single in hand")
        singles = take(directed, "tasks")
        assert {single.message_id for single in singles} < {single_id(letter, n) for n in range(1, 11)}
        for single in singles:
            assert len(single.files) == 1
            assert single.message_id == single_id(letter, single.files[0])
            assert (single.type, single.headers["x-attempt"]) == ("scanner.tasks.v1", 0)
            assert {**single.json, "tasks": []} == {**letter.json, "tasks": []}
        gate.touch()
        send(directed, *singles)
        results.wait_for(range(1, 11))
        assert second.is_running()
    assert all([status for status, _ in found] == ["ok"] for found in results.by_file.values())
    assert (directed.waiting("tasks"), directed.waiting("dead")) == (0, 0)


def wear_out(stage: Stage) -> None:
    """Take the message in the tasks queue and give it back, as if its worker had died, until it is gone."""

    async def reject(channel: AbstractChannel) -> bool:
        got: aiormq.abc.DeliveredMessage = await channel.basic_get(stage.tasks)
        if got.delivery_tag is None:
            return False
        await channel.basic_reject(got.delivery_tag, requeue=True)
        return True

    async def wear(channel: AbstractChannel) -> int:
        times = 0
        while await reject(channel):
            times += 1
        return times

    times = amqp.call(stage.broker_url, wear)
    assert times <= DELIVERY_LIMIT + 1


def poisonous(stage: Stage, file: int) -> list[Letter]:
    """Take the poisonous file's message, leaving out those that were answered, not acknowledged."""
    return wait_until(
        lambda: [letter for letter in take(stage, "tasks") if letter.files == [file]],
        20,
        what="the poisonous file is in the queue",
    )


def die_of_it_until_done(stage: Stage, results: Results, letter: Letter, files: set[int]) -> int:
    """Send a letter; start worker after worker until these files are done, and return how many died."""
    for deaths in range(DELIVERY_LIMIT):
        with stage.start_worker() as worker:
            if not deaths:
                send(stage, letter)
            wait_until(
                lambda: not worker.is_running() or files <= results.fetch(),
                30,
                what="it dies of the file, or the neighbours are done",
            )
            if files <= results.fetch():
                wait_until(lambda: not worker.is_running(), 30, what="it dies of the file")
                assert worker.wait() == -signal.SIGKILL
                worker.assert_no_process_left()
                return deaths + 1
    raise AssertionError(f"{len(files - results.fetch())} neighbours have no result")


def test_a_file_that_kills_its_worker_takes_none_of_its_neighbours_to_the_dead_letters(
    directed: Stage, results: Results
) -> None:
    killed = directed.folder / "killed"
    paths = [direct(directed.library / f"{n:03d}.mkv") for n in range(NEIGHBOURS)]
    paths.insert(40, direct(directed.library / "poison.mkv", "kill_worker", killed))
    letter = Letter(batch_of(directed.library, paths))
    neighbours = {n + 1 for n, path in enumerate(paths) if path.name != "poison.mkv"}
    deaths = die_of_it_until_done(directed, results, letter, neighbours)
    assert len(lines(killed)) == deaths >= 2, "the file did kill workers, in the batch and alone"
    assert all(results.status(file) == "ok" for file in neighbours)
    (alone,) = poisonous(directed, 41)
    send(directed, alone)
    wear_out(directed)
    wait_until(lambda: directed.waiting("dead") == 1, 20, what="it is a dead letter")
    (dead,) = take(directed, "dead")
    assert dead.files == [41]
    assert dead.message_id == single_id(letter, 41)
    assert results.fetch() == neighbours
