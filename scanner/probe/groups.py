"""What waits, by group (a library's root): whose turn it is, how many files make a chunk, and how opens go.

A free process goes to the group with the fewest processes, so that none starves another. A chunk is worth some
hundredths of a second: it saves a round trip a file and holds nobody up; after a file that hung it is one file
again. A group in which a file hung in its opening, as on a dead mount, has one process at most until one of its
files opens again.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from scanner.probe.child import Entry
from scanner.probe.jobs import Verdict

_CHUNK_S = 0.03
_MOST_FILES = 256
_NEWEST = 0.3
_REMEMBERED = 256
_KEPT = 256


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """A group at one moment.

    `processes` are at work on it, `hanging` of them in a file's opening for longer than is usual. `is_held`
    if it may have one process only. `open_p50_s` and `open_p95_s` tell how long its last files took to open.
    """

    waiting: int
    processes: int
    hanging: int
    is_held: bool
    open_p50_s: float
    open_p95_s: float


@dataclass(slots=True, eq=False)
class Group:
    """The files of one group."""

    name: str
    waiting: deque[Entry] = field(default_factory=deque)
    processes: int = 0
    hanging: int = 0
    is_held: bool = False
    chunk: int = 1
    turn: int = 0
    _cost_s: float | None = None
    _opens_s: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def take(self, most: int) -> list[Entry]:
        """Take the next chunk out, of `most` files at most."""
        return [self.waiting.popleft() for _ in range(min(len(self.waiting), self.chunk, most))]

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Put what a process did not get to at the front."""
        self.waiting.extendleft(reversed(entries))

    def learn(self, answers: Sequence[tuple[Entry, Verdict]], seconds: float) -> None:
        """Learn from answers that took a process so many seconds: what a file costs, how opens go."""
        answers = [
            answer for answer in answers if answer[1].opened
        ]  # without what was withdrawn and passed over
        if not answers:
            return
        cost_s = seconds / len(answers)
        self._cost_s = cost_s if self._cost_s is None else self._cost_s + _NEWEST * (cost_s - self._cost_s)
        fitting = int(_CHUNK_S / max(self._cost_s, 1e-9))
        self.chunk = max(1, min(fitting, 2 * self.chunk, _MOST_FILES))
        for (job, _), verdict in answers:
            if job.look == "content":
                self.is_held = False
                if verdict.opened_s:
                    self._opens_s.append(verdict.opened_s)

    def start_over(self) -> None:
        """Begin again with a chunk of one file: where one hung the next may, and what is behind it waits."""
        self._cost_s, self.chunk = None, 1

    @property
    def may_have_more(self) -> bool:
        """Whether another process may work on it."""
        return not self.processes or not (self.is_held or self.hanging)

    def status(self) -> GroupStatus:
        """Return how it is."""
        opens_s = sorted(self._opens_s) or [0.0]
        middle, high = opens_s[len(opens_s) // 2], opens_s[len(opens_s) * 95 // 100]
        return GroupStatus(len(self.waiting), self.processes, self.hanging, self.is_held, middle, high)


class Groups:
    """All groups that were heard of lately."""

    def __init__(self) -> None:
        self.by_name: dict[str, Group] = {}
        self._turns = 0

    def add(self, name: str, entries: Iterable[Entry]) -> None:
        """Add files to the end of a group."""
        group = self.by_name.get(name)
        if group is None:
            self._forget_idle()
            group = self.by_name[name] = Group(name)
        group.waiting.extend(entries)

    @property
    def waiting(self) -> int:
        """How many files wait."""
        return sum(len(group.waiting) for group in self.by_name.values())

    def next(self, present: Group | None = None) -> Group | None:
        """Return the group whose turn it is, None if none waits (or may have more).

        `present` is what the process that is to be fed works on now.
        """
        best = None
        for group in self.by_name.values():
            if group.waiting and (group is present or group.may_have_more):
                rank = (group.processes - (group is present), group.turn)
                if best is None or rank < best[0]:
                    best = (rank, group)
        return best[1] if best else None

    def take(self, group: Group, share: int, most: int) -> list[Entry]:
        """Take a chunk of a group for one of `share` processes."""
        self._turns += 1
        group.turn = self._turns
        return group.take(max(1, min(most, math.ceil(len(group.waiting) / share))))

    def withdraw(self, keys: Collection[int]) -> set[int]:
        """Take out the files with these keys that wait; return their keys."""
        withdrawn: set[int] = set()
        for group in self.by_name.values():
            found = {job.key for job, _ in group.waiting if job.key in keys}
            if found:
                group.waiting = deque(entry for entry in group.waiting if entry[0].key not in found)
                withdrawn |= found
        return withdrawn

    def clear(self) -> None:
        """Drop everything that waits."""
        for group in self.by_name.values():
            group.waiting.clear()

    def _forget_idle(self) -> None:
        if len(self.by_name) >= _KEPT:
            self.by_name = {
                name: group for name, group in self.by_name.items() if group.waiting or group.processes
            }
