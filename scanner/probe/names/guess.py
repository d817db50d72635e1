"""guessit, asked for what the cheap path leaves open: it knows far more, and takes 7 ms and up a name.

It is imported when first needed. Whatever it does with a name (it has no bound but the name's length, which the
caller bounds), the answer is a `Name`: a name is never worth a file.
"""

from collections.abc import Mapping
from typing import Any

from scanner.message import Name

_SHOWN = ("title", "type", "year", "season", "episode", "episode_title", "date")
_NOT_RELEASE = frozenset({*_SHOWN, "container", "mimetype", "alternative_title", "uuid", "crc32"})
_LONGEST_TEXT = 255


def guess(place: str) -> Name:
    """Return what guessit makes of a path; an empty `Name` if it fails."""
    from guessit import guessit  # noqa: PLC0415 (see the module's docstring)

    try:
        found: Mapping[str, Any] = guessit(place)
        return _named(found)
    except Exception:  # noqa: BLE001 (a thousand rules meet any text: none of their errors may cost the file)
        return Name()


def _named(found: Mapping[str, Any]) -> Name:
    episodes = _numbers(found.get("episode"))
    seasons = _numbers(found.get("season"))
    title, kind = _text(found.get("title")), found.get("type")
    says_kind = kind == "episode" or (
        kind == "movie" and title
    )  # its word for what it knows nothing of is movie
    day = found.get("date")
    return Name(
        title=title,
        type=kind if says_kind else None,
        year=next(iter(_numbers(found.get("year"))), None),
        season=seasons[0] if seasons else None,
        episode=episodes[0] if episodes else None,
        episodes=episodes if len(episodes) > 1 else [],
        episode_title=_text(found.get("episode_title")),
        date=day.isoformat() if day is not None else None,
        release={
            word: text for word, value in found.items() if word not in _NOT_RELEASE and (text := _text(value))
        },
    )


def _numbers(value: object) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [number for number in values if isinstance(number, int)][:100]


def _text(value: object) -> str | None:
    if value is None:
        return None
    words = value if isinstance(value, list) else [value]
    return ", ".join(str(word) for word in words)[:_LONGEST_TEXT]
