"""Holding a library: waiting for its lease, keeping it alive, giving it back.

A dead owner's lease is ours at once. Otherwise we wait, visibly: a lease that is renewed while we watch has a
living owner, and we leave; one that nobody renews runs out and is ours.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from scanner import paths
from scanner.catalog import leases
from scanner.catalog.engine import Database
from scanner.catalog.leases import Grant, Holder
from scanner.catalog.libraries import Library
from scanner.errors import LeaseLost, LibraryBusy, ScannerError
from scanner.owner import Owner

_POLL_S = 0.3
_RENEWALS_PER_LEASE = 3


async def acquire(
    database: Database,
    library: Library,
    lease_s: float,
    waiting: Callable[[str | None], None],
    stop: threading.Event,
) -> Grant | None:
    """Return the library's lease; None when asked to stop while waiting for it.

    Raises:
        LibraryBusy: a living scanner holds it.
    """
    first: Holder | None = None
    deadline = time.monotonic() + lease_s + 5.0
    while not stop.is_set():
        answer = await asyncio.to_thread(leases.acquire_library, database, library.id, Owner.current(), lease_s)
        if isinstance(answer, Grant):
            waiting(None)
            return answer
        first = first or answer
        renewed = answer.expires_at > first.expires_at or answer.owner != first.owner
        if renewed or time.monotonic() > deadline:
            raise LibraryBusy(_busy(library, answer))
        waiting(f"lease held by {answer.described}")
        await asyncio.sleep(_POLL_S)
    return None


def _busy(library: Library, holder: Holder) -> str:
    since = datetime.fromtimestamp(holder.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    name = paths.printable(library.name)
    return f"library {name!r} is being scanned by {holder.described} since {since}: wait for it, or stop it"


@asynccontextmanager
async def kept(database: Database, grant: Grant, stop: threading.Event) -> AsyncIterator[list[ScannerError]]:
    """Renew the lease while the body runs, and release it afterwards.

    A lease that is lost sets `stop` (this library's own: others go on) and puts the error into the list that
    is given.
    """
    lost: list[ScannerError] = []
    keeping = asyncio.create_task(_keep(database, grant, stop, lost))
    try:
        yield lost
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        with suppress(ScannerError):
            await asyncio.to_thread(leases.release, database, grant)


async def _keep(database: Database, grant: Grant, stop: threading.Event, lost: list[ScannerError]) -> None:
    while True:
        await asyncio.sleep(grant.ttl_s / _RENEWALS_PER_LEASE)
        try:
            await asyncio.to_thread(_renew, database, grant)
        except LeaseLost as error:
            lost.append(error)
            stop.set()
            return
        except ScannerError:
            continue  # the scan itself meets the same trouble, and says so


def _renew(database: Database, grant: Grant) -> None:
    with database.write() as connection:
        leases.renew(connection, grant)
