"""A batch whose worker died is taken apart, so that one poisonous file costs itself alone."""

import uuid
from pathlib import Path

from tests.support.acts import direct, lines
from tests.support.publishing import Letter, Results, batch_of, send, take
from tests.support.stage import Stage
from tests.support.waiting import wait_until
from tests.support.workers import held_by

NEIGHBOURS = 99
FEW_DELIVERIES = 4
"""The delivery limit of this test, by a policy: the usual 20 would take a minute."""


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


def die_of_it_until_done(stage: Stage, results: Results, letter: Letter, files: set[int]) -> int:
    """Send a letter; start workers until these files are done and a letter is dead; return the deaths."""
    for deaths in range(FEW_DELIVERIES + len(files)):
        with stage.start_worker() as worker:
            if not deaths:
                send(stage, letter)
            if wait_until(
                lambda: "died" if not worker.is_running() else "done" if files <= results.fetch() else "",
                30,
                what="it dies of the file, or the neighbours are done",
            ) == "done" and stage.waiting("dead"):
                return deaths
            wait_until(
                lambda: not worker.is_running() or stage.waiting("dead"), 30, what="it dies, or is rid of it"
            )
            worker.kill_everything()
    raise AssertionError(f"{len(files - results.fetch())} neighbours have no result")


def test_a_file_that_kills_its_worker_takes_none_of_its_neighbours_to_the_dead_letters(
    directed: Stage, results: Results
) -> None:
    killed = directed.folder / "killed"
    paths = [direct(directed.library / f"{n:03d}.mkv") for n in range(NEIGHBOURS)]
    paths.insert(40, direct(directed.library / "poison.mkv", "kill_worker", killed))
    letter = Letter(batch_of(directed.library, paths))
    neighbours = {n + 1 for n, path in enumerate(paths) if path.name != "poison.mkv"}
    limit: dict[str, object] = {"delivery-limit": FEW_DELIVERIES}
    directed.node.set_policy(directed.prefix, f"^{directed.tasks}$", limit)
    try:
        die_of_it_until_done(directed, results, letter, neighbours)
    finally:
        directed.node.ctl("clear_policy", directed.prefix)
    assert len(lines(killed)) > FEW_DELIVERIES, "the file did kill workers, in the batch and alone"
    assert all(results.status(file) == "ok" for file in neighbours)
    (dead,) = take(directed, "dead")
    assert dead.files == [41]
    assert dead.message_id == single_id(letter, 41)
    assert results.fetch() == neighbours
