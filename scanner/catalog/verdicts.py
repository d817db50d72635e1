"""Which result of a file counts. Pure.

Results come late, twice and in any order. Within one content `ok` is final; of all others the highest attempt
counts, and of two with the same attempt the one that leaves less to wait for: so whatever the order, the same
row comes out. A move raises the revision alone: what failed at the old place is then an attempt of its own,
the first, for the move's task begins to count anew.
"""

from dataclasses import dataclass
from typing import Literal

from scanner import paths
from scanner.catalog.tables import FileState
from scanner.message import Result, ResultError, Status

Verdict = Literal["ok", "renamed", "failed", "retrying", "gone", "changed", "cleared", "repeated", "stale"]
"""`renamed`: only what the name says is new; `cleared`: what was derived from a deleted file goes; `repeated`
and `stale` change nothing."""

_ERROR_LENGTH = 1_000
_KEPT_ATTEMPTS = 32_767
_UNEXPLAINED = ResultError("rejected", "the worker gave no reason")

_WEIGHTS = {FileState.QUEUED: -1, FileState.RETRYING: 0, FileState.FAILED: 1, FileState.NEW: 2}


@dataclass(slots=True)
class Standing:
    """A file's row as the results so far have left it.

    `probed` is the content that its media row is about, None without one; `name` what that holds as name, in
    JSON. `attempts` is the number of the last attempt that counted, from 0.
    """

    id: int
    directory_id: int
    state: int
    revision: int
    content: int
    attempts: int
    error_kind: str | None = None
    error: str | None = None
    probed: int | None = None
    name: str | None = None

    def take(self, status: Status, result: Result, name: str | None) -> Verdict:
        """Take a result in, and tell what it changed; `name` is its name in JSON."""
        if self.state == FileState.MISSING:
            return self._take_missing(status, result)
        if status in {"gone", "changed"}:
            return self._take_displaced(status, result)
        if result.content != self.content:
            return "stale"
        return self._take_ok(result, name) if status == "ok" else self._take_failed(result)

    def _take_missing(self, status: Status, result: Result) -> Verdict:
        if status != "ok" or result.revision != self.revision:
            return "stale"
        if self.probed is None:
            return "repeated"
        self.probed = self.name = None
        return "cleared"

    def _take_displaced(self, status: Status, result: Result) -> Verdict:
        """Take what says that the file is not, or not as told, where it should be: it needs a new look.

        Whoever has a result keeps it until that look. Whoever has none has no task any more.
        """
        if result.revision != self.revision:
            return "stale"
        attempt = _bounded(result.attempt)
        if (self.state, self.attempts) == (FileState.NEW, attempt):
            return "repeated"
        if self.state != FileState.OK and self._beats(attempt, FileState.NEW):
            self._set(FileState.NEW, attempt)
        return "gone" if status == "gone" else "changed"

    def _take_ok(self, result: Result, name: str | None) -> Verdict:
        if self.state != FileState.OK:
            self._set(FileState.OK, _bounded(result.attempt))
            self.probed, self.name = self.content, name
            return "ok"
        if self.probed != self.content or result.revision != self.revision or name in {None, self.name}:
            return "repeated"
        self.name = name
        return "renamed"

    def _take_failed(self, result: Result) -> Verdict:
        state = FileState.RETRYING if result.will_be_retried else FileState.FAILED
        attempt = _bounded(result.attempt) if result.revision == self.revision else 0
        if self.state == FileState.OK or not self._beats(attempt, state):
            return "repeated"
        self._set(state, attempt)
        error = result.error or _UNEXPLAINED
        self.error_kind = error.kind
        self.error = paths.printable(error.text[:_ERROR_LENGTH])[:_ERROR_LENGTH]
        return "retrying" if state == FileState.RETRYING else "failed"

    def _beats(self, attempt: int, state: FileState) -> bool:
        return (attempt, _WEIGHTS[state]) > (self.attempts, _WEIGHTS[FileState(self.state)])

    def _set(self, state: FileState, attempt: int) -> None:
        self.state, self.attempts = int(state), attempt
        self.error_kind = self.error = None


def _bounded(attempt: int) -> int:
    return min(max(attempt, 0), _KEPT_ATTEMPTS)
