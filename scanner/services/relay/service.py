"""The relay's life: take the role, hold it, and work shift after shift until told to drain.

One relay a database, whatever number of processes are open on it: the role is a lease, renewed with every
deletion and by a timer between them. Whoever loses it stops publishing and stands by. A crash leaves the role
to be taken over: at once if the death can be proved, otherwise when it runs out.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from scanner.broker.api import Broker, PublishingSession
from scanner.catalog import leases
from scanner.catalog.engine import Database
from scanner.catalog.leases import Grant, Holder
from scanner.catalog.outbox import RELAY_ROLE
from scanner.errors import BrokerError, DatabaseError, LeaseLost
from scanner.owner import Owner
from scanner.services.relay.shift import Shift, Signals
from scanner.services.relay.status import Progress, RelaySettings, RelayState, RelayStatus
from scanner.sessions import Sessions
from scanner.waiting import first_of, open_unless, run_sql, within

_REMEDY = (
    "SCANNER_BROKER_WAIT limits that at the start. Start the broker or correct --broker: tasks stay in the "
    "outbox, and the next run sends them"
)

log = structlog.get_logger(__name__)


class Relay:
    """Moves the outbox to the broker. All of it runs on one event loop; SQL runs on threads."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        owner: Owner,
        settings: RelaySettings | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self._database = database
        self._broker = broker
        self._owner = owner
        self._settings = settings or RelaySettings()
        self._progress = Progress(on_change)
        self._signals = Signals()

    @property
    def status(self) -> RelayStatus:
        """A snapshot of what it does."""
        return self._progress.status

    def wake(self) -> None:
        """Say that there is something in the outbox."""
        self._signals.wake.set()

    def drain(self) -> None:
        """Ask for the end: nothing more is taken, what is on its way is waited for, in bounded time."""
        self._signals.draining.set()

    async def run(self) -> None:
        """Relay until drained.

        Raises:
            BrokerUnavailable: no working session for as long as the settings' patience allows.
            BrokerRefused: credentials, permissions, virtual host or topology.
            DatabaseError: the database refuses, or is away for too long.
        """
        try:
            while (grant := await self._take_role()) is not None:
                try:
                    await self._hold(grant)
                except LeaseLost as error:
                    log.warning("relay.fenced_off", error=str(error))
                    self._progress.show(RelayState.STANDBY, "another process took over", connected=False)
        finally:
            self._progress.show(RelayState.STOPPED, self.status.detail, connected=False)

    async def _take_role(self) -> Grant | None:
        """Return the role as soon as it can be had; None when asked to drain before that."""
        settings = self._settings
        while not self._signals.draining.is_set():
            found = await run_sql(
                settings.database_wait_s,
                leases.acquire_role,
                self._database,
                RELAY_ROLE,
                self._owner,
                settings.role_ttl_s,
            )
            if isinstance(found, Grant):
                return found
            self._stand_by(found)
            await self._nap(min(1.0, settings.role_ttl_s / 4))
        return None

    def _stand_by(self, holder: Holder) -> None:
        if self.status.state is not RelayState.STANDBY:
            log.info("relay.standby", holder=holder.described)
        self._progress.show(RelayState.STANDBY, f"{holder.described} relays this database", connected=False)

    async def _hold(self, grant: Grant) -> None:
        """Relay under the role; give it back whatever happens."""
        log.info("relay.role_taken", epoch=grant.epoch)
        try:
            await first_of(self._work(grant), self._keep_role(grant))
        finally:
            with suppress(DatabaseError, LeaseLost):
                await asyncio.to_thread(leases.release, self._database, grant)

    async def _keep_role(self, grant: Grant) -> None:
        """Renew between deletions: an idle relay keeps its role, and so does one that waits for the broker."""
        while True:
            await asyncio.sleep(grant.ttl_s / 3)
            await run_sql(self._settings.database_wait_s, self._renew, grant)

    def _renew(self, grant: Grant) -> None:
        with self._database.write() as connection:
            leases.renew(connection, grant)

    async def _work(self, grant: Grant) -> None:
        """Work shift after shift; the patience is for the time between two sessions that worked."""
        self._progress.show(RelayState.CONNECTING, f"connecting to {self._broker.described}")
        patience, draining = self._settings.patience, self._signals.draining
        sessions = Sessions(patience, draining, self._wait_shown, remedy=_REMEDY)
        await sessions.run(lambda: self._work_one_shift(grant, sessions))

    async def _work_one_shift(self, grant: Grant, sessions: Sessions) -> None:
        session = await self._open()
        if session is None:
            return
        log.info("relay.connected", broker=self._broker.described)
        shift = Shift(self._database, session, grant, self._settings, self._progress)
        try:
            async with sessions.standing():
                await shift.run(self._signals, sessions.works)
        except BrokerError:
            self._progress.count(reconnects=1)
            raise

    async def _open(self) -> PublishingSession | None:
        """Open a session; None when asked to drain before there is one."""
        return await open_unless(self._signals.draining, self._broker.open_publishing())

    def _wait_shown(self, pause_s: float, error: BaseException) -> None:
        log.warning("relay.session_lost", error=str(error), pause_s=round(pause_s, 1))
        detail = f"reconnecting in {pause_s:.0f} s: {error}"
        self._progress.show(RelayState.RECONNECTING, detail, connected=False)

    async def _nap(self, seconds: float) -> None:
        """Sleep, but not longer than until we are asked to drain."""
        await within(seconds, self._signals.draining)
