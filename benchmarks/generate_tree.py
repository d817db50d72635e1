"""Make the tree that the benchmarks scan: by default 1.25 million files in 66,000 directories.

A tree is a function of (files, directories, seed). It is made by several processes, a shard of top-level
directories each, and takes a few minutes and about 1.5 GB (names and inodes; big files are sparse). A manifest
beside it (`<tree>.manifest.json`) tells that it is complete, so the same call again returns at once.

    python -m benchmarks.generate_tree PATH [--files N] [--directories N] [--seed N] [--force]
"""

import argparse
import itertools
import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FILES = 1_250_000
DIRECTORIES = 66_000
GENERATOR = 1
"""Raised when the same arguments give another tree."""

_SHARDS = 64
_MAX_DEPTH = 9
_PAST_NS = 1_500_000_000 * 10**9
_SPREAD_NS = 5 * 365 * 24 * 3600 * 10**9
_KIBIBYTE = bytes(1024)

_DIRECTORY_NAMES = (
    b"Show %d (2019)",
    b"Season %02d",
    b"Extras %d",
    b"%d - Album [FLAC]",
    "Folge über %d".encode(),
    "映画 %d".encode(),
    b"caf\xe9 %d",
    b"Photos %d",
)
_STEMS = (
    b"Show.S%02dE%05d.1080p.WEB-DL.x265",
    b"%02d - Track %05d",
    b"IMG_%02d_%05d",
    b"A longer title of a film, as people write them (%d) part %05d [Director's cut]",
    "Amélie %d %05d".encode(),
    "ドラマ 第%d話 %05d".encode(),
    b"latin1 caf\xe9 %d %05d",
)
_SUFFIXES = (b".mkv", b".mkv", b".mp4", b".avi", b".mp3", b".flac", b".jpg", b".jpg", b".srt", b".nfo", b".txt")


@dataclass(frozen=True, slots=True)
class Tree:
    """What tree to make; `directories` counts the root, as `find -type d` does."""

    files: int = FILES
    directories: int = DIRECTORIES
    seed: int = 1


@dataclass(frozen=True, slots=True)
class _Shard:
    root: bytes
    number: int
    files: int
    directories: int
    seed: int


def generate(path: Path, tree: Tree, *, force: bool = False, processes: int | None = None) -> bool:
    """Make the tree at `path` unless it is there already; return whether it was made.

    Raises:
        FileExistsError: something else is at `path` and `force` is not given.
    """
    manifest = path.with_name(path.name + ".manifest.json")
    if is_complete(path, tree):
        return False
    if path.exists() and not force:
        raise FileExistsError(f"{path} is there, and not this tree; --force replaces it")
    manifest.unlink(missing_ok=True)
    subprocess.run(["rm", "-rf", "--", str(path)], check=True)
    path.mkdir(parents=True)
    with multiprocessing.get_context("spawn").Pool(processes or os.cpu_count()) as pool:
        for _ in pool.imap_unordered(_make_shard, list(_shards(path, tree))):
            pass
    os.utime(path, ns=(_PAST_NS, _PAST_NS))
    manifest.write_text(json.dumps(_manifest_of(tree)) + "\n")
    return True


def is_complete(path: Path, tree: Tree) -> bool:
    """Tell whether exactly this tree was made at `path`, to the end."""
    manifest = path.with_name(path.name + ".manifest.json")
    try:
        return path.is_dir() and bool(json.loads(manifest.read_text()) == _manifest_of(tree))
    except (OSError, ValueError):
        return False


def _manifest_of(tree: Tree) -> dict[str, int]:
    return {"generator": GENERATOR, **asdict(tree)}


def _shards(path: Path, tree: Tree) -> Iterator[_Shard]:
    count = max(1, min(_SHARDS, tree.directories - 1))
    files, directories = _split(tree.files, count), _split(tree.directories - 1, count)
    for number in range(count):
        yield _Shard(os.fsencode(path), number, files[number], directories[number], tree.seed)


def _split(total: int, parts: int) -> list[int]:
    return [total // parts + (index < total % parts) for index in range(parts)]


def _make_shard(shard: _Shard) -> None:
    """Make one top-level directory with all that is below it; its directories get past times last."""
    chance = random.Random(f"{shard.seed}/{shard.number}")
    paths = _make_directories(shard, chance)
    number = itertools.count()
    for path, count in zip(paths, _counts(shard.files, len(paths), chance), strict=True):
        _fill(path, count, number, chance)
    for path in paths:
        when_ns = _past_ns(chance)
        os.utime(path, ns=(when_ns, when_ns))


def _make_directories(shard: _Shard, chance: random.Random) -> list[bytes]:
    paths = [os.path.join(shard.root, b"Library %02d" % shard.number)]
    depths = [1]
    os.mkdir(paths[0])
    for number in range(1, shard.directories):
        parent = int(len(paths) * chance.random() ** 0.8)
        if depths[parent] >= _MAX_DEPTH:
            parent = 0
        path = os.path.join(paths[parent], chance.choice(_DIRECTORY_NAMES) % number)
        os.mkdir(path)
        paths.append(path)
        depths.append(depths[parent] + 1)
    return paths


def _counts(files: int, directories: int, chance: random.Random) -> list[int]:
    """Share files out as libraries do: most directories hold a handful, a few hold thousands, some none."""
    weights = [
        0.0 if chance.random() < 0.04 else min(chance.paretovariate(1.1), 400.0) for _ in range(directories)
    ]
    total = sum(weights) or 1.0
    counts = [int(files * weight / total) for weight in weights]
    counts[-1] += files - sum(counts)
    return counts


def _fill(directory: bytes, count: int, numbers: Iterator[int], chance: random.Random) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        stem = chance.choice(_STEMS)
        for number in itertools.islice(numbers, count):
            name = stem % (number % 100, number) + chance.choice(_SUFFIXES)
            _make_file(descriptor, name, chance)
    finally:
        os.close(descriptor)


def _make_file(directory: int, name: bytes, chance: random.Random) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=directory)
    kind = chance.random()
    if kind < 0.6:
        os.ftruncate(descriptor, int(chance.paretovariate(0.6) * 100_000) % 50_000_000_000)
    elif kind < 0.63:
        os.write(descriptor, _KIBIBYTE)
    when_ns = _past_ns(chance)
    os.utime(descriptor, ns=(when_ns, when_ns))
    os.close(descriptor)


def _past_ns(chance: random.Random) -> int:
    return _PAST_NS + int(chance.random() * _SPREAD_NS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.generate_tree", description="Make a big tree of files.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--directories", type=int, default=DIRECTORIES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=None, help="how many make it (default: one a core)")
    parser.add_argument("--force", action="store_true", help="replace whatever is at PATH")
    given = parser.parse_args(arguments)
    tree = Tree(given.files, given.directories, given.seed)
    began = time.monotonic()
    try:
        made = generate(given.path.absolute(), tree, force=given.force, processes=given.processes)
    except FileExistsError as error:
        print(error, file=sys.stderr)
        return 1
    what = f"{tree.files:,} files in {tree.directories:,} directories at {given.path}"
    print(f"{what}: made in {time.monotonic() - began:.0f} s" if made else f"{what}: there already")
    return 0


if __name__ == "__main__":
    sys.exit(main())
