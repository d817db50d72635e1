"""What the relay is set to do and what it shows of itself: settings, states, counters."""

import dataclasses
import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from scanner.retry import Patience


class RelayState(enum.StrEnum):
    """What the relay does at the moment."""

    STARTING = "starting"
    STANDBY = "standby"
    """Another process relays this database; we take over when it ends."""
    CONNECTING = "connecting"
    RECONNECTING = "reconnecting"
    IDLE = "idle"
    """Connected, and nothing waits to be sent."""
    RELAYING = "relaying"
    BLOCKED = "blocked"
    """The broker asked publishers to stop (memory or disk alarm)."""
    QUEUE_FULL = "queue full"
    """The tasks queue is at our limit or at the broker's: consumers have to catch up."""
    DRAINING = "draining"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """How the relay works.

    `chunk` (default 1,000) rows at most and about `chunk_bytes` (4 MiB) are fetched at a time; `pipeline` (3)
    chunks are on their way together. `queue_limit` (100,000; 0 = none) ready messages in the tasks queue pause
    it until 90 % of that, looked at `depth_every_s` (1). `poll_s` (0.5) looks for rows nobody woke us for;
    `delete_every_s` (0.1) is how long confirmed rows gather. `role_ttl_s` (15) is the role's lease; `drain_s`
    (5) how long a stop waits for confirms; `database_wait_s` (60) how long a locked or absent database is
    waited for; `refusal_cap_s` (5) the longest pause after nacks. `patience` is for the broker.
    """

    chunk: int = 1_000
    chunk_bytes: int = 4 * 1024 * 1024
    pipeline: int = 3
    queue_limit: int = 100_000
    depth_every_s: float = 1.0
    poll_s: float = 0.5
    delete_every_s: float = 0.1
    role_ttl_s: float = 15.0
    drain_s: float = 5.0
    database_wait_s: float = 60.0
    refusal_cap_s: float = 5.0
    patience: Patience = field(default_factory=Patience)

    @property
    def queue_resume(self) -> int:
        """The depth of the tasks queue below which a pause ends."""
        return self.queue_limit * 9 // 10


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """A snapshot; the counters are of this process.

    `messages` and `tasks` were confirmed and deleted, `refused` counts nacks, `returned` unroutable messages,
    `reconnects` sessions lost, `blocked_s` the seconds in which the broker blocked us.
    """

    state: RelayState = RelayState.STARTING
    detail: str = ""
    connected: bool = False
    messages: int = 0
    tasks: int = 0
    refused: int = 0
    returned: int = 0
    reconnects: int = 0
    blocked_s: float = 0.0


class Progress:
    """The relay's status as it moves; `on_change` hears of changed states, not of counters."""

    def __init__(self, on_change: Callable[[], None] | None = None) -> None:
        self._on_change = on_change
        self.status = RelayStatus()

    def show(self, state: RelayState, detail: str = "", *, connected: bool | None = None) -> None:
        """Change the state, and tell if it is another one."""
        before = self.status
        up = before.connected if connected is None else connected
        self.status = dataclasses.replace(before, state=state, detail=detail, connected=up)
        shown = (before.state, before.detail, before.connected)
        if self._on_change is not None and shown != (state, detail, up):
            self._on_change()

    def count(
        self,
        *,
        messages: int = 0,
        tasks: int = 0,
        refused: int = 0,
        returned: int = 0,
        reconnects: int = 0,
        blocked_s: float = 0.0,
    ) -> None:
        """Add to the counters."""
        was = self.status
        self.status = dataclasses.replace(
            was,
            messages=was.messages + messages,
            tasks=was.tasks + tasks,
            refused=was.refused + refused,
            returned=was.returned + returned,
            reconnects=was.reconnects + reconnects,
            blocked_s=was.blocked_s + blocked_s,
        )
