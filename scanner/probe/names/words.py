"""Texts out of names: separators made spaces, catalogue ids and brackets taken off, folders read.

Every part of a path is cut to 255 characters first (what file systems allow in bytes) and every pattern is one
pass over it: the time a name takes is bounded, whatever it holds.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from scanner.probe.names.release import marks, tail_start

LONGEST_PART = 255
YEAR = r"(?:19\d\d|20[0-4]\d)"

_IDS = re.compile(
    r"[\[{](?:tmdb|imdb|tvdb|tvmaze|anidb|anilist|edition)(?:id)?[-=][^\[\]{}]{1,60}[\]}]", re.IGNORECASE
)
_ACRONYM = re.compile(r"(?<![^\W_])(?:[^\W\d_]\.){2,}(?:[^\W\d_](?![^\W_]))?")
_ACRONYM_AT_END = re.compile(r"(?<![^\W_])(?:[^\W\d_]\.){1,12}[^\W\d_]$")
_ARTICLE = re.compile(r"^(.+), ?(The|A|An|Le|La|Les|Der|Die|Das|El|Los)$", re.IGNORECASE)
_SPACES = re.compile(r"[\s_]+")
_NOT_WORD = re.compile(r"[\W_]+")
_EDGES = " .-_,;:+~/\\"
_YEAR_AT_END = re.compile(rf"(?<=[\s._(\[-])({YEAR})[)\]]?$")
_COUNTRY_AT_END = re.compile(r"[ ._](?:\((US|UK|AU|NZ|CA|GB|IE)\)|(US|UK|AU|NZ))$")
_SEASON = re.compile(
    r"(?:^|(?<=[ ._-]))(?:season|saison|series|staffel|temporada|stagione|seizoen|s[äæ]song?|sezon|s)"
    r"[ ._-]?(\d{1,4})$",
    re.IGNORECASE,
)
_SPECIALS = frozenset({"specials", "special", "season specials"})
_DRAWERS = frozenset(
    {
        "movies",
        "movie",
        "films",
        "film",
        "filme",
        "tv",
        "tv shows",
        "tvshows",
        "shows",
        "series",
        "serien",
        "anime",
    }
    | {
        "videos",
        "video",
        "media",
        "kids",
        "documentaries",
        "cartoons",
        "downloads",
        "complete",
        "cd1",
        "cd2",
        "sample",
    }
    | {
        "subs",
        "subtitles",
        "sub",
        "vobsub",
        "bdmv",
        "stream",
        "video_ts",
        "dvd",
        "bluray",
        "hd",
        "sd",
        "4k",
        "new",
    }
)


@dataclass(frozen=True, slots=True)
class Titled:
    """A title with the year and country that stood behind it."""

    title: str
    year: int | None = None
    country: str | None = None

    @property
    def key(self) -> str:
        """The title's letters and digits, to compare by."""
        return key(self.title)


@dataclass(frozen=True, slots=True)
class Folder:
    """What a folder's name says: the number of a season, or the title of what it holds.

    `one_work`: it has a year or release words, so it is the folder of one film or show, not a drawer.
    """

    season: int | None = None
    titled: Titled | None = None
    one_work: bool = False


def key(text: str) -> str:
    """Return the letters and digits of a text in one case: equal for two ways to write one title."""
    return _NOT_WORD.sub("", text).casefold()


def without_ids(text: str) -> str:
    """Return a name without the ids that media servers have people put into it ({tmdb-123}, [imdbid-tt1])."""
    return _IDS.sub("", text).rstrip() if "[" in text or "{" in text else text


def clean(text: str) -> str:
    """Return a part of a name as a title: underscores and, where there is no space, dots made spaces."""
    text = text.strip(_EDGES)
    if " " not in text:
        text = (
            _ACRONYM.sub(lambda found: found[0].replace(".", "\0") + " ", text)
            .replace(".", " ")
            .replace("\0", ".")
        )
    text = _SPACES.sub(" ", text).strip()
    if _ACRONYM_AT_END.search(text):
        text += "."  # taken for a separator above
    article = _ARTICLE.match(text)
    return f"{article[2]} {article[1]}" if article else text


def titled(text: str) -> Titled:
    """Return a title parted from the year and the country that stand behind it."""
    year = country = None
    text = text.strip(_EDGES)
    if (found := _YEAR_AT_END.search(text)) and key(text[: found.start()]):
        text, year = text[: found.start()].rstrip(_EDGES + "(["), int(found[1])
    if (found := _COUNTRY_AT_END.search(text)) and key(text[: found.start()]):
        text, country = text[: found.start()], found[1] or found[2]
    return Titled(clean(text), year, country)


@lru_cache(maxsize=1024)
def folder(name: str) -> Folder:
    """Return what a folder's name says; the answers for the last thousand folders are kept."""
    text = without_ids(name).strip(_EDGES)
    lowered = text.lower()
    if lowered in _SPECIALS:
        return Folder(season=0)
    if lowered in _DRAWERS or not key(text):
        return Folder()
    end = min(
        at for at in (text.find("[", 1), text.find("{", 1), tail_start(text, list(marks(text)))) if at >= 0
    )
    text = text[:end].rstrip(_EDGES)
    if found := _SEASON.search(text):
        before = text[: found.start()]
        return Folder(season=int(found[1]), titled=titled(before) if key(before) else None)
    told = titled(text)
    return Folder(titled=told, one_work=told.year is not None or end < len(name))
