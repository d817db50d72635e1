"""Two writers: who lost the lease writes nothing, and what changed behind a scan's back is compared again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from scanner.catalog import files as catalog_files
from scanner.catalog import leases
from scanner.catalog.checkpoint import Checkpoint, NewDirectory, StaleReadError, commit
from scanner.catalog.scans import begin_scan
from scanner.errors import DatabaseUnavailable, LeaseLost
from scanner.owner import Owner
from tests.integration.scan.harness import Library


@contextmanager
def before_write(library: Library, meanwhile: Any) -> Iterator[None]:
    """Call `meanwhile` before each write transaction of a scan."""
    original = library.database.write

    @contextmanager
    def write() -> Iterator[Any]:
        library.database.write = original  # type: ignore[method-assign]
        meanwhile()
        library.database.write = write  # type: ignore[method-assign]
        with original() as connection:
            yield connection

    library.database.write = write  # type: ignore[method-assign]
    try:
        yield
    finally:
        library.database.write = original  # type: ignore[method-assign]


def raise_revision(library: Library, name: str) -> None:
    """Raise a file's revision and content, as `failures retry` will."""
    with library.database.write() as connection:
        connection.execute(
            text("UPDATE files SET revision = revision + 10, content = content + 1 WHERE name = :name"),
            {"name": name},
        )


@pytest.mark.parametrize("change", ["modified", "moved", "deleted", "added"])
def test_a_revision_raised_meanwhile_is_built_upon(library: Library, change: str) -> None:
    library.fill("a/1.mkv", "a/2.mkv")
    library.scan()
    path = library.root / "a/1.mkv"
    if change == "modified":
        path.write_bytes(b"longer than it was")
    elif change == "moved":
        path.rename(library.root / "b.mkv")
    else:
        path.unlink()
    if change == "added":
        library.scan()
        library.fill("a/1.mkv")
    raised: list[bool] = []

    def meanwhile() -> None:
        """Raise once, when the scan is about to write the change."""
        if not raised and is_due():
            raised.append(True)
            raise_revision(library, "1.mkv")

    def is_due() -> bool:
        query = "SELECT id FROM files WHERE vanished_scan IS NOT NULL"
        return change != "deleted" or bool(library.rows(query))

    revision = library.rows("SELECT revision FROM files WHERE name = '1.mkv'")[0][0]
    with before_write(library, meanwhile):
        scanned = library.scan()
    assert raised
    (task,) = scanned.tasks
    assert (task.change, task.revision) == (change, revision + 11)
    library.settled()


def test_a_conflict_at_the_last_moment_is_compared_again(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row changes between being read and being written, in the very transaction before."""
    library.fill("a/1.mkv")
    library.scan()
    (library.root / "a/1.mkv").unlink()
    with library.held() as grant:
        scan = library.prepare(grant, library.options())
        done: list[bool] = []
        original = catalog_files.vanished_files

        def reading(*arguments: Any) -> Any:
            rows = original(*arguments)
            if rows and library.rows("SELECT phase FROM scans WHERE phase = 'conclude'") and not done:
                done.append(True)
                raise_revision(library, "1.mkv")
            return rows

        monkeypatch.setattr(catalog_files, "vanished_files", reading)
        outcome = scan.run()
        (task,) = library.result(scan, outcome).tasks
    assert (task.change, task.revision) == ("deleted", 12)
    library.settled()


def test_a_checkpoint_built_on_an_old_revision_writes_nothing(library: Library) -> None:
    library.fill("1.mkv")
    library.scan()
    file_id = library.id_of("1.mkv")
    with library.held() as grant:
        record = begin_scan(library.database, grant, "full", "x", restart=True)
        checkpoint = Checkpoint(deleted_files=[(file_id, 7)], file_count_change=-1)
        with pytest.raises(StaleReadError):
            commit(library.database, grant, record, checkpoint)
    assert library.row.file_count == 1
    assert "1.mkv" in library.catalog_files()


def test_who_was_fenced_off_can_write_nothing(library: Library) -> None:
    library.fill("a/1.mkv")
    library.scan()
    with library.held() as grant:
        record = begin_scan(library.database, grant, "full", "x", restart=True)
        with library.database.write() as connection:
            connection.execute(text("UPDATE libraries SET lease_expires_at = 0"))
        successor = leases.acquire_library(library.database, library.id, Owner.current(), 60)
        assert isinstance(successor, leases.Grant)
        before = library.rows("SELECT count(*) FROM directories")
        checkpoint = Checkpoint(new_directories={9999: NewDirectory(9999, 1, "x", 5)}, file_count_change=5)
        with pytest.raises(LeaseLost):
            commit(library.database, grant, record, checkpoint)
    assert library.rows("SELECT count(*) FROM directories") == before
    assert library.row.file_count == 1
    leases.release(library.database, grant)
    assert isinstance(leases.acquire_library(library.database, library.id, Owner.current(), 1), leases.Holder)


def test_a_scan_that_loses_its_lease_in_the_middle_stops_with_that_error(library: Library) -> None:
    library.fill(*(f"{folder}/1.mkv" for folder in "abcdef"))
    with library.held() as grant:
        scan = library.prepare(grant, library.options(batch_files=1))
        commits: list[int] = []

        def taken_over() -> None:
            commits.append(1)
            if len(commits) == 7:
                with library.database.write() as connection:
                    connection.execute(text("UPDATE libraries SET lease_epoch = lease_epoch + 1"))

        with before_write(library, taken_over), pytest.raises(LeaseLost):
            scan.run()
    published = len(library.consume())
    assert published < 6
    with library.database.write() as connection:
        connection.execute(text("UPDATE libraries SET lease_owner = NULL"))
    assert library.scan().resumed
    library.settled()


def test_a_database_that_was_away_for_a_moment_is_waited_for(library: Library) -> None:
    library.fill("a/1.mkv", "b/2.mkv")
    library.scan()
    library.fill("a/3.mkv")
    library.rename("b", "c")
    failures = {"read": 0, "write": 0}
    originals = {name: getattr(library.database, name) for name in failures}

    def flaky(name: str) -> Any:
        @contextmanager
        def transaction() -> Iterator[Any]:
            failures[name] += 1
            if scan.progress.stage != "waiting" and failures[name] % 3 == 0:
                raise DatabaseUnavailable("away for a moment")
            with originals[name]() as connection:
                yield connection

        return transaction

    with library.held() as grant:
        scan = library.prepare(grant, library.options())
        for name in failures:
            setattr(library.database, name, flaky(name))
        try:
            outcome = scan.run()
        finally:
            for name, original in originals.items():
                setattr(library.database, name, original)
        scanned = library.result(scan, outcome)
    assert min(failures.values()) > 3
    assert scanned.changes == {("added", "a/3.mkv"), ("moved", "b/2.mkv", "c/2.mkv")}
    library.settled()
