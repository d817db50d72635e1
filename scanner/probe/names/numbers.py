"""Season and episode numbers, however they are written: `S01E04`, `Saison 2 Épisode 5`, `Title.13.HDTV`.

Markers that contradict each other are a doubt: better no answer than half of one.
"""

import re
from dataclasses import dataclass

from scanner.probe.names import release

EPISODE = re.compile(
    r"(?<![^\W_])[sStT](\d{1,4})[ ._-]{0,3}(?:[xX]?[eE][pP]?|[xX](?!26[45]))[ ._]?(\d{1,4})"
    r"((?:(?:[ ._]?[-+&][ ._]?|[ ._])?(?:[sS]\d{1,4})?[eE][pP]?\d{1,4}){0,30}(?:[-+&]\d{1,3}){0,30})"
    r"(?:v\d)?(?![^\W_])"
)
CROSS = re.compile(
    r"(?<![^\W_])(\d{1,2})[xX](\d{2,3})((?:[xX]\d{2,3}|-\d{1,2}[xX]\d{2,3}){0,30}(?:[-+&]\d{2,3}){0,30})(?![^\W_])"
)
_MORE = re.compile(r"[ ._]?(-?)[+&]?[ ._]?(?:[sS](\d{1,4})|(\d{1,2})(?=[xX]))?[eE]?[pP]?[xX]?(\d{1,4})")
NEXT_NUMBER = re.compile(r"[ ._]0*(\d{1,3})(?![^\W_])")
_BETWEEN = re.compile(r"[ ._&+-]{0,4}(?:and)?[ ._]?")
_ODD_CROSS = re.compile(
    r"(?<![^\W_])(?!16x9|4x3)(\d{1,2}|19\d\d(?=x\d\d(?!\d))|20[0-3]\d(?=x\d{2,3}(?!\d)))"
    r"(?: ?\u00d7 ?| x |[xX])(\d{1,3})(?![^\W_])"
)

_YEAR = re.compile(r"(?:19\d\d|20[0-4]\d)")
_SEASON_WORD = r"(?:seasons?|saison|series|staffel|temporada|temp?|stagione|seizoen|säsong|sezonu?|сезон|évad)"
_EPISODE_WORD = (
    r"(?:episod(?:e|io|ul)|épisode|ep|e(?=\d)|cap(?:[ií]tulo)?|folge|aflevering|odcinek|avsnitt|"
    r"серия|эпизод)"
)
_ORDINAL_EPISODE = r"(?:сери[яи]|seri[ay]|serija|rész|b[oö]l[uü]m)"
_OF = r"(?:[ ._]?(?:of|de|di|von|van|din|из|iz)[ ._]?\d{1,3})?"
_ORDINAL = r"(?:[.ªa]|-?(?:й|го|я))?"  # noqa: RUF001 (Russian)
_MORE_SEASONS = r"(?:(?:-|[ ._]?[&,+][ ._]?|[ ._](?:to|and)[ ._])\d{1,2}){1,20}"
_AFTER = r"[ ._]{1,2}"
_SPOKEN = re.compile(
    rf"(?<![^\W_])(?:{_SEASON_WORD}[ ._-]{{0,3}}№?(?P<season>\d{{1,2}})(?:{_OF}|{_MORE_SEASONS})"
    rf"|(?P<ordinal_season>\d{{1,2}}){_ORDINAL}{_AFTER}{_SEASON_WORD}"
    rf"(?![ ._-]{{0,3}}\d{{1,4}}(?!\d|{_ORDINAL}{_AFTER}{_ORDINAL_EPISODE}))"
    rf"|{_EPISODE_WORD}[ ._-]{{0,2}}№?(?!{_YEAR.pattern}(?!\d))(?P<episode>\d{{1,4}})(?:v\d)?"
    rf"(?:[-_](?P<last>\d{{1,4}}))?{_OF}"
    rf"|(?P<ordinal_episode>\d{{1,3}}){_ORDINAL}{_AFTER}{_ORDINAL_EPISODE}{_OF}"
    r"(?![ ._-]{0,3}№?\d{1,3}(?!\d))"
    r"|(?P<of_episode>\d{1,3})[ ._]?of[ ._]?\d{1,3}"
    r"|[sS](?P<pack>\d{1,2})(?:[ ._]?-[ ._]?[sS]?\d\d){0,20}(?:D\d{1,2})?)(?![^\W_])",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"(?<=[ ._#])(?P<first>\d{1,4})(?:v\d)?(?:-(?P<last>\d{1,4}))?(?:[ ._]?v\d)?(?=$|[ ._-])")
_LED = re.compile(r"(?<=[ ._])(?:#(?=\d)|(?=0)(?!007))(\d{2,3})(?:v\d)?(?![^\W_]|[-.,+&]\d)")
_BRACKET = re.compile(r"(?<=.)(?:\[|\((?!(?:(?:19|20)\d\d|[A-Z]{2,3})\)))")
_YEAR_AT_END = re.compile(r"[ ._]{0,3}\((?:19|20)\d\d\)$")
RESOLUTIONS = frozenset({"480", "576", "720", "1080", "2160"})
_DASH_BEFORE = re.compile(r"[ ._]-[ ._]{1,2}$")
_ANY_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_LONGEST_RANGE = 60


