"""The wire between the pool and a probe process: frames of four bytes of length and a MessagePack document.

To the process goes one `Start`, then `Chunk` and `RootCheck`; from it comes one `Hello`, then a `Verdict` for
each thing asked, in order, each written the moment it is reached: what a process answered before it died is
in the pipe. What it is at is in a few cells of shared memory, which outlive it, too.
"""

import struct
from typing import Final, TypeVar

import msgspec

from scanner.probe.jobs import Job, ProbeSettings, Verdict

STARTED: Final = 0
"""The cell that counts what was begun: ahead of the answers by one while something is in hand."""
OPENED: Final = 1
"""The cell that equals `STARTED` from when the file in hand has been opened."""
BEATS: Final = 2
"""The cell that moves while a long file makes progress."""
READ: Final = 3
"""The cell that counts the bytes read, where a rate is set."""
HOLD: Final = 4
"""The cell that the pool sets while nothing more is to be read."""
SKIP: Final = 5
"""The cell that tells up to which of the things asked nobody wants what is not begun."""
CELLS_BYTES: Final = 48
CELLS_FORMAT: Final = "Q"

_LENGTH = struct.Struct("<I")
_MOST_BYTES = 16 << 20


class Start(msgspec.Struct, array_like=True, frozen=True):
    """What a process is told first. `handlers` are places in modules by name, `cells` is a descriptor."""

    parent: int
    cells: int
    settings: ProbeSettings
    handlers: dict[str, str]


class Chunk(msgspec.Struct, array_like=True, frozen=True, tag=0):
    """Files to look at, in order."""

    jobs: list[Job]


class RootCheck(msgspec.Struct, array_like=True, frozen=True, tag=1):
    """Whether a root is there; the answer is a verdict whose key is `number` and whose text a `RootState`."""

    number: int
    root: bytes
    samples: list[bytes]


class Hello(msgspec.Struct, array_like=True, frozen=True):
    """A process is ready, or `error` says why it never will be: it lacks memory, or a handler does not load."""

    error: str = ""
    lacks_memory: bool = False


class NotAFrame(Exception):
    """Raised when a pipe holds what is none of our frames."""


Request = Chunk | RootCheck
_encoder = msgspec.msgpack.Encoder()
_start = msgspec.msgpack.Decoder(Start)
_request: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_hello = msgspec.msgpack.Decoder(Hello)
_verdict = msgspec.msgpack.Decoder(Verdict)
T = TypeVar("T")


def frame(document: Start | Request | Hello | Verdict) -> bytes:
    """Return a document as the bytes of a frame."""
    body = _encoder.encode(document)
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Turns the bytes of a pipe, however they are cut, into documents.

    All methods raise `NotAFrame` if something else than we wrote into the pipe.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._buffer += data

    def start(self) -> Start | None:
        """Return the `Start` that came, if it is whole."""
        return next(iter(self._documents(_start, 1)), None)

    def hello(self) -> Hello | None:
        """Return the `Hello` that came, if it is whole."""
        return next(iter(self._documents(_hello, 1)), None)

    def requests(self) -> list[Request]:
        """Return the requests that are whole."""
        return self._documents(_request)

    def verdicts(self) -> list[Verdict]:
        """Return the verdicts that are whole."""
        return self._documents(_verdict)

    def _documents(self, decoder: msgspec.msgpack.Decoder[T], most: int = -1) -> list[T]:
        documents: list[T] = []
        start, size = 0, len(self._buffer)
        with memoryview(self._buffer) as view:
            while size - start >= _LENGTH.size and len(documents) != most:
                body = start + _LENGTH.size
                end = body + _LENGTH.unpack_from(view, start)[0]
                if end - body > _MOST_BYTES:
                    raise NotAFrame(f"a frame of {end - body} bytes")
                if end > size:
                    break
                documents.append(_decode(decoder, bytes(view[body:end])))
                start = end
        del self._buffer[:start]
        return documents


def _decode(decoder: msgspec.msgpack.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotAFrame(str(error)) from error
