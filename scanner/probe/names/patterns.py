"""The cheap path: names that plain patterns read beyond doubt. What leaves a doubt is left open.

A wrong answer is worse than none: an answer is given only if all of the name is accounted for, a title that
holds release words, brackets or a dash is believed only if a folder bears it too. Each pattern is one pass.
"""

import re
from datetime import date
from typing import Any

from scanner.message import Name
from scanner.probe.names import release
from scanner.probe.names.words import YEAR, Folder, Titled, clean, key, titled

_EPISODE = re.compile(
    r"(?<![^\W_])[sS](\d{1,4})[ ._-]{0,3}(?:[xX]?[eE][pP]?|[xX](?!26[45]))[ ._]?(\d{1,4})"
    r"((?:(?:[ ._]?[-+&][ ._]?|[ ._])?(?:[sS]\d{1,4})?[eE][pP]?\d{1,4}){0,30}(?:[-+&]\d{1,3}){0,30})"
    r"(?:v\d)?(?![^\W_])"
)
_CROSS = re.compile(
    r"(?<![^\W_])(\d{1,2})[xX](\d{2,3})((?:[xX]\d{2,3}|-\d{1,2}[xX]\d{2,3}){0,30}(?:[-+&]\d{2,3}){0,30})(?![^\W_])"
)
_MORE = re.compile(r"[ ._]?(-?)[+&]?[ ._]?(?:[sS](\d{1,4})|(\d{1,2})(?=[xX]))?[eE]?[pP]?[xX]?(\d{1,4})")
_DATE = re.compile(rf"(?<![^\W_])({YEAR})([._ -])(\d\d)\2(\d\d)(?![^\W_])")
_FANSUB = re.compile(
    r"(?:\[([^\[\]]{1,40})\][ _]?)?([^\[\]]{1,160}?)[ _]-[ _](\d{2,4})(?:v\d)?"
    r"((?:[ _]-[ _][^\[\]()]{1,120})?[ _]?(?:[\[(][^\[\]()]{0,60}[\])][ _]?){0,6})"
)
_IN_SEASON = re.compile(
    r"(?:e|ep\.?|episode)?[ ._]?(\d{1,2})(?:[ ._]+-?[ ._]*|[._]*-[ ._]*|$)(\D.*)?", re.IGNORECASE | re.DOTALL
)
_YEAR = re.compile(rf"(?<![^\W_])({YEAR})(?![^\W_])")
_YEAR_FIRST = re.compile(rf"[\W_]*({YEAR})(?![^\W_])")
_LEADING_GROUP = re.compile(r"^\[[^\[\].]{1,40}\][ ._-]?(?=[^\W_])")
_SEASON_IN_TITLE = re.compile(r"(.+?)[ _](?:S|Season )(\d{1,2})")
_ONLY_GROUP = re.compile(r"-([^\W_]{2,12})")
_BRACKETS = re.compile(r"[\[\](){}\n\\]|(?<![^\W_])www\.")
_NUMBERING = re.compile(
    r"\d[-.]\d|(?<!\d)\d\d \d\d(?!\d)|\d ?of ?\d|^\d+ - |(?<![^\W_])(?:"
    r"(?:episodes?|eps?|series|season|saison|stagione|staffel|temporada|sezon|сезон)[ ._-]?\d|"
    r"(?:cap|vol|volume|cd|disc|disk|chapter|film|saga|bonus|[xesft])[ ._-]?\d|"
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}[ ._]\d)",
    re.IGNORECASE,
)
_WORDING = re.compile(
    r" - |(?<![^\W_])(?:(?:part|pt)[ ._-]?(?:\d|[ivx]+(?![^\W_]))|"
    r"(?:episode|ep|folge|season|сезон|серия|эпизод|saison|temporada|staffel|sezon|int[eé]grale|l'?int[eé]grale|"
    r"trilogy|miniseries|specials?|pilot|trailer|sample|extras|bonus|director'?s?|www|xxx)(?![^\W_]))",
    re.IGNORECASE,
)
_IDEOGRAPH = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]")
_LATIN_OR_ORDINAL = re.compile(r"[A-Za-z0-9第]")
_NEXT_NUMBER = re.compile(r"[ ._]0*(\d{1,3})(?![^\W_])")
_YEAR_IN_BRACKETS = re.compile(rf"[(\[]({YEAR})[)\]]")
_DIGIT = re.compile(r"\d")
_LONGEST_RANGE = 60


