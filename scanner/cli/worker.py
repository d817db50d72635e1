"""What `scanner worker` shows: a line when its state changes, for a new kind of failure, and now and then."""

from scanner.app.worker import WorkerResult
from scanner.cli import output, wording
from scanner.cli.display import Rate
from scanner.log import shown
from scanner.services.work import WorkState, WorkStatus

_EVERY_S = 10.0
_TICK_S = 0.5


class WorkerLines:
    """Writes plain lines to stderr; is told twice a second how the worker gets on."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._elapsed_s = 0.0
        self._next_s = 0.0
        self._files = 0
        self._last: object = None
        self._rate = Rate()

    def observe(self, status: WorkStatus) -> None:
        """Write a line if it is time, or if something changed that should be seen at once."""
        self._elapsed_s += _TICK_S
        self._rate.add(self._elapsed_s, status.files)
        # Each attempt to connect again is logged; here an outage is one line.
        detail = "" if status.state is WorkState.RECONNECTING else status.detail
        state = (status.state, detail, status.away, frozenset(status.failures))
        due = self._elapsed_s >= self._next_s and status.files != self._files
        if self._quiet or (state == self._last and not due):
            return
        self._last, self._next_s, self._files = state, self._elapsed_s + _EVERY_S, status.files
        output.say(line(status, self._rate.per_second))


def line(status: WorkStatus, files_per_s: float = 0.0) -> str:
    """Return how a worker gets on, in one line."""
    state, detail = str(status.state), shown(status.detail)
    facts = [(detail if detail.startswith(state) else f"{state}: {detail}") if detail else state]
    if status.files:
        facts.append(f"{wording.count(status.files, 'file')} done")
    if files_per_s and status.in_hand:
        facts.append(f"{files_per_s:,.0f} files/s")
    facts += [f"{number:,} {kind}" for kind, number in sorted(status.failures.items())]
    if status.postponed:
        facts.append(f"{status.postponed:,} postponed")
    facts += [f"{shown(root)} is away" for root in status.away]
    if status.limit < status.processes:
        facts.append(f"slowed down to {wording.count(status.limit, 'file')} at a time")
    return "worker: " + ", ".join(facts)


def summary(result: WorkerResult) -> str:
    """Return what a worker has done."""
    status = result.status
    counts = [f"{number:,} {word}" for word, number in sorted(status.results.items())]
    failures = [f"  {kind:<12} {number:,}" for kind, number in sorted(status.failures.items())]
    done = f"{wording.count(status.messages, 'message')}, {wording.count(status.files, 'file')}"
    return "\n".join([f"{done}{': ' if counts else ''}{', '.join(counts)}", *failures])
