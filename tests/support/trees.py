"""Libraries of files for tests, as varied as real ones, and what `find` says is in them.

A tree is a function of its seed: names, sizes, times. Names are bytes, as the file system has them.
"""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

YEAR_S = 365 * 24 * 3600
PAST_NS = 1_600_000_000 * 10**9
"""The earliest mtime given (2020-09-13), every file's lying within a year after it."""

SUFFIXES = (
    *(b".mkv", b".mp4", b".avi", b".ts", b".m2ts", b".vob", b".divx"),
    *(b".mp3", b".flac", b".opus", b".ogg"),
    *(b".jpg", b".PNG", b".webp"),
    *(b".srt", b".ass", b".sub"),
    *(b".nfo", b".txt", b".part", b".Mkv", b""),
)

_NAMES = (
    b"Show.S%02dE%02d.1080p",
    b"A film with spaces (%d) [%d]",
    "Amélie é NFC %d-%d".encode(),
    "Ame\u0301lie e\u0301 NFD %d-%d".encode(),
    "映画 №%d・%d".encode(),
    "🎬 party 🎉 %d %d".encode(),
    "قناة %d %d".encode(),
    b"latin1 caf\xe9 %d %d",
    b"\xff\xfe raw %d %d",
    "reserved \U0010ffe9 %d %d".encode(),
    b"new\nline %d %d",
    b"tab\tand\x1b[31mescape %d %d",
    b"bell\x07 %d %d",
    b" leading and trailing %d %d ",
    b'quote\'s "and" back\\slash %d %d',
    b"--option=%d %d",
    b"percent %%s {} $HOME `id` %d %d",
    b"semi;colon & pipe | %d %d",
    "bidi \u202e%d %d".encode(),
)
_DIRECTORY_NAMES = (
    b"Season %02d",
    "Staffel é %d".encode(),
    b"caf\xe9 %d",
    b"line\nbreak %d",
    "名前 %d".encode(),
    b"#%d [x265]",
    b"%d",
)
_SIZES = (0, 0, 0, 1, 700, 4096, 65_537, 734_003_200, 4_294_967_297)
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class TreeShape:
    """What a generated library looks like.

    `files_per_directory` is an average; `hidden`, `long_names` and `empty_directories` are fractions.
    """

    files_per_directory: int = 12
    hidden: float = 0.02
    long_names: float = 0.01
    empty_directories: float = 0.03
    suffixes: Sequence[bytes] = field(default=SUFFIXES)


def make_library(root: Path, files: int, *, seed: int = 0, shape: TreeShape | None = None) -> None:
    """Make `files` files of varied names, sizes (sparse) and past times below `root`, hidden ones included.

    Takes about 3 s for 100,000.
    """
    shape = shape or TreeShape()
    chance = random.Random(seed)
    root.mkdir(parents=True, exist_ok=True)
    directories = list(_make_directories(os.fsencode(root), files, chance, shape))
    with_files = [path for path in directories if chance.random() >= shape.empty_directories] or directories
    for number in range(files):
        name = _file_name(number, chance, shape)
        _make_file(os.path.join(with_files[number % len(with_files)], name), chance)


def _make_directories(root: bytes, files: int, chance: random.Random, shape: TreeShape) -> Iterator[bytes]:
    made = [root]
    yield root
    for number in range(max(1, files // shape.files_per_directory)):
        parent = made[int(len(made) * chance.random() ** 0.7)]
        hidden = b"." if chance.random() < shape.hidden / 4 else b""
        path = os.path.join(parent, hidden + chance.choice(_DIRECTORY_NAMES) % number)
        if len(path) > 3000:
            continue
        os.mkdir(path)
        made.append(path)
        yield path


def _file_name(number: int, chance: random.Random, shape: TreeShape) -> bytes:
    stem = chance.choice(_NAMES) % (chance.randrange(100), number)
    if chance.random() < shape.hidden:
        stem = b"." + stem
    suffix = chance.choice(shape.suffixes)
    if chance.random() < shape.long_names:
        stem += b"x" * (_LONGEST_NAME - len(stem) - len(suffix))
    return stem + suffix


def _make_file(path: bytes, chance: random.Random) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        size = chance.choice(_SIZES)
        if 0 < size <= 4096:
            os.write(descriptor, bytes(size))
        elif size:
            os.ftruncate(descriptor, size + chance.randrange(1000))
        when_ns = PAST_NS + chance.randrange(YEAR_S * 10**9)
        os.utime(descriptor, ns=(when_ns, when_ns))
    finally:
        os.close(descriptor)


def make_flat(root: Path, files: int, *, suffix: str = ".mkv", directories: int = 1) -> None:
    """Make `files` empty files with plain names and past times, spread over `directories`."""
    for index in range(directories):
        folder = root / f"{index:05d}" if directories > 1 else root
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for number in range(index, files, directories):
                name = f"{number:07d}{suffix}"
                os.close(os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=descriptor))
                os.utime(name, ns=(PAST_NS + number, PAST_NS + number), dir_fd=descriptor)
        finally:
            os.close(descriptor)


def make_deep(root: Path, *, depth: int = 60, name: bytes = b"d" * 200, leaf: bytes = b"leaf.mkv") -> bytes:
    """Make a file under `depth` nested directories, far beyond PATH_MAX, and return its path below `root`.

    `remove` takes such a tree away again; the standard library's functions do not get that deep.
    """
    root.mkdir(parents=True, exist_ok=True)
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open(leaf, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=here))
    os.utime(leaf, ns=(PAST_NS, PAST_NS), dir_fd=here)
    os.close(here)
    return b"/".join([name] * depth + [leaf])


def age(path: Path, seconds: float = 3600) -> None:
    """Set a file's or directory's mtime that far into the past: settled, and trusted by `--quick`."""
    when_ns = os.lstat(path).st_mtime_ns - int(seconds * 10**9)
    os.utime(path, ns=(when_ns, when_ns), follow_symlinks=False)


def age_directories(root: Path, seconds: float = 3600) -> None:
    """Set the mtime of every directory of a tree that far into the past."""
    for _, _, _, descriptor in os.fwalk(root, topdown=False):
        when_ns = os.fstat(descriptor).st_mtime_ns - int(seconds * 10**9)
        os.utime(descriptor, ns=(when_ns, when_ns))


def remove(root: Path) -> None:
    """Remove a tree, however deep."""
    subprocess.run(["rm", "-rf", "--", str(root)], check=True)


def find_files(
    root: Path, *, hidden: bool = False, suffixes: Sequence[str] = (), prune: Sequence[str] = ()
) -> dict[bytes, int]:
    """Return path below `root` to size of every regular file, as `find` lists them.

    `suffixes` (`.mkv`, any case) keep only such names; `prune` are `-path` patterns (`./a/*`) to leave out.
    """
    command = [shutil.which("find") or "find", ".", "-type", "f"]
    if not hidden:
        command += ["-not", "-path", "*/.*"]
    for pattern in prune:
        command += ["-not", "-path", pattern]
    if suffixes:
        alternatives = [word for suffix in suffixes for word in ("-o", "-iname", f"*{suffix}")]
        command += ["(", *alternatives[1:], ")"]
    # LC_ALL=C: in another locale a pattern's * does not match a name that is not valid text.
    listed = subprocess.run(
        [*command, "-printf", "%P\\0%s\\0"],
        cwd=root,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        check=True,
    ).stdout.split(b"\0")
    return {path: int(size) for path, size in zip(listed[0::2], listed[1::2], strict=False)}
