"""Task messages of one's own, and what workers made of them: aiormq and json alone, no line of the scanner.

Whoever may write to the broker may send a worker anything, so the tests send it with another program.
"""

import json
import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiormq import spec
from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelNotFoundEntity

from tests.support import amqp
from tests.support.stage import Stage
from tests.support.waiting import wait_until

CATALOG = "2f1c7a52-8c55-4f0f-9a3e-5b1d6f0e7c11"
TASKS_TYPE = "scanner.tasks.v1"
OURS = frozenset({"x-attempt", "x-reason", "x-error-kind"})
"""The headers that are looked at; RabbitMQ adds its own (`x-death`, `x-delivery-count`)."""


def new_id() -> str:
    """Return a message id."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to be sent, or one that was taken out of a queue."""

    body: bytes
    type: str | None = TASKS_TYPE
    message_id: str | None = field(default_factory=new_id)
    headers: dict[str, Any] = field(default_factory=dict)
    redelivered: bool = False

    @property
    def json(self) -> dict[str, Any]:
        """The decoded body."""
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded

    @property
    def files(self) -> list[int]:
        """The ids of the files that its tasks are about."""
        return [task["file"] for task in self.json["tasks"]]


def task(path: str, file: int, *, root: Path | None = None, **fields: object) -> dict[str, object]:
    """Return a task about a file, with its true size and time if it lies below `root`."""
    seen = os.stat(root / path) if root is not None else None
    return {
        "file": file,
        "revision": 1,
        "content": 1,
        "change": "added",
        "path": path,
        "size": seen.st_size if seen else 0,
        "mtime_ns": str(seen.st_mtime_ns if seen else 0),
        "kind": "video",
        **fields,
    }


def batch(root: Path | str, tasks: Sequence[object], **fields: object) -> bytes:
    """Return the body of a task message."""
    known = {"version": 1, "catalog": CATALOG, "scan": "1", "library": "films", "root": str(root)}
    return json.dumps({**known, "tasks": list(tasks), **fields}).encode()


def batch_of(root: Path, paths: Iterable[Path], *, first: int = 1) -> bytes:
    """Return the body of a task message about files below `root`, numbered from `first`."""
    tasks = [task(str(path.relative_to(root)), first + n, root=root) for n, path in enumerate(paths)]
    return batch(root, tasks)


def send(stage: Stage, *letters: Letter) -> None:
    """Put letters into the tasks queue, each confirmed."""

    async def publish(channel: AbstractChannel) -> None:
        for letter in letters:
            await channel.basic_publish(
                letter.body,
                exchange=stage.tasks,
                routing_key="tasks",
                properties=spec.Basic.Properties(
                    delivery_mode=2,
                    message_id=letter.message_id,
                    message_type=letter.type,
                    content_type="application/json",
                    headers=letter.headers,
                ),
            )

    amqp.call(stage.broker_url, publish)


def take(stage: Stage, queue: str, *, requeue: bool = False) -> list[Letter]:
    """Take everything that is ready in a queue; with `requeue` each is rejected once, and stays."""

    async def get(channel: AbstractChannel) -> list[Letter]:
        taken: list[Letter] = []
        declared = await channel.queue_declare(stage.queue(queue), passive=True)
        for _ in range(int(declared.message_count or 0)):
            got = await channel.basic_get(stage.queue(queue))
            if got.delivery_tag is None:
                break
            properties = got.header.properties
            headers = {key: value for key, value in (properties.headers or {}).items() if key in OURS}
            taken.append(
                Letter(
                    got.body,
                    properties.message_type,
                    properties.message_id,
                    headers,
                    bool(got.redelivered),
                )
            )
            if requeue:
                await channel.basic_reject(got.delivery_tag, requeue=True)
            else:
                await channel.basic_ack(got.delivery_tag)
        return taken

    try:
        return amqp.call(stage.broker_url, get)
    except ChannelNotFoundEntity:
        return []


class Results:
    """What workers answer to `CATALOG`: results by file, as they come in."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.by_file: dict[int, list[tuple[str, dict[str, Any]]]] = {}

    def status(self, file: int) -> str | None:
        """Return the status of a file's last result."""
        found = self.by_file.get(file)
        return found[-1][0] if found else None

    def wait_for(self, files: Iterable[int], timeout_s: float = 30.0) -> None:
        """Wait until each of these files has a result."""
        wanted = set(files)
        wait_until(lambda: wanted <= self.fetch(), timeout_s, what=f"results of {sorted(wanted)[:9]}")

    def fetch(self) -> set[int]:
        """Take what has come; return the files that have a result."""
        for letter in take(self._stage, f"results.{CATALOG}"):
            for result in letter.json["results"]:
                self.by_file.setdefault(result["file"], []).append((letter.json["status"], result))
        return set(self.by_file)
