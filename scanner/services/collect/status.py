"""What the collector is set to do and what it shows of itself: settings, states, counters."""

import enum
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from scanner.catalog.results import Applied
from scanner.retry import Patience

_LIBRARIES_SHOWN = 30


class CollectState(enum.StrEnum):
    """What the collector does at the moment."""

    STARTING = "starting"
    CONNECTING = "connecting"
    RECONNECTING = "reconnecting"
    COLLECTING = "collecting"
    """Connected; results are committed as they come."""
    REFUSING = "refusing"
    """Messages of a newer version came: they stay in their queue, all others are committed."""
    DRAINING = "draining"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class CollectSettings:
    """How results are collected.

    At most `prefetch` (default 128) messages are unacknowledged, of which up to `batch` (64) are taken together
    when they come within `gather_s` (0.05) of the first; `portion_bytes` (8 MiB) of them make a transaction. A
    locked or absent database is waited for `database_wait_s` (60). Messages that have to wait in their queue
    are looked at again `later_pause_s` (1) apart, a batch at a time. `patience` is for the broker.
    """

    prefetch: int = 128
    batch: int = 64
    gather_s: float = 0.05
    portion_bytes: int = 8 * 1024 * 1024
    database_wait_s: float = 60.0
    later_pause_s: float = 1.0
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class CollectStatus:
    """A snapshot; the counters are of this process, in results, but `messages`, `letters` and `reconnects`.

    `ok`, `failed`, `retrying`, `gone` and `changed` are those that changed a file, `cleared` those that cleared
    what was derived from a deleted one, `dropped` those that changed nothing: repeated, late or of a file that
    is not here. `failures` counts failed and retrying ones by kind of error, `libraries` processed ones by the
    library's readable name, `letters` messages that nobody could read.
    """

    state: CollectState = CollectState.STARTING
    detail: str = ""
    connected: bool = False
    messages: int = 0
    ok: int = 0
    failed: int = 0
    retrying: int = 0
    gone: int = 0
    changed: int = 0
    cleared: int = 0
    dropped: int = 0
    letters: int = 0
    reconnects: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    libraries: dict[str, int] = field(default_factory=dict)

    @property
    def processed(self) -> int:
        """How many files were processed, whatever came of it."""
        return self.ok + self.failed + self.retrying


@dataclass(slots=True)
class Tally:
    """The counters as they move; state, detail and connected change through `show`."""

    on_change: Callable[[], None] | None = None
    state: CollectState = CollectState.STARTING
    detail: str = ""
    connected: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    libraries: Counter[str] = field(default_factory=Counter)

    def show(self, state: CollectState, detail: str = "", *, connected: bool | None = None) -> None:
        """Change the state, and tell if it is another one."""
        up = self.connected if connected is None else connected
        is_other = (self.state, self.detail, self.connected) != (state, detail, up)
        self.state, self.detail, self.connected = state, detail, up
        if is_other and self.on_change is not None:
            self.on_change()

    def count(self, applied: Applied) -> None:
        """Add what came of a transaction."""
        for name in ("ok", "failed", "retrying", "gone", "changed", "cleared"):
            self.counts[name] += getattr(applied, name)
        self.counts["dropped"] += applied.repeated + applied.renamed + applied.stale + applied.unknown
        self.counts["letters"] += applied.letters
        self.failures.update(applied.kinds)
        self.libraries.update(applied.libraries)

    @property
    def snapshot(self) -> CollectStatus:
        """The status as it is now."""
        return CollectStatus(
            state=self.state,
            detail=self.detail,
            connected=self.connected,
            failures=dict(self.failures),
            libraries=dict(self.libraries.most_common(_LIBRARIES_SHOWN)),
            **self.counts,
        )
