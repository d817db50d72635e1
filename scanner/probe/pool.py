"""The pool: hands files to probe processes, and answers for those that take their process with them.

Invariants. `done` is called exactly once for each file, until `stop`: with what its process answered, or, if
that died over it, hung or was killed, with a verdict of our own. A process that ends costs the one file that
it had in hand; what it answered counts, what it had not begun goes to another. There are never more than two
processes for each of `settings.processes` (and a few for roots): the second one replaces a process that hangs
in the kernel, and when these are used up the pool shrinks and says so. A crash of the pool itself ends the
worker and every process.

Not pebble, the well-kept pool of processes with time limits: see docs/handlers.md.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import structlog

from scanner.errors import ProbeUnavailable, UsageError
from scanner.probe import handlers, room, verdicts
from scanner.probe.child import Cause, Child, Entry, withdrawn
from scanner.probe.groups import Group, Groups, GroupStatus
from scanner.probe.jobs import Job, ProbeSettings, RootState, Verdict
from scanner.probe.rate import Bucket
from scanner.probe.roots import RootChecker

log = structlog.get_logger(__name__)

_TICK_S, _IDLE_TICK_S = 0.05, 0.5
_LONGEST_STEP_S = 1.0
"""More than this between two ticks was our own standstill, and is not held against a file."""
_HANGING_S = 1.0
"""How long an opening may last before its process no longer counts as at work: another takes its place."""
_START_S = 60.0
_NOT_READY = f"no probe process was ready within {_START_S:g} s"
_KILLED_S = 3.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """The pool at one moment: processes, files, and what happened so far.

    `processes` live, `busy` of them have files, `hanging` of these are in a file's opening for long; `stuck`
    ones were killed and do not go. `waiting` files were not begun. `replaced` counts ends by cause. `trouble`
    says why no process can be started.
    """

    processes: int
    busy: int
    hanging: int
    stuck: int
    waiting: int
    replaced: dict[Cause, int]
    groups: dict[str, GroupStatus]
    trouble: str


@dataclass(slots=True)
class _Post:
    """A process's place: the group it works on, since when that is measured, whether it hangs in an opening."""

    group: Group | None = None
    measured_s: float = 0.0
    is_hanging: bool = False


