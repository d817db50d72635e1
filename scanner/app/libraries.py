"""From the paths on a command line to libraries: known ones, folders inside known ones, new ones."""

import os
import stat
import threading
from dataclasses import dataclass

from scanner import paths
from scanner.catalog import libraries
from scanner.catalog.engine import Database
from scanner.catalog.libraries import Library
from scanner.errors import UsageError


@dataclass(frozen=True, slots=True)
class Target:
    """What one path means: a library, and the directory in it to begin at ('' for all of it)."""

    library: Library
    start: str


def resolve(database: Database, root: str, name: str | None, io_timeout_s: float) -> Target:
    """Return what an absolute path means; a folder in no known library becomes a library.

    Raises:
        UsageError: not a directory, `name` belongs to another library, or the root overlaps one.
    """
    known = libraries.library_containing(database, root)
    if known is None:
        require_directory(root, io_timeout_s)
        return Target(libraries.add_library(database, root, name), "")
    if name is not None and name != known.name:
        shown = f"{paths.printable(root)} belongs to library {paths.printable(known.name)!r}"
        raise UsageError(f"{shown}: leave --name out, or remove that library first")
    if root != known.root:
        require_directory(root, io_timeout_s)
    return Target(known, root[len(known.root) :].strip("/"))


def require_directory(path: str, io_timeout_s: float) -> None:
    """See that a directory is there, on a thread: a dead mount never answers.

    Raises:
        UsageError: it is not there, no directory, or does not answer.
    """
    shown = paths.printable(path)
    found: list[os.stat_result | OSError] = []

    def look() -> None:
        try:
            found.append(os.stat(paths.to_os(path)))
        except (OSError, ValueError) as error:
            found.append(error if isinstance(error, OSError) else OSError(0, str(error)))

    thread = threading.Thread(target=look, name="look", daemon=True)
    thread.start()
    thread.join(io_timeout_s)
    if not found:
        raise UsageError(
            f"path {shown} does not answer within {io_timeout_s:g} s (--io-timeout): is it mounted?"
        )
    result = found[0]
    if isinstance(result, OSError):
        raise UsageError(f"path {shown} cannot be scanned: {result.strerror or result}") from result
    if not stat.S_ISDIR(result.st_mode):
        raise UsageError(f"path {shown} is not a directory")
