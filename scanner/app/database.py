"""Opening the catalog: what must be true of its place before any work begins.

One clear error with the path and the remedy, at once: an unwritable place is never retried.
"""

import os
from pathlib import Path

from scanner import paths
from scanner.catalog.engine import Database
from scanner.catalog.schema import open_database
from scanner.config import Settings
from scanner.errors import DatabaseRefused
from scanner.files.mounts import MountTable, is_network

_SQLITE = "sqlite:///"


def open_catalog(settings: Settings) -> Database:
    """Open the database of the settings, its folder made and its schema current.

    Raises:
        DatabaseError: it cannot be reached, or its place or schema will not do.
    """
    url = settings.database_url.reveal()
    if url.startswith(_SQLITE):
        prepare_file(Path(url.removeprefix(_SQLITE)))
    return open_database(url)


def prepare_file(file: Path) -> None:
    """Make the folder of an SQLite file and see that it can be used.

    Raises:
        DatabaseRefused: unwritable, or on a network file system, where SQLite's locks do not hold.
    """
    shown = paths.printable(paths.from_os(str(file)))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseRefused(
            f"database folder {file.parent} cannot be made ({error.strerror}): make it yourself,"
            " or choose another place with --database"
        ) from error
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise DatabaseRefused(f"database folder {file.parent} is not writable: {_remedy(file)}")
    if file.exists() and not os.access(file, os.R_OK | os.W_OK):
        raise DatabaseRefused(f"database {shown} is not readable and writable: {_remedy(file)}")
    mount = MountTable.load().of(os.fsencode(os.path.realpath(file)))
    if is_network(mount.fs_type):
        raise DatabaseRefused(
            f"database {shown} lies on a network file system ({mount.fs_type}), where SQLite is not safe:"
            " put it on a local disk with --database sqlite:///FILE, or use postgresql://"
        )


def _remedy(file: Path) -> str:
    return f"chown {os.getuid()}:{os.getgid()} {file.parent}, or choose another place with --database"
