"""Where libraries are on this machine, and whether they are there at all.

A mount that is away looks like a folder full of deleted files. So before a worker says `gone`, the root must be
there and known: a folder, not empty, with something in it that was seen before. Looks happen in a probe
process, where a mount that does not answer harms nobody.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from scanner import paths
from scanner.files.mounts import MountTable, mtime_granularity_ns
from scanner.probe.jobs import RootState

_SAMPLES = 16
_ROOTS = 1_000
"""How many roots are remembered, those used last."""
_MOUNTS_FOR_S = 5.0
_COARSE_STEPS_NS = (1_000_000_000, 100)
"""What a time that was kept in whole seconds, or by SMB, is a multiple of."""

log = structlog.get_logger(__name__)


class RootChecker(Protocol):
    """Whoever looks whether a root is there (`scanner.probe.pool.Pool`)."""

    async def check_root(self, root: bytes, samples: Sequence[bytes]) -> RootState:
        """Look; never takes longer than a few seconds."""


@dataclass(slots=True)
class _Root:
    samples: deque[str] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    is_there: bool = True
    checked_s: float = float("-inf")


class Roots:
    """The roots met so far, under the paths that they have here."""

    def __init__(
        self,
        root_map: Iterable[tuple[str, str]],
        check_every_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._map = sorted(root_map, key=lambda pair: len(pair[0]), reverse=True)
        self._check_every_s = check_every_s
        self._clock = clock
        self._roots: dict[str, _Root] = {}
        self._mounts = MountTable(b"")
        self._mounts_at_s = float("-inf")
        self._steps_ns: dict[str, int] = {}

    def local(self, root: str) -> str:
        """Return where a library's root is on this machine; the longest mapped path that holds it decides."""
        for source, target in self._map:
            if paths.contains(source, root):
                below = root[len(source) :].lstrip("/")
                return f"{target.rstrip('/')}/{below}" if below else target
        return root

    @property
    def away(self) -> tuple[str, ...]:
        """The roots that were not there when last looked at."""
        return tuple(root for root, known in self._roots.items() if not known.is_there)

    def saw(self, root: str, path: str) -> None:
        """Note that a file below the root was there."""
        self._root(root).samples.append(path)

    def was_looked_at(self, root: str) -> bool:
        """Tell whether it is too early to look at the root again."""
        return self._clock() - self._root(root).checked_s < self._check_every_s

    async def is_there(self, root: str, checker: RootChecker, others: Sequence[str] = ()) -> bool:
        """Look whether the root is there and known.

        `others` are more paths that should exist below it.
        """
        known = self._root(root)
        samples = [*known.samples, *others[:_SAMPLES]]
        state = await checker.check_root(paths.to_bytes(root), [paths.to_bytes(path) for path in samples])
        known.checked_s = self._clock()
        if known.is_there != (state == "known"):
            known.is_there = state == "known"
            if known.is_there:
                known.samples.clear()  # none of them may be there any more: a folder was renamed
            change = log.info if known.is_there else log.warning
            change("work.library_back" if known.is_there else "work.library_away", root=root, state=state)
        return known.is_there

    def step_ns(self, root: str) -> int:
        """Return the coarsest step in which a mount of this library keeps times here."""
        now_s = self._clock()
        if now_s - self._mounts_at_s > _MOUNTS_FOR_S:
            self._mounts, self._mounts_at_s, self._steps_ns = MountTable.load(), now_s, {}
        if root not in self._steps_ns:
            mounts = (self._mounts.of(root), *self._mounts.below(root))
            self._steps_ns[root] = max(mtime_granularity_ns(mount.fs_type) for mount in mounts)
        return self._steps_ns[root]

    def _root(self, root: str) -> _Root:
        known = self._roots.pop(root, None) or _Root()
        self._roots[root] = known
        if len(self._roots) > _ROOTS:
            del self._roots[next(iter(self._roots))]
        return known


def granularity_ns(step_ns: int, mtime_ns: int) -> int:
    """Return the step at which a task's time is to be compared with the file's.

    `step_ns` is that of the mount here; the scanner may have seen the file through one that is coarser.
    """
    there = next((step for step in _COARSE_STEPS_NS if mtime_ns % step == 0), 1)
    return max(step_ns, there)
