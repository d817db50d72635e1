"""Comparing a directory's entries with what the catalog knows of it. Pure."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from scanner.files.wire import Entry


class Known(NamedTuple):
    """A living row of the catalog. `vanished` tells that it was once not found and is not concluded on yet."""

    id: int
    name: str
    size: int
    mtime_ns: int
    inode: int
    state: int
    revision: int
    content: int
    vanished: bool


@dataclass(slots=True)
class Comparison:
    """How a directory differs from its rows.

    A file that was marked vanished and is back is in `reappeared` if it is what it was, in `modified` if not.
    `modified` are also equal files that have no task and need one.
    `absent` includes rows that were marked vanished before.
    """

    added: list[Entry] = field(default_factory=list)
    modified: list[tuple[Known, Entry]] = field(default_factory=list)
    reappeared: list[Known] = field(default_factory=list)
    absent: list[Known] = field(default_factory=list)
    renumbered: list[tuple[Known, Entry]] = field(default_factory=list)
    """Equal files whose inode was not known and now is; they count as unchanged or reappeared, too."""
    unchanged: int = 0


def compare(
    entries: list[Entry],
    known: list[Known],
    *,
    present: AbstractSet[str] = frozenset(),
    without_task: int | None = None,
) -> Comparison:
    """Return how `entries`, a complete listing, differ from `known`, the rows this run's options cover.

    `present` names what is there but cannot be compared (unsettled, or with a problem): never absent.
    *Modified* means another size or mtime, or another inode where both are to be trusted (not 0). Rows whose
    state is `without_task` are modified, whatever they hold: what became of their last task nobody knows.
    """
    if not known:
        return Comparison(added=entries)
    result = Comparison()
    rows = {row.name: row for row in known}
    for entry in entries:
        name, size, mtime_ns, inode, _ = entry
        row = rows.pop(name, None)
        if row is None:
            result.added.append(entry)
        elif (
            row.size != size
            or row.mtime_ns != mtime_ns
            or (row.inode != inode and row.inode and inode)
            or row.state == without_task
        ):
            result.modified.append((row, entry))
        else:
            if row.vanished:
                result.reappeared.append(row)
            else:
                result.unchanged += 1
            if inode and not row.inode:
                result.renumbered.append((row, entry))
    result.absent = [row for row in rows.values() if row.name not in present]
    return result
