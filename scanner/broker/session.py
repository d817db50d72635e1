"""One connection to RabbitMQ, from its opening to its loss, with every wait bounded.

Plain, never robust: a connection is not repaired, it is replaced by a new session. Its loss is an event, and
driver errors leave here as `BrokerUnavailable` (it may come back) or `BrokerRefused` (a person must act).
A crash here loses nothing: whatever was not confirmed is still in the outbox.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import aio_pika
from aiormq import Channel
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ConnectionNotAllowed,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from yarl import URL

from scanner.broker import lenient, topology
from scanner.broker.topology import Topology
from scanner.broker.transport import Transport
from scanner.errors import BrokerError, BrokerRefused, BrokerUnavailable, UsageError
from scanner.owner import process_name
from scanner.urls import mask

_NOT_ALLOWED = 530
_REFUSALS = (
    ProbableAuthenticationError,
    AuthenticationError,
    ChannelAccessRefused,
    ConnectionNotAllowed,
    ssl.SSLCertVerificationError,
)
_DRIVER_ERRORS = (AMQPError, OSError, RuntimeError, EOFError)
"""`ChannelInvalidStateError` is a RuntimeError; a closed transport raises plain ones too."""


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where RabbitMQ is and how long to wait for it.

    `url` is amqp:// or amqps://, its path the virtual host. `prefix` begins every name. `catalog` (UUID) names
    the results queue to declare. `heartbeat_s` (default 10; a `heartbeat` in the URL wins): RabbitMQ drops us
    after about two of them. Every wait ends: `connect_timeout_s` (10) from socket to open connection,
    `operation_timeout_s` (10) each declaration, `close_timeout_s` (2) an orderly close.
    """

    url: str
    prefix: str = "scanner"
    catalog: str | None = None
    heartbeat_s: int = 10
    connect_timeout_s: float = 10.0
    operation_timeout_s: float = 10.0
    close_timeout_s: float = 2.0

    @property
    def topology(self) -> Topology:
        """The names under this prefix."""
        return Topology(self.prefix, self.catalog)

    @property
    def described(self) -> str:
        """The broker in words, its password masked."""
        return f"RabbitMQ at {mask(self.url)}"


class Session:
    """An open connection and what is known of its end."""

    def __init__(self, settings: BrokerSettings, connection: aio_pika.Connection, transport: Transport) -> None:
        self.settings = settings
        self._connection = connection
        self._transport = transport
        self._lost: asyncio.Future[BrokerError] = asyncio.get_running_loop().create_future()
        connection.close_callbacks.add(self._on_close)

    @property
    def error(self) -> BrokerError | None:
        """Why the session is lost; None while it stands."""
        return self._lost.result() if self._lost.done() else None

    async def wait_lost(self) -> BrokerError:
        """Return the reason once the session is lost."""
        return await asyncio.shield(self._lost)

    def fail(self, error: BrokerError) -> None:
        """Declare the session lost; the first reason stands."""
        if not self._lost.done():
            self._lost.set_result(error)

    def when_lost(self, tell: Callable[[BrokerError], None]) -> None:
        """Have `tell` called with the reason soon after the session is lost."""
        self._lost.add_done_callback(lambda lost: tell(lost.result()))

    async def channel(self) -> Channel:
        """Open a channel with confirms on which a returned message is an error.

        Raises:
            BrokerError: the broker does not give one.
        """
        with translated(self.settings):
            async with asyncio.timeout(self.settings.operation_timeout_s):
                channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
                return _concrete(await channel.get_underlay_channel())

    async def is_blocked(self) -> bool:
        """Tell whether the broker has said `connection.blocked` and not yet `unblocked`."""
        transport = self._connection.transport
        if transport is None:
            return False
        try:
            async with asyncio.timeout(0.02):
                await transport.connection.ready()
        except TimeoutError:
            return True
        return False

    async def close(self) -> None:
        """Close in order if the peer answers within `close_timeout_s`, otherwise cut the socket."""
        self.fail(BrokerUnavailable("the session was closed by us"))
        try:
            with suppress(BrokerError), translated(self.settings):
                async with asyncio.timeout(self.settings.close_timeout_s):
                    await self._connection.close()
        finally:
            self._transport.abort()

    def _on_close(self, _connection: object, error: BaseException | None) -> None:
        reason = f": {_words(error)}" if error is not None and str(error) else ""
        self.fail(BrokerUnavailable(f"the connection to {self.settings.described} was lost{reason}"))


