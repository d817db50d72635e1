"""Result messages: what a worker answers, one status a message.

`ok` and `failed` are about a file's content, `gone` and `changed` about its place: a consumer compares the
former by `content`, the latter by `revision`.
"""

import uuid
from typing import Any, Literal, get_args

import msgspec

from scanner.message.media import Media, Name

RESULTS_TYPE = "scanner.results.v1"
RETRY_DELAYS_S = (10, 60, 600)
"""How long a task waits before its second, third and fourth try."""

FINAL_ATTEMPT = len(RETRY_DELAYS_S)
"""The last attempt, counted from 0: what fails then is not tried again by itself."""

Status = Literal["ok", "failed", "gone", "changed"]
ErrorKind = Literal["corrupt", "unsupported", "timeout", "crashed", "unreadable", "io", "rejected"]
STATUSES: tuple[Status, ...] = get_args(Status)
ERROR_KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)
RETRYABLE_KINDS: frozenset[ErrorKind] = frozenset({"timeout", "crashed", "io"})


class ResultError(msgspec.Struct):
    """Why a file failed; `text` is a sentence for the user."""

    kind: ErrorKind
    text: str


class Result(msgspec.Struct, omit_defaults=True):
    """What came of one task; `size` and `mtime_ns` are what the worker saw.

    `media` is absent where nothing was probed: a deleted file, a moved one whose content has its result.
    `extra` holds what plug-in handlers gave, by the handler's name.
    """

    file: int
    revision: int
    content: int
    attempt: int
    size: int
    mtime_ns: str
    seconds: float
    media: Media | None = None
    name: Name | None = None
    fingerprint: dict[str, str] | None = None
    error: ResultError | None = None
    extra: dict[str, Any] | None = None

    @property
    def will_be_retried(self) -> bool:
        """Whether the same content is tried again by itself, after a delay."""
        error = self.error
        return error is not None and error.kind in RETRYABLE_KINDS and self.attempt < FINAL_ATTEMPT


class _Envelope(msgspec.Struct):
    version: int
    catalog: str
    worker: str
    message_id: str
    library: str
    status: Status


class ResultBatch(_Envelope):
    """The body of a `scanner.results.v1` message; `message_id` is that of the task message it answers."""

    results: list[Result]


class ReadyBatch(_Envelope):
    """A result batch whose results are JSON already: what comes out of a probe process is not encoded twice."""

    results: list[msgspec.Raw]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ResultBatch)


def encode_results(batch: ResultBatch | ReadyBatch) -> bytes:
    """Return the body of a result message."""
    return _encoder.encode(batch)


def decode_results(body: bytes) -> ResultBatch:
    """Return the batch in a result message's body.

    Raises:
        msgspec.ValidationError: the body is JSON, but not of this shape; the text names the field.
        msgspec.DecodeError: the body is not JSON.
    """
    return _decoder.decode(body)


def result_route(catalog: str, status: Status) -> str:
    """Return the routing key of a result message, which is also what the outbox and the broker side call it."""
    return f"result.{catalog}.{status}"


def result_message_id(task_message_id: str, status: Status, attempt: int, part: int = 0) -> str:
    """Return the id of the result message that answers a task message with a status: the same at every try.

    `part` counts from 0 the messages that a status needs.

    Raises:
        ValueError: `task_message_id` is not a UUID.
    """
    name = f"{status}:{attempt}:{part}" if part else f"{status}:{attempt}"
    return str(uuid.uuid5(uuid.UUID(task_message_id), name))
