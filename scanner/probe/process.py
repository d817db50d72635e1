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
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from scanner.probe import frames, limits
from scanner.probe.examine import Examiner, Exhausted, state_of
from scanner.probe.frames import BEATS, CELLS_BYTES, CELLS_FORMAT, OPENED, STARTED, Chunk, Hello, Request, Start
from scanner.probe.handlers import Handlers
from scanner.probe.jobs import Job, Verdict

_READ_BYTES = 1 << 20


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

    def start(self) -> None:
        """Note that the next thing is begun."""
        self._memory[STARTED] += 1

    def opened(self) -> None:
        """Note that it has been opened."""
        self._memory[OPENED] = self._memory[STARTED]

    def beat(self) -> None:
        """Note progress."""
        self._memory[BEATS] += 1


def _pacer(cells: _Cells, rate_bytes_s: float) -> Callable[[int], None]:
    """Return what a long reader calls after each piece: a sign of life, and a rest if there is a rate."""

    def pace(read_bytes: int) -> None:
        cells.beat()
        if rate_bytes_s:
            time.sleep(read_bytes / rate_bytes_s)

    return pace


def _read_bytes() -> int:
    """Return how much this process has read. Source: proc(5), `/proc/[pid]/io`, rchar."""
    try:
        with open("/proc/self/io", "rb") as file:
            return int(file.readline().split()[1])
    except (OSError, ValueError, IndexError):  # pragma: no cover - a kernel without I/O accounting
        return 0


def _measured(examine: Callable[[Job], Verdict]) -> Callable[[Job], Verdict]:
    """Return `examine` with the bytes that it read in its verdict."""

    def measured(job: Job) -> Verdict:
        before = _read_bytes()
        verdict = examine(job)
        return Verdict(
            verdict.key,
            verdict.status,
            verdict.result,
            verdict.error_kind,
            verdict.text,
            verdict.opened_s,
            max(0, _read_bytes() - before),
        )

    return measured


class _Service:
    """One process at work."""

    def __init__(self, start: Start, pipes: _Pipes) -> None:
        settings = start.settings
        self._pipes, self._cells = pipes, _Cells(start.cells)
        rate = settings.io_rate_mib_s * (1 << 20) / settings.processes
        handlers = Handlers.load(start.handlers, settings, _pacer(self._cells, rate))
        examiner = Examiner(handlers, self._cells.opened, limits.too_much(settings))
        self._examine = _measured(examiner.examine) if rate else examiner.examine

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
                self._cells.start()
                self._pipes.write(self._verdict(job))
        else:
            self._cells.start()
            self._pipes.write(Verdict(0, "ok", b"", text=state_of(request.root, request.samples)))

    def _verdict(self, job: Job) -> Verdict:
        try:
            return self._examine(job)
        except Exhausted as exhausted:
            self._pipes.write(exhausted.verdict)
            leave()


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
        pipes.write(Hello(f"{type(error).__name__}: {error}"))
        leave()
    gc.freeze()
    pipes.write(Hello())
    service.serve()
    leave()


if __name__ == "__main__":
    main()
