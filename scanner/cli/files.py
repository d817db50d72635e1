"""`scanner files`: searches the catalog; a table for a person, everything as JSON or CSV for a program."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from scanner import paths
from scanner.cli import output
from scanner.cli.options import Shared, Text, option
from scanner.errors import UsageError

if TYPE_CHECKING:
    from scanner.app.search import Wanted

ROWS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class FileOptions:
    """The options of `scanner files`."""

    text: Annotated[
        Text,
        typer.Argument(metavar="TEXT", help="Part of the path or the title, in any case.", show_default=False),
    ] = None
    library: Annotated[Text, option("--library", metavar="LIBRARY", text="Only this library.")] = None
    kind: Annotated[Text, option("--kind", metavar="KIND", text="video, audio, image, subtitle or other.")] = (
        None
    )
    state: Annotated[
        Text, option("--state", metavar="STATE", text="new, queued, ok, failed, retrying or missing.")
    ] = None
    codec: Annotated[
        Text, option("--codec", metavar="CODEC", text="Of the video or the first sound: h264, hevc, flac, ...")
    ] = None
    container: Annotated[
        Text, option("--container", metavar="FORMAT", text="matroska, mp4, mp3, jpeg, ...")
    ] = None
    height: Annotated[
        Text,
        option(
            "--height", metavar="RANGE", text="Lines of the picture: 2160 or more; 720-1080; -480, at most."
        ),
    ] = None
    duration: Annotated[
        Text, option("--duration", metavar="RANGE", text="How long it plays: 90m or more; 20m-1h30m; -30s.")
    ] = None
    limit: Annotated[
        int | None,
        option("--limit", metavar="N", min=1, text="At most N files. [default: 100 in the table, else all]"),
    ] = None
    csv: Annotated[
        bool, option("--csv", text="All as CSV; ' stands before a text that a spreadsheet would calculate.")
    ] = False

    def wanted(self) -> "Wanted":
        """Return what is searched for."""
        from scanner.app.search import Wanted

        return Wanted(
            text=None if self.text is None else paths.from_os(self.text),
            library=None if self.library is None else paths.from_os(self.library),
            kind=self.kind,
            state=self.state,
            codec=self.codec,
            container=self.container,
            height=self.height,
            duration=self.duration,
        )


def files(options: FileOptions, shared: Shared) -> int:
    """Search the catalog: kind, codec, height, duration, state, text."""
    if shared.json and options.csv:
        raise UsageError("--json and --csv are two forms of one answer: give one of them")
    settings = shared.settings()
    from scanner.app import search
    from scanner.cli import rows

    if not (shared.json or options.csv):
        output.result(rows.table(search.first_files(settings, options.wanted(), options.limit or ROWS_SHOWN)))
        return 0
    with search.found_files(settings, options.wanted(), options.limit) as found:
        documents = map(search.document, found)
        if shared.json:
            output.stream(output.json_rows(documents))
        else:
            output.stream(rows.csv_rows(documents, search.COLUMNS, harmless=sys.stdout.isatty()))
    return 0
