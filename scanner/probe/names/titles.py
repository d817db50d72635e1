"""Titles: when one is believed, and the `Name` that a title and what stands around it make.

A wrong title is worse than none: one that holds numbering, brackets, release words or two scripts is a doubt,
unless a folder bears it too.
"""

import re
from datetime import date
from typing import Any

from scanner.message import Name
from scanner.probe.names import release
from scanner.probe.names.words import YEAR, Folder, Titled, clean, key, titled

_YEAR_FIRST = re.compile(rf"[\W_]*({YEAR})(?![^\W_])")
_LEADING_GROUP = re.compile(r"^\[[^\[\].]{1,40}\][ ._-]?(?=[^\W_])")
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
_IDEOGRAPH = re.compile(r"[\u0400-\u04ff\u0590-\u06ff\u2e80-\u9fff\uac00-\ud7af]")
_LATIN_OR_ORDINAL = re.compile(r"[A-Za-z0-9第]")
YEAR_IN_BRACKETS = re.compile(rf"[(\[]({YEAR})[)\]]")
DATE = re.compile(rf"(?<![^\W_])({YEAR})([._ -])(\d\d)\2(\d\d)(?![^\W_])")


def show(folders: tuple[Folder, ...]) -> Titled | None:
    """Return the title of the folder that holds the seasons (it is believed), or the episodes themselves."""
    held = next((folder.titled for folder in reversed(folders) if folder.titled or folder.season is None), None)
    if held is None or is_doubtful(held.title, tidy=True):
        in_season = held is not None and folders[-1].season is not None and not _BRACKETS.search(held.title)
        return held if in_season else None
    return held


def believed(
    text: str, folders: tuple[Folder, ...], *, dated: bool = True, tidy: bool = False
) -> Titled | None:
    """Return the title if nothing in it is doubtful or a folder bears the same one; that lends its year.

    `dated`: it may end in a year; `tidy`: what stands around it says that all of it is title.
    """
    text = _LEADING_GROUP.sub("", text).rstrip(" ._-([{")
    told = titled(text) if dated else Titled(clean(text))
    if lent := borne(told.key, folders):
        return Titled(told.title, told.year or lent.year, told.country or lent.country)
    if " " not in text and _is_scene_doubt(told.title):
        return None
    return None if is_doubtful(told.title, tidy=tidy) else told


def borne(title_key: str, folders: tuple[Folder, ...]) -> Titled | None:
    """Return the title of the innermost folder that bears the same one."""
    for folder in reversed(folders):
        if folder.titled and folder.titled.key == title_key and not _BRACKETS.search(folder.titled.title):
            return folder.titled
    return None


def is_doubtful(title: str, *, tidy: bool) -> bool:
    """Tell whether a title may hold more than a title: brackets, numbering, release words, two scripts."""
    words = list(release.marks(title))
    return any(word.sure or word.end == len(title) for word in words) or is_unclear(title, tidy=tidy)


def is_unclear(title: str, *, tidy: bool) -> bool:
    """Tell whether a title is none, or holds brackets, numbering or two scripts."""
    if not key(title):
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


def named(told: Titled, rest: str, **facts: Any) -> Name:
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
    if (dated := DATE.search(text)) and (day := day_of(dated)):
        name.date, text = day, text[: dated.start()] + text[dated.end() :]
    elif year := _YEAR_FIRST.match(text):
        name.year, text = int(year[1]), text[year.end() :]
    elif year := YEAR_IN_BRACKETS.search(text):
        name.year, text = int(year[1]), text[: year.start()]
    if group := _ONLY_GROUP.fullmatch(text):
        name.release["release_group"] = group[1]
        return
    text = text.partition("[")[0].rstrip(" ({")
    if key(text):
        name.episode_title = clean(text)


def day_of(found: re.Match[str]) -> str | None:
    """Return the day that `DATE` found, None if the calendar has no such day."""
    try:
        return date(int(found[1]), int(found[3]), int(found[4])).isoformat()
    except ValueError:
        return None
