"""Messages as workers send them, put straight into a broker, and a collector that runs beside them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from scanner import message
from scanner.broker.api import Broker, Outcome, OutgoingMessage
from scanner.message import Result, ResultBatch, Status, Task, TaskBatch
from scanner.retry import Patience
from scanner.services.collect import Collect, CollectSettings

PATIENCE = Patience(first_s=0.05, cap_s=0.3, start_s=30, outage_s=30)
SETTINGS = CollectSettings(gather_s=0.01, patience=PATIENCE)


def results(catalog: str, status: Status, *found: Result, version: int = message.VERSION) -> OutgoingMessage:
    """Return a results message."""
    batch = ResultBatch(version, catalog, "host:1", message.new_message_id(), "films", status, list(found))
    return OutgoingMessage(
        id=0,
        message_id=message.new_message_id(),
        type=message.RESULTS_TYPE,
        route=message.result_route(catalog, status),
        body=message.encode_results(batch),
    )


def tasks(catalog: str, *files: int, version: int = message.VERSION) -> bytes:
    """Return the body of a task message."""
    some = [Task(file, 1, 1, "added", f"{file}.mkv", 10, "5", "video") for file in files]
    return message.encode(TaskBatch(version, catalog, "7", "films", "/srv/films", some))


async def send(broker: Broker, *messages: OutgoingMessage) -> Outcome:
    """Publish messages under ids of our own, and return what came of them."""
    session = await broker.open_publishing()
    try:
        return await session.publish([replace(one, id=number) for number, one in enumerate(messages)])
    finally:
        await session.close()


@asynccontextmanager
async def running(*collectors: Collect) -> AsyncIterator[Sequence["asyncio.Task[None]"]]:
    """Run collectors beside the body, and drain them at its end."""
    started = [asyncio.create_task(one.run()) for one in collectors]
    try:
        yield started
        for one in collectors:
            one.drain()
        async with asyncio.timeout(30):
            await asyncio.gather(*started)
    finally:
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)
