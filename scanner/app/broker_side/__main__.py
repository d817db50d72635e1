"""The child process: one small event loop for AMQP, SQL on threads, commands from stdin on a thread of its own.

Invariant: nothing that others do can hold the loop up. Reports go into the pipe or are dropped, logs go
through a thread, and no lock is shared with anybody but the database. It leaves when told, when SIGTERM comes,
or when the parent is gone, within a bounded time: a thread that needs nothing from the loop sees to that.
"""

import asyncio
import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from io import FileIO, RawIOBase

import structlog

from scanner import log as logging_setup
from scanner.app.broker_side.lines import (
    DRAIN,
    FATAL_EXIT_CODE,
    WAKE,
    BrokerSideSettings,
    Fatal,
    Report,
    decode_settings,
    encode_report,
)
from scanner.app.broker_side.services import Services
from scanner.app.memory import collect_seldom
from scanner.app.threaded_text import ThreadedText
from scanner.catalog.schema import open_database
from scanner.errors import ScannerError
from scanner.services.relay import RelayStatus
from scanner.waiting import watched

_REPORT_EVERY_S = 0.5
_MARGIN_S = 3.0

log = structlog.get_logger("scanner.app.broker_side")


class _Side:
    """The services, and whom they listen and report to."""

    def __init__(self, settings: BrokerSideSettings, commands: RawIOBase, reports: int) -> None:
        self._settings = settings
        self._commands = commands
        self._reports = reports
        self._parent = os.getppid()
        self._changed = asyncio.Event()
        self._leaving = threading.Event()

    async def run(self) -> int:
        """Run until drained or refused; return the exit code."""
        try:
            database = await asyncio.to_thread(open_database, self._settings.database_url)
            try:
                services = Services(self._settings, database, self._changed.set)
                await self._run(services)
            finally:
                database.close()
        except ScannerError as error:
            log.error("broker_side.gave_up", error=str(error))  # noqa: TRY400 - the sentence says it all
            _write_surely(self._reports, encode_report(Report(RelayStatus(), Fatal.of(error))))
            return FATAL_EXIT_CODE
        return 0

    async def _run(self, services: Services) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, services.drain)
        threading.Thread(target=self._listen, args=(loop, services), name="commands", daemon=True).start()
        reporting = watched(asyncio.create_task(self._report(services)))
        try:
            await services.run()
        finally:
            reporting.cancel()
            _write_if_room(self._reports, encode_report(services.report))

    async def _report(self, services: Services) -> None:
        """Report at every change and each half second, and see that the parent is still there."""
        while True:
            self._changed.clear()
            _write_if_room(self._reports, encode_report(services.report))
            if os.getppid() != self._parent:
                self._leave(services)
            with suppress(TimeoutError):
                async with asyncio.timeout(_REPORT_EVERY_S):
                    await self._changed.wait()

    def _listen(self, loop: asyncio.AbstractEventLoop, services: Services) -> None:
        """Take commands until the parent closes the pipe or dies."""
        actions = {WAKE: services.wake, DRAIN: services.drain}
        with suppress(RuntimeError):  # the loop is closed: we are leaving already
            for line in self._commands:
                if line in actions:
                    loop.call_soon_threadsafe(actions[line])
            loop.call_soon_threadsafe(self._leave, services)
        self._leave_by_force()

    def _leave(self, services: Services) -> None:
        services.drain()
        threading.Thread(target=self._leave_by_force, name="leave", daemon=True).start()

    def _leave_by_force(self) -> None:
        """End the process after the grace, whatever state its loop is in."""
        if not self._leaving.is_set():
            self._leaving.set()
            time.sleep(self._settings.eof_grace_s + _MARGIN_S)
            os._exit(1)


def _write_if_room(descriptor: int, line: bytes) -> None:
    with suppress(BlockingIOError, BrokenPipeError):
        os.write(descriptor, line)


def _write_surely(descriptor: int, line: bytes, limit_s: float = 5.0) -> None:
    select.select([], [descriptor], [], limit_s)
    _write_if_room(descriptor, line)


def _take_stdout() -> int:
    """Return a descriptor for reports alone; whatever else is printed goes to stderr."""
    reports = os.dup(1)
    os.dup2(2, 1)
    os.set_blocking(reports, False)
    return reports


def main() -> int:
    """Run the broker side; return its exit code."""
    # The terminal's Ctrl-C and hang-up go to the whole group; the parent decides what they mean.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Unbuffered: the interpreter's end would meet the lock of a buffer that a thread still reads into.
    commands = FileIO(0, closefd=False)
    line = commands.readline()
    if not line:
        return 0
    settings = decode_settings(line)
    reports = _take_stdout()
    stderr = ThreadedText(sys.stderr)
    sys.stderr = stderr
    logging_setup.configure(settings.log_level, settings.log_format)
    collect_seldom()
    try:
        return asyncio.run(_Side(settings, commands, reports).run())
    finally:
        stderr.finish()


if __name__ == "__main__":
    sys.exit(main())
