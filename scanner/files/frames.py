"""Frames: how the tuples of `scanner.files.wire` cross the two pipes.

A frame is a length (4 bytes, little-endian) and a `marshal` document. From the scan side: first one frame with
the walker's configuration, then frames that each hold a list of requests. From the walker: frames that each
hold a list of replies; an empty list is a heartbeat. A listing's files and subdirectories travel packed inside
it, so that the bytes its digest is made over are the bytes that are sent.

`marshal` takes exact tuples only, and its version 2 writes equal values as equal bytes (later versions write
references, which depend on who else holds an object). Standard library only.
"""

import errno
import marshal
import struct
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from scanner.files.wire import (
    Checked,
    CheckRequest,
    Entry,
    Listing,
    ListRequest,
    Problem,
    Reply,
    Request,
    Subdirectory,
    Verified,
    VerifyRequest,
)

_VERSION = 2
_LENGTH = struct.Struct("<I")
_REQUESTS: tuple[type[Request], ...] = (ListRequest, CheckRequest, VerifyRequest)
_LISTING, _CHECKED, _VERIFIED = 0, 1, 2

RawReply = tuple[Any, ...]
"""A reply as `marshal` takes it: its number, then its fields."""


class PackedListing(NamedTuple):
    """A listing whose files and subdirectories are already `body` (see `pack`) instead of lists."""

    listing: Listing
    body: bytes


def pack(files: list[Entry], subdirectories: list[Subdirectory]) -> bytes:
    """Return the bytes of a listing's content; equal content in equal order gives equal bytes."""
    return marshal.dumps((files, subdirectories), _VERSION)


def frame(document: Any) -> bytes:
    """Return `document` as a frame."""
    content = marshal.dumps(document, _VERSION)
    return _LENGTH.pack(len(content)) + content


def request_frame(requests: Iterable[Request]) -> bytes:
    """Return a frame of requests."""
    return frame([(_REQUESTS.index(type(request)), *request) for request in requests])


def requests_of(document: Iterable[tuple[Any, ...]]) -> list[Request]:
    """Return the requests of a frame's document."""
    return [_REQUESTS[number]._make(fields) for number, *fields in document]


def raw_reply(reply: PackedListing | Reply) -> RawReply:
    """Return a reply in the shape that a frame of replies holds."""
    if isinstance(reply, Listing):
        reply = PackedListing(reply, pack(reply.files, reply.subdirectories))
    if isinstance(reply, PackedListing):
        listing, body = reply
        problems = [tuple(problem) for problem in listing.problems]
        return (_LISTING, body, listing.key, listing.status, listing.unsettled, problems, *listing[6:])
    return (_CHECKED if isinstance(reply, Checked) else _VERIFIED, *reply)


def replies_of(document: Sequence[RawReply]) -> list[Reply]:
    """Return the replies of a frame's document."""
    return [_reply(raw) for raw in document]


def _reply(raw: RawReply) -> Reply:
    if raw[0] == _LISTING:
        _, body, key, status, unsettled, problems, *rest = raw
        files, subdirectories = marshal.loads(body)  # noqa: S302 (from our own process)
        return Listing(
            key, status, files, unsettled, subdirectories, [Problem._make(row) for row in problems], *rest
        )
    return Checked._make(raw[1:]) if raw[0] == _CHECKED else Verified._make(raw[1:])


def failed(request: Request, number: int, text: str) -> Reply:
    """Return the answer that lets nobody conclude anything about what `request` asks for."""
    if isinstance(request, CheckRequest):
        count = len(request.directories)
        return Checked(request.key, list(range(count)), count)
    if isinstance(request, VerifyRequest):
        return Verified(request.key, "failed", False, 0, 0, 0, number)
    problem = Problem(request.path, "timeout" if number == errno.ETIMEDOUT else "io", number, text)
    return Listing(request.key, "failed", [], [], [], [problem], 0, 0, 0, None, trustworthy=False)


class FrameReader:
    """Turns the bytes of a pipe, however they are cut, into documents."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """Take the next bytes and return the documents that are now whole."""
        self._buffer += data
        documents, start, size = [], 0, len(self._buffer)
        while size - start >= _LENGTH.size:
            end = start + _LENGTH.size + _LENGTH.unpack_from(self._buffer, start)[0]
            if end > size:
                break
            content = memoryview(self._buffer)[start + _LENGTH.size : end]
            documents.append(marshal.loads(content))  # noqa: S302 (from our own process)
            content.release()
            start = end
        if start:
            del self._buffer[:start]
        return documents
