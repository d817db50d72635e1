"""The disease, made on purpose: a scanner that walks on its event loop and gathers over every path.

The control of the heartbeat tests (it must lose its connection) and the baseline of the benchmarks. One
message a file, transient, no catalog. Run it: `python -m tests.support.naive ROOT AMQP_URL QUEUE`.
"""

import asyncio
import json
import os
import sys

import aio_pika
from aio_pika.abc import AbstractExchange


async def scan(root: str, url: str, queue: str) -> int:
    """Publish every file of `root` to `queue` and return how many there were."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})
        paths = [
            os.path.join(folder, name) for folder, _, names in os.walk(os.fsencode(root)) for name in names
        ]
        await asyncio.gather(*(_publish(channel.default_exchange, queue, path) for path in paths))
    return len(paths)


async def _publish(exchange: AbstractExchange, queue: str, path: bytes) -> None:
    body = {"path": path.decode("utf-8", "backslashreplace"), "size": os.lstat(path).st_size}
    await exchange.publish(aio_pika.Message(json.dumps(body).encode()), routing_key=queue)


def main() -> None:
    """Scan as the command line says; exit 1 once the connection is lost."""
    root, url, queue = sys.argv[1:]
    try:
        count = asyncio.run(scan(root, url, queue))
    except (aio_pika.exceptions.AMQPError, OSError, asyncio.CancelledError) as error:
        print(f"connection lost: {error!r}", file=sys.stderr)
        sys.exit(1)
    print(count)


if __name__ == "__main__":
    main()
