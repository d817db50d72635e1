"""`--dry-run`: the real scan on a throw-away copy of the catalog, so that what it shows is what would happen.

Nothing is written to the catalog and nothing is sent: the copy is an SQLite file in a temporary folder, and no
broker side is started.
"""

import asyncio
import dataclasses
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from scanner import message
from scanner.app.progress import PlannedChange, RunResult
from scanner.catalog import copying, outbox
from scanner.catalog.engine import Database

_SHOWN_AT_MOST = 10_000


class Runnable(Protocol):
    """A run on some catalog."""

    def run(self) -> Coroutine[Any, Any, RunResult]:
        """Do it all; return what came of it."""


def rehearse(database: Database, prepare: Callable[[Database], Runnable]) -> RunResult:
    """Run on a copy; the result lists the first 10,000 changes that a real run would hand out."""
    with (
        tempfile.TemporaryDirectory(prefix="scanner-dry-run-") as folder,
        copying.copy_catalog(database, Path(folder) / "catalog.db") as copy,
    ):
        result = asyncio.run(prepare(copy).run())
        changes = _changes(copy)
        notes = (*result.notes, *_cut(len(changes), result.totals.tasks))
        return dataclasses.replace(result, changes=changes, notes=notes, outbox_messages=0)


def _cut(listed: int, planned: int) -> list[str]:
    return [f"only the first {listed:,} of {planned:,} changes are listed"] if listed < planned else []


def _changes(copy: Database) -> tuple[PlannedChange, ...]:
    changes: list[PlannedChange] = []
    for body in outbox.bodies(copy):
        batch = message.decode_tasks(body)
        for task in batch.tasks:
            path = message.path_text(task.path, task.path_bytes)
            source = None if task.moved_from is None else message.path_text(task.moved_from, task.from_bytes)
            changes.append(PlannedChange(batch.library, task.change, path, source))
        if len(changes) >= _SHOWN_AT_MOST:
            break
    return tuple(changes[:_SHOWN_AT_MOST])
