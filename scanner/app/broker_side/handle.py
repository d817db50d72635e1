"""The parent's hold on the broker side: starts it, wakes it, hears it, restarts it, ends it in order.

Invariant: never an orphan (the child leaves when our end of its stdin closes, however we die) and never a
wait without an end. A child that dies is started again after a pause; whatever it had on its way is still in
the outbox. One that dies again and again soon after its start is given up: what kills it is still there.
"""

import asyncio
import dataclasses
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

import scanner
from scanner.app.broker_side.lines import (
    DRAIN,
    WAKE,
    BrokerSideSettings,
    Fatal,
    Report,
    decode_report,
    encode_settings,
)
from scanner.app.broker_side.totals import carried
from scanner.errors import BrokerError, ScannerError
from scanner.retry import Outage, Patience
from scanner.services.relay.status import RelayState, RelayStatus

log = structlog.get_logger(__name__)

_PACKAGE_ROOT = str(Path(scanner.__file__).resolve().parent.parent)
_RESTARTS = Patience(first_s=0.2, cap_s=5.0, start_s=None, outage_s=None)


@dataclasses.dataclass(frozen=True, slots=True)
class Supervision:
    """How deaths of the child are borne.

    A child that lived for `healthy_after_s` (default 10) was healthy, and its death begins a count anew;
    `most_deaths` (8) of others in a row end it all. `pauses` are those before a new start.
    """

    healthy_after_s: float = 10.0
    most_deaths: int = 8
    pauses: Patience = _RESTARTS


_SUPERVISION = Supervision()


