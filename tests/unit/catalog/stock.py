"""A library with a few files in the catalog, and results for them: what tests of the catalog are about."""

import itertools
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import insert, select, text

from scanner.catalog.engine import Database
from scanner.catalog.libraries import Library, add_library, path_key
from scanner.catalog.results import Answer, Applied, apply
from scanner.catalog.schema import catalog_uuid
from scanner.catalog.tables import FileState, directories, files
from scanner.media import kind_of
from scanner.message import ErrorKind, Media, Name, Result, ResultBatch, ResultError, Status, Stream

_names = itertools.count()


class Row(NamedTuple):
    """A file as the catalog has it."""

    state: FileState
    revision: int
    content: int
    attempts: int
    error_kind: str | None
    error: str | None


@dataclass
class Stock:
    """One library; `add` puts files into it without a scan."""

    database: Database
    name: str = "films"
    folders: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.catalog = catalog_uuid(self.database)
        self.library: Library = add_library(self.database, f"/srv/{self.name}", self.name)

    def folder(self, path: str) -> int:
        """Return the id of a directory that was listed and is trusted."""
        if path not in self.folders:
            values = {"path": path, "path_key": path_key(path), "trusted": 1, "digest": b"d", "mtime_ns": 1}
            row = insert(directories).values(library_id=self.library.id, **values).returning(directories.c.id)
            with self.database.write() as connection:
                self.folders[path] = connection.execute(row).scalar_one()
        return self.folders[path]

    def add(self, path: str = "", state: FileState = FileState.QUEUED, **values: Any) -> int:
        """Add a file and return its id."""
        path = path or f"{next(_names)}.mkv"
        directory, _, name = path.rpartition("/")
        place = {"directory_id": self.folder(directory), "name": name, "kind": int(kind_of(name))}
        given = {"size": 10, "mtime_ns": 5, "revision": 1, "content": 1, **place, "state": int(state), **values}
        with self.database.write() as connection:
            return int(connection.execute(insert(files).values(given).returning(files.c.id)).scalar_one())

    def row(self, file_id: int) -> Row:
        """Return what the catalog has of a file."""
        columns = [files.c[name] for name in Row._fields]
        with self.database.read() as connection:
            found = connection.execute(select(*columns).where(files.c.id == file_id)).one()
        return Row(FileState(found[0]), *found[1:])

    def apply(self, *batches: ResultBatch) -> Applied:
        """Apply batches in one transaction."""
        return apply(self.database, self.catalog, [Answer(batch) for batch in batches])

    def batch(self, status: Status, *results: Result, catalog: str | None = None) -> ResultBatch:
        """Return a result message."""
        return ResultBatch(1, catalog or self.catalog, "host:1", "m", self.name, status, list(results))

    def rows(self, query: str, **values: object) -> list[Any]:
        """Return the rows of a query."""
        with self.database.read() as connection:
            return list(connection.execute(text(query), values))

    def dirty(self) -> set[str]:
        """Return the directories that are marked."""
        return {row[0] for row in self.rows("SELECT path FROM dirty")}

    def distrusted(self) -> set[str]:
        """Return the directories that the next look cannot pass over."""
        return {
            row[0] for row in self.rows("SELECT path FROM directories WHERE digest IS NULL AND trusted IS NULL")
        }


VIDEO = Media(
    container="matroska",
    duration_s=7200.0,
    bit_rate=5_000_000,
    streams=[
        Stream("video", "hevc", width=1920, height=800, frame_rate=24.0),
        Stream("audio", "aac", channels=6, language="eng"),
        Stream("subtitle", "subrip", language="ger"),
    ],
)


def ok(
    file_id: int,
    *,
    revision: int = 1,
    content: int = 1,
    attempt: int = 0,
    media: Media | None = VIDEO,
    name: Name | None = None,
    **more: Any,
) -> Result:
    """Return the result of a file that was probed."""
    return Result(file_id, revision, content, attempt, 10, "5", 0.02, media=media, name=name, **more)


def failed(
    file_id: int,
    kind: ErrorKind = "corrupt",
    *,
    revision: int = 1,
    content: int = 1,
    attempt: int = 0,
    text: str = "no",
) -> Result:
    """Return the result of a file that failed."""
    return Result(file_id, revision, content, attempt, 10, "5", 0.02, error=ResultError(kind, text))


def missed(file_id: int, *, revision: int = 1, content: int = 1, attempt: int = 0) -> Result:
    """Return the result of a file that was not, or not as told, at its place."""
    return Result(file_id, revision, content, attempt, 0, "0", 0.0)
