"""A TCP proxy between a client and a server, on a thread of its own, that breaks the line in every known way.

cut: both sides get a reset. black hole: TCP is fine, nothing ever comes. pause: nothing moves until
`resume()`, no byte is lost. refuse: whoever connects is reset at once.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from enum import Enum
from typing import Self, TypeVar

T = TypeVar("T")
_CHUNK_BYTES = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing sends RST


class Mode(Enum):
    """What the proxy does with bytes and with newcomers."""

    FORWARD = "forward"
    PAUSE = "pause"
    BLACKHOLE = "blackhole"
    REFUSE = "refuse"


class TcpProxy:
    """A proxy to `127.0.0.1:<upstream_port>` from the moment it is made until `close()`."""

    def __init__(self, upstream_port: int, upstream_host: str = "127.0.0.1") -> None:
        self._upstream = (upstream_host, upstream_port)
        self._loop = asyncio.new_event_loop()
        self._links: set[_Link] = set()
        self._mode = Mode.FORWARD
        self._moving = asyncio.Event()
        self._moving.set()
        self.accepted = 0
        """How many connections were accepted so far."""
        self.bytes_to_server = 0
        """Bytes that reached the server's side."""
        self.bytes_to_client = 0
        """Bytes that reached the client's side."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="tcp-proxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def mode(self) -> Mode:
        """What it does at present."""
        return self._mode

    @property
    def connections(self) -> int:
        """How many client connections are open."""
        return len(self._links)

    @property
    def server_side_ports(self) -> list[int]:
        """The local ports towards the server: `peer_port` in the broker's list of connections."""
        return [link.server_port for link in list(self._links) if link.server_port]

    def cut(self) -> int:
        """Reset every connection on both sides; return how many."""
        return self._call(self._cut())

    def refuse(self) -> int:
        """Cut, and reset whoever connects, until `resume()`; return how many were cut."""
        self._call(self._set(Mode.REFUSE))
        return self.cut()

    def pause(self) -> None:
        """Stop moving bytes, losing none; newcomers are accepted and wait as well."""
        self._call(self._set(Mode.PAUSE))

    def blackhole(self) -> None:
        """Swallow every byte of both sides and stay silent; newcomers are accepted and get silence."""
        self._call(self._set(Mode.BLACKHOLE))

    def resume(self) -> None:
        """Forward again; connections that lost bytes in a black hole are cut."""
        self._call(self._set(Mode.FORWARD))
        self._call(self._cut(broken_only=True))

    def close(self) -> None:
        """Cut everything and end the thread; harmless when done already."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        accepting = self._loop.create_task(self._accept())
        self._loop.run_forever()
        self._loop.run_until_complete(_ended([accepting]))
        self._loop.run_until_complete(self._cut())
        self._listener.close()

    def _call(self, action: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result(10)

    async def _set(self, mode: Mode) -> None:
        self._mode = mode
        (self._moving.clear if mode is Mode.PAUSE else self._moving.set)()

    async def _cut(self, *, broken_only: bool = False) -> int:
        links = [link for link in self._links if link.broken or not broken_only]
        for link in links:
            link.reset_when_closed()
        await _ended([link.task for link in links])
        return len(links)

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            self.accepted += 1
            if self._mode is Mode.REFUSE:
                _reset_when_closed(client)
                client.close()
                continue
            link = _Link(self, client)
            self._links.add(link)
            link.task.add_done_callback(lambda _, link=link: self._links.discard(link))  # type: ignore[misc]

    @contextlib.contextmanager
    def counting(self) -> Iterator[Callable[[], int]]:
        """Give a function that tells how many bytes reached the server since the block began."""
        start = self.bytes_to_server
        yield lambda: self.bytes_to_server - start


class _Link:
    """One client's connection and its other half, moved by a task."""

    def __init__(self, proxy: TcpProxy, client: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.broken = False
        """Whether a black hole swallowed something of it, so that it can never go on."""
        self.server_port = 0
        for end in (self._client, self._server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def reset_when_closed(self) -> None:
        """Make the end of this link a reset for both sides."""
        _reset_when_closed(self._client)
        _reset_when_closed(self._server)

    async def _serve(self) -> None:
        with self._client, self._server:
            try:
                await self._connect_and_pump()
            except* OSError:
                pass  # either side ended: so does the other, with this block

    async def _connect_and_pump(self) -> None:
        await self._proxy._moving.wait()
        if self._proxy.mode is Mode.BLACKHOLE:
            await self._swallow(self._client)
            return
        await asyncio.get_running_loop().sock_connect(self._server, self._proxy._upstream)
        self.server_port = self._server.getsockname()[1]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(self._client, self._server, self._to_server))
            group.create_task(self._pump(self._server, self._client, self._to_client))

    async def _pump(self, source: socket.socket, sink: socket.socket, count: Callable[[int], None]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data = await loop.sock_recv(source, _CHUNK_BYTES)
            await self._proxy._moving.wait()
            if self._proxy.mode is Mode.BLACKHOLE:
                await self._swallow(source)
                return
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            await loop.sock_sendall(sink, data)
            count(len(data))

    async def _swallow(self, source: socket.socket) -> None:
        """Read to the end and say nothing to the other side: not even that it ended."""
        self.broken = True
        loop = asyncio.get_running_loop()
        while await loop.sock_recv(source, _CHUNK_BYTES):
            pass

    def _to_server(self, count: int) -> None:
        self._proxy.bytes_to_server += count

    def _to_client(self, count: int) -> None:
        self._proxy.bytes_to_client += count


def _reset_when_closed(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until they ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
