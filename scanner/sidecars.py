"""Files that stand beside a video: which stem they share with it, and in which language a subtitle is.

Pure, standard library only. A name says less than one would like ("Let.It.Be.srt" may be Belarusian), so the
stems are candidates, longest first: whoever knows the directory takes the first that a video there has. The
conventions are those of Jellyfin, Plex and Kodi. Time is bounded: a few words are cut off the end, no more.
"""

import re
from collections.abc import Iterator

from scanner.media import Kind, kind_of

FOLDER = ""
"""The stem of what belongs to a whole folder: `poster.jpg`, `movie.nfo`."""

_LANGUAGES = """
alb sq sqi albanian; ara ar arabic; arm hy hye armenian; baq eu eus basque euskera; bel be belarusian; ben bn
bengali; bos bs bosnian; bul bg bulgarian; cat ca catalan català; chi zh zho chs cht chinese mandarin cantonese;
cze cs ces czech český; dan da danish dansk; dut nl nld dutch nederlands; eng en english; est et estonian eesti;
fin fi finnish suomi; fre fr fra french français francais vff
vfq; geo ka kat georgian; ger de deu german deutsch;
glg gl galician; gre el ell greek; heb he iw hebrew; hin hi hindi; hrv hr croatian hrvatski; hun hu hungarian
magyar; ice is isl icelandic; ind id indonesian; ita it italian italiano; jpn ja jp japanese; kan kn kannada;
kaz kk kazakh; kor ko korean; lav lv latvian; lit lt lithuanian; mac mk mkd macedonian; mal ml malayalam; mar mr
marathi; may ms msa malay; mon mn mongolian; nob nb bokmål; nno nn nynorsk; nor no norwegian norsk; per fa fas
persian farsi; pol pl polish polski; por pt pob portuguese português portugues brazilian; rum ro ron romanian
română; rus ru russian; slo sk slk slovak; slv sl slovenian slovene; spa es spanish español espanol castellano
latino; srp sr serbian; swe sv swedish svenska; tam ta tamil; tel te telugu; tgl tl tagalog filipino; tha th
thai; tur tr turkish türkçe; ukr uk ukrainian; urd ur urdu; vie vi vietnamese; und und
"""
_CODE_BY_WORD = {word: words[0] for words in map(str.split, _LANGUAGES.split(";")) for word in words}
_FLAGS = frozenset(
    {"forced", "foreign", "sdh", "cc", "hi", "default", "full", "signs", "songs", "commentary", "dub", "auto"}
)
_ARTWORK = frozenset(
    {
        "poster",
        "fanart",
        "banner",
        "thumb",
        "landscape",
        "clearart",
        "clearlogo",
        "logo",
        "disc",
        "discart",
        "cdart",
    }
    | {"backdrop", "background", "keyart", "characterart", "cover", "folder", "art"}
)
_OF_THE_FOLDER = _ARTWORK | {"movie", "tvshow", "show", "season", "artist", "album", "front", "albumartsmall"}
_SEASON_ART = re.compile(r"season(?:\d{1,4}|[- ]?all|[- ]?specials)(?:-[a-z]+)?", re.IGNORECASE)
_REGION = re.compile(r"([a-z]{2,3})[-_](?:[a-z]{2}|[a-z]{4}|\d{3})", re.IGNORECASE)
_COUNTED = re.compile(r" ?\(\d{1,2}\)$")
_BESIDE = frozenset({"nfo", "edl", "bif", "tbn"})
_MOST_WORDS = 5  # a language, forced, sdh, default and one more


def sidecar_stem(name: str) -> str | None:
    """Return the shortest stem of the video that a file of that name would belong to.

    `FOLDER` if it belongs to its folder; None if it is no sidecar by its extension.
    """
    stems = sidecar_stems(name)
    return stems[-1] if stems else None


def sidecar_stems(name: str) -> tuple[str, ...]:
    """Return the stems that the video beside a file of that name may have, longest first."""
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem:
        return ()
    kind = kind_of(name)
    if kind is Kind.SUBTITLE:
        shorter = (before for before, _ in _subtitle_words(stem))
        return (stem, FOLDER) if _means_something(stem) else (stem, *shorter)
    if kind is Kind.IMAGE or extension.lower() in _BESIDE:
        return _artwork_stems(stem)
    return ()


def subtitle_language(name: str) -> str | None:
    """Return the language that a subtitle's name ends in in ISO 639-2 (eng, ger), None if it says none."""
    stem = name.rpartition(".")[0]
    words = [word for _, word in _subtitle_words(stem)] or [stem]
    spoken = [code for word in words if (code := _language(word))]
    # `hi` is "hearing impaired" beside another language, and Hindi alone
    return next((code for code in spoken if code != "hin"), spoken[0] if spoken else None)


def _artwork_stems(stem: str) -> tuple[str, ...]:
    if _bare(stem) in _OF_THE_FOLDER or _SEASON_ART.fullmatch(stem):
        return (FOLDER,)
    before, word = _parted(stem, "-.")
    return (stem, before) if before and _bare(word) in _ARTWORK else (stem,)


def _bare(word: str) -> str:
    """Return an artwork's word without its number: fanart2, backdrop-1."""
    return word.lower().rstrip("0123456789").rstrip("-")


def _subtitle_words(stem: str) -> Iterator[tuple[str, str]]:
    """Yield what is left of a subtitle's stem as languages and flags are cut off its end, and each word cut."""
    stem = _COUNTED.sub("", stem)
    for _ in range(_MOST_WORDS):
        cut = next((cut for cut in _endings(stem) if cut[0] and _means_something(cut[1])), None)
        if cut is None:
            return
        yield cut
        stem = cut[0]


def _endings(stem: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to part the last word from a stem: out of brackets, after a dot, after a dash."""
    closing = stem[-1:]
    if closing in {")", "]"}:
        before, _, word = stem[:-1].rpartition("(" if closing == ")" else "[")
        yield before.rstrip(" ._-"), word
    yield _parted(stem, ".")
    yield _parted(stem, "-_")


def _parted(stem: str, marks: str) -> tuple[str, str]:
    at = max(stem.rfind(mark) for mark in marks)
    return (stem[:at].rstrip(), stem[at + 1 :].lstrip()) if at > 0 else ("", stem)


def _means_something(word: str) -> bool:
    return word.lower() in _FLAGS or _language(word) is not None


def _language(word: str) -> str | None:
    region = _REGION.fullmatch(word)
    code = region[1] if region else word
    if len(code) == 2 and code.istitle():
        return None  # "Let.It.Be" ends in words, "let.it.be" is beyond us
    return _CODE_BY_WORD.get(code.lower())
