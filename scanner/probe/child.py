"""The pool's end of one probe process: starts it, feeds it, hears it, kills it, and knows what it is at.

Invariant: what the process answered is heard even after its death, in order, so that what it was asked and
did not answer is what is left in `unanswered`, the first of it in hand if `is_in_hand`. Of one event loop. A
process that not even SIGKILL ends is `is_stuck`: it is waited for no longer, and looked after until it is
gone.
"""

import asyncio
import fcntl
import mmap
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from itertools import islice, takewhile
from pathlib import Path
from typing import Literal, Protocol

import psutil  # type: ignore[import-untyped]

import scanner
from scanner.probe import frames
from scanner.probe.frames import (
    BEATS,
    CELLS_BYTES,
    CELLS_FORMAT,
    HOLD,
    OPENED,
    READ,
    SKIP,
    STARTED,
    Chunk,
    RootCheck,
    Start,
)
from scanner.probe.jobs import Job, ProbeSettings, Verdict

Cause = Literal["crashed", "timeout", "recycled"]
Entry = tuple[Job, Callable[[Verdict], None]]
"""What is asked, and who is told the answer."""

DESCRIPTORS = 4
"""How many descriptors a process costs us: three pipes, and `mmap` keeps one of the cells."""
GATHER_S = 0.004
"""How long answers gather in the pipe before they are read: a wake-up a file would cost more than the file."""
_STUCK_S = 5.0
_PIPE_BYTES = 256 << 10
_READ_BYTES = 1 << 20
_STDERR_BYTES = 4096
_SHOWN_BYTES = 400
_FATAL = b"Fatal Python error"
_PACKAGE_ROOT = str(Path(scanner.__file__).resolve().parent.parent)

abandoned: list[subprocess.Popen[bytes]] = []
"""Processes stuck in the kernel when their pool was closed."""


def withdrawn(_verdict: Verdict) -> None:
    """Stand in for a caller who wants the answer no more."""


class Owner(Protocol):
    """Who is told what becomes of a process."""

    def ready(self, child: "Child") -> None:
        """Hear that it may be fed."""

    def answered(self, child: "Child", answers: Sequence[tuple[Entry, Verdict]]) -> None:
        """Take answers."""

    def ended(self, child: "Child") -> None:
        """Take back what is unanswered: it is gone, or stuck. Called once."""


