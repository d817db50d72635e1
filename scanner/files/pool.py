"""The walker's listing threads: how many are active, and what is done about calls that never return.

A call into the file system can hang in the kernel, and nothing in this process can end it. So each call is
watched: one that gave no sign of life for `io_timeout_s` is answered in its stead (`timeout`) and abandoned,
thread and all; should it return one day, its answer is dropped and its thread ends. At most `threads` calls
run at once, abandoned ones excepted, and those are bounded, too: a mount that holds `threads` of them is not
asked again until one comes back.

A crash in a call is answered as an `io` problem and shown on stderr. Standard library only.
"""

import errno
import math
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable

from scanner.files import frames, pace
from scanner.files.frames import PackedListing, RawReply, raw_reply
from scanner.files.listing import Beat, Emit
from scanner.files.wire import Checked, Reply, Request

_LINGERING_S = 0.1
"""A call older than this no longer counts as active: others go on beside it."""

_STUCK_FACTOR = 4

Answer = PackedListing | Reply
Work = Callable[[Request, Emit, Beat], Answer]
Put = Callable[[RawReply, bool], None]
"""Takes a reply, and whether it should leave at once; may block while the reader is slow."""


class _Abandoned(Exception):
    """Raised inside a call that was given up, when it comes back to hand over a part."""


class _Call:
    """One request in hand. `beat_s` is the last sign of life, infinite while it waits for the reader."""

    __slots__ = ("beat_s", "is_abandoned", "is_lingering", "is_refused", "mount_point", "request", "since_s")

    def __init__(self, request: Request, mount_point: str, *, is_refused: bool) -> None:
        self.request, self.mount_point, self.is_refused = request, mount_point, is_refused
        self.since_s = self.beat_s = time.monotonic()
        self.is_lingering = self.is_abandoned = False

    def beat(self) -> None:
        """Note a sign of life."""
        self.beat_s = time.monotonic()


class Pool:
    """Runs requests on up to `threads` threads and puts their replies out, in no particular order."""

    def __init__(
        self, work: Work, put: Put, mount_point_of: Callable[[str], str], *, threads: int, io_timeout_s: float
    ) -> None:
        self._work, self._put, self._mount_point_of = work, put, mount_point_of
        self._threads, self._io_timeout_s = threads, io_timeout_s
        self._pace = pace.Pace(threads)
        self._queue: deque[Request] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._calls: set[_Call] = set()
        self._stuck: Counter[str] = Counter()
        self._lingering = self._alive = self._idle = 0
        self.has_work = threading.Event()

    def submit(self, requests: Iterable[Request]) -> None:
        """Take requests in; they are started in order."""
        with self._changed:
            self._queue.extend(requests)
            self.has_work.set()
            self._hire()

    def supervise(self) -> None:
        """Look after the calls in hand once; to be called every few hundredths of a second while `has_work`."""
        now_s = time.monotonic()
        with self._changed:
            late = [call for call in self._calls if now_s - call.beat_s > self._io_timeout_s]
            for call in late:
                self._abandon(call)
            for call in self._calls:
                if not call.is_lingering and now_s - call.since_s > _LINGERING_S:
                    call.is_lingering = True
                    self._lingering += 1
            self._hire()
            if not self._calls and not self._queue:
                self.has_work.clear()
        for call in late:
            self._put(raw_reply(timed_out(call.request, self._io_timeout_s)), True)

    def _serve(self) -> None:
        """Answer one request after another: the life of a listing thread."""
        while True:
            call = self._next()
            try:
                answer = self._answer(call)
            except _Abandoned:
                answer = None
            if not self._finish(call, answer):
                return
            if answer is not None:
                self._put(raw_reply(answer), not self._queue)

    def _next(self) -> _Call:
        with self._changed:
            while not self._may_start():
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            request = self._queue.popleft()
            mount_point = self._mount_point_of(request.path)
            call = _Call(request, mount_point, is_refused=self._is_dead(mount_point))
            self._calls.add(call)
            self._hire()
            return call

    def _answer(self, call: _Call) -> Answer:
        if call.is_refused:
            return timed_out(call.request, self._io_timeout_s)
        try:
            return self._work(call.request, lambda part: self._emit(call, part), call.beat)
        except _Abandoned:
            raise
        except Exception as error:  # noqa: BLE001 (one bad directory must not end the walk)
            traceback.print_exc()
            return frames.failed(call.request, errno.EIO, f"the walker failed: {error!r}")

    def _finish(self, call: _Call, answer: Answer | None) -> bool:
        """Close a call; return False if it had been abandoned, and its thread with it."""
        seconds = time.monotonic() - call.since_s
        with self._changed:
            if call.is_abandoned:
                self._stuck[call.mount_point] -= 1
                return False
            self._calls.remove(call)
            self._lingering -= call.is_lingering
            if answer is not None and not call.is_refused:
                self._pace.record(seconds, _allowance_s(answer), is_more_waiting=bool(self._queue))
            return True

    def _emit(self, call: _Call, part: PackedListing) -> None:
        with self._changed:
            if call.is_abandoned:
                raise _Abandoned
            call.beat_s = math.inf
        started_s = time.monotonic()
        self._put(raw_reply(part), False)
        call.beat()
        call.since_s += call.beat_s - started_s

    def _abandon(self, call: _Call) -> None:
        call.is_abandoned = True
        self._calls.remove(call)
        self._lingering -= call.is_lingering
        self._stuck[call.mount_point] += 1
        self._alive -= 1

    def _may_start(self) -> bool:
        running = len(self._calls)
        return bool(self._queue) and running < self._threads and running - self._lingering < self._pace.limit

    def _is_dead(self, mount_point: str) -> bool:
        here = self._stuck[mount_point]
        return here >= self._threads or (here > 0 and self._stuck.total() >= self._threads * _STUCK_FACTOR)

    def _hire(self) -> None:
        """See to it that somebody takes the next request, if it may be started."""
        if not self._may_start():
            return
        if self._idle:
            self._changed.notify()
        elif self._alive < self._threads:
            self._alive += 1
            threading.Thread(target=self._serve, daemon=True).start()


def _allowance_s(answer: Answer) -> float:
    if isinstance(answer, PackedListing):
        return pace.DIRECTORY_ALLOWANCE_S + pace.ENTRY_ALLOWANCE_S * answer.listing.file_count
    return pace.LOOK_ALLOWANCE_S * (answer.asked if isinstance(answer, Checked) else 1)


def timed_out(request: Request, io_timeout_s: float) -> Reply:
    """Return the answer for a call that does not return."""
    return frames.failed(request, errno.ETIMEDOUT, f"no answer within {io_timeout_s:g} s (--io-timeout)")
