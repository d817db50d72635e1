"""What the work service is set to do and what it shows of itself: settings, states, counters."""

import enum
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scanner.message import Status
from scanner.probe.jobs import Verdict
from scanner.retry import Patience


@dataclass(frozen=True, slots=True)
class WorkSettings:
    """How the work service works.

    `worker` is what its results are signed with. `prefetch` (default 8) task messages at most are in hand,
    and what did not begin within `hold_s` (600, well below RabbitMQ's consumer timeout of 30 minutes) is sent
    on again; `drain_s` (30) is how long a stop waits for them. `root_map` are pairs of where a library's root
    is for the scanner and here. `check_root_every_s` (5) is how long a root is believed to be there or away. An
    outage of the broker is borne according to `patience`.
    """

    worker: str
    prefetch: int = 8
    hold_s: float = 600.0
    drain_s: float = 30.0
    root_map: tuple[tuple[str, str], ...] = ()
    check_root_every_s: float = 5.0
    patience: Patience = field(default_factory=Patience)


class WorkState(enum.StrEnum):
    """What the work service does at the moment."""

    STARTING = "starting"
    CONNECTING = "connecting"
    RECONNECTING = "reconnecting"
    IDLE = "idle"
    """Connected, and no task is in hand."""
    WORKING = "working"
    REFUSING = "refusing"
    """Met a message of a newer version: takes nothing more, for another worker has to."""
    DRAINING = "draining"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class WorkStatus:
    """A snapshot; the counters are of this process.

    `results` counts files by the status of their result, `failures` failed ones by the error's kind, `messages`
    task messages answered. `postponed` counts tasks of libraries that are away (`away` names them), `split`
    redelivered batches taken apart, `refused` messages sent to the dead letters. `limit` of `processes` may
    work at the moment; `replaced` counts probe processes that were ended, by the reason.
    """

    state: WorkState = WorkState.STARTING
    detail: str = ""
    connected: bool = False
    in_hand: int = 0
    messages: int = 0
    results: dict[Status, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    postponed: int = 0
    split: int = 0
    refused: int = 0
    reconnects: int = 0
    away: tuple[str, ...] = ()
    limit: int = 0
    processes: int = 0
    replaced: dict[str, int] = field(default_factory=dict)

    @property
    def files(self) -> int:
        """How many files have a result, whatever it is."""
        return sum(self.results.values())


class Tally:
    """The status as it moves; `on_change` hears of changed states, not of counters."""

    def __init__(self, on_change: Callable[[], None] | None = None) -> None:
        self._on_change = on_change
        self._results: Counter[Status] = Counter()
        self._failures: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self.status = WorkStatus()

    def show(self, state: WorkState, detail: str = "", *, connected: bool | None = None) -> None:
        """Change the state, and tell if it is another one."""
        before = self.status
        up = before.connected if connected is None else connected
        self.status = replace(before, state=state, detail=detail, connected=up)
        if self._on_change is not None and self.status != before:
            self._on_change()

    def hold(self, in_hand: int, away: tuple[str, ...]) -> None:
        """Show what is in hand, and which libraries are away."""
        self.status = replace(self.status, in_hand=in_hand, away=away)
        if self.status.state in {WorkState.IDLE, WorkState.WORKING, WorkState.CONNECTING}:
            self.show(WorkState.WORKING if in_hand else WorkState.IDLE, connected=True)

    def count(self, **counts: int) -> None:
        """Add to the counters, by their names in `WorkStatus`."""
        self._counts.update(counts)
        counted: dict[str, Any] = dict(self._counts)
        self.status = replace(self.status, **counted)

    def add(self, verdicts: Iterable[Verdict], counts: Mapping[str, int]) -> None:
        """Count what an answer told, once it is confirmed."""
        for verdict in verdicts:
            self._results[verdict.status] += 1
            if verdict.error_kind is not None:
                self._failures[verdict.error_kind] += 1
        self.status = replace(self.status, results=dict(self._results), failures=dict(self._failures))
        self.count(**counts)
