"""What workers and collectors hold: messages that the broker has given them and that are not acknowledged.

A process that is frozen first cannot acknowledge while the broker is asked, so what it holds when it is killed
is a fact, not a guess.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil  # type: ignore[import-untyped]

from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_until


def unacknowledged(node: RabbitNode, queue: str) -> int:
    """Return how many messages of a queue are delivered and not acknowledged (takes a second)."""
    rows = json.loads(node.ctl("list_queues", "name", "messages_unacknowledged", "--formatter", "json"))
    return sum(row["messages_unacknowledged"] for row in rows if row["name"] == queue)


def held_by(node: RabbitNode, pid: int) -> int:
    """Return how many messages a process holds unacknowledged, over all its connections (takes a second)."""
    ports = {one.laddr.port for one in psutil.Process(pid).net_connections("tcp") if one.laddr}
    rows = json.loads(node.ctl("list_channels", "name", "messages_unacknowledged", "--formatter", "json"))
    return sum(row["messages_unacknowledged"] for row in rows if _peer_port(row["name"]) in ports)


def _peer_port(channel: str) -> int:
    """Return the client's port in a channel's name: `127.0.0.1:40000 -> 127.0.0.1:5672 (1)`."""
    return int(channel.partition(" ->")[0].rpartition(":")[2])


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Stop processes in their tracks; those that still live at the end go on."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def wait_held(node: RabbitNode, pid: int) -> int:
    """Wait until a process holds messages, and return how many."""
    return wait_until(lambda: held_by(node, pid), 60, what=f"process {pid} has messages in hand")
