"""What the settings are made of: URLs that keep their password, number ranges, and what each one allows.

Pure. A validator here says in a few words why it refuses; where the value came from and what is allowed is
added by `scanner.config.load`.
"""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, SerializationInfo
from pydantic_core import CoreSchema, core_schema

from scanner.media import parse_kinds
from scanner.urls import mask

EMBEDDED = "embedded"
REVEAL = "reveal"
"""The serialization context under which a URL is written whole."""


class SecretUrl:
    """A URL that never shows its password: `str` and `repr` are masked, `reveal` gives it whole."""

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        self._url = url

    def reveal(self) -> str:
        """Return the URL with its password."""
        return self._url

    def __str__(self) -> str:
        return mask(self._url)

    def __repr__(self) -> str:
        return f"SecretUrl({mask(self._url)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretUrl) and other._url == self._url

    def __hash__(self) -> int:
        return hash(self._url)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls._serialize, info_arg=True, when_used="json"
            ),
        )

    @classmethod
    def _validate(cls, value: object) -> "SecretUrl":
        if isinstance(value, SecretUrl):
            return value
        if isinstance(value, str) and value.isprintable():  # a lone surrogate is not printable either
            return cls(value.strip())
        raise ValueError("it is no printable text")

    @staticmethod
    def _serialize(value: "SecretUrl", info: SerializationInfo) -> str:
        return value.reveal() if info.context == REVEAL else str(value)


@dataclass(frozen=True, slots=True)
class Face:
    """How a setting is met outside: what it allows, its option, and its variable where that is not its name."""

    allowed: str
    option: str = ""
    variable: str = ""


def no_bool(value: object) -> object:
    """Refuse true and false where a number is wanted: pydantic would take them for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("not a number")  # noqa: TRY004 - pydantic reports ValueError
    return value


def as_globs(value: object) -> object:
    """Take one string, as a variable holds it, for globs: one a line, or between commas."""
    if not isinstance(value, str):
        return value
    parts = value.splitlines() if "\n" in value else value.split(",")
    return tuple(part.strip() for part in parts if part.strip())


def seconds(low: float, high: float, option: str = "", variable: str = "") -> tuple[Any, ...]:
    """Return the metadata of a finite number of seconds from `low` to `high`."""
    face = Face(f"a number of seconds from {low:g} to {high:g}", option, variable)
    return BeforeValidator(no_bool), Field(ge=low, le=high, allow_inf_nan=False), face


def count(low: int, high: int, option: str = "", unit: str = "") -> tuple[Any, ...]:
    """Return the metadata of a whole number from `low` to `high`."""
    face = Face(f"a whole number{unit and ' of ' + unit} from {low:,} to {high:,}", option)
    return BeforeValidator(no_bool), Field(ge=low, le=high), face


def checked_roots(value: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a map whose sides are not absolute paths, or that maps a root twice."""
    sources = [entry.partition("=")[0] for entry in value]
    for entry in value:
        source, separator, target = entry.partition("=")
        if not (separator and source.startswith("/") and target.startswith("/")):
            raise ValueError(f"{entry!r} is not FROM=TO with two absolute paths")
        if sources.count(source) > 1:
            raise ValueError(f"{source!r} is mapped twice")
    return value


Globs = Annotated[tuple[str, ...], BeforeValidator(as_globs)]
Words = Annotated[tuple[str, ...], BeforeValidator(as_globs)]
RootMap = Annotated[tuple[str, ...], BeforeValidator(as_globs), AfterValidator(checked_roots)]


def checked_database(value: SecretUrl) -> SecretUrl:
    """Refuse a database that is neither a SQLite file nor PostgreSQL."""
    url = value.reveal()
    if url.startswith("sqlite:///"):
        if url.removeprefix("sqlite:///") in ("", ":memory:"):
            raise ValueError("it needs a file, since several processes share it")
    elif url.startswith("postgresql://"):
        _host(url)
    else:
        raise ValueError("it is neither SQLite nor PostgreSQL")
    return value


def checked_broker(value: SecretUrl) -> SecretUrl:
    """Refuse a broker that is neither the embedded one nor an AMQP URL with a host."""
    url = value.reveal()
    if url == EMBEDDED:
        return value
    if not url.startswith(("amqp://", "amqps://")):
        raise ValueError("it is neither `embedded` nor an AMQP URL")
    if not _host(url):
        raise ValueError("it names no host")
    return value


def checked_kinds(value: str) -> str:
    """Refuse a list that names a kind which does not exist."""
    parse_kinds(value)
    return value


def checked_prefix(value: str) -> str:
    """Refuse the names that RabbitMQ keeps for itself."""
    if value.startswith("amq."):
        raise ValueError("RabbitMQ keeps names that begin with `amq.` for itself")
    return value


def _host(url: str) -> str | None:
    """Return a URL's host; refuse one whose port is none, or whose password breaks it into wrong parts."""
    parts = urlsplit(url)
    if "@" in parts.path and "@" not in parts.netloc:
        raise ValueError("a `/`, `?` or `#` in its password must be percent-encoded")
    try:
        _ = parts.port
    except ValueError:  # its text may quote a piece of the password
        raise ValueError("its port is no number (or its password is not percent-encoded)") from None
    return parts.hostname
