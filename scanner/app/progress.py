"""What a run was asked, how far it is, what came of it: plain values between `scanner.app` and a display.

Everything here is frozen, holds no connection and reads no clock, so a display can keep a snapshot for as long
as it likes and a crash in a display cannot touch a scan. Paths are path text (`scanner.paths`): whoever shows
one makes it printable first.
"""

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

EXIT_CODES_BY_WEIGHT = (5, 143, 130, 3, 4, 2, 1, 0)
"""Which exit code wins when several libraries ended differently: the first of these that occurred."""


class Phase(enum.StrEnum):
    """What a run does with a library at the moment."""

    WAITING = "waiting"
    """Not started: its turn has not come, or another scanner's lease has to run out."""
    WALKING = "walking"
    SETTLING = "settling"
    """Waits to look once more at files that may still be written."""
    CONCLUDING = "concluding"
    """Checks the root again and decides what moved and what was deleted."""
    PUBLISHING = "publishing"
    """Everything is in the catalog; the outbox empties."""
    PROCESSING = "processing"
    """Everything is in the catalog; the files are probed, or their results waited for."""
    DONE = "done"
    INTERRUPTED = "interrupted"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to the library in this run."""
        return self in (Phase.DONE, Phase.INTERRUPTED, Phase.FAILED)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What `scanner run` was asked to do, beyond the settings.

    `paths` are absolute path texts, at least one; `name` only with a single path; `limit` stops after that
    many new files.
    """

    paths: tuple[str, ...]
    name: str | None = None
    quick: bool = False
    dry_run: bool = False
    restart: bool = False
    limit: int | None = None
    confirm_deletes: bool = False
    wait: bool = False
    """Wait until the results are in."""
    strict: bool = False
    """Failed files make exit code 1."""


@dataclass(frozen=True, slots=True)
class LibraryProgress:
    """How far one library is. Counts are of the scan, those before a resume included."""

    library: str
    phase: Phase
    resumed: bool = False
    directories_done: int = 0
    directories_pending: int = 0
    files: int = 0
    added: int = 0
    modified: int = 0
    moved: int = 0
    deleted: int = 0
    problems: int = 0
    expected_files: int | None = None
    """How many files the last complete scan found; None when there was none, and then there is no ETA."""
    waiting_for: str | None = None
    """Why this library does not get on: "lease held by host nas, process 812", "outbox full"."""


@dataclass(frozen=True, slots=True)
class Dispatched:
    """How far the tasks are: confirmed by the broker, and processed where this run sees results.

    `processed` counts results committed in this run, `failures` those that failed, by the error's kind.
    `left` is how many tasks are still to be processed (delayed retries included), None if that is not known.
    `waits` tells why it does not get on: "broker blocked", "queue full", "reconnecting in 3 s".
    """

    tasks_confirmed: int = 0
    messages_confirmed: int = 0
    processes: bool = False
    processed: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    left: int | None = None
    files_at_once: int = 0
    waits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a whole run is; `elapsed_s` is monotonic and begins at 0, which is what rates are made of."""

    elapsed_s: float
    libraries: tuple[LibraryProgress, ...] = ()
    tasks_sent: int = 0
    outbox_messages: int = 0
    dispatched: Dispatched | None = None
    """None where nobody takes the tasks: in a dry run, and without a broker and without probing."""

    @property
    def files(self) -> int:
        """Files found in all libraries."""
        return sum(library.files for library in self.libraries)

    @property
    def waits(self) -> tuple[str, ...]:
        """Everything that is waited for, each once; a library's reason names the library."""
        reasons = [f"{row.library}: {row.waiting_for}" for row in self.libraries if row.waiting_for]
        return tuple(dict.fromkeys([*reasons, *(self.dispatched.waits if self.dispatched else ())]))


