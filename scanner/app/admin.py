"""The commands beside `run`: each opens the catalog, asks or changes one thing, and answers in plain values."""

from pathlib import Path

from scanner import paths
from scanner.app.database import open_catalog
from scanner.app.libraries import require_free
from scanner.app.reports import LibraryRow, ScanRow, SchemaReport, StatusReport
from scanner.catalog import leases, letters, libraries, outbox, queries, resending, schema
from scanner.catalog.engine import Database
from scanner.catalog.leases import Grant
from scanner.catalog.libraries import Library
from scanner.catalog.scans import Counters
from scanner.config import Settings
from scanner.errors import LibraryBusy
from scanner.owner import Owner, described
from scanner.urls import mask


def status(settings: Settings) -> StatusReport:
    """Tell how libraries, outbox and relay stand."""
    with open_catalog(settings) as database:
        return StatusReport(
            database=mask(settings.database_url.reveal()),
            broker=mask(settings.broker_url.reveal()),
            libraries=tuple(_row(database, library) for library in libraries.all_libraries(database)),
            outbox_messages=outbox.depth(database),
            outbox_tasks=outbox.task_count(database),
            letters=letters.count(database),
            relay=_described(queries.role_holder(database, outbox.RELAY_ROLE)),
        )


def list_libraries(settings: Settings) -> list[LibraryRow]:
    """Return every library."""
    with open_catalog(settings) as database:
        return [_row(database, library) for library in libraries.all_libraries(database)]


def add_library(settings: Settings, path: str, name: str | None) -> LibraryRow:
    """Make a folder a library.

    Raises:
        UsageError: it is no directory, overlaps a library, or the name is taken.
    """
    with open_catalog(settings) as database:
        require_free(database, path, settings.io_timeout_s)
        return _row(database, libraries.add_library(database, path, name))


def remove_library(settings: Settings, name: str) -> int:
    """Forget a library; return how many living files it had.

    Raises:
        LibraryBusy: it is being scanned.
    """
    with open_catalog(settings) as database:
        library = libraries.library_named(database, name)
        _hold(database, library, settings.lease_s)
        return libraries.remove_library(database, library)


def relocate_library(settings: Settings, name: str, path: str) -> LibraryRow:
    """Point a library at another root.

    Raises:
        LibraryBusy: it is being scanned.
        UsageError: the root is no directory or overlaps another library.
    """
    with open_catalog(settings) as database:
        library = libraries.library_named(database, name)
        require_free(database, path, settings.io_timeout_s, except_id=library.id)
        grant = _hold(database, library, settings.lease_s)
        try:
            libraries.relocate_library(database, library, path)
        finally:
            leases.release(database, grant)
        return _row(database, libraries.library_named(database, name))


def resend(settings: Settings, name: str | None, state: str) -> int:
    """Put the tasks of one library, or of all, into the outbox again; return how many."""
    which: resending.Which = "all" if state == "all" else "queued"
    with open_catalog(settings) as database:
        chosen = (
            libraries.all_libraries(database) if name is None else [libraries.library_named(database, name)]
        )
        catalog = schema.catalog_uuid(database)
        return sum(
            resending.resend(database, catalog, library, which, settings.batch_size) for library in chosen
        )


def backup(settings: Settings, target: Path) -> None:
    """Copy the catalog (SQLite) to a new file.

    Raises:
        DatabaseRefused: not SQLite, or the file exists.
    """
    with open_catalog(settings) as database:
        schema.backup(database, target)


def upgrade_database(settings: Settings) -> SchemaReport:
    """Bring the schema to what this version needs."""
    with Database(settings.database_url.reveal()) as database:
        copy = schema.upgrade(database)
        found = schema.current_schema(database)
        return SchemaReport(found, schema.SCHEMA, None if copy is None else str(copy))


def check_database(settings: Settings) -> SchemaReport:
    """Tell which schema the database has."""
    with Database(settings.database_url.reveal()) as database:
        return SchemaReport(schema.current_schema(database), schema.SCHEMA)


def _hold(database: Database, library: Library, lease_s: float) -> Grant:
    answer = leases.acquire_library(database, library.id, Owner.current(), lease_s)
    if isinstance(answer, Grant):
        return answer
    name = paths.printable(library.name)
    raise LibraryBusy(f"library {name!r} is being scanned by {answer.described}: stop that first")


def _row(database: Database, library: Library) -> LibraryRow:
    scan = queries.last_scan(database, library)
    return LibraryRow(
        name=library.name,
        root=library.root,
        host=library.host,
        state=library.state,
        files=library.file_count,
        files_by_state=queries.files_by_state(database, library),
        lease=_described(queries.library_holder(database, library)),
        last_scan=None if scan is None else _scan_row(scan),
    )


def _scan_row(scan: queries.LastScan) -> ScanRow:
    counts = {field: getattr(scan.counters, field) for field in Counters.__struct_fields__}
    return ScanRow(scan.id, scan.kind, scan.state, scan.started_at, scan.finished_at, counts)


def _described(owner: str | None) -> str | None:
    return None if owner is None else described(owner)
