"""The conclusion: what vanished is looked at once more, and only then is anything deleted.

Invariant: a `deleted` task is written only for a file whose own `lstat` said that it is gone (or no member any
more), in a library whose root and mounts are what they were, within what the deletion guard allows.
"""

from collections.abc import Iterator

from scanner.catalog import files as catalog_files
from scanner.catalog.checkpoint import Checkpoint, ProblemRow
from scanner.catalog.files import Vanished
from scanner.catalog.scans import deleted_within
from scanner.catalog.tasks import Subject
from scanner.catalog.vanished import settle_vanished_directories
from scanner.files.wire import Verified
from scanner.services.scan.context import ScanContext
from scanner.services.scan.lookout import Lookout
from scanner.services.scan.roots import Roots

_CHUNK = 2000
_GUARD_WINDOW_S = 24 * 3600.0


class Conclusion:
    """Decides what became of the files that a scan marked vanished."""

    def __init__(self, context: ScanContext, roots: Roots, lookout: Lookout) -> None:
        self._context = context
        self._roots = roots
        self._lookout = lookout

    def decide(self) -> None:
        """Verify the vanished files, ask the guard, and delete or hold back."""
        gone = sum(self._verify(chunk) for chunk in self._vanished())
        counters = self._context.record.counters
        counters.held_back = gone if gone and not self._guard_allows(gone) else 0
        if not counters.held_back:
            while self._context.commit(self._deletions).deleted_files:
                self._context.raise_if_stopped()
        self._context.retry(self._settle_directories)

    def _vanished(self) -> Iterator[list[Vanished]]:
        last = 0
        while True:
            self._context.raise_if_stopped()
            record = self._context.record
            chunk = self._context.retry(
                lambda: catalog_files.vanished_files(self._context.database, record.id, last, _CHUNK)  # noqa: B023
            )
            if not chunk:
                return
            last = chunk[-1].id
            yield chunk

    def _verify(self, chunk: list[Vanished]) -> int:
        """Take the mark from those that are there after all; return how many are gone."""
        filters = self._context.options.filters
        covered = [row for row in chunk if filters.covers_file(row.path) and not self._roots.refusal(row.path)]
        looks = self._lookout.verify([row.path for row in covered])
        gone = {row.id for row in covered if _is_gone(looks[row.path])}
        spared = [row for row in chunk if row.id not in gone]
        if spared:
            failed = {path: look for path, look in looks.items() if look.status == "failed"}
            self._context.commit(lambda: self._spare(spared, failed))
        return len(gone)

    def _spare(self, rows: list[Vanished], failed: dict[str, Verified]) -> Checkpoint:
        checkpoint = Checkpoint(present_files=[row.id for row in rows])
        for row in rows:
            if row.path in failed:
                errno = failed[row.path].errno
                checkpoint.problems.append(
                    ProblemRow(row.path, "io", errno, "it cannot be told whether it is gone")
                )
            if self._context.options.filters.covers_file(row.path):
                checkpoint.dirty[row.path.rpartition("/")[0]] = "reappeared"
        self._context.record.counters.problems += len(checkpoint.problems)
        return checkpoint

    def _guard_allows(self, gone: int) -> bool:
        options = self._context.options
        if options.confirm_deletes:
            return True
        with self._context.database.read() as connection:
            library_id = self._context.library.id
            recent = deleted_within(connection, library_id, _GUARD_WINDOW_S)
            total = catalog_files.count_living(connection, library_id) + recent
        deleted = gone + recent
        return deleted <= options.guard_files or deleted * 100 <= total * options.guard_percent

    def _deletions(self) -> Checkpoint:
        """Delete the next files that still carry the mark, by the revisions that they have now."""
        context, counters = self._context, self._context.record.counters
        tasks = context.task_writer()
        chunk = catalog_files.vanished_files(context.database, context.record.id, 0, _CHUNK)
        for row in chunk:
            place = (row.path, row.size, row.mtime_ns, row.kind)
            tasks.add("deleted", Subject(row.id, row.revision + 1, row.content, *place))
        counters.deleted += len(chunk)
        return Checkpoint(
            deleted_files=[(row.id, row.revision) for row in chunk],
            messages=tasks.messages(counters),
            file_count_change=-len(chunk),
        )

    def _settle_directories(self) -> None:
        """Vanished directories without a living file are missing now; the others are looked at again."""
        settle_vanished_directories(self._context.database, self._context.grant, self._context.record.id)


def _is_gone(look: Verified) -> bool:
    return look.status in {"gone", "excluded"} or look.is_directory
