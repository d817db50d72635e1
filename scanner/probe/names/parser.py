"""What a file's name and folders say, put together: extras, sidecars, the cheap path, guessit for the rest.

Names are hostile: any text of any length goes in, a `Name` of valid Unicode comes out, in bounded time, and
nothing is raised. Only videos and subtitles are parsed for what they show.
"""

import re
import unicodedata
from copy import deepcopy
from functools import lru_cache

import msgspec

from scanner.message import Name
from scanner.probe.names import anchors, extras, patterns, titles
from scanner.probe.names.guess import guess
from scanner.probe.names.words import LONGEST_PART, Folder, folder, without_ids
from scanner.sidecars import sidecar_stem, subtitle_language

_MOST_PARTS = 5
_KEPT_GUESSES = 512
_INNER_FOLDERS = frozenset({"subs", "subtitles", "sub", "vobsub", "bdmv", "stream", "video_ts"})
_NUMBERED = re.compile(r"\d*|\d{1,2}_.*|VTS_\d\d_\d|VIDEO_TS", re.IGNORECASE | re.DOTALL)
_SCRAMBLED = re.compile(r"[0-9a-f]{16,}|[0-9a-f-]{36}", re.IGNORECASE)
_CAMERA = re.compile(
    r"(?:(?:VID|IMG|MVI|MOV|DSC[NF]?|PXL|GOPR|G[XHP]|DJI|WhatsApp Video|Screen Recording)[ _-]?\d{4}|"
    r"\d{8}[_ -]?\d{4,6}|\d{4}-\d\d-\d\d(?: at)?[ _T-]\d\d)[ \d_.:-]{0,30}",
    re.IGNORECASE,
)
_DAY = re.compile(r"(?<!\d)((?:19|20)\d\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])(?!\d)")


class NameParser:
    """Reads names; what the plain patterns leave open is asked of guessit, or stays open without it."""

    def __init__(self, use_guessit: bool = True) -> None:
        self._guess = lru_cache(maxsize=_KEPT_GUESSES)(guess if use_guessit else _unknown)

    def parse(self, place: str, kind: str) -> Name:
        """Return what a path relative to the library's root says of a file of that kind (`Kind.label`)."""
        place = place.encode("utf-8", "replace").decode().replace("\0", "")
        *folders, file = _parts(unicodedata.normalize("NFC", place))
        stem = file.rpartition(".")[0] or file
        if kind == "video":
            return self._video(folders, stem)
        beside = _parts(place)[-1]  # as it is written there, since it is compared with its neighbours
        if kind == "subtitle":
            name = self._subtitle(folders, sidecar_stem(file) or "")
            return msgspec.structs.replace(
                name, sidecar_of=sidecar_stem(beside), language=subtitle_language(file)
            )
        if kind == "audio":
            return Name(extra=extras.theme(folders, stem))
        owner = sidecar_stem(beside)
        return Name(sidecar_of=None if kind == "image" and owner == beside.rpartition(".")[0] else owner)

    def _video(self, folders: list[str], stem: str) -> Name:
        folders, inner = _outside(folders)
        if folders and (_SCRAMBLED.fullmatch(stem) or (inner and _NUMBERED.fullmatch(stem))):
            stem = folders.pop()
        told = tuple(folder(name) for name in folders)
        if kind := extras.by_folder(stem, folders, told):
            return self._of_owner(folders[:-1], kind)
        if kind := extras.alone(stem):
            return self._of_owner(folders, kind)
        if found := extras.by_suffix(stem, told):
            return msgspec.structs.replace(self._work(folders, found.stem, told), extra=found.kind)
        return self._work(folders, stem, told)

    def _of_owner(self, folders: list[str], kind: str) -> Name:
        """Return an extra's name by the folder it belongs to: a film's, a show's or a season's."""
        if not folders:
            return Name(extra=kind)
        told = tuple(folder(name) for name in folders)
        if told[-1].season is not None:
            show = titles.show(told)
            title, year = (show.title, show.year) if show else (None, None)
            return Name(title=title, year=year, season=told[-1].season, extra=kind)
        name = self._work(folders[:-1], folders[-1], told[:-1])
        # a show's folder looks like a film's
        return msgspec.structs.replace(name, extra=kind, type="episode" if name.episode else None)

    def _subtitle(self, folders: list[str], stem: str) -> Name:
        folders, inner = _outside(folders)
        if folders and (not stem or (inner and _NUMBERED.fullmatch(stem))):
            stem = folders.pop()
        return self._video(folders, stem) if stem else Name()

    def _work(self, folders: list[str], stem: str, told: tuple[Folder, ...]) -> Name:
        if _CAMERA.fullmatch(stem):
            day = _DAY.search(stem)
            return Name(date="-".join(day.groups()) if day else None)
        text = without_ids(stem)
        name = patterns.read(text, told) or anchors.read(text, told, folders[-1] if folders else "")
        return name if name is not None else deepcopy(self._guess("/".join((*folders, f"{stem}.mkv"))))


def _parts(place: str) -> list[str]:
    return [part[:LONGEST_PART] for part in place.strip("/").rsplit("/", _MOST_PARTS)[-_MOST_PARTS:]]


def _outside(folders: list[str]) -> tuple[list[str], bool]:
    """Return the folders without the innermost that only hold parts of a work, and if it had such."""
    end = len(folders)
    while end and folders[end - 1].lower() in _INNER_FOLDERS:
        end -= 1
    return folders[:end], end < len(folders)


def _unknown(_: str) -> Name:
    return Name()
