"""Logging: every event of ours and of the libraries below goes through structlog to stderr, made harmless.

Invariant: no control character, no stray byte and no URL's password reaches a terminal or a log. A value is
made printable at the very end, after exceptions have become text, so that nothing slips past.
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TextIO

from scanner import paths
from scanner.urls import mask

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

LogFormat = Literal["console", "json"]

_URL = re.compile(r"[A-Za-z][\w+.-]*://\S+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CHATTY = ("aio_pika", "aiormq", "alembic", "sqlalchemy", "asyncio")
_RETOLD = ("aio_pika", "aiormq")
"""They log a lost connection with its traceback, and our session tells it in one line: heard at debug only."""

_MULTILINE_KEYS = frozenset({"exception", "stack"})
_HARMLESS = (bool, int, float, type(None))


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the moment: a live display replaces it while it is shown."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        """The stream of the moment."""
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        raise AttributeError("this handler always writes to sys.stderr")


def configure(level: str, log_format: LogFormat, *, colours: bool | None = None) -> None:
    """Send every event of `level` and above to stderr.

    `colours` None means: on a terminal. Libraries are heard from WARNING on, and in full when `level` is debug.
    """
    import structlog  # noqa: PLC0415 - the command line masks and escapes text long before it logs, if it does

    entry: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *entry,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = _Stderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=entry,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                harmless,
                _renderer(log_format, colours),
            ],
        )
    )
    _install(handler, level.upper())


def _renderer(log_format: LogFormat, colours: bool | None) -> "Processor":
    import structlog  # noqa: PLC0415 - as in `configure`

    if log_format == "json":
        return structlog.processors.JSONRenderer()
    if colours is None:
        colours = sys.stderr.isatty()
    return structlog.dev.ConsoleRenderer(
        colors=colours, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0, sort_keys=False
    )


def _install(handler: logging.Handler, level: str) -> None:
    """Make `handler` the only one, and keep the libraries' own state changes out of ours."""
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        quiet = logging.CRITICAL if name in _RETOLD else max(logging.WARNING, root.level)
        logging.getLogger(name).setLevel(logging.DEBUG if level == "DEBUG" else quiet)


def harmless(_logger: object, _method: str, event: "EventDict") -> "EventDict":
    """Make every value of an event safe to show: a structlog processor."""
    return {key: _lines(value) if key in _MULTILINE_KEYS else _safe(value) for key, value in event.items()}


def _safe(value: object) -> object:
    if isinstance(value, _HARMLESS):
        return value
    if isinstance(value, Mapping):
        return {shown(str(key)): _safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_safe(item) for item in value]
    return shown(str(value))


def _lines(value: object) -> object:
    """Keep a traceback's line breaks: only what is within a line can come from a file's name."""
    return "\n".join(shown(line) for line in value.split("\n")) if isinstance(value, str) else _safe(value)


def shown(text: str) -> str:
    """Return `text` as it may be shown anywhere: passwords masked, nothing in it that a terminal obeys."""
    return paths.printable(_SURROGATE.sub(_escape_surrogate, masked(text)))


def masked(text: str) -> str:
    """Return `text` with the password of every URL in it masked."""
    return _URL.sub(lambda url: mask(url[0]), text) if "://" in text else text


def _escape_surrogate(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
