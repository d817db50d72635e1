"""What a message says: results, a task that died, or something that a person has to look at. Pure.

A message is judged by what it holds, whoever sent it. What cannot be read becomes a letter with the reason;
what a newer program wrote is left to that. A dead letter's task becomes the failed result that its worker owes.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from scanner import message
from scanner.broker.api import (
    ERROR_KIND_HEADER,
    REASON_HEADER,
    RETRY_PREFIX,
    Delivery,
    OutgoingMessage,
    check_catalog,
)
from scanner.catalog.letters import Letter
from scanner.catalog.results import Answer, Delayed
from scanner.errors import BrokerRefused
from scanner.message import ErrorKind, Result, ResultBatch, ResultError, TaskBatch

B = TypeVar("B", TaskBatch, ResultBatch)

_TYPE = re.compile(r"scanner\.(tasks|results)\.v([0-9]{1,9})")
_LONGEST_ID = 18
_DELIVERY_LIMIT = "delivery_limit"
_NO_REASON = "nobody said why"
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder may raise at a body: msgspec has no error for bad UTF-8 and for a nesting too deep."""


class NewerVersion(Exception):
    """Raised for a message of a version that this program does not know."""


class Unreadable(Exception):
    """Raised for a message that says nothing we know; the text is the reason."""


@dataclass(slots=True)
class Read:
    """Deliveries, read: what is to be committed, what is to be sent on, and what has to wait in its queue.

    `foreign` are the answers that other catalogs wait for, each with the delivery that it is made of. `later`
    is what cannot be taken now: by us, for a newer program wrote it (`newer_text` says so), or by those others.
    """

    answers: list[Answer] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    foreign: list[tuple[Delivery, OutgoingMessage]] = field(default_factory=list)
    later: list[Delivery] = field(default_factory=list)
    newer_text: str = ""


class _Version(msgspec.Struct):
    version: int


class _Scan(msgspec.Struct):
    scan: str


def read_results(deliveries: Iterable[Delivery], catalog: str) -> Read:
    """Read what the queue of a catalog's results holds."""
    read = Read()
    for delivery in deliveries:
        _read(read, delivery, lambda delivery: read.answers.append(_own_results(delivery, catalog)))
    return read


def read_dead(deliveries: Iterable[Delivery], catalog: str, worker: str) -> Read:
    """Read dead letters; `worker` is who answers for the worker that did not."""
    read = Read()

    def take(delivery: Delivery) -> None:
        batch = _of_letter(delivery, worker)
        if batch.catalog == catalog:
            read.answers.append(Answer(batch))
        else:
            read.foreign.append((delivery, _sent_on(delivery, batch)))

    for delivery in deliveries:
        _read(read, delivery, take)
    return read


def letter_of(delivery: Delivery, reason: str) -> Letter:
    """Return a delivery as a letter to be kept."""
    return Letter(delivery.message_id, reason, delivery.type, delivery.body)


def _read(read: Read, delivery: Delivery, take: Callable[[Delivery], None]) -> None:
    try:
        take(delivery)
    except NewerVersion as error:
        read.later.append(delivery)
        read.newer_text = str(error)
    except Unreadable as error:
        said = delivery.headers.get(REASON_HEADER)
        read.letters.append(letter_of(delivery, f"{said}: {error}" if said else str(error)))
        read.answers.append(Answer(None, *_beside(delivery)))


def _own_results(delivery: Delivery, catalog: str) -> Answer:
    delayed, settles = _beside(delivery)
    if not delivery.body and (delayed or settles):
        return Answer(None, delayed, settles)  # the embedded broker's: an answer without results
    batch = _decoded(delivery, "results", message.decode_results)
    if batch.catalog != catalog:
        raise Unreadable(f"results of another catalog: {batch.catalog}")
    return Answer(batch, delayed, settles)


def _beside(delivery: Delivery) -> tuple[list[Delayed], Sequence[int]]:
    return [_delayed(outgoing) for outgoing in delivery.delayed], delivery.settles


