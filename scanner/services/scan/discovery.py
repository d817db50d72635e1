"""Discovery: what a listing's subdirectories mean for the frontier.

A subdirectory is new, known, back again, or a known directory that moved here. One that a complete listing no
longer shows has vanished with all that is in it, unless it was a mount point. A listing counts as done only
together with the rows of the directories that it showed.
"""

from collections.abc import Sequence

from scanner import paths
from scanner.catalog import files as catalog_files
from scanner.catalog.checkpoint import NewDirectory
from scanner.catalog.files import Child
from scanner.catalog.scans import PendingDirectory
from scanner.files.wire import Listing
from scanner.services.scan.batch import Batch
from scanner.services.scan.context import ScanContext
from scanner.services.scan.frontier import Frontier
from scanner.services.scan.lookout import Lookout
from scanner.services.scan.moves import DirectoryMove, DirectoryMoves
from scanner.services.scan.roots import Roots

Seen = tuple[PendingDirectory, Listing]


class Discovery:
    """Extends batch and frontier by the subdirectories of complete listings."""

    def __init__(self, context: ScanContext, roots: Roots, lookout: Lookout, frontier: Frontier) -> None:
        self._context = context
        self._roots = roots
        self._frontier = frontier
        self._moves = DirectoryMoves(context, lookout)
        self.fresh: set[int] = set()
        """Directories created in this run and not listed yet: nothing is known below them."""
        self.descend = True
        """Whether known subdirectories are listed too; not in a quick scan, which looked at each by itself."""

    def moved(self, seen: Sequence[Seen]) -> list[DirectoryMove]:
        """Return the known directories that these listings show at a new place."""
        if not self._context.had_files:
            return []
        known = self._children(seen)
        arrivals = [
            (directory.id, paths.join(directory.path, name), inode)
            for directory, listing in seen
            for name, inode in listing.subdirectories
            if _is_new(known.get(directory.id, {}).get(paths.join(directory.path, name)))
        ]
        return self._context.retry(lambda: self._moves.resolve(arrivals)) if arrivals else []

    def extend(self, seen: Sequence[Seen], batch: Batch) -> None:
        """Put the subdirectories into the batch and on the frontier."""
        known = self._children(seen)
        for directory, listing in seen:
            children = dict(known.get(directory.id, {}))
            for name, inode in listing.subdirectories:
                path = paths.join(directory.path, name)
                self._extend_by(directory, path, inode, children.pop(path, None), batch)
            if self._absent(listing, children, batch):
                batch.undecided.add(directory.id)

    def _children(self, seen: Sequence[Seen]) -> dict[int, dict[str, Child]]:
        ids = [directory.id for directory, _ in seen if directory.id not in self.fresh]
        if not ids:
            return {}
        return self._context.retry(lambda: catalog_files.children(self._context.database, ids))

    def _extend_by(
        self, directory: PendingDirectory, path: str, inode: int, child: Child | None, batch: Batch
    ) -> None:
        if child is None:
            new = NewDirectory(self._context.directory_ids.take(), directory.id, path, inode)
            batch.new_directories[new.id] = new
            self.fresh.add(new.id)
            self._frontier.push(PendingDirectory(new.id, path, inode, None, None))
        elif self.descend or child.missing or child.vanished or _is_another(child, inode):
            batch.pending.add(child.id)
            self._frontier.push(PendingDirectory(child.id, path, inode, child.digest, child.mount))

    def _absent(self, listing: Listing, children: dict[str, Child], batch: Batch) -> bool:
        """Note which known subdirectories a listing does not show; tell whether there are any."""
        found = False
        troubled = {problem.path for problem in listing.problems}
        for path, child in children.items():
            if child.missing or path in troubled or not self._context.options.filters.covers_directory(path):
                continue
            found = True
            if self._roots.refusal(path) is not None:
                batch.problems.extend(self._roots.report(path))
            else:
                batch.vanished_directories.add(child.id)
        return found


def _is_another(child: Child, inode: int) -> bool:
    return bool(inode and child.inode and inode != child.inode)


def _is_new(child: Child | None) -> bool:
    return child is None or child.missing
