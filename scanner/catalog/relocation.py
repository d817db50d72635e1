"""A moved directory: one transaction rewrites the paths below it and writes the files' `moved` tasks.

Ids stay: rows of files do not even change, but for their revision. What the catalog remembers of the new paths
(a directory that was there once: its tombstones, its subdirectories) is taken over by the rows that move in.
All that moved is pending afterwards: what was in the middle of being listed at its old path is listed again.
"""

from collections.abc import Callable, Iterator

from sqlalchemy import Connection, bindparam, delete, select, update

from scanner.catalog.bulk import update_rows
from scanner.catalog.checkpoint import Message, write_messages
from scanner.catalog.engine import Database
from scanner.catalog.files import MovedAlong
from scanner.catalog.leases import Grant, renew
from scanner.catalog.libraries import path_key
from scanner.catalog.scans import ScanRecord, save_progress
from scanner.catalog.tables import DELETED, LIVING, FileState, directories, files

_CHUNK = 500

_QUEUED = {"state": int(FileState.QUEUED), "attempts": 0, "error": None, "error_kind": None}
"""What a file without a result is from now on: the move's task asks for a probe."""


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
        if rows[0][1] != source:
            return  # it is done: the answer to an earlier attempt's commit was lost
        _make_room(connection, scan.library_id, {target + path[len(source) :]: row_id for row_id, path in rows})
        _rewrite_paths(connection, scan.id, rows, source, target)
        _hang_under(connection, directory_id, parent_id)
        for along, new_path in _moved_files(connection, rows, source, target):
            write_messages(connection, scan.id, tasks(along, new_path))
        save_progress(connection, scan)


def _hang_under(connection: Connection, directory_id: int, parent_id: int) -> None:
    """Give a directory its new parent; what it and its old parent last showed is no longer believed."""
    old_parent = select(directories.c.parent_id).where(directories.c.id == directory_id).scalar_subquery()
    changed = directories.c.id.in_([directory_id]) | (directories.c.id == old_parent)
    connection.execute(update(directories).where(changed).values(trusted=None, digest=None))
    connection.execute(update(directories).where(directories.c.id == directory_id).values(parent_id=parent_id))


def _subtree(connection: Connection, directory_id: int) -> list[tuple[int, str]]:
    start = select(directories.c.id, directories.c.path).where(directories.c.id == directory_id)
    tree = start.cte("tree", recursive=True)
    below = select(directories.c.id, directories.c.path).join(tree, directories.c.parent_id == tree.c.id)
    tree = tree.union_all(below)
    return [(row[0], row[1]) for row in connection.execute(select(tree.c.id, tree.c.path))]


def _make_room(connection: Connection, library_id: int, moving_in: dict[str, int]) -> None:
    """Give what missing directories at the new paths held to the rows that move in, and remove the former."""
    keys = {path_key(path): row_id for path, row_id in moving_in.items()}
    there = (directories.c.library_id == library_id, directories.c.missing)
    replaced: list[tuple[int, int]] = []
    for start in range(0, len(keys), _CHUNK):
        at_target = directories.c.path_key.in_(list(keys)[start : start + _CHUNK])
        found = connection.execute(select(directories.c.path_key, directories.c.id).where(*there, at_target))
        replaced += [(keys[bytes(key)], old_id) for key, old_id in found if keys[bytes(key)] != old_id]
    # All that a missing directory holds is tombstones; said in the statement, it is found by their index.
    tombstones = update(files).where(files.c.directory_id == bindparam("old"), DELETED)
    for new_id, old_id in replaced:
        connection.execute(tombstones.values(directory_id=new_id), {"old": old_id})
    update_rows(connection, directories, ("parent_id",), ("parent_id_was",), replaced)
    for _, old_id in replaced:
        connection.execute(delete(directories).where(directories.c.id == old_id))


def _rewrite_paths(
    connection: Connection, scan_id: int, rows: list[tuple[int, str]], source: str, target: str
) -> None:
    moved = [(target + path[len(source) :], row_id) for row_id, path in rows]
    placed = [(path, path_key(path), row_id) for path, row_id in moved]
    update_rows(connection, directories, ("path", "path_key"), ("id",), placed)
    living = [(None, scan_id, row_id, False) for _, row_id in moved]
    update_rows(connection, directories, ("vanished_scan", "pending_scan"), ("id", "missing"), living)


def _moved_files(
    connection: Connection, rows: list[tuple[int, str]], source: str, target: str
) -> Iterator[tuple[list[MovedAlong], str]]:
    for directory_id, path in rows:
        living = (files.c.directory_id == directory_id, LIVING)
        # The update comes first: it locks the rows, so the revisions read afterwards are the ones to tell.
        connection.execute(
            update(files).where(*living).values(revision=files.c.revision + 1, vanished_scan=None)
        )
        taskless = files.c.state.in_([int(FileState.NEW), int(FileState.FAILED), int(FileState.RETRYING)])
        connection.execute(update(files).where(*living, taskless).values(_QUEUED))
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
