"""The options: groups of them as dataclasses, and what makes a command take a whole group as one parameter.

An option that is also a setting stays text here: `scanner.config` checks it, so that a wrong value is refused
in the same words wherever it came from.
"""

import dataclasses
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scanner import paths
from scanner.app.progress import RunRequest
from scanner.cli import output
from scanner.errors import UsageError

if TYPE_CHECKING:
    from scanner.config import Settings

Text = str | None
Flag = bool | None
Words = list[str] | None


def option(*names: str, metavar: str | None = None, text: str, **more: Any) -> Any:
    """Return an option as a field of a group declares it; `text` says its default, if it has one."""
    return typer.Option(*names, metavar=metavar, help=text, show_default=False, **more)


@dataclass(frozen=True, slots=True)
class Shared:
    """The options that every command takes."""

    database: Annotated[
        Text, option("--database", metavar="URL", text="The catalog: sqlite:///FILE or postgresql://...")
    ] = None
    broker: Annotated[
        Text,
        option("--broker", metavar="URL", text="Who takes the tasks: amqp://..., amqps://... or embedded."),
    ] = None
    config: Annotated[
        Text, option("--config", metavar="FILE", text="Read settings from this scanner.toml.")
    ] = None
    log_level: Annotated[
        Text, option("--log-level", metavar="LEVEL", text="debug, info, warning or error. [default: info]")
    ] = None
    log_format: Annotated[
        Text, option("--log-format", metavar="FORMAT", text="console or json. [default: console]")
    ] = None
    json: Annotated[bool, option("--json", text="Print the result as one JSON document.")] = False

    def settings(self, more: Mapping[str, object] | None = None) -> "Settings":
        """Return the settings, `more` being those given by the command's own options, and start the log.

        Raises:
            UsageError: a setting is wrong.
        """
        from scanner import log
        from scanner.config import load_settings

        options = {
            "database_url": self.database,
            "broker_url": self.broker,
            "log_level": self.log_level,
            "log_format": self.log_format,
            **(more or {}),
        }
        settings = load_settings(options, os.environ, Path(self.config) if self.config else None)
        colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        log.configure(settings.log_level, settings.log_format, colours=colours)
        return settings

    def answer(self, value: object, text: str) -> None:
        """Write a command's result in the form that was asked for."""
        if self.json:
            output.json_result(value)
        else:
            output.result(text)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of `scanner run`."""

    path: Annotated[list[str], typer.Argument(metavar="PATH", help="The folders to scan.", show_default=False)]
    name: Annotated[
        Text, option("--name", metavar="NAME", text="The library's name. [default: its folder's name]")
    ] = None
    quick: Annotated[
        bool, option("--quick", text="Trust a folder's time of change; misses edits made in place.")
    ] = False
    dry_run: Annotated[bool, option("--dry-run", text="Say what would change; write and send nothing.")] = False
    limit: Annotated[
        int | None, option("--limit", metavar="N", min=1, text="Stop after N new files: start small.")
    ] = None
    batch_size: Annotated[
        Text, option("--batch-size", metavar="N", text="Tasks in a message, 1 to 1000. [default: 100]")
    ] = None
    confirm_deletes: Annotated[
        bool, option("--confirm-deletes", text="Let deletions through that the guard holds back.")
    ] = False
    include: Annotated[
        Words, option("--include", metavar="GLOB", text="Look only at files that match. Repeatable.")
    ] = None
    exclude: Annotated[
        Words, option("--exclude", metavar="GLOB", text="Leave out what matches. Repeatable.")
    ] = None
    kinds: Annotated[
        Text,
        option(
            "--kinds",
            metavar="KINDS",
            text="Which files. [default: video,audio,image,subtitle; or: other, all]",
        ),
    ] = None
    hidden: Annotated[Flag, option("--hidden/--no-hidden", text="Also names that begin with a dot.")] = None
    follow_symlinks: Annotated[
        Flag, option("--follow-symlinks/--no-follow-symlinks", text="Also what symbolic links lead to.")
    ] = None
    io_timeout: Annotated[
        Text,
        option("--io-timeout", metavar="SECONDS", text="How long a folder may take to answer. [default: 60]"),
    ] = None
    settle: Annotated[
        Text,
        option("--settle", metavar="SECONDS", text="How long a file must have been left alone. [default: 10]"),
    ] = None
    broker_wait: Annotated[
        Text,
        option("--broker-wait", metavar="SECONDS", text="How long to wait for an absent broker. [default: 30]"),
    ] = None
    restart: Annotated[bool, option("--restart", text="Forget an interrupted scan instead of resuming it.")] = (
        False
    )

    wait: Annotated[bool, option("--wait", text="End only when the results are in (with a broker).")] = False
    probe: Annotated[
        Flag, option("--probe/--no-probe", text="Without a broker: also look into the files. [default: probe]")
    ] = None
    strict: Annotated[bool, option("--strict", text="Exit 1 if files have failed.")] = False

    def overrides(self) -> dict[str, object]:
        """Return the settings among the options, by the settings' names; None = not given."""
        return {
            "batch_size": self.batch_size,
            "include": self.include or None,
            "exclude": self.exclude or None,
            "kinds": self.kinds,
            "hidden": self.hidden,
            "follow_symlinks": self.follow_symlinks,
            "io_timeout_s": self.io_timeout,
            "settle_s": self.settle,
            "broker_wait_s": self.broker_wait,
            "probe": self.probe,
        }

    def request(self) -> RunRequest:
        """Return what is asked of this run.

        Raises:
            UsageError: options contradict each other.
        """
        if self.name is not None and len(self.path) > 1:
            raise UsageError(f"--name {self.name} names one library, but {len(self.path)} paths are given")
        if self.dry_run and self.restart:
            raise UsageError(
                "--restart forgets an interrupted scan, but --dry-run writes nothing: give one of them"
            )
        return RunRequest(
            paths=tuple(dict.fromkeys(paths.absolute(path) for path in self.path)),
            name=None if self.name is None else paths.from_os(self.name),
            quick=self.quick,
            dry_run=self.dry_run,
            restart=self.restart,
            limit=self.limit,
            confirm_deletes=self.confirm_deletes,
            wait=self.wait,
            strict=self.strict,
        )


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """The options of whatever looks into files: `scanner worker`, and `scanner run` without a broker."""

    concurrency: Annotated[
        Text,
        option("--concurrency", metavar="N", text="Files at the same time. [default: 0, one a processor]"),
    ] = None
    probe_timeout: Annotated[
        Text, option("--probe-timeout", metavar="SECONDS", text="How long a file may take. [default: 30]")
    ] = None
    names: Annotated[
        Flag, option("--names/--no-names", text="Read title, season and so on from names. [default: names]")
    ] = None
    hash: Annotated[
        Text, option("--hash", metavar="quick|full", text="full: BLAKE3 of every byte. [default: quick]")
    ] = None
    io_rate: Annotated[
        Text, option("--io-rate", metavar="MIB", text="MiB to read in a second, at most. [default: 0, any]")
    ] = None
    handlers: Annotated[
        Words,
        option("--handlers", metavar="NAME", text="What to do with a file. Repeatable. [default: probe]"),
    ] = None

    def overrides(self) -> dict[str, object]:
        """Return the settings among the options, by the settings' names; None = not given."""
        return {
            "concurrency": self.concurrency,
            "probe_timeout_s": self.probe_timeout,
            "names": self.names,
            "hash": self.hash,
            "io_rate_mib_s": self.io_rate,
            "handlers": self.handlers or None,
        }


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The options of `scanner worker` alone."""

    root_map: Annotated[
        Words, option("--map", metavar="FROM=TO", text="Where a library's root is here. Repeatable.")
    ] = None
    drain_timeout: Annotated[
        Text,
        option(
            "--drain-timeout",
            metavar="SECONDS",
            text="How long a stop may finish what is in hand. [default: 30]",
        ),
    ] = None

    def overrides(self) -> dict[str, object]:
        """Return the settings among the options, by the settings' names; None = not given."""
        return {"root_map": self.root_map or None, "drain_timeout_s": self.drain_timeout}


