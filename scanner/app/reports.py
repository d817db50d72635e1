"""What the commands beside `run` answer: plain values between `scanner.app` and the command line.

Frozen values only; times are seconds since the epoch, URLs are masked already, names and paths are path text
(`scanner.paths`) that whoever shows them makes printable.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `scanner doctor`: what was looked at, how it stands, and what to do about it.

    `remedy` is what to type or change, empty when nothing is to be done.
    """

    name: str
    ok: Verdict
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class ScanRow:
    """One scan of a library, as history keeps it."""

    scan_id: int
    kind: str
    state: str
    started_at: float
    finished_at: float | None = None
    counters: Mapping[str, int] = field(default_factory=dict)
    """Counts by the keys of `scanner.app.progress.ScanTotals`."""


@dataclass(frozen=True, slots=True)
class LibraryRow:
    """One library: where it is, what it holds, who scans it.

    `files` counts the living; `files_by_state` has the words of the catalog (new, queued, ok, failed,
    retrying, missing) and may leave zeros out. `lease` names who scans it at the moment.
    """

    name: str
    root: str
    host: str
    state: str
    files: int = 0
    files_by_state: Mapping[str, int] = field(default_factory=dict)
    lease: str | None = None
    last_scan: ScanRow | None = None


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What `scanner status` shows: the two ends, what waits between them, and every library."""

    database: str
    broker: str
    libraries: tuple[LibraryRow, ...] = ()
    outbox_messages: int = 0
    outbox_tasks: int = 0
    letters: int = 0
    """Messages that nobody could read, kept with the reason."""
    relay: str | None = None
    """Who publishes from this database at the moment; None when nobody does."""


@dataclass(frozen=True, slots=True)
class SchemaReport:
    """Where a database's schema stands: its revision (None = empty) and the one this version needs.

    `backup` is the copy an upgrade made first, None when there was nothing to copy.
    """

    current: str | None
    needed: str
    backup: str | None = None

    @property
    def up_to_date(self) -> bool:
        """Whether the database is at the revision that this version needs."""
        return self.current == self.needed
