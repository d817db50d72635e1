"""Files and directories as the catalog knows them: what a listing is compared with.

Rows come back as plain tuples in the order that the callers' values have: there are millions of them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from scanner.catalog.bulk import select_in
from scanner.catalog.engine import Database
from scanner.catalog.tables import LIVING, directories, files

_KNOWN = """
SELECT directory_id, id, name, size, mtime_ns, coalesce(inode, 0), state, revision, content,
       vanished_scan IS NOT NULL
FROM files WHERE directory_id IN {ids} AND state <> 5
"""

_KNOWN_NAMED = """
SELECT id, name, size, mtime_ns, coalesce(inode, 0), state, revision, content, vanished_scan IS NOT NULL
FROM files WHERE name IN {texts} AND directory_id = {p} AND state <> 5
"""

_TOMBSTONES = """
SELECT directory_id, name, id, revision, content FROM files WHERE directory_id IN {ids} AND state = 5
ORDER BY id
"""

_CHILDREN = """
SELECT parent_id, id, path, coalesce(inode, 0), digest, mount, missing, vanished_scan IS NOT NULL
FROM directories WHERE parent_id IN {ids}
"""

_BY_INODE = """
SELECT f.id, d.id, d.path, f.name, f.size, f.mtime_ns, f.inode, f.state, f.revision, f.content
FROM files f JOIN directories d ON d.id = f.directory_id
WHERE f.inode IN {ids} AND f.state <> 5 AND d.library_id = {p}
"""

_DIRECTORIES_BY_INODE = """
SELECT id, path, inode, mtime_ns FROM directories
WHERE inode IN {ids} AND library_id = {p} AND NOT missing
"""


_SAMPLED_TOGETHER = 2
"""Files of a sample that come from the same place."""


class Tombstone(NamedTuple):
    """A deleted file; one that returns under its name revives the row."""

    id: int
    revision: int
    content: int


class Child(NamedTuple):
    """A directory row under a parent."""

    id: int
    path: str
    inode: int
    digest: bytes | None
    mount: str | None
    missing: bool
    vanished: bool


class Placed(NamedTuple):
    """A living file with the path of its directory."""

    id: int
    directory_id: int
    directory: str
    name: str
    size: int
    mtime_ns: int
    inode: int
    state: int
    revision: int
    content: int


class CheckedDirectory(NamedTuple):
    """A directory with what an mtime is compared with."""

    id: int
    path: str
    mtime_ns: int | None
    trusted: int | None


class MovedAlong(NamedTuple):
    """A living file below a directory that moved: its old directory, its new revision."""

    id: int
    directory: str
    name: str
    size: int
    mtime_ns: int
    kind: int
    state: int
    revision: int
    content: int


class PlacedDirectory(NamedTuple):
    """A directory that exists as far as the catalog knows."""

    id: int
    path: str
    inode: int
    mtime_ns: int | None


class Vanished(NamedTuple):
    """A living file that a complete listing did not show."""

    id: int
    directory_id: int
    path: str
    size: int
    mtime_ns: int
    kind: int
    revision: int
    content: int


def known_files(connection: Connection, directory_ids: Iterable[int]) -> dict[int, list[Sequence[Any]]]:
    """Return the living rows by directory.

    Each is id, name, size, mtime_ns, inode, state, revision, content, vanished.
    """
    found: dict[int, list[Sequence[Any]]] = defaultdict(list)
    for row in select_in(connection, _KNOWN, directory_ids):
        found[row[0]].append(row[1:])
    return found


def all_known(database: Database, directory_id: int) -> Iterator[Sequence[Any]]:
    """Yield the living rows of one directory, as `known_files` has them, without holding all of them."""
    columns = (files.c.id, files.c.name, files.c.size, files.c.mtime_ns, func.coalesce(files.c.inode, 0))
    marks = (files.c.state, files.c.revision, files.c.content, files.c.vanished_scan.is_not(None))
    with database.unbuffered() as connection:
        yield from connection.execute(
            select(*columns, *marks).where(files.c.directory_id == directory_id, LIVING)
        )


def known_named(connection: Connection, directory_id: int, names: Iterable[str]) -> Sequence[Any]:
    """Return the living rows of some names in one directory, as `known_files` does."""
    return select_in(connection, _KNOWN_NAMED, names, directory_id)


def tombstones(connection: Connection, directory_ids: Iterable[int]) -> dict[tuple[int, str], Tombstone]:
    """Return the newest tombstone by directory and name."""
    rows = select_in(connection, _TOMBSTONES, directory_ids)
    return {(row[0], row[1]): Tombstone._make(row[2:]) for row in rows}


def mounted_directories(database: Database, library_id: int) -> list[tuple[str, str]]:
    """Return the directories that were mount points when last listed: path, what was mounted."""
    mounted = (directories.c.library_id == library_id, directories.c.mount.is_not(None), ~directories.c.missing)
    query = select(directories.c.path, directories.c.mount).where(*mounted).order_by(directories.c.id)
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(query)]


def children(database: Database, parent_ids: Iterable[int]) -> dict[int, dict[str, Child]]:
    """Return the directories under each parent, by their path; missing ones too."""
    found: dict[int, dict[str, Child]] = defaultdict(dict)
    with database.read() as connection:
        for row in select_in(connection, _CHILDREN, parent_ids):
            found[row[0]][row[2]] = Child._make(row[1:])
    return found


def files_by_inode(connection: Connection, library_id: int, inodes: Collection[int]) -> list[Placed]:
    """Return the library's living files that have one of these inodes."""
    return [Placed._make(row) for row in select_in(connection, _BY_INODE, inodes, library_id)] if inodes else []


