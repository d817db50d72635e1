"""Moves: a file or a directory that is known and turns up at another place keeps its id.

A file's inode, size and mtime name it; an `lstat` of the old path decides: gone, or another file by now, means
moved; the same file still there is a hard link. A directory's inode names it; it has moved if its old path is
gone and what was in it is in the new one (an inode may have been given to another directory).
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from scanner import paths
from scanner.catalog import files as catalog_files
from scanner.catalog.files import Placed, PlacedDirectory
from scanner.catalog.scans import PendingDirectory
from scanner.files.compare import Known
from scanner.files.wire import Entry, Verified
from scanner.services.scan.context import ScanContext
from scanner.services.scan.lookout import Lookout

_CHILDREN_SAMPLED = 20


class Arrival(NamedTuple):
    """A file that a listing shows where the catalog has none."""

    directory: PendingDirectory
    entry: Entry

    @property
    def path(self) -> str:
        """Its path, relative to the root."""
        return paths.join(self.directory.path, self.entry[0])


class FileMove(NamedTuple):
    """A known file that turned up at another path."""

    arrival: Arrival
    row: Known
    source: str
    source_directory_id: int


class DirectoryMove(NamedTuple):
    """A known directory that turned up at another path, under another parent row."""

    id: int
    source: str
    target: str
    parent_id: int


class FileMoves:
    """Finds the moves among arrivals; `modified` are this batch's files with new content, by place."""

    def __init__(
        self, context: ScanContext, lookout: Lookout, modified: dict[tuple[int, str], tuple[Known, Entry]]
    ) -> None:
        self._context = context
        self._lookout = lookout
        self._modified = modified
        self._taken: set[int] = set()

    def resolve(self, arrivals: Sequence[Arrival]) -> tuple[list[Arrival], list[FileMove]]:
        """Return the arrivals that are really new, and the moves.

        A move may free a name whose new content counted as modified: that content is an arrival itself, so a
        chain of renames unravels link by link.
        """
        new: list[Arrival] = []
        moves: list[FileMove] = []
        while arrivals:
            found = self._matches(arrivals)
            moves.extend(found.values())
            new.extend(arrival for arrival in arrivals if arrival not in found)
            arrivals = [freed for move in found.values() if (freed := self._freed(move)) is not None]
        return new, moves

    def _matches(self, arrivals: Sequence[Arrival]) -> dict[Arrival, FileMove]:
        pairs = self._candidates(arrivals)
        if not pairs:
            return {}
        looks = self._lookout.verify(list({_place(row) for _, row in pairs}))
        found: dict[Arrival, FileMove] = {}
        for arrival, row in pairs:
            left = _has_left(row.inode, looks.get(_place(row)))
            if left and arrival not in found and row.id not in self._taken:
                self._taken.add(row.id)
                found[arrival] = FileMove(arrival, _known(row), _place(row), row.directory_id)
        return found

    def _candidates(self, arrivals: Sequence[Arrival]) -> list[tuple[Arrival, Placed]]:
        inodes = {arrival.entry[3] for arrival in arrivals} - {0}
        if not inodes:
            return []
        with self._context.database.read() as connection:
            rows = catalog_files.files_by_inode(connection, self._context.library.id, inodes)
        by_identity: dict[tuple[int, int, int], list[Placed]] = defaultdict(list)
        for row in rows:
            by_identity[row.inode, row.size, row.mtime_ns].append(row)
        return [
            (arrival, row)
            for arrival in arrivals
            for row in by_identity.get((arrival.entry[3], arrival.entry[1], arrival.entry[2]), ())
            if _place(row) != arrival.path
        ]

    def _freed(self, move: FileMove) -> Arrival | None:
        for (directory_id, name), (row, entry) in self._modified.items():
            if row.id == move.row.id:
                del self._modified[directory_id, name]
                directory_path = move.source.rpartition("/")[0]
                return Arrival(PendingDirectory(directory_id, directory_path, 0, None, None), entry)
        return None


def _place(row: Placed) -> str:
    return paths.join(row.directory, row.name)


def _has_left(inode: int, look: Verified | None) -> bool:
    """Tell whether something is no longer where it was; what could not be looked at has not left."""
    if look is None or look.status == "failed":
        return False
    return look.status == "gone" or look.inode != inode


def _known(row: Placed) -> Known:
    return Known(
        row.id, row.name, row.size, row.mtime_ns, row.inode, row.state, row.revision, row.content, False
    )


class DirectoryMoves:
    """Finds known directories among those that a listing shows under a new path."""

    def __init__(self, context: ScanContext, lookout: Lookout) -> None:
        self._context = context
        self._lookout = lookout

    def resolve(self, arrivals: Sequence[tuple[int, str, int]]) -> list[DirectoryMove]:
        """Return the moves among new directories, each given as parent's row id, path and inode."""
        pairs = self._candidates(arrivals)
        if not pairs:
            return []
        asked = {path for (_, path, _), row in pairs for path in (path, row.path)}
        looks = self._lookout.verify(sorted(asked))
        moves: dict[int, DirectoryMove] = {}
        for (parent_id, path, inode), row in pairs:
            left = _has_left(inode, looks.get(row.path))
            if left and row.id not in moves and self._holds_the_same(row, path, looks.get(path)):
                moves[row.id] = DirectoryMove(row.id, row.path, path, parent_id)
        return _outermost(list(moves.values()))

    def _candidates(
        self, arrivals: Sequence[tuple[int, str, int]]
    ) -> list[tuple[tuple[int, str, int], PlacedDirectory]]:
        inodes = {inode for _, _, inode in arrivals} - {0}
        if not inodes:
            return []
        with self._context.database.read() as connection:
            rows = catalog_files.directories_by_inode(connection, self._context.library.id, inodes)
        by_inode = {row.inode: row for row in rows if row.path}
        return [
            (arrival, by_inode[arrival[2]])
            for arrival in arrivals
            if arrival[2] in by_inode and not paths.contains(by_inode[arrival[2]].path, arrival[1])
        ]

    def _holds_the_same(self, row: PlacedDirectory, path: str, look: Verified | None) -> bool:
        """Tell whether the directory at `path` is the known one: a rename leaves a directory's mtime alone.

        When it was changed since, half of what it held must be there.
        """
        if look is None or not look.is_directory:
            return False
        if row.mtime_ns is not None and look.mtime_ns == row.mtime_ns:
            return True
        with self._context.database.read() as connection:
            sample = catalog_files.sample_of_directory(connection, row.id, _CHILDREN_SAMPLED)
        expected = {paths.join(path, name): (size, mtime_ns) for name, size, mtime_ns in sample}
        looks = self._lookout.verify(list(expected))
        agreeing = sum((looks[path].size, looks[path].mtime_ns) == expected[path] for path in looks)
        return bool(expected) and agreeing * 2 >= len(expected)


def _outermost(moves: list[DirectoryMove]) -> list[DirectoryMove]:
    """Leave out moves inside a moved directory: they come along with it."""
    sources = {move.source for move in moves}
    return [move for move in moves if not any(_inside(move.source, source) for source in sources)]


def _inside(path: str, directory: str) -> bool:
    return path != directory and paths.contains(directory, path)
