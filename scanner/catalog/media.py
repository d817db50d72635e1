"""Media rows: from a result to the columns that are searched, the rest as JSON.

What comes from a worker is data: numbers that no column can hold are left out, texts are cut and lose their
NULs, so that no file, and no worker, can make a batch of results impossible to store.
"""

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import select

from scanner.catalog.engine import Database
from scanner.catalog.tables import media
from scanner.message import Chapter, Media, Name, Result, Stream

COLUMNS = (
    "file_id",
    "content",
    "container",
    "duration_s",
    "bit_rate",
    "width",
    "height",
    "video_codec",
    "audio_codec",
    "language",
    "title",
    "type",
    "year",
    "season",
    "episode",
    "extra",
    "taken_at",
    "oshash",
    "blake3",
    "worker",
    "seconds",
    "probed_at",
    "name",
    "details",
)
NAME_COLUMNS = ("title", "type", "year", "season", "episode", "extra", "name")

_TEXT_LENGTH = 500
_INT = 2**31 - 1
_BIG_INT = 2**63 - 1
_NOTHING = Media()
_NO_NAME = Name()


class Details(msgspec.Struct, omit_defaults=True):
    """What no query asks for: streams, chapters, tags, and what plug-in handlers gave, by their names."""

    streams: list[Stream] = []
    chapters: list[Chapter] = []
    tags: dict[str, str] = {}
    handlers: dict[str, Any] = {}


def encoded_name(result: Result) -> str | None:
    """Return the JSON of what a result says of the file's name."""
    return None if result.name is None else msgspec.json.encode(result.name).decode()


def row_of(result: Result, worker: str, probed_at: float, name: str | None) -> tuple[object, ...]:
    """Return the values of `COLUMNS`."""
    found = result.media or _NOTHING
    prints = result.fingerprint or {}
    video = next((stream for stream in found.streams if stream.type == "video" and not stream.picture), None)
    audio = next((stream for stream in found.streams if stream.type == "audio"), None)
    title, kind, year, season, episode, extra, _ = name_row_of(result.name, name)
    return (
        result.file,
        result.content,
        _text(found.container),
        _positive(found.duration_s),
        _whole(found.bit_rate, _BIG_INT),
        _whole(found.width if video is None else video.width, _INT),
        _whole(found.height if video is None else video.height, _INT),
        _text(video.codec if video else None),
        _text(audio.codec if audio else None),
        _text(found.language or (audio.language if audio else None)),
        title,
        kind,
        year,
        season,
        episode,
        extra,
        _text(found.taken_at),
        _text(prints.get("oshash")),
        _text(prints.get("blake3")),
        _text(worker) or "",
        _positive(result.seconds) or 0.0,
        probed_at,
        name,
        _details(result, found),
    )


def name_row_of(found: Name | None, name: str | None) -> tuple[object, ...]:
    """Return the values of `NAME_COLUMNS`; `name` is the name in JSON."""
    said = found or _NO_NAME
    numbers = (_whole(number, _INT) for number in (said.year, said.season, said.episode))
    return (_text(said.title), _text(said.type), *numbers, _text(said.extra), name)


class Probed(NamedTuple):
    """What is kept of a result beside the columns that are searched; `at` in seconds since the epoch."""

    worker: str
    at: float
    seconds: float
    name: Name | None
    details: Details


def probed(database: Database, file_id: int, content: int) -> Probed | None:
    """Return the result for a file's content; None if it has none."""
    columns = (media.c.worker, media.c.probed_at, media.c.seconds, media.c.name, media.c.details)
    query = select(*columns).where(media.c.file_id == file_id, media.c.content == content)
    with database.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    name = None if row.name is None else msgspec.json.decode(row.name, type=Name)
    details = msgspec.json.decode(row.details, type=Details)
    return Probed(row.worker, row.probed_at, row.seconds, name, details)


def _details(result: Result, found: Media) -> str:
    kept = Details(found.streams, found.chapters, found.tags, result.extra or {})
    return msgspec.json.encode(kept).decode()


def _text(value: str | None) -> str | None:
    return value[:_TEXT_LENGTH].replace("\0", "") if value else None


def _whole(value: int | None, limit: int) -> int | None:
    return value if value is not None and 0 <= value <= limit else None


def _positive(value: float | None) -> float | None:
    return value if value is not None and value >= 0 else None
