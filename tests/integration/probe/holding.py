"""A worker to be killed: `python -m tests.integration.probe.holding FOLDER` probes what is there and stays."""

import asyncio
import os
import sys
from pathlib import Path

from scanner.probe.jobs import Job, ProbeSettings
from scanner.probe.pool import Pool


async def _hold(jobs: list[Job]) -> None:
    pool = Pool(ProbeSettings(processes=3, handlers=("misbehave",), time_limit_s=600))
    await pool.start()
    pool.submit("library", jobs, lambda _: None)
    await asyncio.Event().wait()


def _job(number: int, path: Path) -> Job:
    about = path.stat()
    return Job(number, os.fsencode(path), path.name, "video", about.st_size, about.st_mtime_ns, number, 1, 1)


if __name__ == "__main__":
    asyncio.run(_hold([_job(*one) for one in enumerate(sorted(Path(sys.argv[1]).iterdir()))]))
