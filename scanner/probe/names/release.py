"""What release names say of the copy rather than of the work: resolution, source, codecs, language, group.

One pattern finds every such word in one pass; the first of them ends a title. The values are guessit's words.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_VALUES = {
    "screen_size": {"4k": "2160p", "1920x1080": "1080p", "1280x720": "720p", "3840x2160": "2160p"},
    "source": {
        **dict.fromkeys(("bluray", "bdrip", "brrip", "bdremux", "bdmv", "bd", "bdr"), "Blu-ray"),
        **dict.fromkeys(("web", "webdl", "webrip", "webcap", "webhd", "webdlrip"), "Web"),
        **dict.fromkeys(("dvd", "dvdrip", "dvdr", "dvd5", "dvd9", "dvdscr"), "DVD"),
        **dict.fromkeys(("hdtv", "hdtvrip"), "HDTV"),
        **dict.fromkeys(("pdtv", "dvb", "dvbrip"), "Digital TV"),
        **dict.fromkeys(("dsr", "dsrip", "satrip", "dthrip"), "Satellite"),
        **dict.fromkeys(("tvrip", "tv"), "TV"),
        **dict.fromkeys(("cam", "camrip", "hdcam"), "Camera"),
        **dict.fromkeys(("ts", "telesync", "hdts", "hdtelesync"), "Telesync"),
        **dict.fromkeys(("uhdbluray", "uhdbdrip", "uhdbd", "uhdremux"), "Ultra HD Blu-ray"),
        "hddvd": "HD-DVD", "vhsrip": "VHS", "vhs": "VHS", "telecine": "Telecine",
    },
    "video_codec": {
        **dict.fromkeys(("x264", "h264", "avc"), "H.264"),
        **dict.fromkeys(("x265", "h265", "hevc"), "H.265"),
        "xvid": "Xvid", "divx": "DivX", "av1": "AV1", "vp9": "VP9", "vc1": "VC-1", "mpeg2": "MPEG-2",
    },
    "audio_codec": {
        **dict.fromkeys(("ac3", "dd", "dd20", "dd51", "dd2", "dd5", "dolbydigital"), "Dolby Digital"),
        **dict.fromkeys(("eac3", "ddp", "ddp51", "ddp20", "ddp71"), "Dolby Digital Plus"),
        **dict.fromkeys(("dtshd", "dtshdma", "dtsma"), "DTS-HD"),
        **dict.fromkeys(("aac", "heaac", "aac20", "aac2", "aac51"), "AAC"),
        "flac": "FLAC", "dts": "DTS", "dtsx": "DTS:X", "truehd": "Dolby TrueHD", "atmos": "Dolby Atmos",
        "opus": "Opus", "mp3": "MP3", "lpcm": "LPCM", "pcm": "PCM",
    },
}  # fmt: skip
_LANGUAGES = (
    "french|fr|truefrench|subfrench|vostfr|swissgerman|german|italian|ita|spanish|castellano|latino|english|eng|russian|rus|japanese|jpn|"
    "dutch|swedish|swesub|norwegian|danish|finnish|nordic|portuguese|brazilian|polish|pldub|czech|hungarian|"
    "turkish|korean|chinese|hindi|tamil|telugu|thai|greek|hebrew|arabic|ukrainian|flemish|multi|dual|vff|vfq|vo|vf|nl"
)
_OTHER = (
    "proper|repack|rerip|internal|remux|hdr10|hdr|dolby[ ._-]vision|dv|(?:8|10)[ ._-]?bit|hi10p?|uhd|fhd|hd|"
    "sd|dl|qc|hybrid|read[ ._-]?nfo|limited|open[ ._-]matte|complete|dubbed|subbed|subs?|dub|retail|fastsub|"
    "subforced|festival|screener|scr|r5|r6|ws|fs|dc|se|om|3d|half[ ._-]?sbs|h?sbs|ntsc|pal|amzn|nf|dsnp|hulu|"
    "atvp|hmax|hc|real|line|ld|md|mhd|hq|ova|oav|oad|ona|edition|version|cut|workprint|dirfix|nfofix|proof|"
    "prooffix|unedited|uncensored|batch|colorized|anniversary|rip|hdrip|xxx|docu|doku|stv|micro-?hd|hdlight|"
    r"raw|convert|nlsubs|obfuscated|2in1|cd ?\d(?:of\d)?|hfr|\d{2,3}fps|"
    r"vr[ ._]?(?:180|360)(?:[ ._](?:sbs|lr|ou|tb))?"
)
_EDITION = (
    r"extended(?:[ ._-](?:edition|cut|version))?|unrated|uncut|remastered|restored|"
    r"(?:alternat(?:e|ive)|ultimate|collector'?s|special|limited|theatrical|criterion|imax|anniversary|deluxe)"
    r"[ ._-](?:edition|cut|version)|theatrical|criterion|imax|director'?s?[ ._-]cut|edition[ ._-]collector"
)
_WORDS = re.compile(
    r"(?<![^\W_])(?:"
    r"(?P<screen_size>(?:360|480|576|720|900|1080|1440|2160|4320)[pi]|4k|\d{3,4}x\d{3,4})"
    r"|(?P<source>blu-?ray(?:mux)?|bd(?:rip|remux|mv|r)?(?:mux)?|br(?:rip)?mux|brrip"
    r"|web(?:[ ._-]?dl|[ ._-]?rip|cap|hd)?(?:rip)?|dvd(?:rip|-?r|scr|[59])?|hdtv(?:rip)?"
    r"|pdtv|dvb(?:rip)?|dsr(?:ip)?|satrip|dthrip|tv(?:rip)?|(?:hd)?cam(?:rip)?|(?:hd)?ts|(?:hd-?)?telesync"
    r"|telecine|l(?:aser)?d(?:rip|isc)|hd-?dvd|vhs(?:rip)?|uhd[ ._-]?(?:blu-?ray|bd(?:rip)?|remux))"
    r"|(?P<video_codec>[xh][ ._]?26[45]|avc(?:hd)?|hevc|xvid|(?:dv)?divx|av1|vp9|vc-?1|mpeg-?2)"
    r"|(?P<audio_codec>e?-?ac-?3d?|ddp?a?(?:[257]?(?:[ ._][01])?)?|dolby[ ._-]?digital"
    r"|dts(?:[ ._-]?hd)?(?:[ ._-]?ma)?|dts-?x"
    r"|(?:he-)?aac(?:[25]?(?:[ ._][01])?)?|flac|truehd|atmos|opus|mp3|l?pcm)"
    rf"|(?P<language>{_LANGUAGES})"
    rf"|(?P<edition>{_EDITION})"
    rf"|(?P<other>{_OTHER})"
    r")(?![^\W_])",
    re.IGNORECASE,
)
_GROUP = re.compile(r"-([^\W_][\w@]{0,23})(?:\[[^\[\]]{0,30}\])?$")
_NOT_WORD = re.compile(r"[\W_]+")
_SURE = frozenset({"screen_size", "video_codec"})
_SURE_WORDS = frozenset({"vostfr", "subfrench", "truefrench", "swissgerman", "swesub"})


@dataclass(frozen=True, slots=True)
class Mark:
    """A release word: its place, what it is about, its value in guessit's words; `sure`: no title holds it."""

    start: int
    end: int
    about: str
    value: str
    sure: bool