def read(stem: str, folders: tuple[Folder, ...]) -> Name | None:
    """Return what a video's stem and its folders (outermost first) say, None where a doubt is left."""
    for pattern, reading in ((_EPISODE, _episode), (_CROSS, _episode), (_DATE, _daily)):
        if found := pattern.search(stem):
            return None if pattern.search(stem, found.end()) else reading(stem, found, folders)
    if folders and folders[-1].season is not None:
        return _in_season(stem, folders) or _fansub(stem, folders)
    return _fansub(stem, folders) or _film(stem, folders)


def show(folders: tuple[Folder, ...]) -> Titled | None:
    """Return the title of the folder that holds the seasons (it is believed), or the episodes themselves."""
    held = next((folder.titled for folder in reversed(folders) if folder.titled or folder.season is None), None)
    if held is None or _is_doubtful(held.title, tidy=True):
        in_season = held is not None and folders[-1].season is not None and not _BRACKETS.search(held.title)
        return held if in_season else None
    return held


def _episode(stem: str, found: re.Match[str], folders: tuple[Folder, ...]) -> Name | None:
    episodes = _episodes(int(found[1]), int(found[2]), found[3])
    before = stem[: found.start()]
    told = _believed(before, folders) if key(before) else show(folders)
    follows = _NEXT_NUMBER.match(stem, found.end())
    if told is None or episodes is None or (follows and int(follows[1]) == episodes[-1] + 1):
        return None
    return _named(
        told, stem[found.end() :], type="episode", season=int(found[1]), episode=episodes[0],
        episodes=episodes if len(episodes) > 1 else [],
    )  # fmt: skip


def _episodes(season: int, first: int, more: str) -> list[int] | None:
    """Return all the episodes that a marker names; None if its parts contradict each other."""
    episodes = [first]
    for found in _MORE.finditer(more):
        again, episode = found[2] or found[3], int(found[4])
        if (again and int(again) != season) or not 0 < episode - episodes[-1] < _LONGEST_RANGE:
            return None
        episodes.extend(range(episodes[-1] + 1, episode) if found[1] else ())
        episodes.append(episode)
    return episodes


def _daily(stem: str, found: re.Match[str], folders: tuple[Folder, ...]) -> Name | None:
    told = _believed(stem[: found.start()], folders)
    day = _day(found)
    if told is None or day is None or _DIGIT.search(told.title):
        return None
    return _named(told, stem[found.end() :], type="episode", date=day)


def _day(found: re.Match[str]) -> str | None:
    try:
        return date(int(found[1]), int(found[3]), int(found[4])).isoformat()
    except ValueError:
        return None


def _in_season(stem: str, folders: tuple[Folder, ...]) -> Name | None:
    """Read `04 - Title` in `Show/Season 1`."""
    found = _IN_SEASON.fullmatch(stem)
    told = show(folders)
    if found is None or told is None or key(stem).startswith(told.key):
        return None
    return _named(told, found[2] or "", type="episode", season=folders[-1].season, episode=int(found[1]))


def _fansub(stem: str, folders: tuple[Folder, ...]) -> Name | None:
    """Read `[Group] Title S2 - 04v2 [1080p][CRC]`; without group only two digits are surely an episode."""
    found = _FANSUB.fullmatch(stem)
    if found is None or (not found[1] and len(found[3]) > 2) or _YEAR.fullmatch(found[3]):
        return None
    season = _SEASON_IN_TITLE.fullmatch(found[2])
    told = _believed(season[1] if season else found[2], folders, tidy=bool(found[1]))
    if told is None:
        return None
    number = int(season[2]) if season else folders[-1].season if folders else None
    name = _named(told, found[4], type="episode", season=number, episode=int(found[3]))
    if found[1]:
        name.release["release_group"] = found[1]
    return name


