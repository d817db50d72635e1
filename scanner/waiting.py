"""Waiting on an event loop: for the first of several things, for an event within a time, for an end.

Every service waits in these few ways; none of them leaves a task behind or swallows a cancellation.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar

import structlog

from scanner.errors import ScannerError
from scanner.retry import Outage, Patience, persist

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger(__name__)


class Closable(Protocol):
    """What has an orderly end, such as a session."""

    async def close(self) -> None:
        """End it."""


C = TypeVar("C", bound=Closable)


async def within(limit_s: float, event: asyncio.Event) -> bool:
    """Wait for the event, at most `limit_s`; tell whether it came."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            return await event.wait()
    return False


async def first(*events: asyncio.Event) -> None:
    """Wait for any of the events."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def first_of(*parts: Coroutine[Any, Any, None]) -> None:
    """Run the parts until the first ends, then end the others; its error is ours."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def stop(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel the tasks and wait until they have ended; an error of theirs that nobody foresaw is logged."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        _tell(task)


def watched(task: "asyncio.Task[T]") -> "asyncio.Task[T]":
    """Have an unforeseen error logged as soon as it ends this task, which nobody awaits."""
    task.add_done_callback(_tell)
    return task


def _tell(task: "asyncio.Future[Any]") -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, ScannerError):
        log.error("task.failed", task=repr(task), exc_info=error)


async def open_unless(event: asyncio.Event, opening: Awaitable[C]) -> C | None:
    """Await an opening; return None, and leave nothing open, if the event comes before it is done."""
    ending = asyncio.ensure_future(event.wait())
    attempt = asyncio.ensure_future(opening)
    opened: C | None = None
    try:
        await asyncio.wait({ending, attempt}, return_when=asyncio.FIRST_COMPLETED)
        opened = attempt.result() if attempt.done() else None
        return opened
    finally:
        ending.cancel()
        if opened is None:
            await _give_up(attempt)


async def _give_up(attempt: "asyncio.Future[C]") -> None:
    """End an opening that nobody waits for any more; it may have succeeded in this very tick."""
    attempt.cancel()
    await asyncio.wait({attempt})
    if not attempt.cancelled() and attempt.exception() is None:
        await attempt.result().close()


async def run_sql(wait_s: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a call to the database on a thread; try again for `wait_s` while it is locked or away."""
    outage = Outage(Patience(cap_s=2.0, start_s=wait_s))
    return await persist(
        lambda: asyncio.to_thread(call, *args, **kwargs),
        outage,
        on_wait=lambda pause_s, error: log.warning("database.waited_for", error=str(error), pause_s=pause_s),
    )
