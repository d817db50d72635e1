"""Progress on stderr: a live picture on a terminal, plain lines elsewhere, silence beside `--json`.

A display only ever sees snapshots and reads no clock of its own. One that cannot be written any more (the
terminal is gone) goes quiet: it must never end a scan. File and library names are shown through
`scanner.log.shown` as text without markup.
"""

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from scanner.app.progress import Dispatched, LibraryProgress, Phase, RunProgress
from scanner.cli import output, wording
from scanner.log import shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

RATE_SPAN_S = 10.0
PLAIN_EVERY_S = 5.0


class Display(Protocol):
    """What shows how far a run is."""

    def observe(self, progress: RunProgress) -> None:
        """Show a snapshot, or leave it."""


class Quiet:
    """Shows nothing."""

    def observe(self, progress: RunProgress) -> None:
        """Leave it."""


class Rate:
    """How fast a count grows, over the last ten seconds of snapshots."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, elapsed_s: float, count: int) -> None:
        """Take in one snapshot."""
        self._seen.append((elapsed_s, count))
        while len(self._seen) > 2 and self._seen[1][0] < elapsed_s - RATE_SPAN_S:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """The rate; 0 as long as it cannot be told."""
        if len(self._seen) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s and last > first else 0.0


class Rates:
    """The rates that a display shows: files found in each library, tasks confirmed."""

    def __init__(self) -> None:
        self.tasks = Rate()
        self._files: dict[str, Rate] = {}

    def add(self, progress: RunProgress) -> None:
        """Take in one snapshot."""
        done = progress.dispatched
        if done is not None:
            self.tasks.add(progress.elapsed_s, done.processed if done.processes else done.tasks_confirmed)
        for row in progress.libraries:
            if row.phase is Phase.WALKING:
                self._files.setdefault(row.library, Rate()).add(progress.elapsed_s, row.files)

    def files(self, library: str) -> float:
        """Return how many files a second are found in a library."""
        rate = self._files.get(library)
        return 0.0 if rate is None else rate.per_second


class Lines:
    """Plain lines: every five seconds at most, and whenever a phase or what is waited for changes.

    A kind of failure is told at once when it first occurs, and from then on with the other lines.
    """

    def __init__(self) -> None:
        self._rates = Rates()
        self._next_s = PLAIN_EVERY_S
        self._last_state: object = None

    def observe(self, progress: RunProgress) -> None:
        """Write lines if it is time, or if something changed that should be seen at once."""
        self._rates.add(progress)
        phases = tuple((row.library, row.phase) for row in progress.libraries)
        state = (progress.waits, phases, tuple(kind for kind, _ in _failures(progress)))
        if state == self._last_state and progress.elapsed_s < self._next_s:
            return
        self._last_state = state
        self._next_s = progress.elapsed_s + PLAIN_EVERY_S
        for line in lines(progress, self._rates):
            output.say(line)


class Picture:
    """A live picture on a terminal, redrawn with every snapshot."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._rates = Rates()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        from rich.live import Live

        # What is logged meanwhile goes through the picture's console, and so above the picture.
        self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, transient=True)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        live, self._live = self._live, None
        if live is not None:
            _quietly_stop(live)

    def observe(self, progress: RunProgress) -> None:
        """Redraw the picture."""
        self._rates.add(progress)
        if self._live is None:
            return
        try:
            self._live.update(picture(progress, self._rates), refresh=True)
        except OSError:
            live, self._live = self._live, None
            _quietly_stop(live)


def _quietly_stop(live: "Live") -> None:
    try:
        live.stop()
    except OSError:
        return


@contextmanager
def open_display(*, quiet: bool) -> Iterator[Display]:
    """Give the display that fits: nothing when `quiet`, a picture on a terminal, lines otherwise."""
    if quiet:
        yield Quiet()
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        with Picture(_console(sys.stderr)) as display:
            yield display


def _console(stream: TextIO) -> "Console":
    """Return a console that goes quiet when its terminal is gone; rich's own ends the process then."""
    from rich.console import Console

    class Terminal(Console):
        """A console that ends nothing and hides no cursor: a killed scan leaves the terminal as it was."""

        def show_cursor(self, show: bool = True) -> bool:
            """Leave the cursor alone."""
            return False

        def on_broken_pipe(self) -> None:
            """Write nothing any more."""
            self.quiet = True

    return Terminal(file=stream, highlight=False, markup=False, emoji=False)


def lines(progress: RunProgress, rates: Rates) -> list[str]:
    """Return a snapshot as plain lines: one a library, for the tasks, a kind of failure, what is waited for."""
    rows = [f"{shown(row.library)}: {', '.join(_facts(row, rates))}" for row in progress.libraries]
    tasks = ", ".join(_task_facts(progress, rates))
    failed = [f"failed: {_failed(kind, number)}" for kind, number in _failures(progress)]
    waits = [f"waiting: {shown(reason)}" for reason in progress.waits]
    return [*rows, *([f"tasks: {tasks}"] if tasks else []), *failed, *waits]