class BrokerSide:
    """One broker side, from `start()` to `stop()`; of one event loop."""

    def __init__(
        self,
        settings: BrokerSideSettings,
        on_change: Callable[[], None] | None = None,
        supervision: Supervision = _SUPERVISION,
    ) -> None:
        self._settings = settings
        self._on_change = on_change
        self._supervision = supervision
        self._process: Process | None = None
        self._supervising: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._failure: asyncio.Future[ScannerError] = asyncio.get_running_loop().create_future()
        self._before = Report(RelayStatus())
        self._now = Report(RelayStatus())
        self._restarts = 0

    @property
    def report(self) -> Report:
        """What the broker side last said; counters include those of children that died."""
        return carried(self._before, self._now)

    @property
    def status(self) -> RelayStatus:
        """What the relay does."""
        return self.report.status

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def restarts(self) -> int:
        """How often it died unasked."""
        return self._restarts

    @property
    def failure(self) -> ScannerError | None:
        """Why it gave up; None while it works."""
        return self._failure.result() if self._failure.done() else None

    async def start(self) -> None:
        """Start the child; returns at once, `status` tells how it gets on."""
        self._supervising = asyncio.create_task(self._supervise(), name="broker_side")
        self._supervising.add_done_callback(self._on_supervised)

    def wake(self) -> None:
        """Say that there is something in the outbox; never blocks, and a child that does not listen polls."""
        self._tell(WAKE)

    async def wait_failed(self) -> None:
        """Wait until the broker side gives up.

        Raises:
            BrokerUnavailable: no session for as long as patience allows.
            BrokerRefused: credentials, permissions, virtual host or topology.
            DatabaseError: the database refuses, or is away for too long.
        """
        raise await asyncio.shield(self._failure)

    async def stop(self, timeout_s: float = 8.0) -> RelayStatus:
        """Drain, then SIGTERM, then SIGKILL: it has ended when this returns. Returns the last status."""
        self._stopping.set()
        self._tell(DRAIN)
        if self._supervising is None:
            return self.status
        for number, share in ((signal.SIGTERM, 0.75), (signal.SIGKILL, 0.25), (signal.SIGKILL, 0.25)):
            ended, _ = await asyncio.wait({self._supervising}, timeout=timeout_s * share)
            if ended:
                break
            log.warning("broker_side.forced", pid=self.pid, signal=number.name)
            self._signal(number)
        return self.status

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _tell(self, command: bytes) -> None:
        process = self._process
        if process is None or process.returncode is not None or process.stdin is None:
            return
        if process.stdin.is_closing():
            return
        if command == WAKE and process.stdin.transport.get_write_buffer_size():
            return  # it has not read the last one yet
        process.stdin.write(command)

    async def _supervise(self) -> None:
        """Keep a child running until we stop or it gives up."""
        outage = Outage(self._supervision.pauses)
        clock = asyncio.get_running_loop().time
        deaths = 0
        while not self._stopping.is_set():
            started_at = clock()
            code = await self._run_child()
            if self._stopping.is_set() or self._failure.done():
                break
            if clock() - started_at >= self._supervision.healthy_after_s:
                deaths = 0
                outage.over()
            deaths += 1
            if deaths >= self._supervision.most_deaths:
                self._fail(self._worn_out(deaths, code))
                break
            await self._pause_before_restart(outage.next_pause_s(), code)
        stopped = dataclasses.replace(self._now.status, state=RelayState.STOPPED, connected=False)
        self._show(msgspec.structs.replace(self._now, status=stopped))

    def _worn_out(self, deaths: int, code: int | None) -> BrokerError:
        limit_s = self._supervision.healthy_after_s
        suspects = "too little memory, an installation that is not whole"
        if self._settings.work is not None:
            suspects += ", or a file or handler that kills it (--exclude leaves a file out)"
        return BrokerError(
            f"the broker side died {deaths} times in a row within {limit_s:g} s of its start, the last time "
            f"with exit code {code}. Look in the log for the reason: {suspects}. Nothing is lost: what is "
            "not done stays in the outbox for the next run"
        )

    def _on_supervised(self, supervising: "asyncio.Task[None]") -> None:
        if not supervising.cancelled() and (error := supervising.exception()) is not None:
            self._fail(BrokerError(f"the broker side's supervision failed: {error!r}"))

    async def _pause_before_restart(self, pause_s: float, code: int | None) -> None:
        self._restarts += 1
        log.warning("broker_side.died", exit_code=code, restart_in_s=round(pause_s, 1))
        self._before = self.report
        self._show(Report(RelayStatus(detail=f"the broker side died; starting it again in {pause_s:.1f} s")))
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()

    async def _run_child(self) -> int | None:
        """Start a child and hear it to its end; return its exit code, None if it could not be started."""
        try:
            process = await _spawn()
        except OSError as error:
            log.warning("broker_side.not_started", error=str(error))
            return None
        self._process = process
        self._write_settings(process)
        try:
            await self._listen(process)
            return await process.wait()
        finally:
            # Only when we are cancelled is it still there: the pipe's end tells it to finish and leave.
            if process.stdin is not None:
                process.stdin.close()

    def _write_settings(self, process: Process) -> None:
        if process.stdin is not None:
            process.stdin.write(encode_settings(self._settings))
            if self._stopping.is_set():
                process.stdin.write(DRAIN)

    async def _listen(self, process: Process) -> None:
        if process.stdout is None:
            return
        async for line in process.stdout:
            report = decode_report(line)
            if report is None:
                continue
            if report.fatal is not None:
                self._give_up(report.fatal)
            else:
                self._show(report)

    def _give_up(self, fatal: Fatal) -> None:
        self._fail(fatal.to_error())

    def _fail(self, error: ScannerError) -> None:
        if not self._failure.done():
            self._failure.set_result(error)
        if self._on_change is not None:
            self._on_change()

    def _show(self, report: Report) -> None:
        changed = report != self._now
        self._now = report
        if changed and self._on_change is not None:
            self._on_change()


async def _spawn() -> Process:
    """Start the child: this interpreter, this package, nothing from the current directory (-P)."""
    path = os.pathsep.join(filter(None, [_PACKAGE_ROOT, os.environ.get("PYTHONPATH")]))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "scanner.app.broker_side",
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
