r"""Scan a big tree beside `find`, all in one run, and print the table.

    python -m benchmarks.scale TREE [--rounds N] [--database sqlite|postgresql] [--write FILE]

Every figure is the median of its rounds, hot cache. A private RabbitMQ node takes the messages (quorum queue,
batches of 100, every message confirmed before a run ends); SQLite runs with `synchronous=FULL`. Ratios are to
`find TREE -type f -printf '%s %T@\n'` in the same round, since machines are shared. Memory is VmHWM of each
process of a run, read while it lives.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.postgresql import PostgresCluster
from tests.support.processes import descendants, process, role_of
from tests.support.rabbitmq import RabbitNode

_SMALL_FILES = 100_000
_SAMPLE_EVERY_S = 0.05


@dataclass(slots=True)
class Figure:
    """One thing measured: seconds by round, and the highest VmHWM (MB) by process role."""

    seconds: list[float] = field(default_factory=list)
    memory_mb: dict[str, float] = field(default_factory=dict)

    @property
    def median_s(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.seconds)

    @property
    def largest_mb(self) -> float:
        """VmHWM of the largest process."""
        return max(self.memory_mb.values(), default=0.0)


class Bench:
    """The commands on one tree, with one database after another."""

    def __init__(self, tree: Path, broker: str, new_database: Callable[[], str]) -> None:
        self._tree = tree
        self._broker = broker
        self._new_database = new_database
        self._database = new_database()

    def find(self, figure: Figure) -> None:
        """Time `find` over the tree."""
        command = ["find", str(self._tree), "-type", "f", "-printf", r"%s %T@\n"]
        started = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        figure.seconds.append(time.monotonic() - started)

    def fresh(self, figure: Figure, *arguments: str) -> dict[str, int]:
        """Time a first scan into an empty database."""
        self._database = self._new_database()
        return self.scan(figure, *arguments)

    def scan(self, figure: Figure, *arguments: str, path: Path | None = None) -> dict[str, int]:
        """Time a run over the tree (or `path`) with the database as it is."""
        command = [sys.executable, "-m", "scanner", "run", str(path or self._tree), "--kinds", "all", "--json"]
        started = time.monotonic()
        run = subprocess.Popen([*command, *arguments], env=self._environment(), stdout=subprocess.PIPE)
        with _memory_watched(run.pid, figure.memory_mb):
            output, _ = run.communicate()
        if run.returncode:
            raise SystemExit(f"{command} ended with {run.returncode}: {output.decode()}")
        figure.seconds.append(time.monotonic() - started)
        result: dict[str, int] = json.loads(output)
        return result

    def _environment(self) -> dict[str, str]:
        settings = {
            "SCANNER_DATABASE_URL": self._database,
            "SCANNER_BROKER_URL": self._broker,
            "SCANNER_PREFIX": f"bench{time.monotonic_ns()}",
            "SCANNER_LOG_LEVEL": "warning",
            "SCANNER_QUEUE_LIMIT": "0",
        }
        return os.environ | settings


@contextmanager
def _memory_watched(pid: int, memory_mb: dict[str, float]) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLE_EVERY_S):
            family = [process(pid), *descendants(pid)]
            for one in family:
                if one is not None:
                    role = role_of(one, pid)
                    memory_mb[role] = max(memory_mb.get(role, 0.0), one.memory_peak_bytes() / 2**20)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    measure: str
    goal: str
    value: str


def measure(bench: Bench, small: Bench, empty: Path, rounds: int) -> list[Row]:
    """Run every measure `rounds` times, side by side; return the table."""
    names = ("find", "fresh", "rescan", "quick", "empty")
    figures = {name: Figure() for name in names}
    bench.find(Figure())  # warms the cache
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        bench.find(figures["find"])
        files = bench.fresh(figures["fresh"])["files"]
        bench.find(figures["find"])
        bench.scan(figures["rescan"])
        bench.scan(figures["quick"], "--quick")
        bench.scan(figures["empty"], path=empty)
    at_100k = Figure()
    small_files = small.fresh(at_100k)["files"]
    return _table(figures, at_100k, files, small_files)


def _table(figures: dict[str, Figure], small: Figure, files: int, small_files: int) -> list[Row]:
    find = figures["find"].median_s

    def ratio(seconds: float) -> str:
        return f"{seconds:.2f} s = {seconds / find:.2f}x find"

    quick = figures["quick"].median_s - figures["empty"].median_s
    largest, at_small = figures["fresh"].largest_mb, small.largest_mb
    by_role = ", ".join(f"{role} {peak:.0f}" for role, peak in sorted(figures["fresh"].memory_mb.items()))
    return [
        Row(f"`find`, {files:,} files", "", f"{find:.2f} s"),
        Row("fresh scan, catalog + outbox + confirmed", "5x", ratio(figures["fresh"].median_s)),
        Row("unchanged full rescan", "2.5x", ratio(figures["rescan"].median_s)),
        Row("`--quick`, beyond an empty run", "0.5x", ratio(quick)),
        Row("run on an empty directory", "", f"{figures['empty'].median_s:.2f} s"),
        Row("peak memory of the largest process", "150 MB", f"{largest:.0f} MB ({by_role})"),
        Row(
            f"the same at {small_files:,} files",
            "20 % less at most",
            f"{at_small:.0f} MB (x {largest / at_small:.2f})",
        ),
    ]


def _print(rows: list[Row]) -> str:
    lines = ["| measure | goal | measured |", "|---|---|---|"]
    lines += [f"| {row.measure} | {row.goal} | {row.value} |" for row in rows]
    return "\n".join(lines)


def _machine() -> str:
    versions = f"Python {platform.python_version()}, Linux {platform.release()}"
    return f"{os.cpu_count()} cores, {versions}, load {os.getloadavg()[0]:.1f} at the end"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description="Scan a big tree beside find.")
    parser.add_argument("tree", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--write", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scanner-bench-")))
        node = RabbitNode().start()
        stack.callback(node.close)
        new_database = _databases(stack, folder, arguments.database)
        small = _small_tree(folder)
        (folder / "empty").mkdir()
        benches = [Bench(tree, node.url(), new_database) for tree in (arguments.tree, small)]
        table = _print(measure(benches[0], benches[1], folder / "empty", arguments.rounds))
    text = f"{table}\n\n{_machine()}; {arguments.database}; median of {arguments.rounds} rounds.\n"
    print(text)
    if arguments.write:
        arguments.write.write_text(text)


def _databases(stack: ExitStack, folder: Path, kind: str) -> Callable[[], str]:
    if kind == "postgresql":
        cluster = PostgresCluster().start()
        stack.callback(cluster.close)
        return cluster.database
    numbers = iter(range(1_000_000))
    return lambda: f"sqlite:///{folder}/{next(numbers)}.db"


def _small_tree(folder: Path) -> Path:
    tree = folder / "small"
    command = [sys.executable, "-m", "benchmarks.generate_tree", str(tree), "--files", str(_SMALL_FILES)]
    subprocess.run([*command, "--directories", "5280"], check=True, stdout=subprocess.DEVNULL)
    return tree


if __name__ == "__main__":
    main()
