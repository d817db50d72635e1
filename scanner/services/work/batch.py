"""From one task message to the messages that answer it: probe its files, judge what is missing.

Touches no session but to see that a queue for the results exists. Invariant: every task of the message is in
exactly one place of the answer: a result, a retry (with its result), a postponement, a message of its own.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from scanner import message, paths
from scanner.broker.api import Delivery
from scanner.message import RETRYABLE_KINDS, Task
from scanner.probe.jobs import Job, Look, Verdict
from scanner.probe.pool import Pool
from scanner.services.work.admission import Admitted
from scanner.services.work.answer import Answer
from scanner.services.work.pressure import Pace
from scanner.services.work.roots import Roots, granularity_ns
from scanner.services.work.status import WorkSettings
from scanner.services.work.suspects import Suspects
from scanner.waiting import within

_LOOK_EVERY_S = 1.0


class Batches:
    """Works off batches with a pool; knows over all sessions which roots are there and how fast files open."""

    def __init__(self, pool: Pool, pace: Pace, settings: WorkSettings) -> None:
        self._pool, self._pace, self._settings = pool, pace, settings
        self._roots = Roots(settings.root_map, settings.check_root_every_s)
        self._keys = itertools.count(1)
        self._suspects = Suspects()

    @property
    def away(self) -> tuple[str, ...]:
        """The roots that were not there when last looked at."""
        return self._roots.away

    @asynccontextmanager
    async def turn(self, delivery: Delivery, admitted: Admitted) -> AsyncIterator[None]:
        """Wait until a delivery may be worked on; hold it until it is acknowledged."""
        if not delivery.redelivered:
            await self._suspects.none.wait()
            yield
        elif len(admitted.batch.tasks) > 1:
            yield  # it is taken apart, nothing of it is touched
        else:
            async with self._suspects.turn(delivery.deliveries):
                yield

    async def answer(self, delivery: Delivery, admitted: Admitted) -> Answer:
        """Return what the delivery is answered with: a batch that somebody had before is taken apart."""
        answer = Answer(delivery, admitted.batch, self._settings.worker)
        if delivery.redelivered and len(admitted.batch.tasks) > 1:
            self._split(answer, admitted.batch.tasks)
        else:
            await self._work(admitted, answer)
        return answer

    def after_defect(self, delivery: Delivery, admitted: Admitted, error: Exception) -> Answer:
        """Return the answer to what could not be worked on here: each task alone, then as one that crashed."""
        answer = Answer(delivery, admitted.batch, self._settings.worker)
        tasks = admitted.batch.tasks
        if len(tasks) > 1:
            self._split(answer, tasks)
        elif delivery.attempt < message.FINAL_ATTEMPT:
            answer.retry(tasks[0])
        else:
            answer.bury(tasks[0], "crashed", f"the worker failed on it: {error!r}")
        return answer

    def _split(self, answer: Answer, tasks: Sequence[Task]) -> None:
        answer.split(tasks)
        answer.counts["split"] += 1

    async def _work(self, admitted: Admitted, answer: Answer) -> None:
        """Probe the tasks and gather what is to be said of them."""
        root = self._roots.local(admitted.root)
        jobs = self._jobs(admitted, root, answer.delivery.attempt)
        if await self._is_away(root, [job for _, job in jobs]):
            self._postpone(answer, [task for task, job in jobs if job.look != "forget"])
            jobs = [(task, job) for task, job in jobs if job.look == "forget"]
        verdicts = await self._probe(root, [job for _, job in jobs])
        away = await self._missing_with_their_root(root, [job for _, job in jobs], verdicts)
        said = verdicts.keys() - away
        self._say(answer, [(task, verdicts[job.key]) for task, job in jobs if job.key in said])
        rest = [task for task, job in jobs if job.key not in verdicts]
        if root in self._roots.away:
            self._postpone(answer, [*(task for task, job in jobs if job.key in away), *rest])
        else:
            answer.split(rest)

    async def _is_away(self, root: str, jobs: Sequence[Job]) -> bool:
        """Tell whether the library was away when last looked at, and still is: none of these files is there."""
        if root not in self._roots.away:
            return False
        if self._roots.was_looked_at(root):
            return True
        return not await self._roots.is_there(root, self._pool, [paths.from_bytes(job.path) for job in jobs])

    def _jobs(self, admitted: Admitted, root: str, attempt: int) -> list[tuple[Task, Job]]:
        """Return each task with its job."""
        step_ns = self._roots.step_ns(root)
        base = paths.to_bytes(root).rstrip(b"/") + b"/"
        pairs = zip(admitted.batch.tasks, admitted.places, strict=True)
        return [
            (task, _job(next(self._keys), task, base + paths.to_bytes(place), attempt, step_ns))
            for task, place in pairs
        ]

    async def _probe(self, root: str, jobs: Sequence[Job]) -> dict[int, Verdict]:
        """Return the verdicts by key.

        A job that did not begin within `hold_s`, or before its library proved to be away, has none.
        """
        verdicts: dict[int, Verdict] = {}
        expected = {job.key for job in jobs}
        finished = asyncio.Event()

        def take(verdict: Verdict) -> None:
            verdicts[verdict.key] = verdict
            self._pace.opened(verdict.opened_s)
            if len(verdicts) >= len(expected):
                finished.set()

        if not jobs:
            return verdicts
        self._pool.submit(root, jobs, take)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._settings.hold_s
        try:
            while len(verdicts) < len(expected) and not await within(_LOOK_EVERY_S, finished):
                if loop.time() >= until_s or await self._hangs(root, verdicts):
                    expected -= self._pool.withdraw(expected)  # what has begun ends within a file's time limit
        except asyncio.CancelledError:
            self._pool.withdraw(expected)
            raise
        return verdicts

    async def _hangs(self, root: str, verdicts: dict[int, Verdict]) -> bool:
        """Tell whether a file did not open in time because its library does not answer."""
        if all(verdict.opened for verdict in verdicts.values()):
            return False
        if self._roots.was_looked_at(root):
            return root in self._roots.away
        return not await self._roots.is_there(root, self._pool)

    async def _missing_with_their_root(
        self, root: str, jobs: Sequence[Job], verdicts: dict[int, Verdict]
    ) -> set[int]:
        """Return the files that are not to be found, or did not open in time, because their root is away."""
        suspicious = {key for key, verdict in verdicts.items() if _may_be_away(verdict)}
        seen = next((job for job in jobs if job.key in verdicts and _was_read(job, verdicts[job.key])), None)
        if seen is not None:
            self._roots.saw(root, paths.from_bytes(seen.path))
        if not suspicious:
            return set()
        folders = {paths.from_bytes(job.path).rpartition("/")[0] for job in jobs if job.key in suspicious}
        is_there = await self._roots.is_there(root, self._pool, sorted(folders - {root}))
        return set() if is_there else suspicious

    def _postpone(self, answer: Answer, tasks: Sequence[Task]) -> None:
        if tasks:
            answer.postpone(tasks)
            answer.counts["postponed"] += len(tasks)

    def _say(self, answer: Answer, said: Sequence[tuple[Task, Verdict]]) -> None:
        """Add the results, and send on what may succeed later or has failed for good."""
        answer.verdicts.extend(verdict for _, verdict in said)
        answer.results(answer.verdicts)
        for task, verdict in said:
            if verdict.error_kind is None or verdict.error_kind not in RETRYABLE_KINDS:
                continue
            if answer.delivery.attempt < message.FINAL_ATTEMPT:
                answer.retry(task)
                answer.counts["retries"] += 1
            else:
                answer.bury(task, verdict.error_kind, verdict.text)


def _job(key: int, task: Task, path: bytes, attempt: int, step_ns: int) -> Job:
    mtime_ns = int(task.mtime_ns)
    return Job(
        key=key,
        path=path,
        place=task.path,
        kind=task.kind,
        size=task.size,
        mtime_ns=mtime_ns,
        file=task.file,
        revision=task.revision,
        content=task.content,
        attempt=attempt,
        look=_look(task),
        granularity_ns=granularity_ns(step_ns, mtime_ns),
    )


def _look(task: Task) -> Look:
    if task.change == "deleted":
        return "forget"
    return "name" if task.change == "moved" and not task.probe else "content"


def _was_read(job: Job, verdict: Verdict) -> bool:
    return job.look == "content" and (
        verdict.status == "ok" or verdict.error_kind in {"corrupt", "unsupported"}
    )


def _may_be_away(verdict: Verdict) -> bool:
    """Tell whether a verdict may be about the mount rather than about the file."""
    return verdict.status == "gone" or verdict.error_kind == "io" or not verdict.opened
