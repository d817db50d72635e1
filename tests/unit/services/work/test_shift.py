"""Work over the embedded broker, with a pool that does what a test says: what becomes of each delivery."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from scanner import message
from scanner.broker.api import ConsumingSession, Delivery, OutgoingMessage, PublishingSession, Source
from scanner.broker.embedded import EmbeddedBroker
from scanner.message import Task, TaskBatch
from scanner.probe.jobs import Job, RootState, Verdict
from scanner.probe.pool import Pool
from scanner.services.work import shift as shift_module
from scanner.services.work.batch import Batches
from scanner.services.work.pressure import Pace
from scanner.services.work.shift import Shift
from scanner.services.work.status import Tally, WorkSettings, WorkState, WorkStatus
from tests.support.waiting import wait_until_async

CATALOG = "6f0c2a4e-1d0b-4c43-9a53-0f6e1a1f6f5e"
FOREIGN = "7f0c2a4e-1d0b-4c43-9a53-0f6e1a1f6f5e"
MESSAGE = "0b7d2c8e-5a53-4f0e-9a53-0f6e1a1f6f5e"


@dataclass
class Probing:
    """A pool: `act` is called with each submission and may answer, fail, or leave it waiting."""

    act: Callable[[Sequence[Job], Callable[[Verdict], None]], None]
    root: RootState = "known"
    submissions: int = 0
    waiting: set[int] = field(default_factory=set)

    def submit(self, _group: str, jobs: Sequence[Job], done: Callable[[Verdict], None]) -> None:
        self.submissions += 1
        self.waiting |= {job.key for job in jobs}
        self.act(jobs, done)

    def withdraw(self, keys: Collection[int]) -> set[int]:
        taken = self.waiting & set(keys)
        self.waiting -= taken
        return taken

    async def check_root(self, _root: bytes, _samples: Sequence[bytes]) -> RootState:
        return self.root


def well(jobs: Sequence[Job], done: Callable[[Verdict], None]) -> None:
    for job in jobs:
        done(Verdict(job.key, "ok", json.dumps({"file": job.file}).encode()))


def batch(files: int, *, catalog: str = CATALOG, version: int = 1) -> OutgoingMessage:
    tasks = [Task(n, 1, 1, "added", f"{n}.mkv", 5, "7", "video") for n in range(1, files + 1)]
    body = message.encode(TaskBatch(version, catalog, "12", "films", "/srv/films", tasks))
    return OutgoingMessage(77, MESSAGE, message.TASKS_TYPE, message.TASKS, body, task_count=files)


@dataclass
class Scene:
    """A shift at work; what it answers is taken from the other sources by the test."""

    broker: EmbeddedBroker
    publisher: PublishingSession
    consumer: ConsumingSession
    tally: Tally
    draining: asyncio.Event
    answers: list[Delivery] = field(default_factory=list)
    dead: list[Delivery] = field(default_factory=list)

    async def take(self, source: Source, into: list[Delivery]) -> None:
        session = await self.broker.open_consuming(source, 100)
        while deliveries := await session.receive(100):
            into.extend(deliveries)
            await session.acknowledge(deliveries)

    @property
    def delayed(self) -> list[OutgoingMessage]:
        return [row for answer in self.answers for row in answer.delayed]


def play(
    probing: Probing,
    sent: Sequence[OutgoingMessage],
    body: Callable[[Scene], Awaitable[None]],
    **settings: float,
) -> WorkStatus:
    """Send messages to a shift and run `body` beside it."""

    async def main() -> WorkStatus:
        broker = EmbeddedBroker(CATALOG)
        relay = await broker.open_publishing()
        publisher, consumer = await broker.open_publishing(), await broker.open_consuming(Source.TASKS, 8)
        tally, chosen = Tally(), WorkSettings("nas:1", drain_s=1, **settings)  # type: ignore[arg-type]
        batches = Batches(cast("Pool", probing), Pace(2), chosen)
        scene = Scene(broker, publisher, consumer, tally, asyncio.Event())
        running = asyncio.create_task(Shift(publisher, consumer, batches, chosen, tally).run(scene.draining))
        others: list[asyncio.Task[Any]] = [asyncio.create_task(relay.publish(sent))]
        others += [
            asyncio.create_task(scene.take(source, into))
            for source, into in ((Source.RESULTS, scene.answers), (Source.DEAD, scene.dead))
        ]
        try:
            async with asyncio.timeout(20):
                await body(scene)
                scene.draining.set()
                await running
        finally:
            for task in (running, *others):
                task.cancel()
            await asyncio.gather(running, *others, return_exceptions=True)
        return tally.status

    return asyncio.run(main())


def test_what_a_machine_is_short_of_is_waited_for_with_the_message_in_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def short_of_descriptors(jobs: Sequence[Job], done: Callable[[Verdict], None]) -> None:
        if probing.submissions <= 2:
            raise OSError(24, "Too many open files")
        well(jobs, done)

    async def body(scene: Scene) -> None:
        await wait_until_async(lambda: scene.answers)
        assert scene.dead == []

    monkeypatch.setattr(shift_module, "_SHORTAGE_PAUSES_S", (0.01,))
    probing = Probing(short_of_descriptors)
    tally = play(probing, [batch(5)], body)
    assert (tally.results["ok"], tally.refused, tally.retries) == (5, 0, 0)


def fails_here(_jobs: Sequence[Job], _done: Callable[[Verdict], None]) -> None:
    raise LookupError("a defect of ours")


def test_a_batch_that_meets_a_defect_of_ours_is_taken_apart() -> None:
    async def body(scene: Scene) -> None:
        await wait_until_async(lambda: scene.delayed)
        assert [row.route for row in scene.delayed] == [message.TASKS] * 3
        assert scene.dead == []

    assert play(Probing(fails_here), [batch(3)], body).refused == 0


def test_a_single_task_that_meets_a_defect_of_ours_is_tried_again_with_the_attempt_counted() -> None:
    async def body(scene: Scene) -> None:
        await wait_until_async(lambda: scene.delayed)
        assert [(row.route, row.attempt) for row in scene.delayed] == [("retry.10s", 1)]

    play(Probing(fails_here), [batch(1)], body)


def test_what_does_not_begin_in_time_is_sent_on_again_task_by_task() -> None:
    def half(jobs: Sequence[Job], done: Callable[[Verdict], None]) -> None:
        probing.waiting -= {job.key for job in jobs[:2]}
        well(jobs[:2], done)

    async def body(scene: Scene) -> None:
        await wait_until_async(lambda: len(scene.delayed) == 2)
        assert [row.route for row in scene.delayed] == [message.TASKS] * 2

    probing = Probing(half)
    assert play(probing, [batch(4)], body, hold_s=0.1).results["ok"] == 2


def test_a_library_that_does_not_answer_postpones_what_has_not_begun_long_before_the_hold_ends() -> None:
    def hang(jobs: Sequence[Job], done: Callable[[Verdict], None]) -> None:
        first = jobs[0]
        probing.waiting.discard(first.key)
        done(Verdict(first.key, "failed", b"{}", "timeout", "it did not open", opened=False))

    async def body(scene: Scene) -> None:
        await wait_until_async(lambda: scene.delayed, 15)
        assert [row.route for row in scene.delayed] == ["retry.60s"]
        assert len(message.decode_tasks(scene.delayed[0].body).tasks) == 50

    probing = Probing(hang, root="silent")
    tally = play(probing, [batch(50)], body, hold_s=600)
    assert (tally.postponed, tally.results, tally.retries) == (50, {}, 0)


def test_results_that_no_queue_takes_bury_their_tasks_and_hold_nobody_else_up() -> None:
    async def body(scene: Scene) -> None:
        await wait_until_async(lambda: scene.dead and scene.tally.status.files >= 4)
        assert [message.decode_tasks(letter.body).catalog for letter in scene.dead] == [FOREIGN]
        assert scene.publisher.error is None

    other = batch(2, catalog=FOREIGN)
    play(Probing(well), [other, batch(2)], body)


def test_a_message_of_a_newer_version_goes_back_as_it_came_and_nothing_more_is_taken() -> None:
    newer = batch(1, version=2)

    async def body(scene: Scene) -> None:
        await wait_until_async(lambda: scene.tally.status.state is WorkState.REFUSING)
        other = await scene.broker.open_consuming(Source.TASKS, 1)
        (again,) = await other.receive(1)
        assert (again.message_id, again.body, again.redelivered) == (MESSAGE, newer.body, False)
        await scene.consumer.close()
        await scene.publisher.close()
        assert scene.tally.status.state is WorkState.REFUSING, "it stays and says so"

    probing = Probing(well)
    play(probing, [newer], body)
    assert probing.submissions == 0


def test_what_a_stop_cannot_finish_in_time_is_returned_as_if_nobody_had_had_it() -> None:
    async def body(scene: Scene) -> None:
        await wait_until_async(lambda: probing.submissions)
        scene.draining.set()
        other = await scene.broker.open_consuming(Source.TASKS, 1)
        (again,) = await other.receive(1)
        assert (again.message_id, again.redelivered) == (MESSAGE, False)

    probing = Probing(lambda _jobs, _done: None)
    play(probing, [batch(3)], body)
    assert not probing.waiting, "what had not begun is withdrawn"
