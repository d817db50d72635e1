r"""Probe the files of a folder beside `ffprobe` and beside a bare pool of processes, all in one run.

    python -m benchmarks.probing FOLDER [--concurrency N] [--rounds N]

`ffprobe -v quiet -print_format json -show_format -show_streams` is spawned for each file, `concurrency` at a
time. The bare pool's processes call `av.open` and read the streams, nothing else: no limits, no second look, no
fingerprint. Ours is the whole of a probe with names off: isolation, `fstat` before and after, media,
fingerprint, the result's JSON. Each figure is the median of its rounds; the processes are started before the
clock.
"""

import argparse
import asyncio
import multiprocessing
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import av.error
import av.logging

from scanner import media, paths
from scanner.probe.jobs import Job, ProbeSettings, Verdict
from scanner.probe.pool import Pool

_FFPROBE = ("ffprobe", "-v", "quiet", "-print_format", "json", "-show_format", "-show_streams")


def spawn_ffprobe(files: Sequence[str], concurrency: int) -> float:
    """Return the seconds that it takes to run ffprobe on each file."""

    def probe(file: str) -> None:
        subprocess.run([*_FFPROBE, file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

    with ThreadPoolExecutor(concurrency) as threads:
        started = time.monotonic()
        list(threads.map(probe, files))
        return time.monotonic() - started


def bare(file: str) -> int:
    """Open a file and read its streams; return how many there are."""
    av.logging.set_level(None)
    try:
        with av.open(file) as container:
            return len([stream.codec_context for stream in container.streams])
    except (av.error.FFmpegError, ValueError):
        return 0


def run_bare_pool(files: Sequence[str], concurrency: int) -> float:
    """Return the seconds that a pool without any care takes."""
    with multiprocessing.get_context("spawn").Pool(concurrency) as pool:
        pool.map(bare, files[: concurrency * 4], chunksize=1)
        started = time.monotonic()
        for _ in pool.imap_unordered(bare, files, chunksize=16):
            pass
        return time.monotonic() - started


def run_ours(files: Sequence[str], concurrency: int) -> float:
    """Return the seconds that the scanner's pool takes."""
    return asyncio.run(_run_ours(files, concurrency))


async def _run_ours(files: Sequence[str], concurrency: int) -> float:
    pool = Pool(ProbeSettings(processes=concurrency, names=False))
    await pool.start()
    try:
        await _probe_all(pool, files[: concurrency * 4])
        started = time.monotonic()
        await _probe_all(pool, files)
        return time.monotonic() - started
    finally:
        await pool.stop(2)


async def _probe_all(pool: Pool, files: Sequence[str]) -> None:
    finished = asyncio.Event()
    verdicts: list[Verdict] = []

    def take(verdict: Verdict) -> None:
        verdicts.append(verdict)
        if len(verdicts) == len(files):
            finished.set()

    pool.submit("/", [_job(number, file) for number, file in enumerate(files)], take)
    await finished.wait()


def _job(number: int, file: str) -> Job:
    found = os.stat(file)
    kind = media.kind_of(file).label
    path = paths.to_bytes(paths.from_os(file))
    return Job(number, path, paths.basename(file), kind, found.st_size, found.st_mtime_ns, number + 1, 1, 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--concurrency", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    files = sorted(
        str(path) for path in arguments.folder.rglob("*") if path.is_file() and not path.is_symlink()
    )
    measures: dict[str, Callable[[Sequence[str], int], float]] = {
        "ffprobe spawned": spawn_ffprobe,
        "bare pool": run_bare_pool,
        "scanner's pool": run_ours,
    }
    seconds: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(arguments.rounds):
        for name, measure in measures.items():
            seconds[name].append(measure(files, arguments.concurrency))
    ours = statistics.median(seconds["scanner's pool"])
    print(f"{len(files):,} files, {arguments.concurrency} at a time, {arguments.rounds} rounds, medians\n")
    for name, found in seconds.items():
        median = statistics.median(found)
        print(f"{name:<16} {median:8.2f} s  {len(files) / median:9,.0f} files/s  {median / ours:6.2f} x ours")


if __name__ == "__main__":
    main()
