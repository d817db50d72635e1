"""The cheap path: names that plain patterns read beyond doubt. What leaves a doubt is left open.

A wrong answer is worse than none: an answer is given only if all of the name is accounted for, a title that
holds release words, brackets or a dash is believed only if a folder bears it too. Each pattern is one pass.
"""

import re

from scanner.message import Name
from scanner.probe.names import numbers, release, titles
from scanner.probe.names.words import YEAR, Folder, Titled, clean, key

_FANSUB = re.compile(
    r"(?:\[([^\[\]]{1,40})\][ _]?)?([^\[\]]{1,160}?)[ _]-[ _](\d{2,4})(?:v\d)?"
    r"((?:[ _]-[ _][^\[\]()]{1,120})?[ _]?(?:[\[(][^\[\]()]{0,60}[\])][ _]?){0,6})"
)
_IN_SEASON = re.compile(
    r"(?:e|ep\.?|episode)?[ ._]?(\d{1,2})(?:[ ._]+-?[ ._]*|[._]*-[ ._]*|$)(\D.*)?", re.IGNORECASE | re.DOTALL
)
YEAR_WORD = re.compile(rf"(?<![^\W_])({YEAR})(?![^\W_])")
_SEASON_IN_TITLE = re.compile(r"(.+?)[ _](?:S|Season )(\d{1,2})")
_DIGIT = re.compile(r"\d")


def read(stem: str, folders: tuple[Folder, ...]) -> Name | None:
    """Return what a video's stem and its folders (outermost first) say, None where a doubt is left."""
    for pattern, reading in ((numbers.EPISODE, _episode), (numbers.CROSS, _episode), (titles.DATE, _daily)):
        if found := pattern.search(stem):
            return None if pattern.search(stem, found.end()) else reading(stem, found, folders)
    if folders and folders[-1].season is not None:
        return _in_season(stem, folders) or _fansub(stem, folders)
    return _fansub(stem, folders) or _film(stem, folders)


def _episode(stem: str, found: re.Match[str], folders: tuple[Folder, ...]) -> Name | None:
    episodes = numbers.episodes_of(int(found[1]), int(found[2]), found[3])
    before = stem[: found.start()]
    told = titles.believed(before, folders) if key(before) else titles.show(folders)
    follows = numbers.NEXT_NUMBER.match(stem, found.end())
    if told is None or episodes is None or (follows and int(follows[1]) == episodes[-1] + 1):
        return None
    return titles.named(
        told, stem[found.end() :], type="episode", season=int(found[1]), episode=episodes[0],
        episodes=episodes if len(episodes) > 1 else [],
    )  # fmt: skip


def _daily(stem: str, found: re.Match[str], folders: tuple[Folder, ...]) -> Name | None:
    told = titles.believed(stem[: found.start()], folders)
    day = titles.day_of(found)
    if told is None or day is None or _DIGIT.search(told.title):
        return None
    return titles.named(told, stem[found.end() :], type="episode", date=day)


def _in_season(stem: str, folders: tuple[Folder, ...]) -> Name | None:
    """Read `04 - Title` in `Show/Season 1`."""
    found = _IN_SEASON.fullmatch(stem)
    told = titles.show(folders)
    if found is None or told is None or key(stem).startswith(told.key):
        return None
    return titles.named(told, found[2] or "", type="episode", season=folders[-1].season, episode=int(found[1]))


def _fansub(stem: str, folders: tuple[Folder, ...]) -> Name | None:
    """Read `[Group] Title S2 - 04v2 [1080p][CRC]`; without group only two digits are surely an episode."""
    found = _FANSUB.fullmatch(stem)
    if found is None or (not found[1] and len(found[3]) > 2) or YEAR_WORD.fullmatch(found[3]):
        return None
    season = _SEASON_IN_TITLE.fullmatch(found[2])
    told = titles.believed(season[1] if season else found[2], folders, tidy=bool(found[1]))
    if told is None:
        return None
    number = int(season[2]) if season else folders[-1].season if folders else None
    name = titles.named(told, found[4], type="episode", season=number, episode=int(found[3]))
    if found[1]:
        name.release["release_group"] = found[1]
    return name


def _film(stem: str, folders: tuple[Folder, ...]) -> Name | None:
    """Read `Film (2010) [1080p]`, `Film.2010.1080p.BluRay-GROUP`, and `Film.1080p` without a year."""
    marks = list(release.marks(stem))
    tail = release.tail_start(stem, marks)
    if lent := titles.borne(key(stem[:tail]), folders):
        return titles.named(Titled(clean(stem[:tail]), lent.year, lent.country), stem[tail:], type="movie")
    years = [year for year in YEAR_WORD.finditer(stem, 1) if year.start() < tail]
    bracketed = [year for year in years if stem[year.start() - 1] in "(["]
    year = bracketed[0] if len(bracketed) == 1 else years[-1] if years and not bracketed else None
    if year is None:
        return None if years else _undated(stem[:tail], stem[tail:], folders)
    before, rest = stem[: year.start()], stem[year.end() :]
    told = titles.believed(before, folders, dated=False, tidy=bool(bracketed) and " " in before)
    if told is None or not _accounted(rest):
        return None
    return titles.named(Titled(told.title, int(year[1]), told.country), rest, type="movie")


def _undated(text: str, rest: str, folders: tuple[Folder, ...]) -> Name | None:
    """Read a name that is a title and nothing else, outside of the folder of another work."""
    told = titles.believed(text, folders)
    if rest or told is None or told.title.islower() or _DIGIT.search(told.title):
        return None
    return None if any(folder.one_work for folder in folders) else titles.named(told, "", type="movie")


def _accounted(rest: str) -> bool:
    """Tell whether what follows a film's year begins with a release word, or is nothing."""
    marks = list(release.marks(rest))
    return not key(rest[: marks[0].start] if marks else rest) and all(
        mark.value.lower() != "complete" for mark in marks
    )