def _film(stem: str, folders: tuple[Folder, ...]) -> Name | None:
    """Read `Film (2010) [1080p]`, `Film.2010.1080p.BluRay-GROUP`, and `Film.1080p` without a year."""
    marks = list(release.marks(stem))
    tail = release.tail_start(stem, marks)
    if borne := _borne(key(stem[:tail]), folders):
        return _named(Titled(clean(stem[:tail]), borne.year, borne.country), stem[tail:], type="movie")
    years = [year for year in _YEAR.finditer(stem, 1) if year.start() < tail]
    bracketed = [year for year in years if stem[year.start() - 1] in "(["]
    year = bracketed[0] if len(bracketed) == 1 else years[-1] if years and not bracketed else None
    if year is None:
        return None if years else _undated(stem[:tail], stem[tail:], folders)
    before, rest = stem[: year.start()], stem[year.end() :]
    told = _believed(before, folders, dated=False, tidy=bool(bracketed) and " " in before)
    if told is None or not _accounted(rest):
        return None
    return _named(Titled(told.title, int(year[1]), told.country), rest, type="movie")


def _undated(text: str, rest: str, folders: tuple[Folder, ...]) -> Name | None:
    """Read a name that is a title and nothing else, outside of the folder of another work."""
    told = _believed(text, folders)
    if rest or told is None or told.title.islower() or _DIGIT.search(told.title):
        return None
    return None if any(folder.one_work for folder in folders) else _named(told, "", type="movie")


def _accounted(rest: str) -> bool:
    """Tell whether what follows a film's year begins with a release word, or is nothing."""
    marks = list(release.marks(rest))
    return not key(rest[: marks[0].start] if marks else rest) and all(
        mark.value.lower() != "complete" for mark in marks
    )


def _believed(
    text: str, folders: tuple[Folder, ...], *, dated: bool = True, tidy: bool = False
) -> Titled | None:
    """Return the title if nothing in it is doubtful or a folder bears the same one; that lends its year.

    `dated`: it may end in a year; `tidy`: what stands around it says that all of it is title.
    """
    text = _LEADING_GROUP.sub("", text).rstrip(" ._-([{")
    told = titled(text) if dated else Titled(clean(text))
    if borne := _borne(told.key, folders):
        return Titled(told.title, told.year or borne.year, told.country or borne.country)
    if " " not in text and _is_scene_doubt(told.title):
        return None
    return None if _is_doubtful(told.title, tidy=tidy) else told


def _borne(title_key: str, folders: tuple[Folder, ...]) -> Titled | None:
    """Return the title of the innermost folder that bears the same one."""
    for folder in reversed(folders):
        if folder.titled and folder.titled.key == title_key and not _BRACKETS.search(folder.titled.title):
            return folder.titled
    return None


def _is_doubtful(title: str, *, tidy: bool) -> bool:
    """Tell whether a title may hold more than a title: brackets, numbering, release words, two scripts."""
    words = list(release.marks(title))
    if not key(title) or any(word.sure or word.end == len(title) for word in words):
        return True
    if _BRACKETS.search(title) or _NUMBERING.search(title) or (not tidy and _WORDING.search(title)):
        return True
    return _IDEOGRAPH.search(title) is not None and _LATIN_OR_ORDINAL.search(title) is not None


def _is_scene_doubt(title: str) -> bool:
    """Tell whether a dotted title begins with what may be a group, or ends in what may be a release word."""
    first, *others = title.split(" ")
    if any(release.marks(title)) or ("-" in first and not (first.istitle() and len(first) > 4)):
        return True
    return bool(others) and len(others[-1]) > 1 and others[-1].isupper() and not title.isupper()


def _named(told: Titled, rest: str, **facts: Any) -> Name:
    """Return the name's facts: the title's, those given, and what stands behind title and number."""
    marks = list(release.marks(rest))
    tail = release.tail_start(rest, marks)
    name = Name(title=told.title, year=told.year, **facts)
    name.release = release.details(rest, [mark for mark in marks if mark.start >= tail])
    if told.country:
        name.release["country"] = told.country
    if name.type == "episode":
        _add_episode_title(name, rest[:tail])
    return name


def _add_episode_title(name: Name, text: str) -> None:
    text = text.lstrip(")] ")
    if name.season and name.season > 1900:
        name.year = name.season
    if (dated := _DATE.search(text)) and (day := _day(dated)):
        name.date, text = day, text[: dated.start()] + text[dated.end() :]
    elif year := _YEAR_FIRST.match(text):
        name.year, text = int(year[1]), text[year.end() :]
    elif year := _YEAR_IN_BRACKETS.search(text):
        name.year, text = int(year[1]), text[: year.start()]
    if group := _ONLY_GROUP.fullmatch(text):
        name.release["release_group"] = group[1]
        return
    text = text.partition("[")[0].rstrip(" ({")
    if key(text):
        name.episode_title = clean(text)
