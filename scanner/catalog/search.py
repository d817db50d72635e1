"""Searching the catalog: files with what is known of them, filtered, streamed in the order of their ids.

The order is the cursor's: a page ends with an id, the next begins after it, whatever was added meanwhile.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, TextClause, and_, func, literal_column, or_, select, text

from scanner import paths
from scanner.catalog import tables
from scanner.catalog.engine import Database
from scanner.catalog.tables import FileState, directories, libraries, media
from scanner.catalog.tables import files as files_table
from scanner.media import Kind
from scanner.sidecars import sidecar_stems

_ESCAPE = "\\"
_FAILING_STATES = {FileState.FAILED, FileState.RETRYING}


def _of_files(condition: TextClause) -> TextClause:
    """Return the condition of a partial index of files with its table named: libraries have a state, too."""
    return text(f"files.{condition.text}")


_UNINDEXED: ColumnElement[int] = literal_column("+files.directory_id", files_table.c.directory_id.type)
LIVING, DELETED, FAILING = map(_of_files, (tables.LIVING, tables.DELETED, tables.FAILING))


@dataclass(frozen=True, slots=True)
class Filter:
    """What a file must be like; None asks for nothing, and limits are inclusive.

    `library` is its name. `codec` is that of its video or its first audio stream, `height` in lines,
    `error_kind` a word of `scanner.message.ErrorKind`. `text` is contained in the path or the title, whatever
    its case. `path` is a file's, or a directory's with all that is below it, relative to the library's root.
    Deleted files are found only by their `state`.
    """

    id: int | None = None
    library: str | None = None
    kind: Kind | None = None
    state: FileState | None = None
    codec: str | None = None
    container: str | None = None
    language: str | None = None
    min_height: int | None = None
    max_height: int | None = None
    min_duration_s: float | None = None
    max_duration_s: float | None = None
    text: str | None = None
    path: str | None = None
    error_kind: str | None = None


EVERYTHING = Filter()


class FoundFile(NamedTuple):
    """A file and what is known of it; `kind` and `state` are words, times seconds since the epoch or `_ns`.

    What comes from a probe is None until there is a result for the file's present content.
    """

    id: int
    library: str
    path: str
    kind: str
    state: str
    size: int
    mtime_ns: int
    revision: int
    content: int
    attempts: int
    error_kind: str | None
    error: str | None
    container: str | None
    duration_s: float | None
    bit_rate: int | None
    width: int | None
    height: int | None
    video_codec: str | None
    audio_codec: str | None
    language: str | None
    title: str | None
    type: str | None
    year: int | None
    season: int | None
    episode: int | None
    extra: str | None
    taken_at: str | None
    oshash: str | None
    blake3: str | None


_OF_FILE = ("kind", "state", "size", "mtime_ns", "revision", "content", "attempts", "error_kind", "error")
_OF_MEDIA = FoundFile._fields[FoundFile._fields.index("container") :]
_KINDS = {int(kind): kind.label for kind in Kind}
_STATES = {int(state): state.name.lower() for state in FileState}

PROBED = and_(media.c.file_id == files_table.c.id, media.c.content == files_table.c.content)
"""Joins a file with the result for its present content."""


COLUMNS = (
    files_table.c.id,
    libraries.c.name,
    directories.c.path,
    files_table.c.name,
    *(files_table.c[name] for name in _OF_FILE),
    *(media.c[name] for name in _OF_MEDIA),
)
"""What `found` makes a `FoundFile` of."""


def files(
    database: Database, wanted: Filter = EVERYTHING, *, after: int = 0, limit: int | None = None
) -> Iterator[FoundFile]:
    """Yield the files that match, by id from `after` on, without holding all of them."""
    # SQLite would rather go through a library's directories, and sort a million rows in memory.
    query = joined(
        *COLUMNS, directory=_UNINDEXED if database.dialect == "sqlite" else files_table.c.directory_id
    )
    query = query.where(*conditions(wanted, database.dialect), files_table.c.id > after)
    return streamed(database, query.order_by(files_table.c.id).limit(limit))


def streamed(database: Database, query: Select[Any]) -> Iterator[FoundFile]:
    """Yield the files of a query of `COLUMNS`; closing the iterator early leaves nothing open."""
    with database.unbuffered() as connection, connection.execute(query) as rows:
        yield from map(found, rows)


def joined(*columns: Any, directory: ColumnElement[int] = files_table.c.directory_id) -> Select[Any]:
    """Return a query of columns of files, their directories, their libraries and their media."""
    placed = files_table.join(directories, directories.c.id == directory)
    known = placed.join(libraries, libraries.c.id == directories.c.library_id).outerjoin(media, PROBED)
    return select(*columns).select_from(known)


def found(row: Sequence[Any]) -> FoundFile:
    """Return the file in a row of `COLUMNS`."""
    file_id, library, directory, name, kind, state, *rest = row
    return FoundFile(file_id, library, paths.join(directory, name), _KINDS[kind], _STATES[state], *rest)


def count(database: Database, wanted: Filter = EVERYTHING) -> int:
    """Return how many files match."""
    query = joined(func.count()).where(*conditions(wanted, database.dialect))
    with database.read() as connection:
        return connection.scalar(query) or 0


def sidecars(database: Database, file_id: int) -> list[FoundFile]:
    """Return the living files that stand beside a video and belong to it by their names, by id."""
    place = select(files_table.c.directory_id, files_table.c.name).where(files_table.c.id == file_id)
    with database.read() as connection:
        video = connection.execute(place.where(LIVING)).one_or_none()
        if video is None:
            return []
        # Whatever can belong to it begins with its stem: a folder may hold a hundred thousand others.
        stem = video.name.rpartition(".")[0]
        alike = func.substr(files_table.c.name, 1, len(stem)) == stem
        query = joined(*COLUMNS).where(files_table.c.directory_id == video.directory_id, alike, LIVING)
        beside = [found(row) for row in connection.execute(query.order_by(files_table.c.id))]
    stems = {row.id: _stem(row) for row in beside if row.kind == Kind.VIDEO.label}
    wanted = stems.get(file_id)
    there = set(stems.values())
    return [row for row in beside if row.id not in stems and wanted and _belongs(row, there) == wanted]


def _stem(row: FoundFile) -> str:
    return paths.basename(row.path).rpartition(".")[0]


def _belongs(row: FoundFile, videos: set[str]) -> str | None:
    """Return the stem of the video that a sidecar belongs to: the longest of its own that a video has."""
    return next((stem for stem in sidecar_stems(paths.basename(row.path)) if stem in videos), None)


def conditions(wanted: Filter, dialect: str) -> Iterator[Any]:
    """Yield what a filter asks of a `joined` query."""
    yield from _state_conditions(wanted)
    exact = (
        (files_table.c.id, wanted.id),
        (libraries.c.name, wanted.library),
        (files_table.c.kind, None if wanted.kind is None else int(wanted.kind)),
        (files_table.c.error_kind, wanted.error_kind),
        (media.c.container, wanted.container),
        (media.c.language, wanted.language),
    )
    yield from (column == value for column, value in exact if value is not None)
    at_least = ((media.c.height, wanted.min_height), (media.c.duration_s, wanted.min_duration_s))
    yield from (column >= value for column, value in at_least if value is not None)
    at_most = ((media.c.height, wanted.max_height), (media.c.duration_s, wanted.max_duration_s))
    yield from (column <= value for column, value in at_most if value is not None)
    if wanted.codec is not None:
        yield or_(media.c.video_codec == wanted.codec, media.c.audio_codec == wanted.codec)
    if wanted.text:
        yield _contains(wanted.text, dialect)
    if wanted.path is not None:
        yield _is_at(wanted.path.strip("/"))


def _state_conditions(wanted: Filter) -> Iterator[Any]:
    """Yield what is asked of the state, in the words of the partial indexes."""
    if wanted.state is None:
        yield LIVING
    elif wanted.state is FileState.MISSING:
        yield DELETED
    else:
        yield LIVING
        yield files_table.c.state == int(wanted.state)
    if wanted.error_kind is not None or wanted.state in _FAILING_STATES:
        yield FAILING


def _contains(text: str, dialect: str) -> ColumnElement[bool]:
    """Tell whether path or title contain a text; SQLite's own LIKE knows the case of ASCII letters alone."""
    path = directories.c.path + "/" + files_table.c.name
    pattern = "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"
    if dialect == "sqlite" and not text.isascii():
        folded = pattern.casefold()
        return or_(*(func.casefold(column).like(folded, escape=_ESCAPE) for column in (path, media.c.title)))
    if dialect == "sqlite":
        return or_(path.like(pattern, escape=_ESCAPE), media.c.title.like(pattern, escape=_ESCAPE))
    return or_(path.ilike(pattern, escape=_ESCAPE), media.c.title.ilike(pattern, escape=_ESCAPE))


def _is_at(path: str) -> ColumnElement[bool]:
    """Tell whether a file is at a path or below it."""
    directory, _, name = path.rpartition("/")
    below = f"{path}/"
    is_file = and_(directories.c.path == directory, files_table.c.name == name)
    is_below = func.substr(directories.c.path, 1, len(below)) == below
    return or_(is_file, directories.c.path == path, is_below) if path else directories.c.path.is_not(None)
