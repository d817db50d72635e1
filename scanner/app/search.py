"""Searching the catalog: what is asked for in words becomes a filter, and what is found streams out.

Every word is checked before the database is asked, and refused with the option that it came from: a search
that finds nothing must mean that there is nothing.
"""

import base64
import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TypeVar

from scanner import paths
from scanner.app.database import open_catalog
from scanner.catalog import libraries, search
from scanner.catalog.engine import Database
from scanner.catalog.search import Filter, FoundFile
from scanner.catalog.tables import FileState
from scanner.config import Settings
from scanner.errors import UsageError
from scanner.media import Kind
from scanner.message import ERROR_KINDS

_LONGEST_ID = 18
_CODECS = {"h265": "hevc", "h.265": "hevc", "x265": "hevc", "avc": "h264", "h.264": "h264", "x264": "h264"}
_TIME = re.compile(r"(?=.)(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")
_NOT_TRIED = frozenset({"new", "queued", "missing"})

_HEAD = ("id", "library", "path", "kind", "state", "size", "mtime_ns", "error")
COLUMNS = (*_HEAD, *(name for name in FoundFile._fields if name not in _HEAD))
"""The keys of `document`, in their order; `path_bytes` comes on top where it is needed."""

_cells = attrgetter(*COLUMNS)

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a file must be like, in a person's words; None asks for nothing.

    `height` (lines) and `duration` are ranges: MIN, MIN-MAX or -MAX. `file` is an id, or a path: on this
    machine or below a library's root, of a file or of a folder with all that is below it.
    """

    text: str | None = None
    library: str | None = None
    kind: str | None = None
    state: str | None = None
    codec: str | None = None
    container: str | None = None
    height: str | None = None
    duration: str | None = None
    error_kind: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The first files of an answer; `more` counts the others.

    `sidecars` are the files that belong to a video of the page, by its id; they are no rows of their own then.
    """

    rows: tuple[FoundFile, ...]
    sidecars: dict[int, list[FoundFile]] = field(default_factory=dict)
    more: int = 0


@contextmanager
def found_files(settings: Settings, wanted: Wanted, limit: int | None = None) -> Iterator[Iterator[FoundFile]]:
    """Give the files that match, by id, as they come out of the database.

    Raises:
        UsageError: a word means nothing, or there is no such library.
    """
    with open_catalog(settings) as database:
        yield search.files(database, filter_of(database, wanted), limit=limit)


def first_files(settings: Settings, wanted: Wanted, limit: int) -> Page:
    """Return the first files that match, each video with its sidecars.

    Raises:
        UsageError: a word means nothing, or there is no such library.
    """
    with open_catalog(settings) as database:
        asked = filter_of(database, wanted)
        rows = tuple(search.files(database, asked, limit=limit))
        more = search.count(database, asked) - len(rows) if len(rows) == limit else 0
        videos = [row for row in rows if row.kind == Kind.VIDEO.label]
        beside = {row.id: search.sidecars(database, row.id) for row in videos}
        belonging = {row.id for group in beside.values() for row in group}
        return Page(tuple(row for row in rows if row.id not in belonging), beside, max(0, more))


def filter_of(database: Database, wanted: Wanted) -> Filter:
    """Return the filter of what is wanted.

    Raises:
        UsageError: a word means nothing, or there is no such library or file.
    """
    if wanted.library is not None:
        libraries.library_named(database, wanted.library)
    asked = _asked(wanted)
    return asked if wanted.file is None else _placed(database, wanted.file, asked)


def document(row: FoundFile) -> dict[str, object]:
    """Return a file as an object of the contract; a path that is not UTF-8 comes as bytes in base64, too.

    `attempts` counts how often its content was tried.
    """
    told = dict(zip(COLUMNS, _cells(row), strict=True))
    told["attempts"] = attempts(row)
    for name, value in told.items():
        if isinstance(value, str) and not value.isascii():
            told[name] = paths.readable(value)
    if not paths.is_exact(row.path):
        told["path_bytes"] = base64.b64encode(paths.to_bytes(row.path)).decode()
    return told


