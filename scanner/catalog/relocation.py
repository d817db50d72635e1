"""A moved directory: one transaction rewrites the paths below it and writes the files' `moved` tasks.

Ids stay: rows of files do not even change, but for their revision. Tombstones that lie at the new paths (a
directory that was there once) are taken over by the rows that move in.
"""

from collections.abc import Callable, Iterator

from sqlalchemy import Connection, delete, select, update

from scanner.catalog.bulk import update_rows
from scanner.catalog.checkpoint import Message, write_messages
from scanner.catalog.engine import Database
from scanner.catalog.files import MovedAlong
from scanner.catalog.leases import Grant, renew
from scanner.catalog.libraries import path_key
from scanner.catalog.scans import ScanRecord, save_progress
from scanner.catalog.tables import LIVING, directories, files

_CHUNK = 500


def move_directory(
    database: Database,
    grant: Grant,
    scan: ScanRecord,
    move: tuple[int, int, str, str],
    tasks: Callable[[list[MovedAlong], str], list[Message]],
) -> None:
    """Commit the move of a directory: its id, its new parent's id, the old path and the new one.

    `tasks` is given the files of one directory after another, with their new revisions and old paths, and the
    directory's new path; it returns the messages to be written.

    Raises:
        LeaseLost: somebody took the library over; nothing was written.
    """
    directory_id, parent_id, source, target = move
    with database.write() as connection:
        renew(connection, grant)
        rows = _subtree(connection, directory_id)
        _make_room(connection, scan.library_id, [target + path[len(source) :] for _, path in rows])
        _rewrite_paths(connection, rows, source, target)
        parent = update(directories).where(directories.c.id == directory_id)
        connection.execute(parent.values(parent_id=parent_id, trusted=None, digest=None))
        for along, new_path in _moved_files(connection, rows, source, target):
            write_messages(connection, scan.id, tasks(along, new_path))
        save_progress(connection, scan)


def _subtree(connection: Connection, directory_id: int) -> list[tuple[int, str]]:
    start = select(directories.c.id, directories.c.path).where(directories.c.id == directory_id)
    tree = start.cte("tree", recursive=True)
    below = select(directories.c.id, directories.c.path).join(tree, directories.c.parent_id == tree.c.id)
    tree = tree.union_all(below)
    return [(row[0], row[1]) for row in connection.execute(select(tree.c.id, tree.c.path))]


def _make_room(connection: Connection, library_id: int, paths: list[str]) -> None:
    """Remove rows of missing directories at the new paths; their tombstones stay findable by id alone."""
    keys = [path_key(path) for path in paths]
    for start in range(0, len(keys), _CHUNK):
        at_target = directories.c.path_key.in_(keys[start : start + _CHUNK])
        connection.execute(
            delete(directories).where(directories.c.library_id == library_id, at_target, directories.c.missing)
        )


def _rewrite_paths(connection: Connection, rows: list[tuple[int, str]], source: str, target: str) -> None:
    moved = [(target + path[len(source) :], row_id) for row_id, path in rows]
    values = [(path, path_key(path), None, False, row_id) for path, row_id in moved]
    update_rows(connection, directories, ("path", "path_key", "vanished_scan", "missing"), ("id",), values)


def _moved_files(
    connection: Connection, rows: list[tuple[int, str]], source: str, target: str
) -> Iterator[tuple[list[MovedAlong], str]]:
    for directory_id, path in rows:
        living = (files.c.directory_id == directory_id, LIVING)
        # The update comes first: it locks the rows, so the revisions read afterwards are the ones to tell.
        connection.execute(
            update(files).where(*living).values(revision=files.c.revision + 1, vanished_scan=None)
        )
        query = select(
            files.c.id,
            files.c.name,
            files.c.size,
            files.c.mtime_ns,
            files.c.kind,
            files.c.state,
            files.c.revision,
            files.c.content,
        )
        found = [MovedAlong(row[0], path, *row[1:]) for row in connection.execute(query.where(*living))]
        if found:
            yield found, target + path[len(source) :]
