"""What a file holds: which parser looks at it, by kind, and by content where the name says nothing or lies.

The verdict on what no parser takes is given here: `corrupt` if the file bears the mark of a format that is
known, or holds nothing; else `unsupported`.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Literal

from scanner.message import Media
from scanner.probe import container, image, subtitle
from scanner.probe.file import MediaFile, ProbeError

Mark = Literal["image", "container"]

_IMAGE_MARKS = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"8BPS", b"\0\0\1\0"),
    *(b"\0\0\0\x0cjP  ", b"\0\0\0\x0cJXL ", b"\xff\x4f\xff\x51", b"\xff\x0a", b"\x76\x2f\x31\x01", b"qoif"),
    *(b"DDS ", b"P4\n", b"P5\n", b"P6\n"),
)
_CONTAINER_MARKS = (
    *(b"\x1a\x45\xdf\xa3", b"OggS", b"fLaC", b"ID3", b"FLV\1", b"\x30\x26\xb2\x75", b".RMF", b"MThd", b"FORM"),
    *(b"RF64", b"wvPK", b"MAC ", b"TTA1", b"MPCK", b"MP+", b"DSD ", b"FRM8", b"caff", b"#!AMR", b".snd"),
    *(b"\0\0\1\xba", b"\0\0\1\xb3", b"tBaK", b"OFR ", b"\x06\x0e\x2b\x34"),
)
_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"})
_STILL_BRANDS = frozenset({b"avif", b"heic", b"heix", b"mif1"})
_PACKET_BYTES = 188  # of an MPEG transport stream


def look(file: MediaFile) -> Media:
    """Return what a file holds.

    Raises:
        ProbeError: `unsupported`: no parser knows it, it plays other files, or is not media; `corrupt`: it is
            empty or damaged; `io`: it cannot be read.
    """
    head = _read(file, 0, subtitle.HEAD_BYTES)
    if not any(head) and not any(_read(file, file.size // 2) + _read(file, max(0, file.size - 4096))):
        raise ProbeError("corrupt", "it holds nothing but zeros" if head else "it is empty")
    marked = mark(head)
    failures = []
    for parse in _parsers(file, head, marked):
        try:
            media = parse()
        except ProbeError as error:
            if error.kind == "io":
                raise
            failures.append(error)
            continue
        if marked or not _is_silent_text(file, media):
            return media
        failures.append(ProbeError("unsupported", f"a text ({media.container}), neither sound nor picture"))
    raise _verdict(failures, marked)


def _is_silent_text(file: MediaFile, media: Media) -> bool:
    """Tell whether what should be a film or a song is words alone: FFmpeg takes many a text for lyrics."""
    is_words = bool(media.streams) and all(stream.type in {"subtitle", "data"} for stream in media.streams)
    return is_words and file.kind in {"video", "audio"}


def _parsers(file: MediaFile, head: bytes, marked: Mark | None) -> Iterable[Callable[[], Media]]:
    """Return who is to be asked, in this order."""
    extension = file.path.rpartition("/")[2].rpartition(".")[2].lower()
    film = partial(container.look, file, hint=extension)
    if marked == "container":
        return (film,)
    if marked == "image" or file.kind == "image":
        # Without a hint: FFmpeg is to read this picture, not the numbered pictures that a name may mean.
        return (partial(image.look, file), lambda: image.as_image(container.look(file)))
    words = partial(subtitle.look, head, file.place)
    return {"subtitle": (words, film), "other": (words,)}.get(file.kind, (film,))


def mark(head: bytes) -> Mark | None:
    """Return what a file says it is by its first bytes; None if they are nothing known."""
    if head[:4] == b"RIFF":
        return "image" if head[8:12] == b"WEBP" else "container"
    if head[4:8] in _BOXES:
        return "image" if head[8:12] in _STILL_BRANDS else "container"
    if head.startswith(_CONTAINER_MARKS) or _is_transport_stream(head):
        return "container"
    if head.startswith(_IMAGE_MARKS) or (head[:2] == b"BM" and head[6:10] == bytes(4)):
        return "image"
    return None


def _is_transport_stream(head: bytes) -> bool:
    return len(head) > 4 * _PACKET_BYTES and head[: 5 * _PACKET_BYTES : _PACKET_BYTES].count(b"G") == 5


def _verdict(failures: Sequence[ProbeError], marked: Mark | None) -> ProbeError:
    """Return why no parser took it: damage is damage only of what bears the mark of a known format."""
    damaged = [failure for failure in failures if failure.kind == "corrupt"]
    if damaged and marked:
        return damaged[-1]
    return ProbeError("unsupported", str(failures[-1]))


def _read(file: MediaFile, position: int, size: int = 4096) -> bytes:
    try:
        return os.pread(file.descriptor, size, position)
    except OSError as error:
        raise ProbeError("io", f"reading it failed: {error.strerror}") from error