def directories_by_inode(
    connection: Connection, library_id: int, inodes: Collection[int]
) -> list[PlacedDirectory]:
    """Return the library's directories that have one of these inodes."""
    if not inodes:
        return []
    return [
        PlacedDirectory._make(row) for row in select_in(connection, _DIRECTORIES_BY_INODE, inodes, library_id)
    ]


def sample_of_directory(connection: Connection, directory_id: int, limit: int) -> list[tuple[str, int, int]]:
    """Return some living files of one directory: name, size, mtime_ns."""
    query = select(files.c.name, files.c.size, files.c.mtime_ns).where(
        files.c.directory_id == directory_id, LIVING
    )
    return [tuple(row) for row in connection.execute(query.limit(limit))]


def sample_of_library(
    database: Database, library_id: int, below: str, limit: int
) -> list[tuple[str, int, int]]:
    """Return living files at or below a directory, spread over it: path, size, mtime_ns."""
    inside = (directories.c.library_id == library_id, ~directories.c.missing, _is_below(below))
    found: dict[str, tuple[int, int]] = {}
    with database.read() as connection:
        first, last = connection.execute(
            select(func.min(directories.c.id), func.max(directories.c.id)).where(*inside)
        ).one()
        step = max(1, ((last or 0) - (first or 0)) // limit)
        for pivot in range(first or 0, (last or -1) + 1, step):
            query = (
                select(directories.c.path, files.c.name, files.c.size, files.c.mtime_ns)
                .join(files, files.c.directory_id == directories.c.id)
                .where(*inside, directories.c.id >= pivot, LIVING)
                .order_by(directories.c.id)
                .limit(_SAMPLED_TOGETHER)
            )
            for path, name, size, mtime_ns in connection.execute(query):
                found[f"{path}/{name}" if path else name] = (size, mtime_ns)
    return [(path, *facts) for path, facts in found.items()]


def _is_below(path: str) -> Any:
    if not path:
        return directories.c.path.is_not(None)
    prefix = f"{path}/"
    return (directories.c.path == path) | (func.substr(directories.c.path, 1, len(prefix)) == prefix)


def vanished_files(database: Database, scan_id: int, after_id: int, limit: int) -> list[Vanished]:
    """Return files that this scan marked vanished, by id, after `after_id`."""
    path = (directories.c.path + "/" + files.c.name).label("path")
    query = (
        select(
            files.c.id,
            files.c.directory_id,
            path,
            files.c.size,
            files.c.mtime_ns,
            files.c.kind,
            files.c.revision,
            files.c.content,
        )
        .join(directories, directories.c.id == files.c.directory_id)
        .where(files.c.vanished_scan == scan_id, files.c.id > after_id)
        .order_by(files.c.id)
        .limit(limit)
    )
    with database.read() as connection:
        rows = [Vanished(*row) for row in connection.execute(query)]
    return [row._replace(path=row.path.removeprefix("/")) for row in rows]


def seen_directories(
    database: Database, library_id: int, scan_id: int, after_id: int, limit: int
) -> list[CheckedDirectory]:
    """Return directories that this scan finished, by id."""
    where = (directories.c.library_id == library_id, directories.c.seen_scan == scan_id, ~directories.c.missing)
    return _directories_after(database, after_id, limit, *where, directories.c.mtime_ns.is_not(None))


def known_directories(database: Database, library_id: int, after_id: int, limit: int) -> list[CheckedDirectory]:
    """Return all directories that exist, by id."""
    where = (directories.c.library_id == library_id, ~directories.c.missing)
    return _directories_after(database, after_id, limit, *where)


def _directories_after(database: Database, after_id: int, limit: int, *where: Any) -> list[CheckedDirectory]:
    columns = (directories.c.id, directories.c.path, directories.c.mtime_ns, directories.c.trusted)
    query = select(*columns).where(*where, directories.c.id > after_id).order_by(directories.c.id).limit(limit)
    with database.read() as connection:
        return [CheckedDirectory._make(row) for row in connection.execute(query)]


def count_living(connection: Connection, library_id: int) -> int:
    """Return how many living files a library has, by counting them."""
    query = select(func.count()).select_from(files.join(directories, files.c.directory_id == directories.c.id))
    return int(connection.execute(query.where(directories.c.library_id == library_id, LIVING)).scalar_one())
