"""The settings themselves: one frozen object for every command, each field with its limits and its meaning.

`docs/configuration.md` is made from this class. Settings travel to child processes as JSON through a pipe,
never through arguments or the environment, where other users could read a password.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

import platformdirs
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from scanner.config.fields import (
    EMBEDDED,
    REVEAL,
    Face,
    Globs,
    RootMap,
    SecretUrl,
    Words,
    checked_broker,
    checked_database,
    checked_kinds,
    checked_prefix,
    count,
    no_bool,
    seconds,
)
from scanner.media import Kind, parse_kinds


def _default_database() -> SecretUrl:
    return SecretUrl(f"sqlite:///{Path(platformdirs.user_state_dir('scanner')) / 'catalog.db'}")


_DAY_S = 86_400.0


class Settings(BaseSettings):
    """Everything that can be set, for every command; each service takes from it what it needs."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    database_url: Annotated[
        SecretUrl,
        AfterValidator(checked_database),
        Face("sqlite:///FILE or postgresql://...", "--database"),
    ] = Field(default_factory=_default_database)
    """Where the catalog lives. Defaults to `catalog.db` in the user's state directory (SQLite)."""

    broker_url: Annotated[
        SecretUrl,
        AfterValidator(checked_broker),
        Face("embedded, amqp://... or amqps://...", "--broker"),
    ] = SecretUrl(EMBEDDED)
    """Who takes the tasks: RabbitMQ, or `embedded`, which works them off itself. Defaults to `embedded`."""

    prefix: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$"),
        AfterValidator(checked_prefix),
        Face("1 to 64 letters, digits, dots, dashes and underscores, not beginning with `amq.`"),
    ] = "scanner"
    """What the names of all exchanges and queues begin with. Defaults to `scanner`."""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Face("debug, info, warning or error", "--log-level"),
    ] = "info"
    """The least important events that are logged. Defaults to `info`."""

    log_format: Annotated[Literal["console", "json"], Face("console or json", "--log-format")] = "console"
    """How events are logged, on stderr: for a person, or one JSON object a line. Defaults to `console`."""

    settle_s: Annotated[float, *seconds(0, _DAY_S, "--settle")] = 10.0
    """How long a file must have been left alone before it is taken; 0 takes it as found. Defaults to 10."""

    io_timeout_s: Annotated[float, *seconds(0.1, _DAY_S, "--io-timeout")] = 60.0
    """How long one directory or mount may take to answer before it is a problem. Defaults to 60."""

    walk_threads: Annotated[int, *count(1, 256)] = 16
    """How many directories are listed at the same time. Defaults to 16."""

    batch_files: Annotated[int, *count(1, 1_000_000, unit="files")] = 5_000
    """How many directory entries make a transaction. Defaults to 5000."""

    batch_s: Annotated[float, *seconds(0.01, 60)] = 2.0
    """After how long a transaction is committed though it is not full. Defaults to 2."""

    batch_size: Annotated[int, *count(1, 1_000, "--batch-size", "tasks")] = 100
    """How many tasks make a message. Defaults to 100."""

    lease_s: Annotated[float, *seconds(2, 3_600)] = 15.0
    """After how long without a sign of life another scanner's library may be taken over. Defaults to 15."""

    broker_wait_s: Annotated[float, *seconds(0, _DAY_S, "--broker-wait", "SCANNER_BROKER_WAIT")] = 30.0
    """How long to wait for a broker that is not there at the start. Defaults to 30."""

    broker_outage_s: Annotated[float, *seconds(0, 7 * _DAY_S)] = 300.0
    """How long a run bears a broker that went away before it ends; tasks stay. Defaults to 300."""

    heartbeat_s: Annotated[int, *count(1, 3_600, unit="seconds")] = 10
    """The AMQP heartbeat that is asked for. Defaults to 10."""

    publish_window: Annotated[int, *count(1, 10_000, unit="messages")] = 200
    """How many messages may await their confirm at the same time. Defaults to 200."""

    publish_timeout_s: Annotated[float, *seconds(0.1, 3_600)] = 15.0
    """How long one message may await its confirm before the session is given up. Defaults to 15."""

    outbox_high_water: Annotated[int, *count(1, 100_000_000, unit="messages")] = 5_000
    """How many unsent messages make the walk pause until the broker catches up. Defaults to 5000."""

    queue_limit: Annotated[int, *count(0, 1_000_000_000, unit="messages")] = 100_000
    """How many messages may wait in the task queue before publishing pauses; 0 = any. Defaults to 100000."""

    guard_files: Annotated[int, *count(0, 1_000_000_000, unit="files")] = 100
    """Deletions within 24 hours that are never held back, whatever their share. Defaults to 100."""

    guard_percent: Annotated[
        float,
        BeforeValidator(no_bool),
        Field(ge=0, le=100, allow_inf_nan=False),
        Face("a number from 0 to 100"),
    ] = 10.0
    """The share of a library that may go within 24 hours; more is held back. Defaults to 10."""

    kinds: Annotated[
        str,
        AfterValidator(checked_kinds),
        Face("some of video, audio, image, subtitle, other, or all", "--kinds"),
    ] = "video,audio,image,subtitle"
    """The kinds of file to look for, by extension. Defaults to `video,audio,image,subtitle`."""

    include: Annotated[Globs, Face("globs: a list, or text with commas between", "--include")] = ()
    """Look only at files that match one of these globs. Defaults to none, which is every file."""

    exclude: Annotated[Globs, Face("globs: a list, or text with commas between", "--exclude")] = ()
    """Leave out files and directories that match one of these globs. Defaults to none."""

    hidden: Annotated[bool, Face("true or false", "--hidden")] = False
    """Also look at names that begin with a dot. Defaults to false."""

    follow_symlinks: Annotated[bool, Face("true or false", "--follow-symlinks")] = False
    """Also follow symbolic links. Defaults to false."""

    probe: Annotated[bool, Face("true or false", "--probe")] = True
    """Without a broker: look into the files, too, instead of filling the catalog alone. Defaults to true."""

    concurrency: Annotated[int, *count(0, 256, "--concurrency", "files")] = 0
    """How many files are probed at the same time, at most; 0 = one a processor. Defaults to 0."""

    prefetch: Annotated[int, *count(0, 10_000, unit="messages")] = 0
    """How many task messages a worker has in hand; 0 = what its processes keep up with. Defaults to 0."""

    probe_timeout_s: Annotated[float, *seconds(0.1, 1_500, "--probe-timeout")] = 30.0
    """How long one file may take to probe. Defaults to 30."""

    probe_memory_mib: Annotated[int, *count(256, 1_048_576, unit="MiB")] = 1_024
    """How much address space a probe process may have. Defaults to 1024."""

    probe_recycle: Annotated[int, *count(1, 10_000_000, unit="files")] = 10_000
    """After how many files a probe process is replaced by a fresh one. Defaults to 10000."""

    handlers: Annotated[
        Words,
        Face("names of entry points in the group scanner.handlers: a list, or commas between", "--handlers"),
    ] = ("probe",)
    """What is done with each file. Defaults to `probe`."""

    names: Annotated[bool, Face("true or false", "--names")] = True
    """Also read title, year, season and episode from file names. Defaults to true."""

    hash: Annotated[Literal["quick", "full"], Face("quick or full", "--hash")] = "quick"
    """The fingerprint: OpenSubtitles hash, or BLAKE3 of the whole content, too. Defaults to `quick`."""

    nice: Annotated[int, *count(0, 19)] = 10
    """The niceness of probe processes. Defaults to 10."""

    idle_io: Annotated[bool, Face("true or false")] = True
    """Whether probing only reads when nobody else does (Linux's idle I/O class). Defaults to true."""

    io_rate_mib_s: Annotated[
        float,
        BeforeValidator(no_bool),
        Field(ge=0, le=1_000_000, allow_inf_nan=False),
        Face("MiB a second, 0 = any", "--io-rate", "SCANNER_IO_RATE"),
    ] = 0.0
    """How much a worker may read in a second, in MiB; 0 = any. Defaults to 0."""

    drain_timeout_s: Annotated[float, *seconds(0, 3_600, "--drain-timeout")] = 30.0
    """How long a worker that stops may finish what it has in hand; the rest goes back. Defaults to 30."""

    root_map: Annotated[RootMap, Face("FROM=TO with absolute paths: a list, or commas between", "--map")] = ()
    """Where library roots are on this machine: `/srv/films=/mnt/films`. Defaults to none."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what is passed in: `scanner.config.load` brings its own sources."""
        return (init_settings,)

    @field_validator("log_level", "log_format", "hash", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _globs_agree(self) -> Self:
        both = sorted(set(self.include) & set(self.exclude))
        if both:
            raise ValueError(f"{both[0]!r} stands in include and in exclude: nothing could match it")
        return self

    @property
    def embedded_broker(self) -> bool:
        """Whether no broker is configured."""
        return self.broker_url.reveal() == EMBEDDED

    @property
    def kind_set(self) -> frozenset[Kind]:
        """The kinds of file to look for."""
        return parse_kinds(self.kinds)

    def to_json(self) -> bytes:
        """Return all settings for a child process, passwords included: for a pipe, never for a log."""
        return self.model_dump_json(context=REVEAL).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Return the settings that `to_json` gave."""
        return cls.model_validate_json(text)


def face_of(setting: FieldInfo) -> Face:
    """Return how a setting is met outside."""
    return next(item for item in setting.metadata if isinstance(item, Face))
