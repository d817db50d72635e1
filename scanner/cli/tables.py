"""What the commands beside `run` answer, as text for a person. Pure: values in, text out."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from scanner import paths
from scanner.app.reports import Finding, LibraryRow, SchemaReport, StatusReport
from scanner.cli import wording
from scanner.log import shown

if TYPE_CHECKING:
    from scanner.app.failures import FailureReport, Group, KnownFile, Retried
    from scanner.catalog.letters import KeptLetter
    from scanner.catalog.media import Probed
    from scanner.catalog.search import FoundFile
    from scanner.message import Stream

_LONGEST = 500
_VERDICTS = {"ok": "ok", "warn": "WARN", "fail": "FAIL"}
_STATES = ("queued", "ok", "failed", "retrying", "missing")
_HEAD = ("library", "state", "files", *_STATES, "last scan", "folder")


def status(report: StatusReport) -> str:
    """Return the libraries, their last scans, and what waits between the catalog and who takes the tasks."""
    waiting = (
        f"{wording.count(report.outbox_messages, 'message')}, {wording.count(report.outbox_tasks, 'task')}"
    )
    none = "none is configured: scanner run works off the tasks by itself"
    lines = [
        f"database  {shown(report.database)}",
        f"broker    {none if report.broker == 'embedded' else shown(report.broker)}",
        f"outbox    {waiting}" + (f"; published by {shown(report.relay)}" if report.relay else ""),
        "",
        libraries(report.libraries),
    ]
    if report.letters:
        unread = wording.count(report.letters, "message")
        lines.insert(3, f"letters   {unread} that nobody could read: scanner failures")
    return "\n".join(lines)


def libraries(rows: Sequence[LibraryRow]) -> str:
    """Return one line a library, and below one for each that is being scanned."""
    if not rows:
        return "no library yet: scanner run PATH"
    leases = [f"{shown(row.name)} is being scanned by {shown(row.lease)}" for row in rows if row.lease]
    return "\n".join([wording.columns([_HEAD, *(_library(row) for row in rows)]), *leases])


def _library(row: LibraryRow) -> tuple[str, ...]:
    states = (f"{row.files_by_state.get(state, 0):,}" for state in _STATES)
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


def failures(report: "FailureReport") -> str:
    """Return the failures by library and kind of error with the first files of each, and the letters."""
    lines = [line for group in report.groups for line in _failure_group(group)]
    lines += _letters(report.letters, report.letters_in_all)
    if not lines:
        return "nothing has failed"
    return "\n".join(
        [*lines, "", "more of one: scanner failures show FILE; again: scanner failures retry FILE"]
    )


def _failure_group(group: "Group") -> Iterator[str]:
    again = f", {group.retrying:,} of them tried again later" if group.retrying else ""
    number = wording.count(group.files, "file")
    kind = f"{group.error_kind or 'failed'} ({wording.meaning(group.error_kind)})"
    yield f"{shown(group.library)}: {number} {kind}{again}"
    width = max((len(str(row.id)) for row in group.first), default=0)
    for row in group.first:
        yield f"  {row.id:>{width}}  {shown(row.path)}: {shown(row.error or '')}"
    more = group.files - len(group.first)
    if more > 0:
        yield f"  and {more:,} more (--json lists them all)"


def _letters(letters: Sequence["KeptLetter"], in_all: int) -> Iterator[str]:
    if not letters:
        return
    yield f"{wording.count(in_all, 'message')} that nobody could read"
    for letter in letters:
        name = shown(letter.message_id or "-")
        yield f"  {wording.moment(letter.received_at)}  {name}: {shown(letter.reason)}"
    if in_all > len(letters):
        yield f"  and {in_all - len(letters):,} more (--json lists them all)"


def retried(report: "Retried", *, embedded: bool) -> str:
    """Return how many tasks a retry has written, and who sends them."""
    if not report.tasks:
        return "nothing that has failed matches: no task was written"
    written = wording.count(report.tasks, "file")
    waiting = f"the outbox holds {wording.count(report.outbox_tasks, 'task')}"
    sender = f"{shown(report.relay)} sends them" if report.relay else next_step(embedded=embedded)
    return f"{written} will be tried again; {waiting}: {sender}"


def next_step(*, embedded: bool) -> str:
    """Return what takes tasks out of the outbox when nobody does at the moment."""
    return "the next scanner run works them off" if embedded else "the next scanner run sends them"


def known_file(known: "KnownFile") -> str:
    """Return all that is known of a file, a fact a line."""
    row = known.file
    facts = [*_standing(row), *_found(row), *(_result(known.result) if known.result else ())]
    facts += [("sidecar", shown(paths.basename(beside.path))) for beside in known.sidecars]
    return "\n".join(f"{name:<11}{text}" for name, text in facts)


def _standing(row: "FoundFile") -> Iterator[tuple[str, str]]:
    """Yield what a scan and the attempts at a file say of it."""
    from scanner.app.search import attempts

    yield "file", f"{row.id}, {row.kind}"
    yield "library", shown(row.library)
    yield "path", shown(row.path)
    yield "size", f"{wording.size(row.size)} ({row.size:,} bytes)"
    yield "changed", wording.moment(row.mtime_ns / 1e9)
    yield "state", row.state
    if row.error_kind:
        yield "error", f"{row.error_kind} ({wording.meaning(row.error_kind)}): {shown(row.error or '')}"
    if tried := attempts(row):
        yield "tried", wording.count(tried, "time")


def _found(row: "FoundFile") -> Iterator[tuple[str, str]]:
    """Yield what the columns of a result hold."""
    if row.container:
        length = f", {wording.clock(row.duration_s)}" if row.duration_s else ""
        rate = f", {row.bit_rate / 1e6:,.1f} Mbit/s" if row.bit_rate else ""
        yield "container", f"{shown(row.container)}{length}{rate}"
    if row.title:
        parts = (
            row.year,
            row.season and f"season {row.season}",
            row.episode and f"episode {row.episode}",
            row.extra,
        )
        yield "title", ", ".join([shown(row.title), *(shown(str(part)) for part in parts if part)])
    known = (("picture", row.width and f"{row.width}x{row.height}"), ("taken", row.taken_at))
    yield from ((name, shown(text)) for name, text in (*known, ("language", row.language)) if text)
    prints = (("oshash", row.oshash), ("blake3", row.blake3))
    yield from ((name, shown(text)) for name, text in prints if text)


def _result(result: "Probed") -> Iterator[tuple[str, str]]:
    """Yield what else a result holds, and who gave it."""
    for stream in result.details.streams:
        yield "stream", _stream(stream)
    if result.details.chapters:
        yield "chapters", str(len(result.details.chapters))
    yield from (("tag", f"{shown(name)}: {shown(text)}") for name, text in result.details.tags.items())
    for name, found in result.details.handlers.items():
        yield "handler", f"{shown(name)}: {shown(msgspec.json.encode(found).decode()[:_LONGEST])}"
    yield (
        "probed",
        f"{wording.moment(result.at)} by {shown(result.worker)} in {wording.duration(result.seconds)}",
    )


def _stream(stream: "Stream") -> str:
    facts = [
        stream.codec,
        stream.profile,
        stream.width and f"{stream.width}x{stream.height}",
        stream.frame_rate and f"{stream.frame_rate:.3g} frames/s",
        stream.hdr,
        stream.channels and wording.count(stream.channels, "channel"),
        stream.sample_rate and f"{stream.sample_rate:,} Hz",
        stream.language,
        stream.title,
    ]
    flags = [word for word in ("default", "forced", "picture") if getattr(stream, word)]
    return " ".join([stream.type, ", ".join(shown(str(fact)) for fact in [*facts, *flags] if fact)])