def marks(text: str) -> Iterator[Mark]:
    """Yield the release words in the order in which they stand."""
    for found in _WORDS.finditer(text):
        about = found.lastgroup or "other"
        word = _NOT_WORD.sub("", found[0]).lower()
        value = _VALUES.get(about, {}).get(word, found[0])
        sure = (
            about in _SURE
            or word in _SURE_WORDS
            or (about == "source" and len(word) > 3)
            or (about == "audio_codec" and word != "opus")
        )
        yield Mark(found.start(), found.end(), about, value, sure)


def details(text: str, found: list[Mark]) -> dict[str, str]:
    """Return what the release words say, first come first kept, and the group that ends the name."""
    said: dict[str, str] = {}
    for mark in found:
        said.setdefault(mark.about, mark.value)
    group = _GROUP.search(text) if found else None
    if group and not _WORDS.fullmatch(group[1]):
        said["release_group"] = group[1]
    return said


def tail_start(text: str, found: list[Mark]) -> int:
    """Return where the release words that end `text` begin: its length if it ends in none.

    A word that may be a title's ("Real", "Web") counts only beside a sure one, or in a name without spaces.
    """
    first = next((at for at, mark in enumerate(found) if mark.sure), None)
    if first is None:
        if " " in text:
            return len(text)
        first = len(found)
    start = found[first].start if first < len(found) else len(text)
    for mark in reversed(found[:first]):
        if _NOT_WORD.sub("", text[mark.end : start]):
            break
        start = mark.start
    return start


def sure_start(text: str) -> int | None:
    """Return where the first word begins that no title holds; None if there is none."""
    return next((mark.start for mark in marks(text) if mark.sure), None)


def run_start(text: str) -> int:
    """Return where the first sure word, or the run of likely ones that leads up to it, begins."""
    found = list(marks(text))
    return tail_start(text, found) if any(mark.sure for mark in found) else len(text)


def without_words(text: str) -> str:
    """Return a text without its release words."""
    return _WORDS.sub("", text)