async def open_session(settings: BrokerSettings, *, name: str = "scanner") -> Session:
    """Connect and declare the topology; `name` is what the broker's connection list shows.

    Raises:
        BrokerUnavailable: not reached, or lost again; it may come back.
        BrokerRefused: credentials, virtual host, permissions, certificate or topology.
        UsageError: the URL is not one.
    """
    session = await _connect(settings, name)
    try:
        channel = await session.channel()
        with translated(settings):
            await topology.declare(channel, settings.topology, timeout_s=settings.operation_timeout_s)
            await channel.close(timeout=settings.operation_timeout_s)
    except BaseException:
        await session.close()
        raise
    return session


async def _connect(settings: BrokerSettings, name: str) -> Session:
    lenient.install()
    transport = Transport()
    client = f"{name} {process_name()}"
    connection = _Connection(_parse(settings), client_properties={"connection_name": client})
    connection.kwargs["transport_factory"] = transport
    try:
        with translated(settings, transport):
            async with asyncio.timeout(settings.connect_timeout_s):
                await connection.connect()
    except BaseException:
        transport.abort()
        raise
    transport.opened()
    return Session(settings, connection, transport)


def _concrete(channel: object) -> Channel:
    """Return aiormq's channel as what it is: the abstract one does not know `basic_publish(wait=...)`."""
    if not isinstance(channel, Channel):
        raise TypeError(f"expected a channel of aiormq, got {channel!r}")
    return channel


class _Connection(aio_pika.Connection):
    """aio-pika's plain connection without its finalizer, which would close what we have cut already."""

    def __del__(self) -> None:
        return


def _parse(settings: BrokerSettings) -> URL:
    try:
        url = URL(settings.url)
    except ValueError as error:
        raise UsageError(f"broker_url {mask(settings.url)} is not a URL: {error}") from error
    if url.scheme not in {"amqp", "amqps"} or not url.host:
        raise UsageError(f"broker_url {mask(settings.url)}: expected amqp://HOST/VHOST or amqps://...")
    heartbeat = url.query.get("heartbeat", str(settings.heartbeat_s))
    return url.update_query(heartbeat=heartbeat)


@contextmanager
def translated(settings: BrokerSettings, transport: Transport | None = None) -> Iterator[None]:
    """Turn the driver's errors into ours; `transport` is given while the connection opens.

    A CancelledError that nobody asked this task for is one of them: aiormq ends pending calls with it when
    heartbeat detection closes a connection. `except Exception` would miss it, and a TaskGroup would end as if
    all were well.

    Raises:
        BrokerUnavailable: the session is lost or was not had; it may come back.
        BrokerRefused: a person must act.
    """
    task = asyncio.current_task()
    cancelling = task.cancelling() if task is not None else 0
    try:
        yield
    except BrokerError:
        raise
    except asyncio.CancelledError as error:
        if task is None or task.cancelling() > cancelling:
            raise
        raise BrokerUnavailable(f"the connection to {settings.described} was lost: no sign of life") from error
    except _DRIVER_ERRORS as error:
        raise translate(settings, error, transport) from error


def translate(settings: BrokerSettings, error: Exception, transport: Transport | None = None) -> BrokerError:
    """Return our error for the driver's."""
    if isinstance(error, _REFUSALS):
        return BrokerRefused(f"{settings.described} refuses: {_words(error)}")
    refusal = transport.refusal if transport is not None and isinstance(error, InvalidFrameError) else None
    if refusal is not None:
        kind = BrokerRefused if refusal.reply_code == _NOT_ALLOWED else BrokerUnavailable
        return kind(f"{settings.described} refuses the connection: {refusal.reply_text}")
    if isinstance(error, TimeoutError) and error.errno is None:
        return BrokerUnavailable(f"{settings.described} does not answer in time")
    event = "cannot be reached" if transport is not None else "ended the session"
    return BrokerUnavailable(f"{settings.described} {event}: {_words(error)}")


def _words(error: BaseException | None) -> str:
    text = str(error).strip()
    return text or type(error).__name__
