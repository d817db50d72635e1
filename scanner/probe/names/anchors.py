"""The second look: names that the strict patterns leave open, read by what surely ends a title.

An anchor is a season or episode marker, a date, a year, or the first sure release word; the title is what
stands before the first, up to its first lone dash, as in guessit. A title that still holds numbering, brackets
or two scripts stays open, as do numbers that contradict each other. Each pattern is one pass.
"""

import re
from dataclasses import dataclass

from scanner.message import Name
from scanner.probe.names import numbers, patterns, release, titles
from scanner.probe.names.numbers import Doubt, Numbers
from scanner.probe.names.words import Folder, Titled, clean, key, titled

_OPENING = re.compile(r"[ ._-]{0,3}(?:\[([^\[\]]{1,40})\]|www\.[\w.-]{3,60} {0,4}-(?= ))[ ._-]*")
_SHORT_NAME = re.compile(
    r"[a-z0-9]{1,8}-[a-z0-9._-]{1,40}|\d{6}_\d\d|(?=\w*\d)(?=\w*[A-Z])\w{16,60}|[A-Za-z]{28,60}"
)
_SHOUTED = re.compile(r" (?![IVX]+$)[A-Z][A-Z0-9]{1,12}$")
_GROUP_IN_FRONT = re.compile(r"[^\W_]{2,8}-[^\W_]+[._]")
_COMPLETE = re.compile(
    r"(?<![^\W_])(?:coffret[ ._])?(?:(?:the[ ._])?complete(?:[ ._](?P<series>(?:mini)?series))?"
    r"|(?P<integral>l?[' ]?int[eé]grale))(?![^\W_])",
    re.IGNORECASE,
)
_SPECIAL = re.compile(r"(?<![^\W_])specials?(?![^\W_])(?![ ._](?:edition|cut))", re.IGNORECASE)
_EXTRA = re.compile(
    r"(?<![^\W_])(?:extras?|bonus|trailer|creditless|(?:nc)?(?:op|ed)\d{0,2}[a-z]?(?:v\d)?)(?![^\W_])",
    re.IGNORECASE,
)
_IN_BRACKETS = re.compile(r"[\[(][^\[\]()]{0,80}[\])]")
_COUNT_IN_BRACKETS = re.compile(r"[\[(](?!(?:19|20)\d\d[\])])[.\d-]{1,9}[\])]")
_COUNT_IN_TITLE = re.compile(r"#\d|(?<![^\W_])0\d{1,2}(?![^\W_])|[ ._]-[ ._]{1,2}\d")
_DAY_FIRST = re.compile(r"(?<!\d)\d\d[-. _]\d\d[-. _](?:19|20)\d\d(?!\d)")
_NO_COUNT = re.compile(r"(?<!\d)(?:(?:19|20)\d\d|480|576|720|1080|2160)(?!\d)")
_WORDING = re.compile(
    r"(?<![^\W_])(?:(?:part|pt)[ ._-]?(?:\d|(?:[ivx]+|one|two|three|four)(?![^\W_]))|"
    r"(?:seasons?|saison|staffel|temporada|episode|folge|trilogy)(?![^\W_]))",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d")
_DASHED = re.compile(r"[ ._]-{1,2}[ ._]")
_DISC = re.compile(r"[ ._(-]{1,3}(?:cd|disc)[ ._]?\d(?:[ ._]?of[ ._]?\d)?\)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Text:
    """A stem without the brackets in front of it, and what the first of them held."""

    text: str
    group: str | None


def read(stem: str, folders: tuple[Folder, ...], inner: str) -> Name | None:
    """Return what a stem says by its anchors, None where a doubt is left; `inner` is its folder's name."""
    try:
        if _SHORT_NAME.fullmatch(stem) and release.sure_start(inner) is not None:
            return _of_release(inner, folders[:-1])
        if disc := _DISC.search(stem):
            return patterns.read(stem[: disc.start()], folders) or _read(_opened(stem[: disc.start()]), folders)
        return _read(_opened(stem), folders)
    except Doubt:
        return None


def _of_release(inner: str, folders: tuple[Folder, ...]) -> Name | None:
    """Read a release's folder for the abbreviated or scrambled name of the one file in it."""
    name = patterns.read(inner, folders) or _read(_opened(inner), folders)
    return None if name.type == "episode" and name.episode is None else name


def _opened(stem: str) -> _Text:
    group, start = None, 0
    while found := _OPENING.match(stem, start):
        start = found.end()
        if group is None and found[1] and release.sure_start(found[1]) is None:
            group = found[1]
    return _Text(stem[start:], group)


def _read(opened: _Text, folders: tuple[Folder, ...]) -> Name:
    text, grouped = opened.text, opened.group is not None
    if found := numbers.written(text):
        name = _episode(text, found, folders, grouped)
    elif day := titles.DATE.search(text):
        name = _daily(text, day, folders)
    elif found := numbers.counted(text, grouped=grouped):
        name = _episode(text, found, folders, grouped)
    else:
        name = _film(text, folders, grouped)
    if opened.group and "." not in opened.group:
        name.release.setdefault("release_group", opened.group)
    return name


def _episode(text: str, found: Numbers, folders: tuple[Folder, ...], grouped: bool) -> Name:
    tail = release.run_start(text)
    before = text[: min(found.start, tail)]
    if not found.episodes and (
        _EXTRA.search(text, found.start) or _DIGIT.search(_NO_COUNT.sub("", text[found.end : tail]))
    ):
        raise Doubt
    if complete := _COMPLETE.search(before, 1):
        before = before[: complete.start()]
    told = _title(before, folders, dated=True, tidy=grouped) if key(before) else titles.show(folders)
    if told is None:
        raise Doubt
    season = found.season if found.season is not None or not folders else folders[-1].season
    name = titles.named(
        told, text[found.end :], type="episode", season=season,
        episode=found.episodes[0] if found.episodes else None,
        episodes=found.episodes if len(found.episodes) > 1 else [],
    )  # fmt: skip
    if name.year is None:
        name.year = _year_beside(text, found, tail)
    return name


def _year_beside(text: str, found: Numbers, tail: int) -> int | None:
    """Return the year in brackets, or right in front of the release words behind an episode's number."""
    if year := titles.YEAR_IN_BRACKETS.search(text):
        return int(year[1])
    years = patterns.YEAR_WORD.finditer(text, found.end, max(tail, found.end))
    return next((int(year[1]) for year in years if not key(text[year.end() : tail])), None)


def _daily(text: str, found: re.Match[str], folders: tuple[Folder, ...]) -> Name:
    before = text[: min(found.start(), release.run_start(text))]
    told, day = _title(before, folders, dated=False, tidy=False), titles.day_of(found)
    if day is None or _DIGIT.search(told.title):
        raise Doubt
    return titles.named(told, text[found.end() :], type="episode", date=day)


def _film(text: str, folders: tuple[Folder, ...], grouped: bool) -> Name:
    """Read a film, or all of a series, by its year or, without one, by its release words."""
    tail = release.run_start(text)
    years = list(patterns.YEAR_WORD.finditer(text))
    year = years[-1] if len(years) == 1 and years[0].start() else None
    if (year is None and (years or tail == len(text))) or _is_numbered(text, year, tail, folders):
        raise Doubt
    complete = _COMPLETE.search(text, 1)
    end = min(tail, year.start() if year else tail, complete.start() if complete else tail)
    is_bracketed = year is not None and text[year.start() - 1] in "(["
    told = _title(text[:end], folders, dated=False, tidy=grouped or is_bracketed)
    if _COUNT_IN_TITLE.search(told.title) or (not year and _is_unaccounted(text[:end], told, folders, grouped)):
        raise Doubt
    is_series = complete and (complete["series"] or complete["integral"] or not year)
    return titles.named(
        Titled(told.title, int(year[1]) if year else told.year, told.country),
        text[max(end, year.end()) if year and year.end() <= tail else end :],
        type="episode" if is_series or (year and _SPECIAL.search(text, year.end())) else "movie",
    )


def _is_numbered(text: str, year: re.Match[str] | None, tail: int, folders: tuple[Folder, ...]) -> bool:
    """Tell whether something says that this is an extra, or one of several, in a way that is not read here."""
    if folders and folders[-1].season is not None:
        return True
    if _EXTRA.search(text, year.start() if year else 0) or _COUNT_IN_BRACKETS.search(text[:tail]):
        return True
    follows = numbers.NEXT_NUMBER.match(text, year.end()) if year else None
    return _DAY_FIRST.search(text) is not None or bool(follows and follows[1] not in numbers.RESOLUTIONS)


def _is_unaccounted(text: str, told: Titled, folders: tuple[Folder, ...], grouped: bool) -> bool:
    """Tell whether more than a title, brackets and release words stands before an undated film's anchor."""
    if told.year is None and any(folder.one_work for folder in folders):
        return True
    if told.title.isdigit() or (grouped and _DIGIT.search(told.title)):
        return True
    rest = _IN_BRACKETS.sub("", text)
    if not grouped and (dash := _DASHED.search(rest)):
        if _DIGIT.search(rest, dash.end()):
            return True
        rest = rest[: dash.start()]
    return len(key(release.without_words(rest))) > len(key(release.without_words(told.title)))


def _title(text: str, folders: tuple[Folder, ...], *, dated: bool, tidy: bool) -> Titled:
    """Return the title that stands before an anchor, without release words that end it.

    Raises:
        Doubt: it may hold more than a title.
    """
    text = _bare(text, language=not dated)
    if not tidy and (dash := _DASHED.search(text)) and titles.borne(key(text), folders) is None:
        text = text[: dash.start()]
    told = titled(text) if dated else Titled(clean(text))
    if borne := titles.borne(told.key, folders):
        return Titled(told.title, told.year or borne.year, told.country or borne.country)
    is_unclear = release.sure_start(told.title) is not None or titles.is_unclear(told.title, tidy=True)
    if is_unclear or (not tidy and _WORDING.search(told.title)):
        raise Doubt
    is_shouted = " " not in text and _SHOUTED.search(told.title) and not told.title.isupper()
    if is_shouted or _GROUP_IN_FRONT.match(text):
        raise Doubt
    return told


def _bare(text: str, *, language: bool) -> str:
    """Take off the brackets and added release words behind a title; `language`: one in it is a doubt."""
    text = text[: min((at for at in (text.find("[", 1), text.find("(", 1)) if at >= 0), default=len(text))]
    text = text.rstrip(" ._-([{")
    found = list(release.marks(text))
    while found and found[-1].end == len(text) and _is_added(found[-1], text, language):
        text = text[: found.pop().start].rstrip(" ._-([{")
    return text


def _is_added(mark: release.Mark, text: str, language: bool) -> bool:
    """Tell whether a word that ends a title was added to it: it is shouted, or speaks of the cut."""
    before = text[: mark.start]
    if not key(before):
        return False
    if mark.sure or mark.about == "edition" or (text[mark.start : mark.end].isupper() and not before.isupper()):
        return True
    if language and mark.about == "language" and " " not in text:
        raise Doubt  # "Noah.German.2014" and "The.Good.German.2006"
    return False
