"""What comes from the broker is hostile until it has passed here: nothing else looks at a raw message. Pure.

Invariant: a path that leaves here is relative, below its root, and free of `..` and NUL. What does not pass is
`Refused` with a reason for the dead letters, and never comes near the file system.
"""

import re
import uuid
from dataclasses import dataclass

import msgspec

from scanner import message
from scanner.broker.api import Delivery
from scanner.media import Kind
from scanner.message import Task, TaskBatch

MOST_BYTES = 16 * 1024 * 1024
MOST_TASKS = 1_000
_LONGEST_PATH = 32_768
_INT64 = 1 << 63
_KINDS = frozenset(kind.label for kind in Kind)
_OURS = re.compile(r"scanner\.tasks\.v([0-9]{1,9})")


class NewerVersion(Exception):
    """Raised for a message of a version that this worker does not know: another one has to take it."""


class Refused(Exception):
    """Raised for a message that nobody should take; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A task message that may be worked on: `root` and `places` (one a task) as path text."""

    batch: TaskBatch
    root: str
    places: tuple[str, ...]


class _Version(msgspec.Struct):
    version: int


def admit(delivery: Delivery) -> Admitted:
    """Return what a task message asks for.

    Raises:
        NewerVersion: give it back and stop consuming.
        Refused: send it to the dead letters.
    """
    if len(delivery.body) > MOST_BYTES:
        raise Refused(f"too large: {len(delivery.body):,} bytes, at most {MOST_BYTES:,} are taken")
    _check_type(delivery)
    try:
        version = msgspec.json.decode(delivery.body, type=_Version).version
        if version > message.VERSION:
            raise NewerVersion(f"version {version} of task messages; this worker knows {message.VERSION}")
        batch = message.decode_tasks(delivery.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"not a task message: {error}") from error
    return _checked(batch)


def _check_type(delivery: Delivery) -> None:
    found = _OURS.fullmatch(delivery.type or "")
    if found is None:
        raise Refused(f"not ours: type {str(delivery.type)[:100]!r}, expected {message.TASKS_TYPE}")
    if int(found[1]) > message.VERSION:
        raise NewerVersion(f"{delivery.type}; this worker knows {message.TASKS_TYPE}")
    if not _is_uuid(delivery.message_id):
        raise Refused(f"malformed: the message id {delivery.message_id[:100]!r} is not a UUID")


def _checked(batch: TaskBatch) -> Admitted:
    if batch.version != message.VERSION or not _is_uuid(batch.catalog):
        raise Refused(f"malformed: version {batch.version}, catalog {batch.catalog[:100]!r}")
    if not 0 < len(batch.tasks) <= MOST_TASKS:
        raise Refused(f"malformed: {len(batch.tasks):,} tasks, 1 to {MOST_TASKS:,} are taken")
    root = _text("root", batch.root, batch.root_bytes)
    if not root.startswith("/") or ".." in root.split("/"):
        raise Refused(f"malicious: root {root[:200]!r} is not a plain absolute path")
    return Admitted(batch, root, tuple(_checked_task(task) for task in batch.tasks))


def _checked_task(task: Task) -> str:
    """Return the path of a task as path text."""
    if min(task.file, task.revision, task.content) < 1 or max(task.file, task.revision, task.content) >= _INT64:
        raise Refused(f"malformed: file {task.file}, revision {task.revision}, content {task.content}")
    if not 0 <= task.size < _INT64 or task.kind not in _KINDS or not _is_time(task.mtime_ns):
        raise Refused(f"malformed: file {task.file} has size {task.size}, mtime_ns {task.mtime_ns[:30]!r}")
    place = _text("path", task.path, task.path_bytes)
    if {"", ".", ".."}.intersection(place.split("/")):
        raise Refused(f"malicious: path {place[:200]!r} of file {task.file} is not below its root")
    return place


def _text(what: str, readable: str, raw: str | None) -> str:
    """Return path text from the two fields that a message has for it."""
    try:
        text = message.path_text(readable, raw)
    except ValueError as error:
        raise Refused(f"malformed: {what}_bytes is not base64: {error}") from error
    if "\0" in text or len(text) > _LONGEST_PATH:
        raise Refused(f"malicious: {what} {text[:200]!r} holds NUL or is longer than {_LONGEST_PATH:,}")
    return text


def _is_time(text: str) -> bool:
    return len(text) <= 20 and text.removeprefix("-").isdecimal() and text.isascii() and abs(int(text)) < _INT64


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
