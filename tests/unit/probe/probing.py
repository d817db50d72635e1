"""Look into a file as a probe process does: opened once, by whoever asks, and handed on as a descriptor."""

import os
from pathlib import Path

import msgspec
import pytest

from scanner.media import kind_of
from scanner.message import Media
from scanner.probe.file import MediaFile, ProbeError
from scanner.probe.look import look


def looked(path: Path, kind: str | None = None) -> Media:
    """Return what a file holds, once it has been through the message format and back."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        state = os.fstat(descriptor)
        kind = kind or kind_of(path.name).label
        file = MediaFile(str(path), descriptor, state.st_size, state.st_mtime_ns, kind, path.name)
        return msgspec.json.decode(msgspec.json.encode(look(file)), type=Media)
    finally:
        os.close(descriptor)


def refused(path: Path, kind: str | None = None) -> ProbeError:
    """Return why a file is refused."""
    with pytest.raises(ProbeError) as caught:
        looked(path, kind)
    return caught.value