def _delayed(outgoing: OutgoingMessage) -> Delayed:
    """Return a message as the row of the outbox that it becomes: of the scan that made its tasks."""
    delay_s = outgoing.route.removeprefix(RETRY_PREFIX).removesuffix("s")
    return Delayed(
        scan_id=_scan_of(outgoing.body),
        message_id=outgoing.message_id,
        routing_key=message.TASKS,
        body=outgoing.body,
        task_count=outgoing.task_count,
        attempt=outgoing.attempt,
        delay_s=float(delay_s) if outgoing.route.startswith(RETRY_PREFIX) else 0.0,
    )


def _scan_of(body: bytes) -> int:
    try:
        scan = msgspec.json.decode(body, type=_Scan).scan
    except _UNDECODABLE:
        return 0
    return int(scan) if scan.isdecimal() and scan.isascii() and len(scan) <= _LONGEST_ID else 0


def _of_letter(delivery: Delivery, worker: str) -> ResultBatch:
    """Return the results that a dead letter stands for: its own, or the failure of its tasks."""
    if (delivery.type or "").startswith("scanner.results."):
        return _decoded(delivery, "results", message.decode_results)
    tasks = _decoded(delivery, "tasks", message.decode_tasks)
    reason = delivery.headers.get(REASON_HEADER, _NO_REASON)
    error = ResultError(_kind(delivery, reason), reason)
    results = [
        Result(
            file=task.file,
            revision=task.revision,
            content=task.content,
            attempt=message.FINAL_ATTEMPT,
            size=task.size,
            mtime_ns=task.mtime_ns,
            seconds=0.0,
            error=error,
        )
        for task in tasks.tasks
    ]
    return ResultBatch(
        version=message.VERSION,
        catalog=tasks.catalog,
        worker=worker,
        message_id=delivery.message_id,
        library=tasks.library,
        status="failed",
        results=results,
    )


def _kind(delivery: Delivery, reason: str) -> ErrorKind:
    said = delivery.headers.get(ERROR_KIND_HEADER)
    known = next((kind for kind in message.ERROR_KINDS if kind == said), None)
    return known or ("crashed" if _DELIVERY_LIMIT in reason else "rejected")


def _sent_on(delivery: Delivery, batch: ResultBatch) -> OutgoingMessage:
    """Return results as the message that the catalog they belong to waits for."""
    try:
        check_catalog(batch.catalog)
    except BrokerRefused as error:
        raise Unreadable(str(error)) from error
    try:
        message_id = message.result_message_id(delivery.message_id, batch.status, message.FINAL_ATTEMPT)
    except ValueError:
        message_id = message.new_message_id()
    return OutgoingMessage(
        id=delivery.tag,
        message_id=message_id,
        type=message.RESULTS_TYPE,
        route=message.result_route(batch.catalog, batch.status),
        body=message.encode_results(batch),
        attempt=message.FINAL_ATTEMPT,
        task_count=len(batch.results),
    )


def _decoded(delivery: Delivery, what: str, decode: Callable[[bytes], B]) -> B:
    """Return the batch in a message of ours.

    Raises:
        NewerVersion, Unreadable: it is none.
    """
    _check_type(delivery, what)
    try:
        batch = decode(delivery.body)
    except _UNDECODABLE as error:
        _check_version(_version_of(delivery.body))
        raise Unreadable(f"not a {what} message: {error}") from error
    _check_version(batch.version)
    return batch


def _check_type(delivery: Delivery, what: str) -> None:
    if delivery.type is None:
        return
    found = _TYPE.fullmatch(delivery.type)
    if found is None or found[1] != what:
        raise Unreadable(f"not a {what} message: its type is {delivery.type[:100]!r}")
    _check_version(int(found[2]))


def _check_version(version: int | None) -> None:
    if version is not None and version > message.VERSION:
        raise NewerVersion(f"messages of version {version} came, this program knows {message.VERSION}")


def _version_of(body: bytes) -> int | None:
    try:
        return msgspec.json.decode(body, type=_Version).version
    except _UNDECODABLE:
        return None
