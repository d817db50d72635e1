"""Libraries: the roots that are scanned, each under one name on one host; roots never overlap."""

import hashlib
import socket
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, true, update

from scanner import paths
from scanner.catalog.engine import Database, database_now
from scanner.catalog.tables import FileState, directories, files, libraries, media
from scanner.errors import UsageError


@dataclass(frozen=True, slots=True)
class Library:
    """One library; `root` is absolute path text on `host`, `identity` what its mount was when last scanned."""

    id: int
    name: str
    host: str
    root: str
    identity: str | None
    state: str
    file_count: int


_COLUMNS = (
    libraries.c.id,
    libraries.c.name,
    libraries.c.host,
    libraries.c.root,
    libraries.c.identity,
    libraries.c.state,
    libraries.c.file_count,
)


def path_key(path: str) -> bytes:
    """Return the 16-byte key of a path: an index entry has a size limit, a path has none."""
    return hashlib.blake2b(path.encode(), digest_size=16).digest()


def all_libraries(database: Database) -> list[Library]:
    """Return every library, by name."""
    with database.read() as connection:
        return [Library(*row) for row in connection.execute(select(*_COLUMNS).order_by(libraries.c.name))]


def library_named(database: Database, name: str) -> Library:
    """Return the library of this name.

    Raises:
        UsageError: there is none; the text lists those that exist.
    """
    known = all_libraries(database)
    for library in known:
        if library.name == name:
            return library
    names = ", ".join(paths.printable(library.name) for library in known) or "none yet"
    raise UsageError(f"library {paths.printable(name)!r} does not exist: known are {names}")


def library_containing(database: Database, root: str) -> Library | None:
    """Return the library on this host whose root is `root` or contains it."""
    with database.read() as connection:
        rows = connection.execute(select(*_COLUMNS).where(_here(connection))).all()
    return next((Library(*row) for row in rows if paths.contains(row.root, root)), None)


def add_library(database: Database, root: str, name: str | None = None) -> Library:
    """Create the library of an absolute root; its name defaults to the folder's.

    Raises:
        UsageError: the name is taken, or the root contains or lies in another library's; both are named.
    """
    chosen = name or paths.readable(root.rstrip("/").rpartition("/")[2]) or "root"
    with database.write() as connection:
        _refuse_overlap(connection, root, except_id=None)
        _refuse_taken(connection, chosen)
        values = {"name": chosen, "host": socket.gethostname(), "root": root, "created_at": database_now()}
        row = connection.execute(insert(libraries).values(values).returning(*_COLUMNS)).one()
    return Library(*row)


def relocate_library(database: Database, library: Library, root: str) -> None:
    """Point a library at another root with the same content: nothing counts as moved."""
    with database.write() as connection:
        _refuse_overlap(connection, root, except_id=library.id)
        values = {"root": root, "host": socket.gethostname(), "identity": None}
        connection.execute(update(libraries).where(libraries.c.id == library.id).values(values))
        forget_inodes(connection, library.id)


def forget_inodes(connection: Connection, library_id: int) -> None:
    """Forget what only held on the file system that a library was on: inodes, mounts, trusted listings.

    Sizes and mtimes still tell what is the same; the next full scan notes the new inodes without a task.
    """
    values = {"trusted": None, "digest": None, "inode": None, "mount": None}
    connection.execute(update(directories).where(directories.c.library_id == library_id).values(values))
    inside = files.c.directory_id.in_(select(directories.c.id).where(directories.c.library_id == library_id))
    connection.execute(update(files).where(inside).values(inode=None))


def remove_library(database: Database, library: Library) -> int:
    """Forget a library and its files (on disk nothing happens); return how many living files it had."""
    inside = files.c.directory_id.in_(select(directories.c.id).where(directories.c.library_id == library.id))
    # A collector that holds one of the rows is waited for: it leaves no media behind of a file that is gone.
    locked = select(files.c.state).where(inside).with_for_update().subquery()
    with database.write() as connection:
        count = select(func.count()).select_from(locked).where(locked.c.state != int(FileState.MISSING))
        living = connection.execute(count).scalar_one()
        connection.execute(delete(media).where(media.c.file_id.in_(select(files.c.id).where(inside))))
        connection.execute(delete(files).where(inside))
        connection.execute(delete(directories).where(directories.c.library_id == library.id))
        connection.execute(delete(libraries).where(libraries.c.id == library.id))
    return living


def file_count(database: Database, library_id: int) -> int:
    """Return how many living files a library has, as its commits have counted them."""
    query = select(libraries.c.file_count).where(libraries.c.id == library_id)
    with database.read() as connection:
        return int(connection.execute(query).scalar_one())


def save_identity(connection: Connection, library_id: int, identity: str | None, state: str) -> None:
    """Note what the root's mount is now, and whether the library is online."""
    values = {"identity": identity, "state": state}
    connection.execute(update(libraries).where(libraries.c.id == library_id).values(values))


def _here(connection: Connection) -> ColumnElement[bool]:
    """Tell which libraries are this machine's: an SQLite catalog is local, whatever its host's name."""
    if connection.dialect.name == "sqlite":
        return true()
    return libraries.c.host == socket.gethostname()


def _refuse_overlap(connection: Connection, root: str, except_id: int | None) -> None:
    query = select(libraries.c.name, libraries.c.root).where(_here(connection))
    for name, other in connection.execute(query.where(libraries.c.id != (except_id or 0))):
        if paths.contains(root, other) or paths.contains(other, root):
            raise UsageError(
                f"root {paths.printable(root)} overlaps library {paths.printable(name)!r}"
                f" with root {paths.printable(other)}: scan one of the two"
            )


def _refuse_taken(connection: Connection, name: str) -> None:
    row = connection.execute(
        select(libraries.c.root, libraries.c.host).where(libraries.c.name == name)
    ).one_or_none()
    if row is not None:
        raise UsageError(
            f"library name {paths.printable(name)!r} is taken by {paths.printable(row.root)} on {row.host}:"
            " choose another with --name, or say that it is here now with scanner library relocate"
        )
