"""The file in a handler's hands, and how a handler says that there is something wrong with it."""

import os
from dataclasses import dataclass, field
from typing import BinaryIO

import msgspec

from scanner.message import ErrorKind, Media, Name


class ProbeError(Exception):
    """Raised when a file cannot be processed; `kind` says why in the words of a result."""

    def __init__(self, kind: ErrorKind, text: str) -> None:
        super().__init__(text)
        self.kind: ErrorKind = kind


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A regular file, open for reading; a handler may read it in any way and must not close `descriptor`.

    `path` is absolute, as the system takes it (names that are not UTF-8 hold surrogate escapes); `place` the
    readable path relative to the library's root; `kind` video, audio, image, subtitle or other; `size` is in
    bytes.
    """

    path: str
    descriptor: int = field(repr=False)
    size: int
    mtime_ns: int
    kind: str
    place: str

    def open(self) -> BinaryIO:
        """Return the file as a stream from its beginning; closing it leaves `descriptor` open."""
        stream = os.fdopen(os.dup(self.descriptor), "rb")
        stream.seek(0)
        return stream


class Findings(msgspec.Struct, omit_defaults=True):
    """What the handlers found: the parts of a `scanner.message.Result` that come from the file."""

    media: Media | None = None
    name: Name | None = None
    fingerprint: dict[str, str] | None = None
    extra: dict[str, object] | None = None
