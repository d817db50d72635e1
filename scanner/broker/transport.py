"""The socket under a connection: one that we can cut, and whose opening words we can read.

aiormq closes politely and keeps its socket to itself: on a frozen peer or a full buffer a close takes up to
17 s (measured). With the writer in our hands the end of a connection is bounded. And while a connection opens,
aiormq reports a refused virtual host as "unexpected frame" without the broker's words: the first bytes
are kept until the connection stands, and the refusal is read from them.
"""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, SupportsIndex

import pamqp.frame
from aiormq import SSLContextProvider, TransportFactory, spec
from pamqp.exceptions import PAMQPException
from yarl import URL

_OPENING_BYTES = 65_536


class Transport(TransportFactory):
    """Opens the one socket of one connection, TCP or TLS."""

    def __init__(self) -> None:
        self._writer: asyncio.StreamWriter | None = None
        self._reader: _OpeningReader | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect; `kwargs` are aiormq's.

        Raises:
            OSError: it could not be reached, TLS failures included.
        """
        provider: SSLContextProvider = kwargs.pop("ssl_context_provider")
        context: ssl.SSLContext | None = await provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = _OpeningReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_connection(
            lambda: protocol, host=url.host or "", port=url.port or 0, ssl=context, **kwargs
        )
        self._reader = reader
        self._writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        return reader, self._writer

    def opened(self) -> None:
        """Note that the connection stands: nothing more is kept of what arrives."""
        if self._reader is not None:
            self._reader.opening = None

    @property
    def refusal(self) -> spec.Connection.Close | None:
        """The broker's Connection.Close among its opening words, if it said one."""
        data = bytes(self._reader.opening or b"") if self._reader is not None else b""
        while data:
            try:
                used, _, frame = pamqp.frame.unmarshal(data)
            except PAMQPException:
                return None
            if isinstance(frame, spec.Connection.Close):
                return frame
            data = data[used:]
        return None

    def abort(self) -> None:
        """Cut the socket at once, whatever waits in its buffers."""
        if self._writer is not None:
            self._writer.transport.abort()


class _OpeningReader(asyncio.StreamReader):
    """A stream reader that keeps the first bytes it is fed, until told otherwise."""

    opening: bytearray | None

    def __init__(self, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.opening = bytearray()

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """Take bytes from the socket."""
        if self.opening is not None and len(self.opening) < _OPENING_BYTES:
            self.opening += bytes(data)
        super().feed_data(data)
