"""The commands: each reads its options, calls one function of `scanner.app` and shows what it answers."""

from pathlib import Path
from typing import Annotated

import typer

from scanner import __version__, paths
from scanner.cli import failures, files, output
from scanner.cli.options import ProbeOptions, RunOptions, Shared, WorkerOptions, grouped

NEEDS_A_LOOK = 1

app = typer.Typer(
    help="Walks media libraries and hands every change to RabbitMQ, losing nothing.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
library = typer.Typer(help="The libraries in the catalog.", rich_markup_mode=None)
database = typer.Typer(help="The database's schema.", rich_markup_mode=None)

Library = Annotated[str, typer.Argument(metavar="LIBRARY", help="The library's name.", show_default=False)]
Folder = Annotated[str, typer.Argument(metavar="PATH", help="The library's folder.", show_default=False)]


def _print_version(wanted: bool) -> None:
    if wanted:
        output.result(f"scanner {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _scanner(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> int:
    if context.invoked_subcommand is None:
        output.result(context.get_help())
        raise typer.Exit(2)
    return 0


@app.command()
@grouped
def run(options: RunOptions, probing: ProbeOptions, shared: Shared) -> int:
    """Scan folders once; ends when every task is confirmed or, without a broker, worked off.

    An interrupted scan resumes.
    """
    request = options.request()
    settings = shared.settings({**options.overrides(), **probing.overrides()})
    from scanner.app.run import run_scans
    from scanner.cli import summary
    from scanner.cli.display import open_display

    with open_display(quiet=shared.json) as display:
        result = run_scans(settings, request, display.observe)
    if shared.json:
        output.json_result(summary.document(result, dry_run=request.dry_run))
        output.say_lines(summary.troubles(result))
    else:
        told = summary.text(
            result, embedded=settings.embedded_broker, probe=settings.probe, dry_run=request.dry_run
        )
        output.result(told)
    return result.exit_code


@app.command()
@grouped
def worker(options: WorkerOptions, probing: ProbeOptions, shared: Shared) -> int:
    """Take tasks from RabbitMQ, look into the files, send results; until it is stopped."""
    settings = shared.settings({**options.overrides(), **probing.overrides()})
    from scanner.app.worker import run_worker
    from scanner.cli.worker import WorkerLines, summary

    result = run_worker(settings, WorkerLines(quiet=shared.json).observe)
    shared.answer(result, summary(result))
    return result.exit_code


@app.command()
@grouped
def status(shared: Shared) -> int:
    """Show the libraries, their last scans, what is queued, failed, missing."""
    settings = shared.settings()
    from scanner.app import admin
    from scanner.cli import tables

    report = admin.status(settings)
    shared.answer(report, tables.status(report))
    return 0


app.command()(grouped(files.files))
app.add_typer(failures.app, name="failures")


@app.command()
@grouped
def resend(
    shared: Shared,
    library: Annotated[
        str | None, typer.Option("--library", metavar="LIBRARY", help="Only this library.", show_default=False)
    ] = None,
    state: Annotated[
        str, typer.Option("--state", metavar="queued|all", help="Which files: queued, or all of them.")
    ] = "queued",
) -> int:
    """Publish again: after a purged queue, or for a new consumer."""
    if state not in ("queued", "all"):
        raise typer.BadParameter(f"{state!r} is neither queued nor all", param_hint="--state")
    settings = shared.settings()
    from scanner.app import admin
    from scanner.cli import tables, wording

    tasks = admin.resend(settings, None if library is None else paths.from_os(library), state)
    told = f"{wording.count(tasks, 'task is', 'tasks are')} in the outbox again"
    shared.answer({"tasks": tasks}, f"{told}; {tables.next_step(embedded=settings.embedded_broker)}")
    return 0


@app.command()
@grouped
def backup(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where the copy goes.", show_default=False)],
    shared: Shared,
) -> int:
    """Copy the catalog while it is in use (SQLite)."""
    settings = shared.settings()
    from scanner.app import admin

    admin.backup(settings, Path(file))
    where = paths.absolute(file)
    shared.answer({"file": where}, f"the catalog is copied to {paths.printable(where)}")
    return 0


@app.command()
@grouped
def doctor(shared: Shared) -> int:
    """Check database, broker and permissions: one line each, with the remedy."""
    settings = shared.settings()
    from scanner.app.doctor import diagnose
    from scanner.cli import tables

    findings = diagnose(settings)
    shared.answer({"findings": findings}, tables.findings(findings))
    return NEEDS_A_LOOK if any(finding.ok == "fail" for finding in findings) else 0


@library.command("list")
@grouped
def list_libraries(shared: Shared) -> int:
    """List the libraries."""
    settings = shared.settings()
    from scanner.app import admin
    from scanner.cli import tables

    rows = admin.list_libraries(settings)
    shared.answer({"libraries": rows}, tables.libraries(rows))
    return 0


@library.command("add")
@grouped
def add_library(
    path: Folder,
    shared: Shared,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="[default: its folder's name]", show_default=False),
    ] = None,
) -> int:
    """Make a folder a library, without scanning it yet."""
    settings = shared.settings()
    from scanner.app import admin
    from scanner.cli import tables

    row = admin.add_library(settings, paths.absolute(path), None if name is None else paths.from_os(name))
    shared.answer(row, tables.libraries([row]))
    return 0


@library.command("remove")
@grouped
def remove_library(name: Library, shared: Shared) -> int:
    """Forget a library and what the catalog knows of its files; the files themselves stay."""
    settings = shared.settings()
    from scanner.app import admin

    admin.remove_library(settings, paths.from_os(name))
    shown = paths.printable(paths.from_os(name))
    shared.answer(
        {"removed": paths.from_os(name)},
        f"{shown} is no longer in the catalog; its files are untouched",
    )
    return 0


@library.command("relocate")
@grouped
def relocate_library(name: Library, path: Folder, shared: Shared) -> int:
    """Tell that a library's folder is now elsewhere: nothing is scanned or sent anew."""
    settings = shared.settings()
    from scanner.app import admin
    from scanner.cli import tables

    row = admin.relocate_library(settings, paths.from_os(name), paths.absolute(path))
    shared.answer(row, tables.libraries([row]))
    return 0


@database.command("upgrade")
@grouped
def upgrade_database(shared: Shared) -> int:
    """Bring the schema to what this version needs."""
    settings = shared.settings()
    from scanner.app import admin
    from scanner.cli import tables

    report = admin.upgrade_database(settings)
    shared.answer(report, tables.schema(report))
    return 0


@database.command("check")
@grouped
def check_database(shared: Shared) -> int:
    """Tell whether the schema is what this version needs; exit 1 if not."""
    settings = shared.settings()
    from scanner.app import admin
    from scanner.cli import tables

    report = admin.check_database(settings)
    shared.answer(report, tables.schema(report))
    return 0 if report.up_to_date else NEEDS_A_LOOK


app.add_typer(library, name="library")
app.add_typer(database, name="db")
