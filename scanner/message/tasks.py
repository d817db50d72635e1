"""Task messages: what a scan hands out.

Paths in messages are readable text; one that is not valid UTF-8 also travels as base64 bytes. `mtime_ns` is a
decimal string, since it lies beyond 2^53.
"""

import base64
import uuid
from typing import Literal

import msgspec

from scanner import paths

TASKS_TYPE = "scanner.tasks.v1"
VERSION = 1
CONTENT_TYPE = "application/json"
APP_ID = "scanner"
ATTEMPT_HEADER = "x-attempt"
TASKS = "tasks"
"""The outbox's routing key of task messages; the broker side maps it to the exchange."""

Change = Literal["added", "modified", "moved", "deleted"]


class Task(msgspec.Struct, omit_defaults=True, rename={"moved_from": "from"}):
    """One file's change: identity is (catalog, file, revision)."""

    file: int
    revision: int
    content: int
    change: Change
    path: str
    size: int
    mtime_ns: str
    kind: str
    path_bytes: str | None = None
    moved_from: str | None = None
    from_bytes: str | None = None
    probe: bool = False


class TaskBatch(msgspec.Struct, omit_defaults=True):
    """The body of a `scanner.tasks.v1` message."""

    version: int
    catalog: str
    scan: str
    library: str
    root: str
    tasks: list[Task]
    root_bytes: str | None = None


_encoder = msgspec.json.Encoder()
_batch_decoder = msgspec.json.Decoder(TaskBatch)


def new_message_id() -> str:
    """Return the id a message keeps for life."""
    return str(uuid.uuid4())


def single_message_id(batch_message_id: str, task: Task, attempt: int) -> str:
    """Return the id of the message that holds one task of a batch alone (CONTRACT.md: UUIDv5).

    Raises:
        ValueError: `batch_message_id` is not a UUID.
    """
    return str(uuid.uuid5(uuid.UUID(batch_message_id), f"{task.file}:{task.revision}:{attempt}"))


def encode(batch: TaskBatch) -> bytes:
    """Return the body of a task message."""
    return _encoder.encode(batch)


def decode_tasks(body: bytes) -> TaskBatch:
    """Return the batch in a task message's body.

    Raises:
        msgspec.ValidationError: the body is JSON, but not of this shape; the text names the field.
        msgspec.DecodeError: the body is not JSON.
    """
    return _batch_decoder.decode(body)


def raw_bytes(path_text: str) -> str | None:
    """Return the base64 of the bytes of a path that is not valid UTF-8, None for any other."""
    if paths.is_exact(path_text):
        return None
    return base64.b64encode(paths.to_bytes(path_text)).decode("ascii")


def path_text(readable: str, raw: str | None) -> str:
    """Return the path text of a path as it came in a message; the inverse of the two fields.

    Raises:
        ValueError: `raw` is not base64.
    """
    return paths.from_bytes(base64.b64decode(raw, validate=True) if raw else readable.encode())
