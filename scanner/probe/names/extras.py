"""Trailers, samples and other extras, by the names that Jellyfin, Plex and Kodi give to folders and files.

A folder counts only directly above the file and below a folder of its own work, a suffix only behind a name of
its own: a film called "The Sample" and a show called "Extras" are works.
"""

import re
from typing import NamedTuple

from scanner.probe.names.words import Folder, key

_FOLDERS = {
    "trailer": "trailer", "trailers": "trailer", "sample": "sample", "samples": "sample",
    "behind the scenes": "behind the scenes", "behindthescenes": "behind the scenes",
    "deleted scenes": "deleted scene", "deleted": "deleted scene", "deletedscenes": "deleted scene",
    "featurette": "featurette", "featurettes": "featurette",
    "interview": "interview", "interviews": "interview",
    "scene": "scene", "scenes": "scene", "short": "short", "shorts": "short", "clips": "clip",
    "extra": "other", "extras": "other", "other": "other", "others": "other",
    "backdrops": "backdrop", "theme-music": "theme",
}  # fmt: skip
_SUFFIXES = {
    "trailer": "trailer", "sample": "sample", "behindthescenes": "behind the scenes",
    "deleted": "deleted scene", "deletedscene": "deleted scene",
    "featurette": "featurette", "interview": "interview", "scene": "scene",
    "short": "short", "clip": "clip", "other": "other", "extra": "other",
}  # fmt: skip
_ALONE = frozenset({"sample", "trailer", "theme"})
_SUFFIX = re.compile(rf"([-._])({'|'.join(_SUFFIXES)})[ -]?\d{{0,2}}$", re.IGNORECASE)
_PREFIX = re.compile(r"sample-(?=[^\W_])", re.IGNORECASE)
_NUMBER_AT_END = re.compile(r"[ -]?\d{1,2}$")
_ARTICLES = frozenset({"the", "a", "an", "le", "la", "das", "der", "die", "el"})


class Suffixed(NamedTuple):
    """What a file is by the end of its stem, and the stem without that."""

    kind: str
    stem: str


def by_folder(stem: str, names: list[str], folders: tuple[Folder, ...]) -> str | None:
    """Return what a file is by the folder it lies in, which must lie in the folder of a work or season."""
    if len(names) < 2 or (folders[-2].titled is None and folders[-2].season is None):
        return None
    kind = _FOLDERS.get(names[-1].strip().lower().replace("_", " "))
    # `BBC/Extras/Extras - S01E01` is the show of that name
    return None if key(stem).startswith(key(names[-1])) and kind not in _ALONE else kind


def alone(stem: str) -> str | None:
    """Return what a file is whose whole name is sample, trailer or theme, a number aside."""
    kind = _NUMBER_AT_END.sub("", stem).lower()
    return kind if kind in _ALONE else None


def theme(names: list[str], stem: str) -> str | None:
    """Return "theme" for the music that plays while a film's or show's page is open."""
    return "theme" if stem.lower() == "theme" or names[-1:] == ["theme-music"] else None


def by_suffix(stem: str, folders: tuple[Folder, ...]) -> Suffixed | None:
    """Return what a file is by the end of its stem, or by a scene's `sample-` in front."""
    if found := _SUFFIX.search(stem):
        rest, mark, kind = stem[: found.start()].rstrip(" ._-"), found[1], _SUFFIXES[found[2].lower()]
    elif found := _PREFIX.match(stem):
        rest, mark, kind = stem[found.end() :], ".", "sample"
    else:
        return None
    return Suffixed(kind, rest) if _names_a_work(rest, mark, kind, folders) else None


def _names_a_work(rest: str, mark: str, kind: str, folders: tuple[Folder, ...]) -> bool:
    """Tell whether what is left is a name: in "Film-trailer" it is, in "The.Sample" and "The-Other" not."""
    if any(folder.titled and key(rest).startswith(folder.titled.key) for folder in folders):
        return True
    if any(letter.isdigit() for letter in rest):
        return True
    return mark == "-" and key(rest) not in _ARTICLES and (kind in _ALONE or " " in rest)
