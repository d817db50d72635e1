"""Settling: a file that may still be written is not handed out yet.

A file whose mtime is at least `settle_s` old is settled; the walker says which are not. The scan looks at
their directories once more, `settle_s` after the walk: what was left alone has become old by then. An mtime in
the future never becomes old, so for those two equal looks (size, mtime, ctime) `settle_s` apart decide.
"""

import time

from scanner.catalog.scans import PendingDirectory
from scanner.files.compare import Known
from scanner.files.wire import Entry, Listing

_REMEMBERED_LOOKS = 100_000

Look = tuple[int, int, int, float]
"""size, mtime_ns, ctime_ns, and when it was on the monotonic clock."""


class Settling:
    """Which directories hold unsettled files, and the earlier looks at files from the future."""

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._unsettled: dict[int, tuple[PendingDirectory, int]] = {}
        self._in_parts: dict[int, int] = {}
        self._looks: dict[tuple[int, str], Look] = {}
        self.last_look = 0.0
        """When an unsettled file was last met, on the monotonic clock."""

    @property
    def count(self) -> int:
        """How many files are unsettled as far as is known."""
        return sum(count for _, count in self._unsettled.values())

    @property
    def directories(self) -> list[PendingDirectory]:
        """The directories that hold them."""
        return [directory for directory, _ in self._unsettled.values()]

    def holds(self, directory_id: int) -> bool:
        """Tell whether a directory holds an unsettled file as far as is known."""
        return directory_id in self._unsettled

    @property
    def remaining_s(self) -> float:
        """Seconds until a second look can find everything settled; never more than `settle_s`."""
        return max(0.0, self.last_look + self._settle_s - time.monotonic())

    def judge(
        self, directory: PendingDirectory, listing: Listing, known: list[Known]
    ) -> tuple[list[Entry], set[str]]:
        """Return the listing's settled entries, and the names of files that are there but not settled.

        A file that equals its row is nothing new, however young.
        """
        if not listing.unsettled:
            self._note(directory, listing, 0)
            return listing.files, set()
        rows = {row.name: (row.size, row.mtime_ns) for row in known}
        settled, waiting = list(listing.files), set()
        for name, size, mtime_ns, inode, kind, ctime_ns in listing.unsettled:
            is_known = rows.get(name) == (size, mtime_ns)
            if is_known or self._second_look(directory.id, name, (size, mtime_ns, ctime_ns)):
                settled.append((name, size, mtime_ns, inode, kind))
            else:
                waiting.add(name)
        self._note(directory, listing, len(waiting))
        return settled, waiting

    def _note(self, directory: PendingDirectory, listing: Listing, waiting: int) -> None:
        count = self._in_parts.pop(directory.id, 0) + waiting
        if listing.status == "part":
            self._in_parts[directory.id] = count
        elif not count:
            self._unsettled.pop(directory.id, None)
            return
        if count:
            self._unsettled[directory.id] = (directory, count)
        if waiting:
            self.last_look = time.monotonic()

    def _second_look(self, directory_id: int, name: str, look: tuple[int, int, int]) -> bool:
        """Tell whether a file of the future looked just so `settle_s` ago."""
        if look[1] <= time.time_ns():
            return False
        now = time.monotonic()
        first = self._looks.get((directory_id, name))
        if first is not None and first[:3] == look:
            return now - first[3] >= self._settle_s
        if len(self._looks) < _REMEMBERED_LOOKS:
            self._looks[directory_id, name] = (*look, now)
        return False
