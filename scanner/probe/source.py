"""A media file as FFmpeg and Pillow read it: by position, from one descriptor, and only so much of it.

Parsers never see a path. What they read is the file that was opened and checked, even if another is put in its
place; and a file that makes a parser read on and on (zeros by the gigabyte named .mp3) comes to an end early.
Nothing here raises: PyAV would keep an exception from a callback and raise it for a later file. A failure reads
as the end of the file and is found in `failure`, which whoever gave out a Source must look at.
"""

import io
import os
from typing import Any

from scanner.message import ErrorKind
from scanner.probe.file import MediaFile, ProbeError

MOST_BYTES = 256 * 1024 * 1024
"""What may be read of one file: many times an honest header or index."""


class Source(io.RawIOBase):
    """A media file for parsers; `name` holds nothing but an extension, as a hint."""

    def __init__(self, file: MediaFile, name: str = "") -> None:
        super().__init__()
        self.name = name
        self.failure: ProbeError | None = None
        self._left = MOST_BYTES
        self._descriptor = file.descriptor
        self._size = file.size
        self._position = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes from the position, all that is left with -1; nothing after a failure."""
        wanted = size if size >= 0 else max(0, self._size - self._position)
        if wanted > self._left:
            self._fail("corrupt", f"its parser found no end within {MOST_BYTES >> 20} MiB")
        if self.failure is not None:
            return b""
        try:
            data = os.pread(self._descriptor, wanted, self._position)
        except OSError as error:
            self._fail("io", f"reading failed: {error.strerror}")
            return b""
        self._position += len(data)
        self._left -= len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to an offset from the beginning, the position or the end; return the new position."""
        self._position = max(0, offset + (0, self._position, self._size)[whence])
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer from the position; return how many bytes came."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readable(self) -> bool:
        """Tell that it is."""
        return True

    def seekable(self) -> bool:
        """Tell that it is."""
        return True

    def refuse(self, url: str, _flags: int, _options: dict[str, str]) -> io.BytesIO:
        """Give an empty file in place of another that a playlist or a reference names, and fail."""
        self._fail("unsupported", f"it refers to other files ({url[:200]!r})")
        return io.BytesIO()

    def _fail(self, kind: ErrorKind, text: str) -> None:
        if self.failure is None:
            self.failure = ProbeError(kind, text)
