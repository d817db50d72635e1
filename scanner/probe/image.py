"""What an image's header says; no pixel is decoded, whatever size it claims.

Pillow opens images without decoding them, but for WebP, AVIF and icons: their headers are read here, as are
those of HEIF, which it does not know. A crash here costs one file.
"""

import datetime
import io
import logging
import re
import struct
import warnings
from collections.abc import Callable

from PIL import Image, UnidentifiedImageError

from scanner.message import Media
from scanner.probe.file import MediaFile, ProbeError
from scanner.probe.source import Source

# Pillow's words on a damaged file are for nobody: not for stderr, where they would land without a handler.
logging.getLogger("PIL").addHandler(logging.NullHandler())
logging.getLogger("PIL").propagate = False
# The size an image claims does no harm to who never decodes it; Pillow's warning would.
Image.MAX_IMAGE_PIXELS = None

_DATE_TIME, _EXIF_PART, _DATE_ORIGINAL, _DATE_DIGITIZED, _OFFSET_ORIGINAL = (
    0x0132,
    0x8769,
    0x9003,
    0x9004,
    0x9011,
)
_EAGER = frozenset({"AVIF", "ICO", "WEBP"})
_NOT_IMAGES = frozenset({"BUFR", "FITS", "GRIB", "HDF5", "IPTC", "MCIDAS", "MPEG", "SPIDER"})
_READ_WITH_TAGS = frozenset({"JPEG", "MPO", "TIFF"})
_MOST_CHUNKS = 64
_LONGEST_EXIF = 1024 * 1024
_LONGEST_ICON = 6 + 16 * 256
_LONGEST_ITEMS = 256 * 1024
_BRANDS = {b"avif": "avif", b"avis": "avif", b"heic": "heif", b"heix": "heif", b"mif1": "heif"}
_SPATIAL_EXTENTS = re.compile(rb"ispe\0{4}(.{8})", re.DOTALL)
_formats: list[str] = []


def look(file: MediaFile) -> Media:
    """Return an image's format, size and EXIF date.

    Raises:
        ProbeError: `corrupt` when its header makes no sense, `unsupported` when Pillow does not know it, `io`
            when it cannot be read.
    """
    source = Source(file)
    try:
        with warnings.catch_warnings(action="ignore"):
            media = _webp(source) or _boxed(source) or _icon(source) or _opened(source)
    except UnidentifiedImageError as error:
        raise source.failure or ProbeError("unsupported", "no image format that is known here") from error
    except (MemoryError, ProbeError):
        raise
    except Exception as error:  # a parser of forty formats fails in its own ways, struct.error to KeyError
        raise source.failure or ProbeError(
            "corrupt", f"Pillow: {str(error) or type(error).__name__}"
        ) from error
    if source.failure is not None:
        raise source.failure
    return media


def as_image(media: Media) -> Media:
    """Return what FFmpeg says of a still picture as an image; a film as it is."""
    if media.duration_s or any(stream.type != "video" for stream in media.streams):
        return media
    picture = media.streams[0]
    return Media(container=media.container, width=picture.width, height=picture.height)


def _opened(source: Source) -> Media:
    if not _formats:
        Image.init()
        _formats.extend(name for name in Image.ID if name not in _EAGER | _NOT_IMAGES)
    with Image.open(io.BufferedReader(source), formats=_formats) as image:
        return Media(
            container=(image.format or "").lower() or None,
            width=image.width,
            height=image.height,
            taken_at=taken_at(_exif_of(image)),
        )


def _exif_of(image: Image.Image) -> Image.Exif:
    """Return the tags that came with the header; `getexif` of the other formats would decode the image."""
    if image.format in _READ_WITH_TAGS:
        return image.getexif()
    return _exif(image.info.get("exif", b""))


def _exif(data: object) -> Image.Exif:
    exif = Image.Exif()
    if isinstance(data, bytes) and data:
        exif.load(data)
    return exif


def taken_at(exif: Image.Exif) -> str | None:
    """Return when a picture was taken, ISO 8601, with a zone only if the tags name one."""
    part = exif.get_ifd(_EXIF_PART)
    written = str(part.get(_DATE_ORIGINAL) or part.get(_DATE_DIGITIZED) or exif.get(_DATE_TIME)).strip("\0 ")
    zone = str(part.get(_OFFSET_ORIGINAL)).strip("\0 ")
    return _date(written + zone, "%Y:%m:%d %H:%M:%S%z") or _date(written, "%Y:%m:%d %H:%M:%S")


def _date(written: str, form: str) -> str | None:
    try:
        return datetime.datetime.strptime(written, form).isoformat()  # noqa: DTZ007 - most name no zone
    except ValueError:
        return None


def _boxed(source: Source) -> Media | None:
    """Return what an AVIF or HEIF file's item properties say (ISO/IEC 23008-12); None for other files.

    The largest `ispe` is the picture, others its tiles and its thumbnail.
    """
    head = source.read(_LONGEST_ITEMS)
    source.seek(0)
    brands = head[8 : min(int.from_bytes(head[:4], "big"), 256)]
    name = next((name for brand, name in _BRANDS.items() if brand in brands), None)
    if head[4:8] != b"ftyp" or name is None:
        return None
    sizes = [struct.unpack(">II", found[1]) for found in _SPATIAL_EXTENTS.finditer(head)]
    if not sizes:
        raise ProbeError("corrupt", f"{name} without an image")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Media(container=name, width=width, height=height)


def _webp(source: Source) -> Media | None:
    """Return what a WebP file's chunks say (RFC 9649); None for other files, the source at its beginning."""
    head = source.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WEBP":
        source.seek(0)
        return None
    media = Media(container="webp")
    for _ in range(_MOST_CHUNKS):
        header = source.read(8)
        if len(header) < 8:
            break
        name, size = struct.unpack("<4sI", header)
        end = source.tell() + size + size % 2
        if name in _WEBP_SIZES and media.width is None:
            media.width, media.height = _WEBP_SIZES[name](source.read(10))
        elif name == b"EXIF" and size <= _LONGEST_EXIF:
            media.taken_at = taken_at(_exif(source.read(size)))
        source.seek(end)
    if media.width is None:
        raise ProbeError("corrupt", "WebP without an image")
    return media


def _icon(source: Source) -> Media | None:
    """Return the size of an icon's largest picture, by its directory; None for other files."""
    head = source.read(_LONGEST_ICON)
    source.seek(0)
    count = int.from_bytes(head[4:6], "little")
    if head[:4] != b"\0\0\1\0" or not 0 < count <= (len(head) - 6) // 16:
        return None
    sizes = [(head[place] or 256, head[place + 1] or 256) for place in range(6, 6 + 16 * count, 16)]
    width, height = max(sizes)
    return Media(container="ico", width=width, height=height)


def _canvas(chunk: bytes) -> tuple[int, int]:
    return int.from_bytes(chunk[4:7], "little") + 1, int.from_bytes(chunk[7:10], "little") + 1


def _lossless(chunk: bytes) -> tuple[int, int]:
    bits = int.from_bytes(chunk[1:5], "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _lossy(chunk: bytes) -> tuple[int, int]:
    return struct.unpack("<H", chunk[6:8])[0] & 0x3FFF, struct.unpack("<H", chunk[8:10])[0] & 0x3FFF


_WEBP_SIZES: dict[bytes, Callable[[bytes], tuple[int, int]]] = {
    b"VP8X": _canvas,
    b"VP8L": _lossless,
    b"VP8 ": _lossy,
}
