"""Whether a library's root is there: looked at in a probe process, for a look at a dead mount never returns.

That process is kept for roots alone, so that the answer does not wait behind files. One that does not answer is
killed, and one that cannot be killed is left; when too many are, every root is `silent`.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import cast

import structlog

from scanner.probe.child import Child, Entry
from scanner.probe.frames import RootCheck
from scanner.probe.jobs import ProbeSettings, RootState, Verdict

log = structlog.get_logger(__name__)

_ANSWER_S = 5.0
_START_S = 60.0
_MOST_STUCK = 2


class RootChecker:
    """Asks about one root at a time; `on_end` is called when a process has ended."""

    def __init__(self, settings: ProbeSettings, on_end: Callable[[], None]) -> None:
        self._settings = dataclasses.replace(settings, handlers=())
        self._on_end = on_end
        self.children: set[Child] = set()
        self.stuck: set[Child] = set()
        self._one_at_a_time = asyncio.Lock()
        self._child: Child | None = None
        self._ready = asyncio.Event()
        self._answer: asyncio.Future[Verdict | None] | None = None
        self._is_closed = False

    @property
    def is_busy(self) -> bool:
        """Whether a root is being looked at."""
        return self._one_at_a_time.locked()

    async def check(self, root: bytes, samples: Sequence[bytes]) -> RootState:
        """Return what a process sees at `root`, or `silent`."""
        request = RootCheck(root, list(samples))
        async with self._one_at_a_time:
            for _ in range(2):  # a process that died, killed by whomever, says nothing about the root
                state = await self._ask(request)
                if state is not None:
                    return state
        return "silent"

    def close(self) -> None:
        """Let the process go, and start no other."""
        self._is_closed = True
        for child in self.children:
            child.leave()

    def look(self, elapsed_s: float) -> None:
        """Look after the processes; to be called every few hundredths of a second."""
        for child in [*self.children, *self.stuck]:
            child.look(elapsed_s)
        self.stuck = {child for child in self.stuck if not child.has_ended}

    def ready(self, _child: Child) -> None:
        """Note that the process has started."""
        self._ready.set()

    def answered(self, _child: Child, answers: Sequence[tuple[Entry, Verdict]]) -> None:
        """Take the answer."""
        self._resolve(answers[-1][1])

    def ended(self, child: Child) -> None:
        """Note that the process is gone, or stuck."""
        self.children.discard(child)
        if child.is_stuck:
            self.stuck.add(child)
            log.error("probe.process_stuck", pid=child.pid, over="a root")
        if child is self._child:
            self._child = None
            self._ready.set()
            self._resolve(None)
        self._on_end()

    async def _ask(self, request: RootCheck) -> RootState | None:
        """Return the state, None if the process died over it."""
        child = self._child or self._start()
        if child is None:
            return "silent"
        try:
            async with asyncio.timeout(_START_S):
                await self._ready.wait()
            if child.has_ended:
                return None
            self._answer = asyncio.get_running_loop().create_future()
            child.ask_root(request, lambda _: None)
            async with asyncio.timeout(_ANSWER_S):
                verdict = await self._answer
        except TimeoutError:
            self._child = None
            child.kill("timeout")
            return "silent"
        return cast("RootState", verdict.text) if verdict is not None else None

    def _start(self) -> Child | None:
        if self._is_closed or len(self.stuck) >= _MOST_STUCK:
            return None
        self._ready.clear()
        try:
            self._child = Child(self._settings, {}, self)
        except OSError as error:
            log.warning("probe.process_not_started", error=str(error))
            return None
        self.children.add(self._child)
        return self._child

    def _resolve(self, verdict: Verdict | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(verdict)
