"""The end of a run: its JSON document, and the same in words for a person. Pure: values in, text out."""

from scanner.app.progress import LibraryError, PlannedChange, ProblemGroup, RunResult, ScanTotals
from scanner.cli import holdings, output, wording
from scanner.log import shown

PATHS_SHOWN = 5
CHANGES_SHOWN = 50
_CHANGES = ("added", "modified", "moved", "deleted")
_NEWS = (*_CHANGES, "held_back", "unsettled", "problems", "tasks", "processed")
_MEANING = {
    0: "",
    1: "needs a look (exit 1)",
    2: "wrong usage or configuration (exit 2)",
    3: "database or broker failed (exit 3)",
    4: "a library is being scanned elsewhere (exit 4)",
    5: "a service stalled (exit 5)",
    130: "interrupted; the same command continues (exit 130)",
    143: "terminated; the same command continues (exit 143)",
}


def document(result: RunResult, *, dry_run: bool = False) -> dict[str, object]:
    """Return what `run --json` prints: totals at the top, the same keys for each library in `scans`.

    A dry run adds `changes`: what a real one would have handed out.
    """
    more: dict[str, object] = {
        "scans": result.scans,
        "exit_code": result.exit_code,
        "notes": result.notes,
        "problems_by_kind": result.problems_by_kind,
        "outbox_messages": result.outbox_messages,
        "holdings": result.holdings,
    }
    if result.errors:
        deciding = next((row for row in result.errors if row.exit_code == result.exit_code), result.errors[0])
        more |= {"errors": result.errors, "error": {"kind": deciding.kind, "text": shown(deciding.text)}}
    if dry_run:
        more["changes"] = result.changes
    totals = output.plain(result.totals)
    return {**(totals if isinstance(totals, dict) else {}), **more}


def text(result: RunResult, *, embedded: bool, probe: bool = True, dry_run: bool = False) -> str:
    """Return the summary for a person.

    `embedded` tells that no broker is configured; with `probe` the tasks were worked off all the same.
    """
    blocks = [_library(scan) for scan in result.scans]
    if len(result.scans) > 1:
        blocks.append(_library(result.totals, "all together"))
    if dry_run:
        blocks.append(_planned(result))
    blocks += _holdings(result)
    blocks.append(troubles(result))
    notes = _notes(result, embedded=embedded, probe=probe, dry_run=dry_run)
    blocks.append([f"note: {shown(note)}" for note in notes])
    meaning = _MEANING.get(result.exit_code, f"exit {result.exit_code}")
    blocks.append([f"result: {meaning}"] if meaning else [])
    return "\n".join("\n".join(block) for block in blocks if block)


def _has_news(scan: ScanTotals) -> bool:
    return scan.state != "completed" or not scan.files or any(getattr(scan, name) for name in _NEWS)


def _holdings(result: RunResult) -> list[list[str]]:
    """Return what the libraries hold in which anything has changed, and what failed in them."""
    news = {scan.library for scan in result.scans if _has_news(scan)}
    changed = [one for one in result.holdings if one.library in news]
    return [["", *holdings.held(one), *_apart(holdings.failed(one.failures))] for one in changed]


def _apart(table: list[str]) -> list[str]:
    """Return a table with an empty line before it; nothing for none."""
    return ["", *table] if table else []


