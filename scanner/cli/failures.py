"""`scanner failures`: what could not be processed and why, all that is known of a file, and trying again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from scanner import paths
from scanner.cli import output
from scanner.cli.options import Shared, Text, grouped, option
from scanner.errors import UsageError

if TYPE_CHECKING:
    from scanner.app.search import Wanted

_KINDS = "corrupt, unsupported, timeout, crashed, unreadable, io or rejected."
_FILE = "The file's id, or its path."
_FILES = "Ids or paths of files; of a folder all that is below it."


class _ListByDefault(TyperGroup):
    """A group of commands that lists when none of them is named."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Put `list` before the arguments that name no command."""
        named = bool(args) and (args[0] in self.commands or args[0] == "--help" or not args[0].startswith("-"))
        return super().parse_args(ctx, args if named else ["list", *args])


app = typer.Typer(
    cls=_ListByDefault,
    help="What could not be processed, and trying it again. Lists without a command.",
    rich_markup_mode=None,
)


@dataclass(frozen=True, slots=True)
class FailureOptions:
    """Which failures: the options of `list` and `retry`."""

    library: Annotated[Text, option("--library", metavar="LIBRARY", text="Only this library.")] = None
    kind: Annotated[Text, option("--kind", metavar="KIND", text=f"Only this kind of error: {_KINDS}")] = None

    def wanted(self, file: str | None = None) -> "Wanted":
        """Return what is searched for."""
        from scanner.app.search import Wanted

        library = None if self.library is None else paths.from_os(self.library)
        return Wanted(library=library, error_kind=self.kind, file=file)


@app.command("list")
@grouped
def list_failures(options: FailureOptions, shared: Shared) -> int:
    """List what failed by kind of error, with the first files of each; --json has every file."""
    settings = shared.settings()
    from scanner.app import failures
    from scanner.cli import tables

    if not shared.json:
        output.result(tables.failures(failures.grouped_failures(settings, options.wanted())))
        return 0
    with failures.listed_failures(settings, options.wanted()) as found:
        output.stream(output.json_rows(map(failures.document, found)))
    return 0


@app.command("show")
@grouped
def show_file(
    file: Annotated[str, typer.Argument(metavar="FILE", help=_FILE, show_default=False)], shared: Shared
) -> int:
    """Show all that is known of a file: why it failed, how often it was tried, what is in it."""
    settings = shared.settings()
    from scanner.app import failures
    from scanner.cli import tables

    known = failures.known_file(settings, file)
    shared.answer(failures.known_document(known), tables.known_file(known))
    return 0


@app.command("retry")
@grouped
def retry_failures(
    options: FailureOptions,
    shared: Shared,
    file: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help=_FILES, show_default=False)
    ] = None,
    everything: Annotated[bool, option("--all", text="Every file that has failed.")] = False,
) -> int:
    """Try failed files again: each gets a new task, which the next run or a worker takes up."""
    wanted = _to_retry(options, file or (), everything=everything)
    settings = shared.settings()
    from scanner.app import failures
    from scanner.cli import tables

    retried = failures.retry(settings, wanted)
    shared.answer(retried, tables.retried(retried, embedded=settings.embedded_broker))
    return 0


def _to_retry(options: FailureOptions, files: Sequence[str], *, everything: bool) -> "list[Wanted]":
    chosen = bool(files or options.library or options.kind)
    if everything and files:
        raise UsageError("--all tries every failed file again, but files are named: give one of them")
    if not (chosen or everything):
        raise UsageError("say what to try again: FILE (id or path), --kind, --library or --all")
    return [options.wanted(file) for file in files] or [options.wanted()]
