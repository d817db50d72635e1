"""The scan side's end of the walker: starts the process, keeps it alive, asks and hears.

The walker may be killed, crash, or hang as a whole; the client starts another and asks again for whatever was
not answered. A request that a walker died over three times in a row is answered `failed`: a directory that
kills walkers must not stop the scan. After a death the client is careful: it asks for one thing alone, and for
the rest once that is answered, so that the culprit is found and nothing else is blamed.

One thread submits and receives; `close` may be called from any.
"""

import contextlib
import errno
import fcntl
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import scanner
from scanner.files import frames
from scanner.files.filters import Filters
from scanner.files.wire import Listing, Reply, Request

_PIPE_BYTES = 1 << 20
_READ_BYTES = 1 << 20
_LIFE_MARGIN_S = 30.0
_DEATHS = 3
_LEAVE_S = 1.0
_POLL_S = 1.0
_STATEMENT = (
    "import sys; place = {place!r}; place in sys.path or sys.path.insert(0, place); "
    "from scanner.files.walker import main; main()"
)

_abandoned: list[subprocess.Popen[bytes]] = []
"""Walkers stuck in the kernel that even SIGKILL has not ended yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkerSettings:
    """How the walker goes about it."""

    threads: int = 16
    """The most calls into the file system at once. Defaults to 16."""
    io_timeout_s: float = 60.0
    """How long a call may give no sign of life. Defaults to 60 s."""
    settle_s: float = 10.0
    """How old an mtime must be for a file to count as settled; 0 settles all. Defaults to 10 s."""
    part_size: int = 5000
    """The most files in one message. Defaults to 5,000."""

    def __post_init__(self) -> None:
        if self.threads < 1 or self.part_size < 1 or self.io_timeout_s <= 0 or self.settle_s < 0:
            raise ValueError(f"walker settings out of range: {self}")


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let a child inherit a blocked SIGINT: a Ctrl-C while it starts is the parent's business, too."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Process:
    """One walker process and the two pipes to it."""

    def __init__(self, config: bytes) -> None:
        place = str(Path(scanner.__file__).resolve().parent.parent)
        # -P: the working directory may be the library, and must not offer us its `random.py`
        command = [sys.executable, "-E", "-s", "-P", "-c", _STATEMENT.format(place=place)]
        with _interrupts_blocked():
            self.popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self.popen.stdin is not None and self.popen.stdout is not None  # noqa: S101
        self._stdin, self._stdout = self.popen.stdin, self.popen.stdout
        for pipe in (self._stdin, self._stdout):
            os.set_blocking(pipe.fileno(), False)
            with contextlib.suppress(OSError):  # above /proc/sys/fs/pipe-max-size, or the user's share used up
                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._reader = frames.FrameReader()
        self._unsent: deque[memoryview] = deque([memoryview(config)])
        self.alive_s = time.monotonic()
        self.has_spoken = False

    def send(self, requests: Iterable[Request]) -> None:
        """Queue requests and write as much as the pipe takes."""
        self._unsent.append(memoryview(frames.request_frame(requests)))
        self.flush()

    def flush(self) -> None:
        """Write as much as the pipe takes. A pipe that is broken shows when reading."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            while self._unsent:
                rest = self._unsent[0][os.write(self._stdin.fileno(), self._unsent[0]) :]
                if rest:
                    self._unsent[0] = rest
                else:
                    self._unsent.popleft()

    def wait(self, wake: int, timeout_s: float) -> bool:
        """Wait until there is something to read, writing meanwhile; return False if there is not."""
        poll = select.poll()
        poll.register(self._stdout.fileno(), select.POLLIN)
        poll.register(wake, select.POLLIN)
        if self._unsent:
            poll.register(self._stdin.fileno(), select.POLLOUT)
        ready = {descriptor for descriptor, _ in poll.poll(max(0.0, timeout_s) * 1000)}
        if self._stdin.fileno() in ready:
            self.flush()
        return self._stdout.fileno() in ready

    def read(self) -> list[Reply] | None:
        """Return the replies that have come, or None if the process is dead."""
        try:
            data = os.read(self._stdout.fileno(), _READ_BYTES)
        except BlockingIOError:
            return []
        if not data:
            return None
        self.alive_s, self.has_spoken = time.monotonic(), True
        return [reply for document in self._reader.feed(data) for reply in frames.replies_of(document)]

    def kill(self) -> None:
        """End the process now."""
        self.popen.kill()

    def leave(self) -> None:
        """See the process out: at most two seconds, then it is left to the kernel."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        for _ in range(2):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(_LEAVE_S)
                break
            self.kill()
        else:
            _abandoned.append(self.popen)
        self._stdout.close()
        _abandoned[:] = [popen for popen in _abandoned if popen.poll() is None]


class Walker:
    """A running walker for one library and one run. Use as a context manager, or `close` it.

    One walker serves one run: what it takes for the root is what was there when it started.
    """

    def __init__(self, root: str, filters: Filters, settings: WalkerSettings) -> None:
        """Start the process; `root` is absolute path text and need not exist (then every answer says so)."""
        config = {"root": root, "filters": filters.to_json(), **asdict(settings)}
        self._config = frames.frame(config)
        self._silence_s = settings.io_timeout_s + _LIFE_MARGIN_S
        self._pending: dict[int, Request] = {}
        self._ready: list[Reply] = []
        self._deaths = 0
        self._careful: int | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._is_released = False
        self._wake_out, self._wake_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._process = _Process(self._config)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process id of the present walker process."""
        return self._process.popen.pid

    @property
    def outstanding(self) -> int:
        """The number of requests not yet finally answered."""
        return len(self._pending)

    def submit(self, requests: Sequence[Request]) -> None:
        """Ask for `requests`, each with a key that no outstanding one has. Never blocks on the walker.

        Keep `outstanding` to a few thousand: requests and answers on their way are held in memory.
        """
        with self._lock:
            if self._closed.is_set() or not requests:
                return
            if not self._pending:
                self._process.alive_s = time.monotonic()
            self._pending.update((request.key, request) for request in requests)
            if self._careful is None:
                self._process.send(requests)

    def receive(self, timeout_s: float) -> list[Reply]:
        """Return replies, waiting up to `timeout_s` for the first; [] at the timeout, and after `close`.

        If the walker died meanwhile, parts of a listing may come again: the listing starts over.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._lock:
            while not self._closed.is_set():
                replies = self._take_ready() or self._poll(deadline_s - time.monotonic())
                if replies or time.monotonic() >= deadline_s:
                    return replies
            return []

    def close(self) -> None:
        """End the walker: about two seconds at most, whatever it hangs in. Any thread may, more than once."""
        self._closed.set()
        with contextlib.suppress(OSError):
            os.write(self._wake_in, b"!")
        with self._lock:
            if self._is_released:
                return
            self._is_released = True
            self._process.leave()
            os.close(self._wake_in)
            os.close(self._wake_out)
            self._pending.clear()

    def _take_ready(self) -> list[Reply]:
        ready, self._ready = self._ready, []
        return ready

    def _poll(self, timeout_s: float) -> list[Reply]:
        if not self._process.wait(self._wake_out, min(timeout_s, _POLL_S)):
            if self._pending and time.monotonic() - self._process.alive_s > self._silence_s:
                self._process.kill()
            return []
        replies = self._process.read()
        if replies is None and self._pending:
            self._replace()
        elif replies is None:  # dead, and nobody needs it: replaced when there is something to ask
            select.select([self._wake_out], [], [], max(0.0, min(timeout_s, _POLL_S)))
        return self._accept(replies or [])

    def _accept(self, replies: list[Reply]) -> list[Reply]:
        """Sort out late answers, and close the books on final ones."""
        wanted = [reply for reply in replies if reply.key in self._pending]
        for reply in wanted:
            if isinstance(reply, Listing) and reply.status == "part":
                continue
            del self._pending[reply.key]
            self._deaths = 0
            if self._careful == reply.key:
                self._careful = None
                if self._pending:
                    self._process.send(self._pending.values())
        return wanted

    def _replace(self) -> None:
        """Start another walker in the place of a dead one, and ask again."""
        self._deaths += 1
        could_start = self._process.has_spoken
        self._process.leave()
        if self._deaths >= _DEATHS:
            guilty = list(self._pending)[: 1 if could_start else None]
            text = f"the walker process died over this {self._deaths} times"
            self._ready += [frames.failed(self._pending.pop(key), errno.EIO, text) for key in guilty]
            self._deaths = 0
        self._process = _Process(self._config)
        self._careful = next(iter(self._pending), None)
        if self._careful is not None:
            self._process.send([self._pending[self._careful]])