class Pool:
    """A pool of probe processes; of one event loop, whose thread must live as long as the pool."""

    def __init__(self, settings: ProbeSettings) -> None:
        self._settings = settings
        self._limit = settings.processes
        self._handlers: dict[str, str] = {}
        self._groups = Groups()
        self._children: dict[Child, _Post] = {}
        self._stuck: set[Child] = set()
        self._bucket = Bucket(settings.io_rate_mib_s * (1 << 20))
        self._replaced: dict[Cause, int] = {"crashed": 0, "timeout": 0, "recycled": 0}
        self._trouble, self._failed_starts, self._not_before_s = "", 0, 0.0
        self._is_unloadable = False
        self._changed = asyncio.Event()
        self._roots = RootChecker(settings, self._changed.set)
        self._ticking: asyncio.Task[None] | None = None
        self._is_stopping = False

    async def start(self) -> None:
        """Start the first process and wait until it is ready.

        Raises:
            UsageError: the setting `handlers` names one that does not exist, or cannot be loaded; `concurrency`
                needs more open files than the system allows.
            ProbeUnavailable: no process starts, for want of memory, processes or time.
        """
        room.make_room(self._settings.processes)
        self._handlers = handlers.places_of(self._settings.handlers)
        self._ticking = asyncio.create_task(self._tick(), name="probe_pool")
        self._ticking.add_done_callback(_log_failure)
        try:
            self._spawn()
            await self._wait(lambda: bool(self._ready_children() or self._trouble), _START_S)
        finally:
            if not self._ready_children():
                await self.stop(0)
        if self._is_stopping:
            raise self._start_error()

    def _start_error(self) -> UsageError | ProbeUnavailable:
        if self._is_unloadable:
            names = ", ".join(self._settings.handlers)
            return UsageError(f"handlers: {names} cannot be loaded: {self._trouble}")
        return ProbeUnavailable(
            f"probing cannot start: {self._trouble or _NOT_READY}: the machine is short of memory, processes or"
            f" time, or a probe process may have too little memory (`probe_memory_mib`,"
            f" {self._settings.memory_mib} MiB)"
        )

    def submit(self, group: str, jobs: Sequence[Job], done: Callable[[Verdict], None]) -> None:
        """Take files in; `done` is told of each, on the loop, unless the pool stops before.

        `group` is what hangs together when a mount dies: a library's root.
        """
        if not self._is_stopping:
            self._groups.add(group, [(job, done) for job in jobs])
            self._dispatch()

    def withdraw(self, keys: Collection[int]) -> set[int]:
        """Take back the files with these keys that were not begun: they get no verdict. Return their keys.

        What a process was handed and had not begun is taken back, too; it may look at it all the same.
        """
        handed_out = (child.withdraw(keys) for child in self._children)
        return self._groups.withdraw(keys).union(*handed_out)

    async def check_root(self, root: bytes, samples: Sequence[bytes]) -> RootState:
        """Tell, within seconds, whether `root` holds something, and one of `samples` (paths below it)."""
        return await self._roots.check(root, samples)

    @property
    def settings(self) -> ProbeSettings:
        """How probing is done."""
        return self._settings

    @property
    def limit(self) -> int:
        """How many processes may be at work, from 1 to `settings.processes`; those that hang do not count."""
        return self._limit

    @limit.setter
    def limit(self, value: int) -> None:
        self._limit = max(1, min(value, self._settings.processes))
        self._dispatch()

    @property
    def status(self) -> PoolStatus:
        """How it is."""
        return PoolStatus(
            processes=len(self._children),
            busy=sum(bool(child.unanswered) for child in self._children),
            hanging=sum(post.is_hanging for post in self._children.values()),
            stuck=len(self._stuck) + len(self._roots.stuck),
            waiting=self._groups.waiting,
            replaced=dict(self._replaced),
            groups={name: group.status() for name, group in self._groups.by_name.items()},
            trouble=self._trouble,
        )

    async def stop(self, grace_s: float) -> None:
        """End all processes: within `grace_s` they may answer what they were asked, then they are killed.

        What waits is dropped. When this returns no process lives but those that the kernel cannot end.
        """
        self._is_stopping = True
        self._groups.clear()
        self._roots.close()
        for child in self._children:
            child.leave()
        if not await self._wait(self._is_empty, grace_s):
            for child in [*self._children, *self._roots.children]:
                child.kill("recycled")
            await self._wait(self._is_empty, _KILLED_S)
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait({self._ticking})
        left = [*self._children, *self._roots.children, *self._stuck, *self._roots.stuck]
        for child in left:
            child.abandon()
        if left:
            log.error("probe.processes_left", pids=[child.pid for child in left])

    def ready(self, child: Child) -> None:
        """Feed a process that has started."""
        self._trouble = verdicts.sentence(child.error)
        self._is_unloadable = bool(child.error) and not child.lacks_memory
        self._changed.set()
        self._dispatch()

    def answered(self, child: Child, answers: Sequence[tuple[Entry, Verdict]]) -> None:
        """Pass answers on, and keep the process busy."""
        post, now_s = self._children[child], time.monotonic()
        self._failed_starts = 0
        if post.group is not None:
            post.group.learn(answers, now_s - post.measured_s)
        post.measured_s = now_s
        self._bucket.take(child.newly_read())
        for (_, done), verdict in answers:
            _tell(done, verdict)
        if not child.unanswered:
            self._release(child, post)
        elif post.group is not None and self._should_top_up(child, post.group):
            self._feed(child, post, post.group)
        self._dispatch()

    def ended(self, child: Child) -> None:
        """Answer for the file that a process had in hand, and give the others back."""
        post, cause = self._children.pop(child), child.cause or "crashed"
        self._replaced[cause] += 1
        if child.is_stuck:
            self._stuck.add(child)
            room = 2 * self._settings.processes - len(self._stuck)
            log.error("probe.process_stuck", pid=child.pid, stuck=len(self._stuck), room_for=room)
        if not self._is_stopping:
            if cause == "crashed" and not child.heard and not child.is_in_hand:
                self._back_off(verdicts.sentence(child.error or child.last_words()))
            self._settle(child, post.group, cause)
        self._changed.set()
        self._dispatch()

    def _settle(self, child: Child, group: Group | None, cause: Cause) -> None:
        is_begun, is_opening = child.is_in_hand, child.is_opening
        entries = child.take_back()
        if group is None:
            return
        group.processes -= 1
        group.put_back([entry for entry in entries[is_begun:] if entry[1] is not withdrawn])
        if cause == "timeout":
            group.start_over()
        if is_begun:
            group.is_held = group.is_held or (is_opening and cause == "timeout")
            job, done = entries[0]
            _tell(done, self._lost(child, job, cause, is_opening=is_opening))

    def _lost(self, child: Child, job: Job, cause: Cause, *, is_opening: bool) -> Verdict:
        """Return the verdict on the file that a process had in hand when it ended."""
        if cause != "timeout":
            return verdicts.failure(job, "crashed", child.last_words(), seconds=child.age_s)
        limit_s = self._settings.time_limit_s
        act = "did not open" if is_opening else "was not done"
        text = f"it {act} within {limit_s:g} s (`probe_timeout_s`)"
        return verdicts.failure(job, "timeout", text, seconds=limit_s, opened=not is_opening)

    def _dispatch(self) -> None:
        """Give every free process something to do, and start more if that is not enough."""
        if self._is_stopping or self._bucket.is_dry:
            return
        for child, post in list(self._children.items()):
            if child.is_free:
                group = self._groups.next() if self._at_work() < self._limit else None
                if group is None:
                    return
                self._feed(child, post, group)
        while self._should_spawn() and self._spawn():
            pass

    def _should_spawn(self) -> bool:
        starting = sum(not child.is_ready for child in self._children)
        return (
            starting < self._groups.waiting
            and self._groups.next() is not None
            and self._at_work() + starting < self._limit
            and len(self._children) + len(self._stuck) < 2 * self._settings.processes
            and time.monotonic() >= self._not_before_s
        )

    def _spawn(self) -> bool:
        try:
            self._children[Child(self._settings, self._handlers, self)] = _Post()
        except OSError as error:
            self._back_off(f"no probe process can be started: {error.strerror}")
            return False
        return True

    def _back_off(self, trouble: str) -> None:
        """Let some time pass before the next start: what fails at once would fail for ever."""
        pause_s = min(_FIRST_PAUSE_S * 2.0**self._failed_starts, _LONGEST_PAUSE_S)
        self._failed_starts = min(self._failed_starts + 1, 10)
        self._not_before_s = time.monotonic() + pause_s
        self._trouble = trouble
        log.error("probe.process_not_started", error=trouble, again_in_s=pause_s)

    def _feed(self, child: Child, post: _Post, group: Group) -> None:
        if post.group is None:
            post.group, post.measured_s = group, time.monotonic()
            group.processes += 1
        most = self._settings.recycle_after - child.asked
        child.ask(self._groups.take(group, self._limit, most))

    def _should_top_up(self, child: Child, group: Group) -> bool:
        """Tell whether a process that is not done should have more, so that it never waits for us."""
        return (
            not child.is_leaving
            and 2 * len(child.unanswered) <= group.chunk
            and child.asked < self._settings.recycle_after
            and self._at_work() <= self._limit
            and not self._is_stopping
            and not self._bucket.is_dry
            and self._groups.next(group) is group
        )

    def _release(self, child: Child, post: _Post) -> None:
        if post.group is not None:
            post.group.processes -= 1
            post.group = None
        if child.asked >= self._settings.recycle_after:
            child.leave()

    def _at_work(self) -> int:
        return sum(bool(child.unanswered) and not post.is_hanging for child, post in self._children.items())

    def _ready_children(self) -> list[Child]:
        return [child for child in self._children if child.is_ready]

    def _is_busy(self) -> bool:
        is_free = not self._groups.waiting and all(child.is_free for child in self._children)
        return not is_free or self._roots.is_busy

    def _is_empty(self) -> bool:
        return not self._children and not self._roots.children

    async def _tick(self) -> None:
        then_s = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S if self._is_busy() else _IDLE_TICK_S)
            now_s = time.monotonic()
            try:
                self._look(min(now_s - then_s, _LONGEST_STEP_S))
                self._dispatch()
            except Exception:  # a process that is not looked after could hang for ever
                log.exception("probe.tick_failed")
            then_s = now_s

    def _look(self, elapsed_s: float) -> None:
        """Look after all processes: who died, who hangs, whose time is up."""
        for group in self._groups.by_name.values():
            group.hanging = 0
        is_dry = self._bucket.is_dry
        for child, post in list(self._children.items()):
            self._bucket.take(child.newly_read())
            child.hold(is_dry)
            child.look(elapsed_s)
            if not child.has_ended and not child.is_stuck:
                self._judge(child, post)
        for child in list(self._stuck):
            child.look(elapsed_s)
        self._stuck = {child for child in self._stuck if not child.has_ended}
        self._roots.look(elapsed_s)

    def _judge(self, child: Child, post: _Post) -> None:
        limit_s = self._settings.time_limit_s if child.is_ready else _START_S
        if (child.unanswered or not child.is_ready) and child.age_s > limit_s and not child.is_killed:
            child.hear()  # it may have answered meanwhile
            child.look(0.0)
            if child.age_s > limit_s and (child.unanswered or not child.is_ready):
                child.error = child.error or ("" if child.is_ready else _NOT_READY)
                child.kill("timeout" if child.is_ready else "crashed")
        post.is_hanging = child.is_opening and child.age_s > _HANGING_S
        if post.is_hanging and post.group is not None:
            post.group.hanging += 1

    async def _wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `condition` holds, asked whenever `_changed` is set; return whether it does."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        return condition()


def _log_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("probe.nobody_looks_after_processes", error=repr(error), exc_info=error)


def _tell(done: Callable[[Verdict], None], verdict: Verdict) -> None:
    try:
        done(verdict)
    except Exception:  # the fault is the caller's own, and must not cost the answers after it
        log.exception("probe.verdict_not_taken", key=verdict.key)
