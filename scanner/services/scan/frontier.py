"""The frontier in memory: directories waiting to be listed, the newest first, refilled from the database.

The rows are the truth. What is held here is bounded: beyond the limit, directories that are committed as
pending are dropped and read again when their turn comes.
"""

from collections.abc import Iterable

from scanner.catalog.scans import PendingDirectory

_HELD_AT_MOST = 8_000


class Frontier:
    """A bounded stack of pending directories and the set of those that are being listed."""

    def __init__(self) -> None:
        self._waiting: list[PendingDirectory] = []
        self._waiting_ids: set[int] = set()
        self.listing: dict[int, PendingDirectory] = {}
        self.more_in_database = False
        """Whether the database may hold pending directories that are not here."""

    def __len__(self) -> int:
        return len(self._waiting) + len(self.listing)

    @property
    def empty(self) -> bool:
        """Whether nothing waits here (the database may hold more)."""
        return not self._waiting

    def push(self, directory: PendingDirectory) -> None:
        """Add a directory unless it is here already."""
        if directory.id not in self._waiting_ids and directory.id not in self.listing:
            self._waiting.append(directory)
            self._waiting_ids.add(directory.id)

    def refill(self, directories: Iterable[PendingDirectory]) -> None:
        """Add what the database gave."""
        for directory in directories:
            self.push(directory)

    def shed(self) -> None:
        """Drop the oldest beyond the limit; to be called when all of them are committed as pending."""
        excess = len(self._waiting) - _HELD_AT_MOST
        if excess > 0:
            dropped, self._waiting = self._waiting[:excess], self._waiting[excess:]
            self._waiting_ids.difference_update(directory.id for directory in dropped)
            self.more_in_database = True

    def take(self, count: int) -> list[PendingDirectory]:
        """Move up to `count` directories from waiting to listing, the newest first."""
        taken = self._waiting[-count:][::-1] if count > 0 else []
        if taken:
            del self._waiting[-len(taken) :]
        for directory in taken:
            self._waiting_ids.discard(directory.id)
            self.listing[directory.id] = directory
        return taken

    def move(self, source: str, target: str) -> set[int]:
        """Follow a moved directory; return the ids of those below it that are being listed at the old path."""
        self._waiting = [_followed(directory, source, target) for directory in self._waiting]
        stale = {key for key, directory in self.listing.items() if _below(directory.path, source)}
        for key in stale:
            self.listing[key] = _followed(self.listing[key], source, target)
        return stale

    def clear(self) -> None:
        """Forget everything; the rows stay."""
        self._waiting.clear()
        self._waiting_ids.clear()
        self.listing.clear()


def _below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")


def _followed(directory: PendingDirectory, source: str, target: str) -> PendingDirectory:
    if not _below(directory.path, source):
        return directory
    return directory._replace(path=target + directory.path[len(source) :])
