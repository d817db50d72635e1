"""What FFmpeg says of a video, audio or other container, without decoding more than it must.

The file is read through its descriptor alone: no protocol is allowed, and a format that would open other files
(concat, hls, dash, references in mov) gets an empty one and is refused. A crash here, in C, is a crash of the
probe process, and costs this file.
"""

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import av
import av.container
import av.logging
import av.stream

from scanner.message import Chapter, Media, Stream
from scanner.probe import text
from scanner.probe.file import MediaFile, ProbeError
from scanner.probe.source import Source

LONGEST_S = 10 * 366 * 86_400.0
"""A duration beyond is a damaged number, as is a negative one."""

_MOST_STREAMS = _MOST_CHAPTERS = 1_000
_MOST_TAGS = 64
_LONGEST_KEY, _LONGEST_WORD, _LONGEST_VALUE = 64, 200, 1_000
_MOST_BITS_S = 10**12
_MOST_FRAMES_S = 1_000
_MOST_PIXELS = 256 * 1024 * 1024
_DEFAULT, _FORCED, _HEARING_IMPAIRED, _ATTACHED_PICTURE = 1, 64, 128, 1024

_BUFFER_BYTES = 64 * 1024
_OPTIONS = {
    "protocol_whitelist": "none",
    # Stream information may take a decoded frame: a picture of 2^16 x 2^16 must not be one.
    "max_pixels": str(_MOST_PIXELS),
}
# Whatever plays one file after another, and "tty", which takes every .txt and .nfo for a film of letters.
_REFUSED = frozenset({"concat", "hls", "dash", "imf", "sdp", "vobsub", "image2", "tty", "webm_dash_manifest"})
_HDR = {16: "HDR10", 18: "HLG"}  # ITU-T H.273: SMPTE ST 2084, ARIB STD-B67
_DOLBY_VISION_TAGS = frozenset({"dvh1", "dvhe", "dvav", "dva1", "dav1"})

# PyAV 18 would raise for text that is not UTF-8; PyAV 19 always keeps it as surrogates.
_TEXT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}

av.logging.set_level(None)


def look(file: MediaFile, *, hint: str = "") -> Media:
    """Return what a container holds; `hint` is its name's extension, which decides where the content does not.

    Raises:
        ProbeError: `unsupported` for a format that FFmpeg does not know, or that plays other files;
            `corrupt` for one that cannot be read; `io` when the file cannot.
    """
    source = Source(file, f"file.{hint}" if hint.isalnum() and hint.isascii() else "")
    try:
        with _open(source) as container:
            media = _media(container, hint)
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError, ProbeError) as error:
        # What made the parser stumble says more than how it fell.
        raise source.failure or _as_probe_error(error) from error
    if source.failure is not None:
        raise source.failure
    return media


def _as_probe_error(error: Exception) -> ProbeError:
    if isinstance(error, ProbeError):
        return error
    return ProbeError("corrupt", f"FFmpeg: {getattr(error, 'strerror', None) or error}")


def _open(source: Source) -> av.container.InputContainer:
    given: Any = source  # it has what PyAV calls, which is less than a BinaryIO
    opened: av.container.InputContainer = av.open(
        given, options=_OPTIONS, buffer_size=_BUFFER_BYTES, io_open=source.refuse, **_TEXT
    )
    return opened


def _media(container: av.container.InputContainer, hint: str) -> Media:
    if container.format.name in _REFUSED:
        raise ProbeError("unsupported", f"{container.format.name} is not media, or plays other files")
    if len(container.streams) == 0:
        raise ProbeError("corrupt", f"{container.format.name} without a stream is not media")
    streams = [_stream(stream) for stream in list(container.streams)[:_MOST_STREAMS]]
    if all(_is_empty(stream) for stream in streams):
        # Noise named .mp3 gets as far as here, by its name.
        raise ProbeError("corrupt", f"no stream of what could be {container.format.name} can be read")
    # Ogg keeps a song's tags with its stream.
    tags = container.metadata or container.streams[0].metadata
    return Media(
        container=_container_name(container.format.name, tags, hint),
        duration_s=_seconds(container.duration, Fraction(1, 1_000_000)),
        bit_rate=_bounded(container.bit_rate, _MOST_BITS_S),
        streams=streams,
        chapters=list(_chapters(container)),
        tags=_tags(tags),
    )