@dataclass(frozen=True, slots=True)
class ScanTotals:
    """One library's row in the result of `scanner run --json`; the fields are its keys, in their order.

    `listed` counts the directories listed in this run: after a resume fewer than `directories`.
    """

    scan_id: int | None = None
    library: str | None = None
    state: str = "completed"
    resumed: bool = False
    directories: int = 0
    listed: int = 0
    files: int = 0
    added: int = 0
    modified: int = 0
    moved: int = 0
    deleted: int = 0
    held_back: int = 0
    unchanged: int = 0
    unsettled: int = 0
    tasks: int = 0
    messages: int = 0
    problems: int = 0
    processed: int = 0
    failed: int = 0
    retrying: int = 0
    seconds: float = 0.0


COUNTS = tuple(row.name for row in dataclasses.fields(ScanTotals) if row.type in (int, float))
_STATES_BY_WEIGHT = ("failed", "interrupted", "running", "completed")


def sum_totals(scans: Iterable[ScanTotals]) -> ScanTotals:
    """Return the totals of several libraries: counts added up, the worst state, ids and names left out.

    The total of one library is that library's own row.
    """
    rows = tuple(scans)
    if len(rows) == 1:
        return rows[0]
    states = {row.state for row in rows}
    state = next((state for state in _STATES_BY_WEIGHT if state in states), "failed")
    sums = {name: sum(getattr(row, name) for row in rows) for name in COUNTS}
    return ScanTotals(state=state, resumed=any(row.resumed for row in rows), **sums)


@dataclass(frozen=True, slots=True)
class ProblemGroup:
    """How many problems of one kind there were, and the first few of their paths (absolute)."""

    count: int
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LibraryError:
    """Why one of several libraries could not be scanned: the error's kind, sentence and exit code."""

    path: str
    kind: str
    text: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One task that a dry run would have handed out; paths are relative to the library's root."""

    library: str
    change: str
    path: str
    moved_from: str | None = None


@dataclass(frozen=True, slots=True)
class HeldKind:
    """How many files of one kind a library holds, their bytes, and the hours that they play."""

    files: int = 0
    size_bytes: int = 0
    hours: float = 0.0


@dataclass(frozen=True, slots=True)
class FailureKind:
    """How many files failed in one way, how many of them are tried again, and a few of their paths.

    `kind` is a word of `scanner.message.ErrorKind`, or None if nobody gave one.
    """

    kind: str | None
    files: int
    retrying: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LibraryHoldings:
    """What a library holds: living files by kind and state, those with a result by what was found in them.

    The most frequent come first everywhere.
    """

    library: str
    kinds: Mapping[str, HeldKind] = field(default_factory=dict)
    states: Mapping[str, int] = field(default_factory=dict)
    containers: Mapping[str, int] = field(default_factory=dict)
    video_codecs: Mapping[str, int] = field(default_factory=dict)
    audio_codecs: Mapping[str, int] = field(default_factory=dict)
    resolutions: Mapping[str, int] = field(default_factory=dict)
    failures: tuple[FailureKind, ...] = ()


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run.

    `exit_code` is the process's; `notes` are sentences for the user ("3 files held back: confirm with
    --confirm-deletes"); `outbox_messages` counts what was left unsent when the run ended.
    """

    scans: tuple[ScanTotals, ...]
    exit_code: int = 0
    notes: tuple[str, ...] = ()
    problems_by_kind: Mapping[str, ProblemGroup] = field(default_factory=dict)
    errors: tuple[LibraryError, ...] = ()
    outbox_messages: int = 0
    changes: tuple[PlannedChange, ...] = ()
    """What a dry run would have handed out, the first of it."""
    holdings: tuple[LibraryHoldings, ...] = ()
    """What the libraries hold, where the run saw results."""

    @property
    def totals(self) -> ScanTotals:
        """The sums over all libraries."""
        return sum_totals(self.scans)


def worst_exit(codes: Iterable[int]) -> int:
    """Return the exit code that stands for all of `codes`; 0 for none of them."""
    found = set(codes)
    return next((code for code in EXIT_CODES_BY_WEIGHT if code in found), max(found, default=0))
