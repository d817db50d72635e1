"""What the commands beside `run` answer, as text for a person. Pure: values in, text out."""

from collections.abc import Sequence

from scanner.app.reports import Finding, LibraryRow, SchemaReport, StatusReport
from scanner.cli import wording
from scanner.log import shown

_VERDICTS = {"ok": "ok", "warn": "WARN", "fail": "FAIL"}
_HEAD = ("library", "state", "files", "queued", "failed", "missing", "last scan", "folder")


def status(report: StatusReport) -> str:
    """Return the libraries, their last scans, and what waits between the catalog and the broker."""
    waiting = (
        f"{wording.count(report.outbox_messages, 'message')}, {wording.count(report.outbox_tasks, 'task')}"
    )
    lines = [
        f"database  {shown(report.database)}",
        f"broker    {'none is configured' if report.broker == 'embedded' else shown(report.broker)}",
        f"outbox    {waiting}" + (f"; published by {shown(report.relay)}" if report.relay else ""),
        "",
        libraries(report.libraries),
    ]
    return "\n".join(lines)


def libraries(rows: Sequence[LibraryRow]) -> str:
    """Return one line a library, and below one for each that is being scanned."""
    if not rows:
        return "no library yet: scanner run PATH"
    leases = [f"{shown(row.name)} is being scanned by {shown(row.lease)}" for row in rows if row.lease]
    return "\n".join([wording.columns([_HEAD, *(_library(row) for row in rows)]), *leases])


def _library(row: LibraryRow) -> tuple[str, ...]:
    states = (f"{row.files_by_state.get(state, 0):,}" for state in ("queued", "failed", "missing"))
    last = row.last_scan
    scan = "never" if last is None else f"{wording.moment(last.finished_at or last.started_at)} {last.state}"
    return (shown(row.name), row.state, f"{row.files:,}", *states, scan, shown(f"{row.host}:{row.root}"))


def findings(rows: Sequence[Finding]) -> str:
    """Return one line a finding; one that is not well is followed by its remedy."""
    return "\n".join(line for row in rows for line in _finding(row))


def _finding(row: Finding) -> list[str]:
    line = f"{_VERDICTS[row.ok]:<4}  {row.name}: {shown(row.text)}"
    return [line, f"      -> {shown(row.remedy)}"] if row.remedy and row.ok != "ok" else [line]


def schema(report: SchemaReport) -> str:
    """Return where the schema stands, and where the copy is that an upgrade made."""
    if not report.up_to_date:
        return (
            f"the schema is {report.current or 'empty'}, this version needs {report.needed}: scanner db upgrade"
        )
    copied = f"; before that it was copied to {shown(report.backup)}" if report.backup else ""
    return f"the schema is {report.current}, as this version needs it{copied}"
