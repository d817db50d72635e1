"""Holdings: what a library holds, in figures, from one pass over its files.

The database groups by everything that is asked for at once; the few groups that come out are added up here.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Select, case, func, select

from scanner.catalog import failures
from scanner.catalog.engine import Database
from scanner.catalog.libraries import Library
from scanner.catalog.search import PROBED, Filter
from scanner.catalog.tables import LIVING, FileState, directories, files, media
from scanner.media import Kind

_EXAMPLES = 3

_RESOLUTIONS = (
    ("4320p", 7000, 4000),
    ("2160p", 3200, 2000),
    ("1440p", 2200, 1300),
    ("1080p", 1700, 1000),
    ("720p", 1200, 700),
)
"""From which width or height on a picture counts as one: films are wider, and old ones higher, than 16:9."""


class Held(NamedTuple):
    """How many files, how many bytes, and how many hours they play."""

    files: int = 0
    size_bytes: int = 0
    hours: float = 0.0


class FailureSummary(NamedTuple):
    """How often files failed in one way, how many of them are tried again, and a few of their paths."""

    kind: str | None
    files: int
    retrying: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a library holds; the most frequent first everywhere.

    `states` counts files by state, the others those that have a result: `video_codecs` and `resolutions` of
    videos, `containers` and `audio_codecs` of videos and audio files.
    """

    kinds: dict[str, Held] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    containers: dict[str, int] = field(default_factory=dict)
    video_codecs: dict[str, int] = field(default_factory=dict)
    audio_codecs: dict[str, int] = field(default_factory=dict)
    resolutions: dict[str, int] = field(default_factory=dict)
    failures: tuple[FailureSummary, ...] = ()


class _Group(NamedTuple):
    """Files that are alike in all that is counted."""

    kind: int
    state: int
    container: str | None
    video_codec: str | None
    audio_codec: str | None
    resolution: str | None
    files: int
    size_bytes: int
    duration_s: float


def holdings(database: Database, library: Library) -> Holdings:
    """Return what the living files of a library come to."""
    with database.read() as connection:
        groups = [
            _Group._make((*row[:7], int(row[7]), float(row[8]))) for row in connection.execute(_query(library))
        ]
    playing = [group for group in groups if group.kind in {Kind.VIDEO, Kind.AUDIO}]
    videos = [group for group in playing if group.kind == Kind.VIDEO]
    return Holdings(
        kinds=_by_kind(groups),
        states=_counted(groups, lambda group: FileState(group.state).name.lower()),
        containers=_counted(playing, lambda group: group.container),
        video_codecs=_counted(videos, lambda group: group.video_codec),
        audio_codecs=_counted(playing, lambda group: group.audio_codec),
        resolutions=_counted(videos, lambda group: group.resolution),
        failures=tuple(_failures(database, library)),
    )


def _query(library: Library) -> Select[Any]:
    measures = (
        func.count(),
        func.coalesce(func.sum(files.c.size), 0),
        func.coalesce(func.sum(media.c.duration_s), 0.0),
    )
    resolution = _resolution()
    keys = (
        files.c.kind,
        files.c.state,
        media.c.container,
        media.c.video_codec,
        media.c.audio_codec,
        resolution,
    )
    placed = files.join(directories, directories.c.id == files.c.directory_id).outerjoin(media, PROBED)
    query = select(*keys, *measures).select_from(placed)
    return query.where(directories.c.library_id == library.id, LIVING).group_by(*keys)


def _resolution() -> Any:
    ladder = [
        ((media.c.width >= width) | (media.c.height >= height), name) for name, width, height in _RESOLUTIONS
    ]
    return case(*ladder, (media.c.height.is_not(None), "SD"), else_=None).label("resolution")


def _by_kind(groups: list[_Group]) -> dict[str, Held]:
    found: dict[str, Held] = {}
    for group in groups:
        label = Kind(group.kind).label
        was = found.get(label, Held())
        hours = was.hours + group.duration_s / 3600
        found[label] = Held(was.files + group.files, was.size_bytes + group.size_bytes, hours)
    return dict(sorted(found.items(), key=lambda item: -item[1].files))


def _counted(groups: list[_Group], word: Callable[[_Group], str | None]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for group in groups:
        key = word(group)
        if key is not None:
            counts[key] += group.files
    return dict(counts.most_common())


def _failures(database: Database, library: Library) -> Iterator[FailureSummary]:
    for group in failures.grouped(database, Filter(library=library.name)):
        alike = Filter(library=library.name, error_kind=group.error_kind)
        examples = tuple(row.path for row in failures.listed(database, alike, limit=_EXAMPLES))
        yield FailureSummary(group.error_kind, group.files, group.retrying, examples)
