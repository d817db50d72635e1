"""From the paths on a command line to libraries: known ones, folders inside known ones, new ones."""

import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from scanner import paths
from scanner.catalog import libraries
from scanner.catalog.engine import Database
from scanner.catalog.libraries import Library
from scanner.errors import UsageError

Found = TypeVar("Found")


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
        require_free(database, root, io_timeout_s)
        return Target(libraries.add_library(database, root, name), "")
    if name is not None and name != known.name:
        shown = f"{paths.printable(root)} belongs to library {paths.printable(known.name)!r}"
        raise UsageError(f"{shown}: leave --name out, or remove that library first")
    if root != known.root:
        require_directory(root, io_timeout_s)
    return Target(known, root[len(known.root) :].strip("/"))


def reread(database: Database, target: Target) -> Target:
    """Return the target as the catalog has it now: whoever held the library may have changed its row.

    Raises:
        UsageError: the library has another root by now, or is no more.
    """
    before = target.library
    now = next((row for row in libraries.all_libraries(database) if row.id == before.id), None)
    if now is None or now.root != before.root:
        became = "removed" if now is None else f"relocated to {paths.printable(now.root)}"
        raise UsageError(f"library {paths.printable(before.name)!r} was {became} while it was waited for")
    return replace(target, library=now)


def require_free(database: Database, root: str, io_timeout_s: float, *, except_id: int | None = None) -> None:
    """See that a directory is there, and that no other library of this host shows it by another path.

    Raises:
        UsageError: it is no directory, or the same as, in or around a library's root once links are resolved.
    """
    require_directory(root, io_timeout_s)
    known = [row for row in libraries.all_libraries(database) if row.id != except_id]
    here = [row for row in known if database.dialect == "sqlite" or row.host == socket.gethostname()]
    real, *others = _real_paths([root, *(row.root for row in here)], io_timeout_s)
    for library, other in zip(here, others, strict=True):
        if paths.contains(real, other) or paths.contains(other, real):
            raise UsageError(
                f"root {_shown(root, real)} overlaps library {paths.printable(library.name)!r}"
                f" with root {_shown(library.root, other)}: scan one of the two"
            )


def _shown(root: str, real: str) -> str:
    return paths.printable(root) if root == real else f"{paths.printable(root)} (= {paths.printable(real)})"


def _real_paths(roots: Sequence[str], io_timeout_s: float) -> list[str]:
    """Return each root without symbolic links; as it is if it lies on a mount that does not answer."""

    def real(root: str) -> str:
        return paths.from_os(os.path.realpath(paths.to_os(root)))

    found = _ask([partial(real, root) for root in roots], io_timeout_s)
    return [root if path is None else path for root, path in zip(roots, found, strict=True)]


def _ask(questions: Sequence[Callable[[], Found]], timeout_s: float) -> list[Found | None]:
    """Return the answers, None for those that have not come in time: a dead mount never answers."""
    answers: list[Found | None] = [None] * len(questions)

    def answer(number: int) -> None:
        answers[number] = questions[number]()

    threads = [
        threading.Thread(target=answer, args=[number], name="look", daemon=True)
        for number in range(len(questions))
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return list(answers)


def require_directory(path: str, io_timeout_s: float) -> None:
    """See that a directory is there, on a thread: a dead mount never answers.

    Raises:
        UsageError: it is not there, no directory, or does not answer.
    """
    shown = paths.printable(path)

    def look() -> os.stat_result | OSError:
        try:
            return os.stat(paths.to_os(path))
        except (OSError, ValueError) as error:
            return error if isinstance(error, OSError) else OSError(0, str(error))

    (result,) = _ask([look], io_timeout_s)
    if result is None:
        raise UsageError(
            f"path {shown} does not answer within {io_timeout_s:g} s (--io-timeout): is it mounted?"
        )
    if isinstance(result, OSError):
        raise UsageError(f"path {shown} cannot be scanned: {result.strerror or result}") from result
    if not stat.S_ISDIR(result.st_mode):
        raise UsageError(f"path {shown} is not a directory")
