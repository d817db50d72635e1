"""The probe process: takes files from the pool and looks at them, one after another.

It may crash, hang or be killed at any moment; what it answered by then is in the pipe, and what it was at
stands in shared memory. It leaves when its stdin ends and is killed by the kernel when its parent dies.
SIGINT, SIGTERM and SIGHUP are the parent's business: a service manager sends them to all, and what is in hand
is to be finished. Whatever a handler prints goes to stderr, whose last lines the pool keeps.
"""

import faulthandler
import gc
import mmap
import os
import signal
import sys
import time
from contextlib import suppress
from typing import NoReturn

from scanner.probe import frames, limits
from scanner.probe.examine import Examiner, Exhausted, state_of
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
    Hello,
    Request,
    Start,
)
from scanner.probe.handlers import Handlers
from scanner.probe.jobs import Job, Verdict

_READ_BYTES = 1 << 20
_REST_S = 0.02


class _Pipes:
    """The two pipes to the pool, moved away from descriptors 0 and 1, where every stray print goes."""

    def __init__(self) -> None:
        self._source, self._target = os.dup(0), os.dup(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(2, 1)
        os.close(null)
        self.reader = frames.FrameReader()

    def more(self) -> bool:
        """Wait for bytes and feed them to the reader; return False at the end."""
        data = os.read(self._source, _READ_BYTES)
        self.reader.feed(data)
        return bool(data)

    def write(self, document: Hello | Verdict) -> None:
        """Write a frame; leave if nobody reads any more."""
        rest = memoryview(frames.frame(document))
        try:
            while rest:
                rest = rest[os.write(self._target, rest) :]
        except OSError:
            leave()


class _Cells:
    """Shared memory that says what we are at."""

    def __init__(self, descriptor: int) -> None:
        self._memory = memoryview(mmap.mmap(descriptor, CELLS_BYTES)).cast(CELLS_FORMAT)
        os.close(descriptor)

    def start(self) -> bool:
        """Note that the next thing is begun; return whether anybody wants it."""
        number = self._memory[STARTED] = self._memory[STARTED] + 1
        return number > self._memory[SKIP]

    def opened(self) -> None:
        """Note that it has been opened."""
        self._memory[OPENED] = self._memory[STARTED]

    def beat(self) -> None:
        """Note progress."""
        self._memory[BEATS] += 1

    def read(self, read_bytes: int) -> None:
        """Note how much was read so far."""
        self._memory[READ] = read_bytes

    @property
    def is_held(self) -> bool:
        """Whether nothing more is to be read for now."""
        return bool(self._memory[HOLD])


class _Meter:
    """Tells the pool what is read, if there is a rate, and rests when that is used up."""

    def __init__(self, cells: _Cells, rate_bytes_s: float) -> None:
        self._cells, self._rate = cells, rate_bytes_s
        self._before = _read_bytes()

    def note(self) -> None:
        """Tell what was read so far."""
        if self._rate:
            self._cells.read(max(0, _read_bytes() - self._before))

    def pace(self, read_bytes: int) -> None:
        """Give a sign of life after a piece of a long file, and rest as long as the rate asks for."""
        self._cells.beat()
        if self._rate:
            self.note()
            time.sleep(read_bytes / self._rate)
            while self._cells.is_held:
                time.sleep(_REST_S)
                self._cells.beat()


def _read_bytes() -> int:
    """Return how much this process has read. Source: proc(5), `/proc/[pid]/io`, rchar."""
    try:
        with open("/proc/self/io", "rb") as file:
            return int(file.readline().split()[1])
    except (OSError, ValueError, IndexError):  # pragma: no cover - a kernel without I/O accounting
        return 0


class _Service:
    """One process at work."""

    def __init__(self, start: Start, pipes: _Pipes) -> None:
        settings = start.settings
        self._pipes, self._cells = pipes, _Cells(start.cells)
        self._meter = _Meter(self._cells, settings.io_rate_mib_s * (1 << 20))
        handlers = Handlers.load(start.handlers, settings, self._meter.pace)
        self._examiner = Examiner(handlers, self._cells.opened, limits.too_much(settings))

    def serve(self) -> None:
        """Answer until there is nothing more to read."""
        while True:
            for request in self._pipes.reader.requests():
                self._answer(request)
            if not self._pipes.more():
                return

    def _answer(self, request: Request) -> None:
        if isinstance(request, Chunk):
            for job in request.jobs:
                is_wanted = self._cells.start()
                self._pipes.write(
                    self._verdict(job) if is_wanted else Verdict(job.key, "ok", b"", opened=False)
                )
        else:
            self._cells.start()
            state = state_of(request.root, request.samples)
            self._pipes.write(Verdict(request.number, "ok", b"", text=state))

    def _verdict(self, job: Job) -> Verdict:
        try:
            return self._examiner.examine(job)
        except Exhausted as exhausted:
            self._pipes.write(exhausted.verdict)
            leave()
        finally:
            self._meter.note()


def leave() -> NoReturn:
    """End the process, whatever threads a handler started."""
    with suppress(Exception):
        sys.stderr.flush()
    os._exit(0)


def main() -> None:
    """Serve until stdin ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    faulthandler.enable()
    pipes = _Pipes()
    while (start := pipes.reader.start()) is None:
        if not pipes.more():
            leave()
    limits.die_with(start.parent)
    limits.confine(start.settings)
    try:
        service = _Service(start, pipes)
    except Exception as error:  # noqa: BLE001 - a handler's module may raise anything
        pipes.write(Hello(f"{type(error).__name__}: {error}", limits.is_lack_of_memory(error)))
        leave()
    gc.freeze()
    pipes.write(Hello())
    service.serve()
    leave()


if __name__ == "__main__":
    main()
