"""A text stream behind a thread, for processes whose event loop must never wait for whoever reads stderr.

A stopped terminal or a full pipe would otherwise hold up the loop, and with it the AMQP heartbeats. What does
not fit into a bounded queue is dropped. A crash loses the last lines.
"""

import queue
import threading
import time
from contextlib import suppress
from io import TextIOBase
from typing import TextIO

_LOG_LINES = 1_000


class ThreadedText(TextIOBase):
    """A text stream written by a thread: a terminal or pipe that does not take our logs holds nobody up."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: queue.Queue[str] = queue.Queue(_LOG_LINES)
        threading.Thread(target=self._write_for_ever, name="log", daemon=True).start()

    def write(self, text: str) -> int:
        """Take the text; what does not fit is dropped."""
        with suppress(queue.Full):
            self._lines.put_nowait(text)
        return len(text)

    def isatty(self) -> bool:
        """Tell whether a terminal is at the other end."""
        return self._stream.isatty()

    def finish(self, limit_s: float = 1.0) -> None:
        """Wait a bounded time until everything is written."""
        deadline = time.monotonic() + limit_s
        while self._lines.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)

    def _write_for_ever(self) -> None:
        while True:
            text = self._lines.get()
            with suppress(OSError, ValueError):
                self._stream.write(text)
                self._stream.flush()
            self._lines.task_done()
