"""Whether a library's root is there: looked at in a probe process, for a look at a dead mount never returns.

These processes are kept for roots alone, so that the answer does not wait behind files. Several roots are
looked at side by side, each but once at a time. A process that does not answer, or whose answer nobody takes,
is killed: none is asked again that has something unanswered. While one that was killed does not go, its root is
`silent`; when too many do not, every root is. A crash here costs a look, which is `silent`.
"""

import asyncio
import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import cast

import structlog

from scanner.probe.child import Child, Entry
from scanner.probe.frames import RootCheck
from scanner.probe.jobs import ProbeSettings, RootState, Verdict

log = structlog.get_logger(__name__)

MOST_PROCESSES = 4
"""How many processes there may be for roots, those that do not go included."""

_ANSWER_S = 5.0
_START_S = 60.0


class RootChecker:
    """Looks at roots; `on_end` is called when a process has ended."""

    def __init__(self, settings: ProbeSettings, on_end: Callable[[], None]) -> None:
        self._settings = dataclasses.replace(settings, handlers=())
        self._on_end = on_end
        self.children: set[Child] = set()
        self.stuck: set[Child] = set()
        self._idle: set[Child] = set()
        self._over: dict[Child, bytes] = {}
        self._awaited: dict[Child, asyncio.Future[Verdict | None]] = {}
        self._looks: dict[bytes, tuple[Sequence[bytes], asyncio.Task[RootState]]] = {}
        self._numbers = itertools.count(1)
        self._freed = asyncio.Event()
        self._is_closed = False

    @property
    def is_busy(self) -> bool:
        """Whether a root is being looked at."""
        return bool(self._looks)

    async def check(self, root: bytes, samples: Sequence[bytes]) -> RootState:
        """Return what a process sees at `root`, or `silent`.

        Who asks the same at the same time gets the same answer. Whether a root is silent does not depend on the
        samples, so that holds for whoever asks with others, too.
        """
        while root in self._looks:
            asked, look = self._looks[root]
            state = await asyncio.shield(look)
            if state == "silent" or asked == samples:
                return state
        look = asyncio.create_task(self._look_at(root, samples), name="probe_root")
        self._looks[root] = (samples, look)
        return await asyncio.shield(look)  # the look outlives its asker: others may wait for it

    def close(self) -> None:
        """Let the processes go, and start no other; what is being looked at is `silent`."""
        self._is_closed = True
        for child in self.children:
            child.leave()
        for child in list(self._awaited):
            self._resolve(child, None)
        self._freed.set()

    def look(self, elapsed_s: float) -> None:
        """Look after the processes; to be called every few hundredths of a second."""
        for child in [*self.children, *self.stuck]:
            child.look(elapsed_s)
            if child.has_ended:
                self._forget(child)

    def ready(self, child: Child) -> None:
        """Note that a process has started."""
        if child.is_ready:
            self._resolve(child, None)

    def answered(self, child: Child, answers: Sequence[tuple[Entry, Verdict]]) -> None:
        """Take an answer."""
        self._resolve(child, answers[-1][1])

    def ended(self, child: Child) -> None:
        """Note that a process is gone, or stuck."""
        self.children.discard(child)
        self._idle.discard(child)
        if child.is_stuck:
            self.stuck.add(child)
            log.error("probe.process_stuck", pid=child.pid, over="a root")
        else:
            self._forget(child)
        self._resolve(child, None)
        self._freed.set()
        self._on_end()

    async def _look_at(self, root: bytes, samples: Sequence[bytes]) -> RootState:
        try:
            for _ in range(2):  # a process that died, killed by whomever, says nothing about the root
                state = await self._ask(root, samples)
                if state is not None:
                    return state
        except Exception:  # who asked may be gone, and nobody would hear of it
            log.exception("probe.root_not_looked_at")
        finally:
            del self._looks[root]
        return "silent"

    async def _ask(self, root: bytes, samples: Sequence[bytes]) -> RootState | None:
        """Return the state, None if the process died over it."""
        child = None if self._is_dying_over(root) else await self._free_child()
        if child is None:
            return "silent"
        self._over[child], verdict = root, None
        try:
            if not child.is_ready:
                await self._hear(child, _START_S)
            if child in self.children and not child.is_leaving:
                child.ask_root(RootCheck(next(self._numbers), root, list(samples)))
                verdict = await self._hear(child, _ANSWER_S)
        except TimeoutError:
            return "silent"
        finally:
            if verdict is None:  # what it may yet answer is an answer to this
                child.kill("timeout")
            else:
                self._rest(child)
        return cast("RootState", verdict.text) if verdict is not None else None

    async def _hear(self, child: Child, limit_s: float) -> Verdict | None:
        """Wait until a process is ready or has answered, None if it ends."""
        self._awaited[child] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(limit_s):
                return await self._awaited[child]
        finally:
            del self._awaited[child]

    async def _free_child(self) -> Child | None:
        """Return a process that has nothing to do, None if there will be none in time."""
        while not self._is_closed and len(self.stuck) < MOST_PROCESSES:
            if self._idle:
                return self._idle.pop()
            if len(self.children) + len(self.stuck) < MOST_PROCESSES:
                return self._start()
            self._freed.clear()
            await self._freed.wait()
        return None

    def _start(self) -> Child | None:
        try:
            child = Child(self._settings, {}, self)
        except OSError as error:
            log.warning("probe.process_not_started", error=str(error))
            return None
        self.children.add(child)
        return child

    def _rest(self, child: Child) -> None:
        """Keep a process for the next look, but only one."""
        self._forget(child)
        if self._idle:
            child.leave()
        elif child in self.children:
            self._idle.add(child)
        self._freed.set()

    def _is_dying_over(self, root: bytes) -> bool:
        return any(child.is_killed and over == root for child, over in self._over.items())

    def _forget(self, child: Child) -> None:
        self._over.pop(child, None)
        self.stuck.discard(child)

    def _resolve(self, child: Child, verdict: Verdict | None) -> None:
        awaited = self._awaited.get(child)
        if awaited is not None and not awaited.done():
            awaited.set_result(verdict)