def _library(scan: ScanTotals, title: str = "") -> list[str]:
    """Return one library's block, a line where nothing has changed; what would only say nought is left out."""
    name = title or shown(scan.library or "-")
    if not _has_news(scan):
        failed = f"; {scan.failed:,} failed before (scanner failures)" if scan.failed else ""
        found = wording.count(scan.files, "file")
        return [f"{name}: nothing has changed, {found} looked at in {wording.duration(scan.seconds)}{failed}"]
    resumed = ", resumed" if scan.resumed else ""
    lines = [f"{name}: scan {scan.state} in {wording.duration(scan.seconds)}{resumed}"]
    found = f"{_directories(scan.directories)}, {wording.count(scan.files, 'file')}"
    if not scan.directories and scan.files:
        found = f"{wording.count(scan.files, 'file')}, without a directory that had to be listed"
    elif scan.listed < scan.directories:  # more is none of a person's business: some were listed twice
        found += f" ({_directories(scan.listed)} listed in this run)"
    lines.append(f"  found     {found}")
    lines.append(f"  changes   {_changes(scan)}")
    lines.append(
        f"  tasks     {wording.count(scan.tasks, 'task')} in {wording.count(scan.messages, 'message')}"
    )
    if scan.processed or scan.failed or scan.retrying:
        results = f"{scan.processed:,} processed, {scan.failed:,} failed, {scan.retrying:,} waiting for a retry"
        lines.append(f"  results   {results}")
    if scan.problems:
        lines.append(f"  problems  {scan.problems:,}")
    return lines


def _directories(number: int) -> str:
    return wording.count(number, "directory", "directories")


def _changes(scan: ScanTotals) -> str:
    words = [f"{getattr(scan, word):,} {word}" for word in (*_CHANGES, "unchanged")]
    words += [f"{scan.held_back:,} deletions held back"] if scan.held_back else []
    words += [f"{scan.unsettled:,} still being written"] if scan.unsettled else []
    return ", ".join(words)


def _planned(result: RunResult) -> list[str]:
    """Return the first changes that a dry run would have handed out, each a line."""
    if not result.changes:
        return []
    several = len({change.library for change in result.changes}) > 1
    rows = [_change(change, several=several) for change in result.changes[:CHANGES_SHOWN]]
    listed = len(result.changes)
    more = max(listed, result.totals.tasks) - len(rows)
    return ["would hand out:", *rows, *([f"  and {more:,} more (--json lists {listed:,})"] if more else [])]


def _change(change: PlannedChange, *, several: bool) -> str:
    library = f"{shown(change.library)}: " if several else ""
    source = "" if change.moved_from is None else f"{shown(change.moved_from)} -> "
    return f"  {change.change:<9} {library}{source}{shown(change.path)}"


def troubles(result: RunResult) -> list[str]:
    """Return the problems by kind with their first paths, and the errors, as lines."""
    groups = sorted(result.problems_by_kind.items())
    problems = [line for kind, group in groups for line in _problem_group(kind, group)]
    return problems + [_error(row) for row in result.errors]


def _error(row: LibraryError) -> str:
    """Return an error's sentence, after the path that it is about unless it names it itself."""
    path, sentence = shown(row.path), shown(row.text)
    return f"error: {sentence}" if path in sentence else f"error: {path}: {sentence}"


def _problem_group(kind: str, group: ProblemGroup) -> list[str]:
    paths = [f"  {shown(path)}" for path in group.paths[:PATHS_SHOWN]]
    more = group.count - len(paths)
    return [
        f"{wording.count(group.count, 'problem')}: {shown(kind)}",
        *paths,
        *([f"  and {more:,} more"] if paths and more > 0 else []),
    ]


def _notes(result: RunResult, *, embedded: bool, probe: bool, dry_run: bool) -> list[str]:
    notes = list(result.notes)
    retrying = result.totals.retrying
    if dry_run:
        notes.append("this was a dry run: nothing was written, nothing was sent")
        return notes
    if retrying:
        again = wording.count(retrying, "file is", "files are")
        notes.append(f"{again} tried again later, by {'the next run' if embedded else 'a worker'}")
    if embedded and not probe and result.outbox_messages:
        waiting = wording.count(result.outbox_messages, "message waits", "messages wait")
        notes.append(
            f"no broker is configured: {waiting} in the outbox. To send them, run again with"
            " --broker amqp://HOST/ (or SCANNER_BROKER_URL, or broker_url in scanner.toml);"
            " to have the files looked into here, without --no-probe"
        )
    return notes