def grouped(command: Callable[..., int]) -> Callable[..., int]:
    """Return `command` as Typer takes it: each parameter that is a group becomes the group's own options."""
    signature = inspect.signature(command)
    declared = signature.parameters.values()
    groups = {
        item.name: [row.name for row in dataclasses.fields(item.annotation)]
        for item in declared
        if dataclasses.is_dataclass(item.annotation)
    }

    def invoke(**given: Any) -> int:
        for name, names in groups.items():
            values = {field: given.pop(field) for field in names}
            given[name] = signature.parameters[name].annotation(**values)
        return command(**given)

    spread = [one for item in declared for one in _spread(item)]
    invoke.__signature__ = inspect.Signature(spread)  # type: ignore[attr-defined]
    invoke.__annotations__ = {item.name: item.annotation for item in spread}
    invoke.__name__, invoke.__doc__ = command.__name__, command.__doc__
    return invoke


def _spread(item: inspect.Parameter) -> list[inspect.Parameter]:
    """Return the parameters that stand for one: itself, or the fields of the group that it is."""
    if not dataclasses.is_dataclass(item.annotation):
        return [item.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
    return [
        inspect.Parameter(
            row.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if row.default is dataclasses.MISSING else row.default,
            annotation=row.type,
        )
        for row in dataclasses.fields(item.annotation)
    ]
