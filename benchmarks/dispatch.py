r"""Hand files to a worker whose handler does nothing, through a private RabbitMQ, and tell what each one costs.

    python -m benchmarks.dispatch [--files N] [--concurrency N] [--rounds N]

A tree of small files is scanned into the tasks queue (100 tasks a message). Then `scanner worker` starts with a
handler that returns at once: it still takes messages, opens and closes each file, sends results with confirms
and acknowledges. The clock runs from the first results message to the last; CPU time is that of the worker
with its processes as the kernel counted it (`getrusage`), starting them included.
"""

import argparse
import os
import resource
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support import amqp, trees
from tests.support.handlers import install_test_handlers, with_handlers
from tests.support.rabbitmq import RabbitNode

_BATCH = 100
_POLL_S = 0.1


class Bench:
    """One tree, one node; each round has a prefix of its own."""

    def __init__(self, folder: Path, node: RabbitNode, files: int, concurrency: int) -> None:
        self._folder, self._node, self._concurrency = folder, node, concurrency
        self._tree = folder / "tree"
        self._messages = files // _BATCH
        trees.make_flat(self._tree, files, directories=files // 50)

    def round(self, number: int) -> tuple[float, float]:
        """Return files a second, and the worker's CPU time in microseconds a file."""
        prefix = f"dispatch{os.getpid()}.{number}"
        database = self._folder / f"{number}.db"
        environment = os.environ | {
            "SCANNER_DATABASE_URL": f"sqlite:///{database}",
            "SCANNER_BROKER_URL": self._node.url(),
            "SCANNER_PREFIX": prefix,
            "SCANNER_LOG_LEVEL": "warning",
            "SCANNER_QUEUE_LIMIT": "0",
        }
        self._run(environment, "run", str(self._tree), "--kinds", "all", "--settle", "0")
        results = f"{prefix}.results.{_catalog(database)}"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        rate = self._work(environment, results)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return rate, cpu_s * 1e6 / (self._messages * _BATCH)

    def _work(self, environment: dict[str, str], results: str) -> float:
        arguments = ("worker", "--handlers", "noop", "--concurrency", str(self._concurrency), "--json")
        worker = subprocess.Popen(_command(*arguments), env=environment, stdout=subprocess.DEVNULL)
        first = began_s = 0.0
        while (done := amqp.queue_depth(self._node.url(), results)) < self._messages:
            if done and not first:
                first, began_s = done, time.monotonic()
            time.sleep(_POLL_S)
        seconds = time.monotonic() - began_s
        worker.send_signal(signal.SIGTERM)
        worker.wait()
        return (self._messages - first) * _BATCH / seconds

    @staticmethod
    def _run(environment: dict[str, str], *arguments: str) -> None:
        subprocess.run(_command(*arguments, "--json"), env=environment, check=True, stdout=subprocess.DEVNULL)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "scanner", *arguments]


def _catalog(database: Path) -> str:
    with sqlite3.connect(database) as connection:
        return str(connection.execute("SELECT uuid FROM catalog").fetchone()[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--concurrency", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        with_handlers(install_test_handlers(Path(folder) / "handlers")),
    ):
        node = RabbitNode().start()
        try:
            bench = Bench(Path(folder), node, arguments.files, arguments.concurrency)
            rounds = [bench.round(number) for number in range(arguments.rounds)]
        finally:
            node.close()
    for rate, cpu_us in rounds:
        print(f"{rate:9,.0f} files/s  {cpu_us:6.1f} us of CPU a file in the worker and its processes")
    print(f"{statistics.median(rate for rate, _ in rounds):9,.0f} files/s  median")


if __name__ == "__main__":
    main()