def picture(progress: RunProgress, rates: Rates) -> "Table":
    """Return a snapshot as a picture: the same facts in columns."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for row in progress.libraries:
        style = {Phase.DONE: "green", Phase.FAILED: "red", Phase.INTERRUPTED: "yellow"}.get(row.phase, "cyan")
        table.add_row(Text(shown(row.library), style="bold"), Text(_phase(row), style=style))
        table.add_row("", Text(", ".join(_facts(row, rates)[1:])))
    tasks = _task_facts(progress, rates)
    if tasks:
        table.add_row(Text("tasks", style="bold"), Text(", ".join(tasks)))
    for kind, number in _failures(progress):
        table.add_row(Text("failed", style="bold red"), Text(_failed(kind, number), style="red"))
    for reason in progress.waits:
        table.add_row(Text("waiting", style="bold yellow"), Text(shown(reason), style="yellow"))
    table.add_row(Text(wording.duration(progress.elapsed_s), style="dim"), "")
    return table


def _phase(row: LibraryProgress) -> str:
    phase = "settling (files may still be written)" if row.phase is Phase.SETTLING else str(row.phase)
    return f"{phase} (resumed)" if row.resumed else phase


def _facts(row: LibraryProgress, rates: Rates) -> list[str]:
    """Return what is to be said of a library, the phase first."""
    facts = [_phase(row), wording.count(row.directories_done, "directory", "directories")]
    if row.directories_pending:
        facts[-1] += f" and {row.directories_pending:,} to go"
    facts.append(wording.count(row.files, "file"))
    changes = ("added", "modified", "moved", "deleted")
    facts += [f"{getattr(row, change):,} {change}" for change in changes if getattr(row, change)]
    if row.problems:
        facts.append(wording.count(row.problems, "problem"))
    return facts + _speed(row, rates.files(row.library))


def _speed(row: LibraryProgress, per_second: float) -> list[str]:
    """Return the rate of a walk, and when it will end if an earlier scan tells how much there is."""
    if row.phase is not Phase.WALKING or not per_second:
        return []
    speed = [f"{per_second:,.0f} files/s"]
    left = (row.expected_files or 0) - row.files
    return [*speed, f"about {wording.duration(left / per_second)} left"] if left > 0 else speed


def _failures(progress: RunProgress) -> list[tuple[str, int]]:
    """Return how many files have failed by kind, in one order for all snapshots."""
    return sorted(progress.dispatched.failures.items()) if progress.dispatched else []


def _failed(kind: str, number: int) -> str:
    return f"{wording.count(number, 'file')} {shown(kind)} ({wording.meaning(kind)})"


def _task_facts(progress: RunProgress, rates: Rates) -> list[str]:
    """Return what is to be said of the tasks; nothing before there is something to send."""
    done = progress.dispatched
    begun = done is not None and (progress.tasks_sent or done.tasks_confirmed or done.processed)
    if not (begun or progress.outbox_messages):
        return []
    facts = ["nobody takes the tasks"] if done is None else _tasks(progress, done)
    if progress.outbox_messages and (done is None or not done.processes):
        facts.append(f"{wording.count(progress.outbox_messages, 'message')} in the outbox")
    if done is None or not rates.tasks.per_second:
        return facts
    facts.append(f"{rates.tasks.per_second:,.0f} {'files' if done.processes else 'tasks'}/s")
    left = _left(progress, done)
    if left:
        so_far = " so far" if any(row.phase is Phase.WALKING for row in progress.libraries) else ""
        facts.append(f"about {wording.duration(left / rates.tasks.per_second)} left{so_far}")
    return facts


def _tasks(progress: RunProgress, done: Dispatched) -> list[str]:
    """Return how far the tasks are: processed where this run sees results, otherwise confirmed."""
    if not done.processes:
        return [_confirmed(progress, done)]
    left = _left(progress, done)
    return [f"{wording.count(done.processed, 'file')} processed", *([f"{left:,} to go"] if left else [])]


def _left(progress: RunProgress, done: Dispatched) -> int:
    """Return how many tasks are left as far as that is known; 0 if it is not."""
    if done.left is not None:
        return done.left
    finished = done.processed if done.processes else done.tasks_confirmed
    return max(0, progress.tasks_sent - finished) if _are_alike(progress, finished) else 0


def _confirmed(progress: RunProgress, done: Dispatched) -> str:
    """Return what was confirmed in this run, and of how many where both counts are of the same tasks.

    They are not when older messages waited in the outbox, or after a resume: earlier runs sent a part.
    """
    sent = progress.tasks_sent
    total = f" of {sent:,}" if sent and _are_alike(progress, done.tasks_confirmed) else ""
    return f"{done.tasks_confirmed:,}{total} tasks confirmed"


def _are_alike(progress: RunProgress, finished: int) -> bool:
    return progress.tasks_sent >= finished and not any(row.resumed for row in progress.libraries)