class Doubt(Exception):
    """Raised where a name may be read in more than one way."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The season and episodes that a text names, and where their marker begins and ends."""

    start: int
    end: int
    season: int | None
    episodes: list[int]


def written(text: str) -> Numbers | None:
    """Return the numbers that a text has a marker for, None if it has none.

    Raises:
        Doubt: its markers contradict each other.
    """
    return _marked(text) or _spoken(text)


def counted(text: str, *, grouped: bool) -> Numbers | None:
    """Return a bare number that stands last in front of release words, brackets or the end.

    `grouped`: a group's brackets stand in front of it, so that any number is an episode's.

    Raises:
        Doubt: it may be part of a title.
    """
    end = release.run_start(text)
    bracket = _BRACKET.search(text)
    before = text[: min(end, bracket.start() if bracket else end)].rstrip(" ._-")
    before = _YEAR_AT_END.sub("", before)
    led = list(_LED.finditer(before))
    if len(led) == 1 and not _ANY_YEAR.search(before, led[0].end()):  # "Agent.077.1966" is a film
        return Numbers(led[0].start(), led[0].end(), None, [int(led[0][1])])
    found = next((found for found in _COUNTED.finditer(before) if found.end() == len(before)), None)
    if found is None or _YEAR.fullmatch(found["first"]):
        return None
    return _absolute(found) if grouped else _bare(found, before, followed=end < len(text))


def episodes_of(season: int, first: int, more: str) -> list[int] | None:
    """Return all the episodes that a marker names; None if its parts contradict each other."""
    episodes = [first]
    for found in _MORE.finditer(more):
        again, episode = found[2] or found[3], int(found[4])
        if (again and int(again) != season) or not 0 < episode - episodes[-1] < _LONGEST_RANGE:
            return None
        episodes.extend(range(episodes[-1] + 1, episode) if found[1] else ())
        episodes.append(episode)
    return episodes


def _marked(text: str) -> Numbers | None:
    """Read `S01E04`, `1x04`, also if several follow upon each other."""
    for pattern in (EPISODE, CROSS, _ODD_CROSS):
        if founds := list(pattern.finditer(text)):
            return _joined(text, founds)
    return None


def _joined(text: str, founds: list[re.Match[str]]) -> Numbers:
    episodes: list[int] = []
    for before, found in zip([None, *founds], founds, strict=False):
        more = found[3] if found.re is not _ODD_CROSS else ""
        these = episodes_of(int(found[1]), int(found[2]), more)
        apart = before is not None and not _BETWEEN.fullmatch(text, before.end(), found.start())
        if (
            these is None
            or apart
            or int(found[1]) != int(founds[0][1])
            or these[0] <= max(episodes, default=-1)
        ):
            raise Doubt
        episodes.extend(these)
    if (follows := NEXT_NUMBER.match(text, founds[-1].end())) and int(follows[1]) == episodes[-1] + 1:
        raise Doubt
    return Numbers(founds[0].start(), founds[-1].end(), int(founds[0][1]), episodes)


def _spoken(text: str) -> Numbers | None:
    """Read seasons and episodes by the words for them, and a pack's `S02`."""
    end = release.run_start(text)
    founds = [found for found in _SPOKEN.finditer(text) if not (found["pack"] and found.start() > end)]
    seasons = [int(number) for found in founds if (number := _season_of(found))]
    episodes = [found for found in founds if not _season_of(found)]
    if len(seasons) > 1 or len(episodes) > 1:
        raise Doubt
    if not founds:
        return None
    season = seasons[0] if seasons else None
    return Numbers(founds[0].start(), founds[-1].end(), season, _spoken_episodes(episodes, season))


def _season_of(found: re.Match[str]) -> str | None:
    return found["season"] or found["ordinal_season"] or found["pack"]


def _spoken_episodes(founds: list[re.Match[str]], season: int | None) -> list[int]:
    """Return the episodes; `Temporada 4 Cap.408` has its season in front of each."""
    if not founds:
        return []
    first = int(founds[0]["episode"] or founds[0]["ordinal_episode"] or founds[0]["of_episode"])
    last = int(founds[0]["last"] or first)
    if season and first // 100 == last // 100 == season:
        return _ranged(first % 100, last % 100)
    return _ranged(first, last)


def _ranged(first: int, last: int) -> list[int]:
    if not first <= last < first + _LONGEST_RANGE:
        raise Doubt
    return list(range(first, last + 1))


def _absolute(found: re.Match[str]) -> Numbers | None:
    if len(found["first"]) < 2:
        return None
    first = int(found["first"])
    return Numbers(found.start(), found.end(), None, _ranged(first, int(found["last"] or first)))


def _bare(found: re.Match[str], before: str, *, followed: bool) -> Numbers | None:
    """Read a number without a group: two digits are an episode, `401` and `2401` a season and an episode."""
    digits = found["first"]
    if len(digits) == 1 or (digits in RESOLUTIONS and _ANY_YEAR.search(before, 1)):
        return None
    if (
        not followed
        or found["last"]
        or digits in RESOLUTIONS
        or digits.startswith("00")
        or digits.endswith("00")
    ):
        raise Doubt
    if len(digits) > 2 and _DASH_BEFORE.search(before[: found.start()]):
        raise Doubt
    season = int(digits[:-2]) if len(digits) > 2 else None
    return Numbers(found.start(), found.end(), season, [int(digits[-2:])])
