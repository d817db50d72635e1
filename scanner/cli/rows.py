"""Files as rows: cells of a table for a person, lines of CSV for a program. Pure: values in, text out."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from scanner import paths
from scanner.cli import wording
from scanner.log import shown

if TYPE_CHECKING:
    from scanner.app.search import Page
    from scanner.catalog.search import FoundFile

_HEAD = ("id", "kind", "state", "size", "length", "picture", "codecs", "library", "path")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table(page: "Page") -> str:
    """Return a page as a table; what belongs to a video stands below it."""
    if not page.rows:
        return "no file matches"
    lines = wording.columns([_HEAD, *_cells(page)])
    more = f"\nand {page.more:,} more: narrow the search, or take all with --json or --csv" if page.more else ""
    return lines + more


def _cells(page: "Page") -> Iterator[tuple[str, ...]]:
    for row in page.rows:
        yield (*_facts(row), shown(row.path))
        for beside in page.sidecars.get(row.id, ()):
            yield (*_facts(beside), f"  + {shown(paths.basename(beside.path))}")


def _facts(row: "FoundFile") -> tuple[str, ...]:
    return (
        str(row.id),
        row.kind,
        f"{row.state}: {row.error_kind}" if row.error_kind else row.state,
        wording.size(row.size),
        wording.clock(row.duration_s),
        f"{row.width}x{row.height}" if row.width and row.height else "",
        "/".join(shown(codec) for codec in (row.video_codec, row.audio_codec) if codec),
        shown(row.library),
    )


def csv_rows(
    documents: Iterable[Mapping[str, object]], columns: Sequence[str], *, harmless: bool
) -> Iterator[str]:
    r"""Yield lines of CSV (RFC 4180: commas, double quotes, CRLF), the names of the columns first.

    A text that a spreadsheet would take for a formula has an apostrophe before it. With `harmless`, for a
    terminal, control characters are escaped; without, a name with a line break is quoted as it is.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for document in documents:
        yield _taken(buffer)
        writer.writerow([_cell(document.get(name), harmless=harmless) for name in columns])
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _cell(value: object, *, harmless: bool) -> object:
    if not isinstance(value, str):
        return value
    text = shown(value) if harmless else value
    return f"'{text}" if text.startswith(_FORMULA) else text
