"""What came of a scan, in the values and sentences that the command line shows."""

from scanner import paths
from scanner.app.progress import (
    FailureKind,
    HeldKind,
    LibraryError,
    LibraryHoldings,
    ProblemGroup,
    ScanTotals,
)
from scanner.catalog import failures, scans
from scanner.catalog.engine import Database
from scanner.catalog.holdings import holdings
from scanner.catalog.libraries import library_named
from scanner.catalog.scans import Counters, ScanRecord
from scanner.catalog.search import Filter
from scanner.errors import ScannerError
from scanner.services.scan import ScanOutcome

NEEDS_A_LOOK = frozenset({"unreadable", "timeout", "io", "offline"})
"""Kinds of problems that make a run end with exit code 1."""

_PATHS_SHOWN = 10


def totals_of(library: str, record: ScanRecord, listed: int, seconds: float) -> ScanTotals:
    """Return the row of one library in the run's result."""
    counts = {field: getattr(record.counters, field) for field in Counters.__struct_fields__}
    return ScanTotals(
        scan_id=record.id,
        library=library,
        state=record.state,
        resumed=record.resumed,
        listed=listed,
        seconds=round(seconds, 3),
        **counts,
    )


def problem_groups(database: Database, scan_id: int, root: str) -> dict[str, ProblemGroup]:
    """Return the scan's problems by kind, with the first paths of each."""
    counts = scans.problem_counts(database, scan_id)
    return {
        kind: ProblemGroup(
            count,
            tuple(
                paths.join(root, path) if path else root
                for path in scans.problem_paths(database, scan_id, kind, _PATHS_SHOWN)
            ),
        )
        for kind, count in counts.items()
    }


def notes_of(totals: ScanTotals, outcome: ScanOutcome) -> list[str]:
    """Return what the user should be told about a scan's end."""
    notes = []
    if outcome.offline is not None:
        notes.append(f"{totals.library} is offline: {outcome.offline}; nothing in it counts as deleted")
    if totals.held_back:
        notes.append(
            f"{totals.held_back:,} files of {totals.library} are gone; so many deletions are held back:"
            " confirm with --confirm-deletes"
        )
    if totals.unsettled:
        notes.append(
            f"{totals.unsettled:,} files of {totals.library} are still being written; the next run looks again"
        )
    if outcome.end == "limit":
        notes.append(f"{totals.library}: stopped at --limit; the next run continues")
    return notes


def failing_in(database: Database, name: str) -> tuple[int, int]:
    """Return how many files of a library have failed for good, and how many are tried again by themselves."""
    groups = failures.grouped(database, Filter(library=name))
    retrying = sum(group.retrying for group in groups)
    return sum(group.files for group in groups) - retrying, retrying


def holdings_of(database: Database, name: str) -> LibraryHoldings:
    """Return what a library holds.

    Raises:
        UsageError: there is no such library any more.
    """
    found = holdings(database, library_named(database, name))
    return LibraryHoldings(
        library=name,
        kinds={word: HeldKind(*held) for word, held in found.kinds.items()},
        states=found.states,
        containers=found.containers,
        video_codecs=found.video_codecs,
        audio_codecs=found.audio_codecs,
        resolutions=found.resolutions,
        failures=tuple(FailureKind(*group) for group in found.failures),
    )


def library_error(path: str, error: ScannerError) -> LibraryError:
    """Return why a path could not be scanned."""
    return LibraryError(path, error.kind, str(error), error.exit_code)