def attempts(row: FoundFile) -> int:
    """Return how often a file's present content was tried; the catalog keeps the last attempt's number."""
    return 0 if row.state in _NOT_TRIED else row.attempts + 1


def _asked(wanted: Wanted) -> Filter:
    kinds, states = {kind.label: kind for kind in Kind}, {state.name.lower(): state for state in FileState}
    heights = _range(wanted.height, _lines, "--height", "2160, 720-1080 or -480")
    durations = _range(wanted.duration, _seconds, "--duration", "90m, 20m-1h30m or -30s")
    codec = None if wanted.codec is None else wanted.codec.lower()
    return Filter(
        library=wanted.library,
        kind=None if wanted.kind is None else kinds[_known(wanted.kind, kinds, "a kind of file", "--kind")],
        state=None if wanted.state is None else states[_known(wanted.state, states, "a state", "--state")],
        codec=None if codec is None else _CODECS.get(codec, codec),
        container=None if wanted.container is None else wanted.container.lower(),
        min_height=heights[0],
        max_height=heights[1],
        min_duration_s=durations[0],
        max_duration_s=durations[1],
        text=wanted.text,
        error_kind=_error_kind(wanted.error_kind),
    )


def _error_kind(word: str | None) -> str | None:
    return None if word is None else _known(word, ERROR_KINDS, "a kind of error", "--kind")


def _known(word: str, known: Iterable[str], what: str, option: str) -> str:
    lowered = word.lower()
    if lowered not in known:
        raise UsageError(f"{paths.printable(word)!r} is not {what}: {', '.join(known)} ({option})")
    return lowered


def _range(
    words: str | None, number: Callable[[str], Number | None], option: str, examples: str
) -> tuple[Number | None, Number | None]:
    """Return the two ends of a range, both inclusive, None for an open one."""
    if words is None:
        return None, None
    low, _, high = words.replace(" ", "").partition("-")
    first, last = number(low), number(high)
    malformed = (low and first is None) or (high and last is None) or (first is None and last is None)
    if malformed or (first is not None and last is not None and first > last):
        raise UsageError(f"{paths.printable(words)!r} is no range such as {examples} ({option})")
    return first, last


def _lines(word: str) -> int | None:
    return int(word) if re.fullmatch(r"[0-9]{1,9}", word) else None


def _seconds(word: str) -> float | None:
    match = _TIME.fullmatch(word)
    if match is None:
        return None
    return sum(float(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True))


def _placed(database: Database, file: str, asked: Filter) -> Filter:
    """Return the filter with the place that `file` means: the first of its meanings that there is."""
    for one in _meanings(database, file, asked):
        place = Filter(id=one.id, library=one.library, path=one.path, state=one.state)
        if next(search.files(database, place, limit=1), None) is not None:
            return one
    name = paths.printable(paths.from_os(file))
    raise UsageError(f"{name!r} is neither the id nor the path of a file in the catalog")


def _meanings(database: Database, file: str, asked: Filter) -> Iterator[Filter]:
    """Yield where a file may be: by its id, by its path here, by its path below a library's root."""
    if file.isdecimal() and len(file) <= _LONGEST_ID:
        yield dataclasses.replace(asked, id=int(file))
        yield dataclasses.replace(asked, id=int(file), state=FileState.MISSING)
    absolute = paths.absolute(file)
    library = libraries.library_containing(database, absolute) if file else None
    if library is not None and asked.library in (None, library.name):
        below = absolute.removeprefix(library.root.rstrip("/")).strip("/")
        yield dataclasses.replace(asked, library=library.name, path=below)
    relative = paths.from_os(file).strip("/")
    if relative and not file.startswith("/"):
        yield dataclasses.replace(asked, path=relative)