class Child:
    """One probe process, from its start to its end."""

    def __init__(self, settings: ProbeSettings, handlers: Mapping[str, str], owner: Owner) -> None:
        """Start the process.

        Raises:
            OSError: the system has no room for another.
        """
        self._owner, self._loop = owner, asyncio.get_running_loop()
        self.unanswered: deque[Entry] = deque()
        self.asked = self.heard = self._charged = 0
        self.is_ready = self.is_leaving = self.is_stuck = self.has_ended = self.is_killed = False
        self.cause: Cause | None = None
        self.error, self.lacks_memory = "", False
        self.age_s = self._dying_s = 0.0
        self._stderr, self._unsent = bytearray(), bytearray()
        self._reader = frames.FrameReader()
        self._before = (0, 0)
        self._start(settings, dict(handlers))

    def _start(self, settings: ProbeSettings, handlers: dict[str, str]) -> None:
        descriptor = os.memfd_create("probe", os.MFD_CLOEXEC)
        try:
            os.ftruncate(descriptor, CELLS_BYTES)
            self._cells = memoryview(mmap.mmap(descriptor, CELLS_BYTES)).cast(CELLS_FORMAT)
            self.popen = _spawn(descriptor)
        finally:
            os.close(descriptor)
        assert self.popen.stdin and self.popen.stdout and self.popen.stderr  # noqa: S101
        self._in, self._out, self._err = (
            pipe.fileno() for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr)
        )
        for pipe in (self._in, self._out, self._err):
            os.set_blocking(pipe, False)
        with suppress(OSError):  # the user's share is used up
            fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        if settings.idle_io:
            with suppress(psutil.Error, OSError):
                psutil.Process(self.pid).ionice(psutil.IOPRIO_CLASS_IDLE)
        self._loop.add_reader(self._out, self._on_answers)
        self._loop.add_reader(self._err, self._on_stderr)
        self._send(Start(os.getpid(), descriptor, settings, handlers))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    @property
    def is_free(self) -> bool:
        """Whether it waits for something to do."""
        return self.is_ready and not self.unanswered and not self.is_leaving

    @property
    def is_in_hand(self) -> bool:
        """Whether the first of what is unanswered was begun."""
        return bool(self.unanswered) and self._cells[STARTED] > self.heard

    @property
    def is_opening(self) -> bool:
        """Whether it is at opening a file."""
        return self.is_in_hand and self._cells[OPENED] < self._cells[STARTED]

    def ask(self, entries: Sequence[Entry]) -> None:
        """Ask for files, in order."""
        self._ask(entries, Chunk([job for job, _ in entries]))

    def ask_root(self, check: RootCheck) -> None:
        """Ask for a root; the verdict's text is its state."""
        self._ask([(Job(check.number, b"", "", "", 0, 0, 0, 0, 0), withdrawn)], check)

    def withdraw(self, keys: Collection[int]) -> set[int]:
        """Return those of the keys whose files were not begun: whatever it answers, their callers hear nothing.

        What was sent is out of reach: it may begin some of them yet, but passes over those that are next.
        """
        begun, found = self._cells[STARTED] - self.heard, set()
        for place, (job, done) in enumerate(self.unanswered):
            if place >= begun and done is not withdrawn and job.key in keys:
                self.unanswered[place] = (job, withdrawn)
                found.add(job.key)
        next_ones = takewhile(lambda entry: entry[1] is withdrawn, islice(self.unanswered, begun, None))
        self._cells[SKIP] = self.heard + begun + sum(1 for _ in next_ones)
        return found

    def _ask(self, entries: Sequence[Entry], request: frames.Request) -> None:
        if not self.unanswered:
            self.age_s = 0.0
        self.unanswered.extend(entries)
        self.asked += len(entries)
        self._send(request)

    def take_back(self) -> list[Entry]:
        """Return what is unanswered, withdrawn files included, and be asked no more."""
        entries = list(self.unanswered)
        self.unanswered.clear()
        return entries

    def leave(self) -> None:
        """Let it go when it has answered what it was asked."""
        self.is_leaving = True
        self.cause = self.cause or "recycled"
        self._loop.remove_writer(self._in)
        with suppress(OSError):
            self.popen.stdin.close()  # type: ignore[union-attr]

    def kill(self, cause: Cause) -> None:
        """End it now, and whatever it started; it has ended when the owner is told."""
        self.is_leaving = self.is_killed = True
        self.cause = self.cause or cause
        if self.popen.returncode is not None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def look(self, elapsed_s: float) -> None:
        """Bring `age_s`, the time without progress, up to date, and notice its death.

        `elapsed_s` is the time since the last call, some hundredths of a second.
        """
        if self.has_ended or self._has_died():
            self._end()
            return
        now = (self._cells[STARTED], self._cells[BEATS])
        self.age_s = 0.0 if now != self._before else self.age_s + elapsed_s
        self._before = now
        if self.is_killed and not self.is_stuck:
            self._dying_s += elapsed_s
            if self._dying_s > _STUCK_S:
                self.is_stuck = True
                self._stop_listening()
                self._owner.ended(self)

    def newly_read(self) -> int:
        """Return how many bytes it has read since the last call, where a rate is set."""
        before, self._charged = self._charged, self._cells[READ]
        return self._charged - before

    def hold(self, is_dry: bool) -> None:
        """Let it rest in the middle of a long file, or go on."""
        self._cells[HOLD] = is_dry

    def last_words(self) -> str:
        """Return how it ended, with the last of what it wrote to stderr; it is to be escaped."""
        words = self._stderr[self._stderr.rfind(_FATAL) :] if _FATAL in self._stderr else self._stderr
        shown = words[:_SHOWN_BYTES] if _FATAL in self._stderr else words[-_SHOWN_BYTES:]
        text = " ".join(shown.decode(errors="surrogateescape").split())
        return f"{_how(self.popen.returncode)}{text and ': ' + text}"

    def abandon(self) -> None:
        """Leave it to the kernel."""
        self._stop_listening()
        if self.popen.poll() is None:
            abandoned.append(self.popen)

    def _send(self, document: Start | frames.Request) -> None:
        self._unsent += frames.frame(document)
        self._flush()

    def _flush(self) -> None:
        try:
            del self._unsent[: os.write(self._in, self._unsent)]
        except BlockingIOError:
            pass
        except OSError:  # it is dead, which shows when reading
            self._unsent.clear()
        if self._unsent:
            self._loop.add_writer(self._in, self._flush)
        else:
            self._loop.remove_writer(self._in)

    def _on_answers(self) -> None:
        self._loop.remove_reader(self._out)
        if self.hear():
            self._loop.call_later(GATHER_S, self._listen_again)
        else:
            self.kill("crashed")  # dead already, or it speaks no more, or what it says makes no sense
            self._await_death()

    def _await_death(self) -> None:
        self.look(0.0)
        if not (self.has_ended or self.is_stuck):
            self._loop.call_later(GATHER_S, self._await_death)

    def _listen_again(self) -> None:
        if not (self.has_ended or self.is_stuck):
            self._loop.add_reader(self._out, self._on_answers)

    def hear(self) -> bool:
        """Take what has come; return False if nothing more ever will."""
        try:
            data = os.read(self._out, _READ_BYTES)
        except BlockingIOError:
            return True
        self._reader.feed(data)
        try:
            self._take()
        except frames.NotAFrame:
            return False
        return bool(data)

    def _take(self) -> None:
        if not self.is_ready:
            hello = self._reader.hello()
            if hello is None:
                return
            self.is_ready, self.error, self.lacks_memory = not hello.error, hello.error, hello.lacks_memory
            self._owner.ready(self)
        verdicts = self._reader.verdicts()
        if len(verdicts) > len(self.unanswered):
            raise frames.NotAFrame("answers to nothing")
        if any(job.key != verdict.key for (job, _), verdict in zip(self.unanswered, verdicts, strict=False)):
            raise frames.NotAFrame("an answer to another question")
        self.heard += len(verdicts)
        if verdicts:
            self._owner.answered(self, [(self.unanswered.popleft(), verdict) for verdict in verdicts])

    def _on_stderr(self) -> None:
        try:
            data = os.read(self._err, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._err)
        self._stderr += data
        del self._stderr[:-_STDERR_BYTES]

    def _has_died(self) -> bool:
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody else reaped it
            return True

    def _end(self) -> None:
        """Hear the last of it, and see to it that nothing it started is left."""
        if self.has_ended:
            return
        self.has_ended = True
        self.kill("crashed")  # before it is reaped: until then its group's number is nobody else's
        self.popen.wait()
        if not self.is_stuck:
            self.hear()
            self._on_stderr()
            self._stop_listening()
            self._owner.ended(self)
        self._close()

    def _stop_listening(self) -> None:
        self._loop.remove_reader(self._out)
        self._loop.remove_reader(self._err)
        self._loop.remove_writer(self._in)

    def _close(self) -> None:
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


def _spawn(cells: int) -> subprocess.Popen[bytes]:
    """Start a process: this interpreter, this package, nothing from the current directory (-P)."""
    path = os.pathsep.join(filter(None, [_PACKAGE_ROOT, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "scanner.probe.process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        pass_fds=[cells],
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def _how(code: int | None) -> str:
    if code is None:
        return "the probe process was lost"
    if code >= 0:
        return f"the probe process left with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    hint = " (when memory runs out the kernel does that)" if -code == signal.SIGKILL else ""
    return f"the probe process was ended by {name}{hint}"
