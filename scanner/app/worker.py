"""`scanner worker`: takes tasks from RabbitMQ and has their files probed, until it is told to stop.

The main loop does AMQP only; files are touched in the pool's processes. The first signal lets it finish what it
has in hand within `drain_timeout_s` and gives the rest back; a second one ends it at once, which loses nothing
either: what was not acknowledged is delivered again.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from scanner.app.memory import collect_seldom
from scanner.app.threaded_text import ThreadedText
from scanner.app.wiring import broker_settings, probe_settings, publisher_settings, work_settings
from scanner.broker.rabbit import RabbitBroker
from scanner.config import Settings
from scanner.errors import UsageError
from scanner.probe.pool import Pool
from scanner.retry import Patience
from scanner.services.work import Work, WorkStatus

_SHOW_EVERY_S = 0.5

log = structlog.get_logger(__name__)

Observe = Callable[[WorkStatus], None]


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """How a worker ended: what it did, and the process's exit code."""

    status: WorkStatus
    exit_code: int


def run_worker(settings: Settings, observe: Observe) -> WorkerResult:
    """Work until a signal comes; `observe` is told twice a second how it gets on.

    Raises:
        UsageError: no broker is configured, or a handler does not exist.
        BrokerError: the broker cannot be reached at the start, or refuses.
    """
    if settings.embedded_broker:
        raise UsageError(
            "a worker takes its tasks from RabbitMQ: give --broker amqp://HOST/ (or SCANNER_BROKER_URL); "
            "without a broker `scanner run` probes by itself"
        )
    collect_seldom()
    stderr = ThreadedText(sys.stderr)
    sys.stderr = stderr
    try:
        return asyncio.run(_Worker(settings, observe).run())
    finally:
        stderr.finish()
        sys.stderr = sys.__stderr__


class _Worker:
    def __init__(self, settings: Settings, observe: Observe) -> None:
        # At the start a broker that is not there may be a wrong URL; later on it will be back.
        patience = Patience(start_s=settings.broker_wait_s, outage_s=None)
        broker = RabbitBroker(broker_settings(settings), publisher_settings(settings), role="worker")
        self._pool = Pool(probe_settings(settings))
        self._work = Work(broker, self._pool, work_settings(settings, patience=patience))
        self._observe = observe
        self._signalled = 0

    async def run(self) -> WorkerResult:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal, number)
        showing = asyncio.create_task(self._show())
        try:
            await self._work.run()
        finally:
            showing.cancel()
        return WorkerResult(self._work.status, self._signalled)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._signalled:
            os._exit(128 + number)
        self._signalled = 128 + number
        log.info("worker.stopping", signal=number.name, in_hand=self._work.status.in_hand)
        self._work.drain()

    async def _show(self) -> None:
        while True:
            self._observe(self._work.status)
            await asyncio.sleep(_SHOW_EVERY_S)
