"""A pool over real processes and real files, for one test: every process is marked, and none may be left."""

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from scanner.message import Result
from scanner.probe.jobs import Job, Look, ProbeSettings, Verdict
from scanner.probe.pool import Pool
from tests.support.processes import ProcessInfo, assert_no_process_left, marked
from tests.support.waiting import wait_until_async

LIBRARY = "/library"
DEADLINE_S = 120.0


@dataclass
class Probing:
    """Files in `folder`, and a pool whose children carry `mark`."""

    folder: Path
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    most_processes: int = 0
    _keys: int = 0

    def file(self, name: str, content: str = "good") -> Path:
        """Write a file; the test handler `misbehave` does what its content says."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def files(self, count: int, content: str = "good") -> list[Path]:
        """Write files that are alike."""
        return [
            self.file(f"{content.split(maxsplit=1)[0]}-{secrets.token_hex(4)}.mkv", content)
            for _ in range(count)
        ]

    def job(self, path: Path, look: Look = "content", **changes: Any) -> Job:
        """Return the job that fits a file; one that is not there counts as empty."""
        self._keys += 1
        size, mtime_ns = (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else (0, 0)
        job = Job(
            self._keys, os.fsencode(path), path.name, "video", size, mtime_ns, self._keys, 3, 2, 1, look=look
        )
        return msgspec.structs.replace(job, **changes)

    def run(self, scenario: Callable[[Pool], Awaitable[None]], **settings: Any) -> None:
        """Start a pool, let `scenario` use it, stop it; nothing may be left."""
        given = {"handlers": ("misbehave",), "processes": 2, "nice": 0, "idle_io": False, **settings}
        try:
            asyncio.run(self._run(scenario, ProbeSettings(**given)))
        finally:
            assert_no_process_left(self.mark)
        assert self.most_processes <= 2 * given["processes"] + 1

    async def _run(self, scenario: Callable[[Pool], Awaitable[None]], settings: ProbeSettings) -> None:
        async with asyncio.timeout(DEADLINE_S):
            pool = Pool(settings)
            await pool.start()
            counting = asyncio.create_task(self._count())
            try:
                await scenario(pool)
            finally:
                counting.cancel()
                await pool.stop(0)

    async def _count(self) -> None:
        while True:
            self.most_processes = max(self.most_processes, len(self.processes()))
            await asyncio.sleep(0.1)

    def processes(self) -> list[ProcessInfo]:
        """Return the living probe processes."""
        return marked(self.mark)

    def in_hand(self) -> int:
        """Count the probe processes that have a file of the folder open."""
        return sum(_has_open(one.pid, f"{self.folder}/") for one in self.processes())


def _has_open(pid: int, prefix: str) -> bool:
    try:
        targets = [os.readlink(f"/proc/{pid}/fd/{entry}") for entry in os.listdir(f"/proc/{pid}/fd")]
    except OSError:  # gone, or it closed one meanwhile
        return False
    return any(target.startswith(prefix) for target in targets)


class Answers(dict[int, Verdict]):
    """Verdicts by key; a second one for the same file is an error."""

    def __call__(self, verdict: Verdict) -> None:
        assert verdict.key not in self, f"answered twice: {verdict}"
        self[verdict.key] = verdict

    def statuses(self) -> Counter[str]:
        """Count verdicts by status, failed ones by their kind."""
        return Counter(verdict.error_kind or verdict.status for verdict in self.values())


async def look(pool: Pool, jobs: Sequence[Job], group: str = LIBRARY) -> list[Verdict]:
    """Have files looked at, and return their verdicts in the order of `jobs`."""
    answers = Answers()
    pool.submit(group, jobs, answers)
    await wait_until_async(lambda: len(answers) == len(jobs), DEADLINE_S)
    return [answers[job.key] for job in jobs]


def result(verdict: Verdict) -> Result:
    """Return the result in a verdict."""
    return msgspec.json.decode(verdict.result, type=Result)


def extra(verdict: Verdict, handler: str = "misbehave") -> Any:
    """Return what a handler gave."""
    return (result(verdict).extra or {})[handler]