def _container_name(name: str, tags: Mapping[str, str], hint: str) -> str:
    if name.startswith("mov,"):
        return "mov" if tags.get("major_brand", "").strip() == "qt" else "mp4"
    if name.startswith("matroska,"):
        return "webm" if hint == "webm" else "matroska"
    return name.partition(",")[0].removesuffix("_pipe")


def _stream(stream: av.stream.Stream) -> Stream:
    found = Stream(type=stream.type, duration_s=_seconds(stream.duration, stream.time_base))
    disposition = int(stream.disposition)
    found.default = bool(disposition & _DEFAULT)
    found.forced = bool(disposition & _FORCED)
    found.hearing_impaired = bool(disposition & _HEARING_IMPAIRED)
    found.language = _language(stream.metadata)
    found.title = _word(stream.metadata, "title")
    context: Any = stream.codec_context
    if context is None:
        found.codec = getattr(stream, "name", None) if stream.type == "data" else None
        return found
    found.codec = context.codec.canonical_name
    found.profile = context.profile
    found.bit_rate = _bounded(context.bit_rate, _MOST_BITS_S)
    if stream.type == "video":
        found.picture = bool(disposition & _ATTACHED_PICTURE)
        _add_picture(found, stream, context)
    elif stream.type == "audio":
        found.channels = _bounded(context.channels, 1 << 16)
        found.sample_rate = _bounded(context.sample_rate, 1 << 31)
    return found


def _is_empty(stream: Stream) -> bool:
    """Tell whether nothing is known of a stream whose codec is: a size, or how often it was sampled."""
    if stream.codec in {None, "svg"} or stream.type not in {"video", "audio"}:
        return False
    return stream.width is None and stream.sample_rate is None


def _add_picture(found: Stream, stream: Any, context: Any) -> None:
    found.width = _bounded(context.width, 1 << 31)
    found.height = _bounded(context.height, 1 << 31)
    found.pixel_format = context.pix_fmt
    found.hdr = "Dolby Vision" if context.codec_tag in _DOLBY_VISION_TAGS else _HDR.get(context.color_trc)
    rate = None if found.picture else stream.average_rate
    if rate and 0 < rate <= _MOST_FRAMES_S:
        found.frame_rate = round(float(rate), 3)


def _chapters(container: av.container.InputContainer) -> Iterator[Chapter]:
    for chapter in container.chapters()[:_MOST_CHAPTERS]:
        unit = chapter["time_base"]
        start_s = 0.0 if chapter["start"] == 0 else _seconds(chapter["start"], unit)
        if start_s is not None:
            end_s = _seconds(chapter["end"], unit)
            yield Chapter(start_s=start_s, end_s=end_s, title=_word(chapter["metadata"], "title"))


def _tags(metadata: Mapping[str, str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for key, value in list(metadata.items())[:_MOST_TAGS]:
        name, content = text.fit(key, _LONGEST_KEY).lower(), text.fit(value, _LONGEST_VALUE)
        if name and content:
            tags.setdefault(name, content)
    return tags


def _language(metadata: Mapping[str, str]) -> str | None:
    word = _word(metadata, "language")
    return None if word == "und" else word


def _word(metadata: Mapping[str, str], key: str) -> str | None:
    value = metadata.get(key)
    return (text.fit(value, _LONGEST_WORD) or None) if value else None


def _seconds(count: int | None, unit: Fraction | None) -> float | None:
    if not count or unit is None:
        return None
    seconds = count * unit.numerator / unit.denominator
    return round(seconds, 6) if 0 < seconds <= LONGEST_S and math.isfinite(seconds) else None


def _bounded(number: int | None, most: int) -> int | None:
    return number if number and 0 < number <= most else None
