"""The walker: a process of its own that looks at the file system for the scan service.

It reads one frame of configuration and then frames of requests from stdin, and writes frames of replies to
stdout (`scanner.files.frames`), grouped while it is busy, at once when it is idle, and an empty one each second
as a sign of life. A reader that is slow is waited for: replies are kept in one bounded buffer.

It keeps nothing: killed at any moment, it loses only answers that its client asks for again. When stdin ends,
or the parent is gone, it leaves at once, whatever hangs. SIGINT is the parent's business; SIGTERM ends it.
Standard library only (`pathspec` joins if there is a glob or an ignore file), so it starts in a few hundredths
of a second. Tracebacks go to stderr.
"""

import contextlib
import faulthandler
import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from scanner.files import frames
from scanner.files.filters import Filters
from scanner.files.ignore import IgnoreRules
from scanner.files.listing import Beat, Emit, Lister
from scanner.files.pool import Answer, Pool
from scanner.files.tree import Tree
from scanner.files.verifying import Verifier
from scanner.files.wire import CheckRequest, ListRequest, Request

_TICK_S = 0.05
_HEARTBEAT_S = 1.0
_FLUSH_BYTES = 128 << 10
_READ_BYTES = 1 << 20
_REPLY_BYTES = 120
_GC_THRESHOLD = 100_000
_STACK_BYTES = 512 << 10


class Output:
    """The way out: groups replies into frames. Whoever finds the pipe full waits in it, the others behind."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._replies: list[frames.RawReply] = []
        self._size_bytes = 0
        self._written_s = 0.0

    def put(self, reply: frames.RawReply, at_once: bool) -> None:
        """Add a reply; write what has gathered if asked to, or if it is enough."""
        with self._lock:
            self._replies.append(reply)
            self._size_bytes += _REPLY_BYTES + (len(reply[1]) if isinstance(reply[1], bytes) else 0)
            if at_once or self._size_bytes >= _FLUSH_BYTES:
                self._write()

    def flush(self) -> None:
        """Write what has gathered, or a heartbeat if it is time for one."""
        with self._lock:
            if self._replies or time.monotonic() - self._written_s >= _HEARTBEAT_S:
                self._write()

    def _write(self) -> None:
        rest = memoryview(frames.frame(self._replies))
        self._replies, self._size_bytes = [], 0
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:  # nobody reads any more
            os._exit(0)
        self._written_s = time.monotonic()


def _looker(config: dict[str, Any], tree: Tree) -> Callable[[Request, Emit, Beat], Answer]:
    filters = Filters.from_json(config["filters"])
    rules = IgnoreRules(tree.open, follow_symlinks=filters.follow_symlinks)
    lister = Lister(tree, rules, filters, settle_s=config["settle_s"], part_size=config["part_size"])
    verifier = Verifier(tree, rules)

    def look(request: Request, emit: Emit, beat: Beat) -> Answer:
        if isinstance(request, ListRequest):
            return lister.list_directory(request, emit, beat)
        if isinstance(request, CheckRequest):
            return verifier.check(request, beat)
        return verifier.verify(request)

    return look


def _supervise(pool: Pool, output: Output, parent: int) -> None:
    while True:
        pool.has_work.wait(_HEARTBEAT_S)
        time.sleep(_TICK_S)
        pool.supervise()
        output.flush()
        if os.getppid() != parent:
            os._exit(0)


def _start(config: dict[str, Any], output: Output, parent: int) -> Pool:
    tree = Tree(config["root"], follow_symlinks=config["filters"]["follow_symlinks"])
    pool = Pool(
        _looker(config, tree),
        output.put,
        lambda path: tree.mount_of(path).mount_point,
        threads=config["threads"],
        io_timeout_s=config["io_timeout_s"],
    )
    guarded = _or_die(lambda: _supervise(pool, output, parent))
    threading.Thread(target=guarded, name="supervisor", daemon=True).start()
    return pool


def _or_die(target: Callable[[], None]) -> Callable[[], None]:
    """Make a crash of `target` the end of the process: the client starts a new one."""

    def run() -> None:
        try:
            target()
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
            os._exit(70)

    return run


def _serve(source: int, output: Output, parent: int) -> None:
    reader, pool = frames.FrameReader(), None
    while data := os.read(source, _READ_BYTES):
        for document in reader.feed(data):
            if pool is None:
                pool = _start(document, output, parent)
                output.flush()
            else:
                pool.submit(frames.requests_of(document))


def _take_over_streams() -> tuple[int, int]:
    """Move the two pipes away from descriptors 0 and 1, so that no stray print gets among the frames."""
    source, target = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return source, target


def main() -> None:
    """Serve until stdin ends."""
    parent = os.getppid()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(Exception):  # stderr may be no file
        faulthandler.enable()
    gc.set_threshold(_GC_THRESHOLD)  # listings are many young tuples without a cycle among them
    threading.stack_size(_STACK_BYTES)
    source, target = _take_over_streams()
    _or_die(lambda: _serve(source, Output(target), parent))()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
