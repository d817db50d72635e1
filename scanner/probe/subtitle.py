"""Subtitle files: their format by what their first part holds, their language by name and header.

Reads at most `HEAD_BYTES`. A crash here costs one file.
"""

import codecs
import re
from collections.abc import Sequence

from scanner.message import Media, Stream
from scanner.probe import text
from scanner.probe.file import ProbeError
from scanner.probe.languages import language_of

HEAD_BYTES = 64 * 1024

_CLOCK = r"\d{1,3}:\d\d:\d\d"
_FORMATS: tuple[tuple[str, str, re.Pattern[str]], ...] = tuple(
    (container, codec, re.compile(pattern, re.IGNORECASE | re.MULTILINE))
    for container, codec, pattern in (
        # Formats with a heading of their own first, then those known by the shape of their cues.
        ("webvtt", "webvtt", r"\A\s*WEBVTT\b"),
        ("ass", "ass", r"\A\s*\[Script Info\](?=[^\0]*?^(?:ScriptType:\s*v4\.00\+|\[V4\+ Styles\]))"),
        ("ssa", "ass", r"\A\s*\[Script Info\]"),
        ("vobsub", "dvd_subtitle", r"\A\s*# VobSub index file"),
        ("scc", "eia_608", r"\A\s*Scenarist_SCC V\d"),
        ("sami", "sami", r"\A\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,2000}-->\s*)?<SAMI\b"),
        ("ttml", "ttml", r"<(?:\w{1,20}:)?tt\b[^>]{0,4000}ttml|<(?:\w{1,20}:)?tt\b[^>]{0,4000}xml:lang"),
        ("usf", "usf", r"<USFSubtitles\b"),
        ("realtext", "realtext", r"\A\s*<window\b"),
        ("subviewer", "subviewer", rf"\A\s*\[INFORMATION\]|^{_CLOCK}\.\d\d\d?,{_CLOCK}\.\d\d\d?\s*$"),
        ("srt", "subrip", rf"^{_CLOCK}[,.]\d{{1,3}}[ \t]*-->[ \t]*{_CLOCK}[,.]\d{{1,3}}"),
        ("microdvd", "microdvd", r"^\{\d{1,9}\}\{\d{0,9}\}"),
        ("mpl2", "mpl2", r"^\[\d{1,9}\]\[\d{0,9}\]"),
        ("jacosub", "jacosub", rf"^{_CLOCK}\.\d\d\s{_CLOCK}\.\d\d\s"),
        ("pjs", "pjs", r"^\s*\d{1,9},\d{1,9},\""),
        ("lrc", "text", r"^\[(?:ti|ar|al|by|offset):|^\[\d{1,3}:\d\d(?:[.:]\d{1,3})?\]"),
    )
)
_FLAGS = {"forced": "forced", "foreign": "forced", "default": "default"} | dict.fromkeys(
    ("sdh", "cc", "hi"), "hearing_impaired"
)
_INDEX_LANGUAGE = re.compile(r"^id:\s*([a-z]{2,3}), index:", re.IGNORECASE | re.MULTILINE)
_HEADER_LANGUAGES = {
    "webvtt": re.compile(r"^Language:[ \t]*([\w-]{2,12})", re.IGNORECASE | re.MULTILINE),
    "sami": re.compile(r"\bLang:\s*([\w-]{2,12})", re.IGNORECASE),
    "ttml": re.compile(r"\bxml:lang=[\"']([\w-]{2,12})"),
}


def look(head: bytes, name: str) -> Media:
    """Return the format, language and streams of a subtitle from its first `HEAD_BYTES` and its name.

    Raises:
        ProbeError: `unsupported`, when it is no subtitle format that is known here.
    """
    binary = _binary_format(head)
    words = "" if binary else decoded(head)
    known = binary or text_format(words)
    if known is None:
        raise ProbeError("unsupported", "no subtitle format that is known here")
    container, codec = known
    language, flags = named(name)
    stream = Stream(type="subtitle", codec=codec, language=language or header_language(container, words))
    stream.forced, stream.default = "forced" in flags, "default" in flags
    stream.hearing_impaired = "hearing_impaired" in flags
    streams = _indexed(words) if container == "vobsub" else []
    return Media(container=container, language=stream.language, streams=streams or [stream])


def _binary_format(head: bytes) -> tuple[str, str] | None:
    if head[:2] == b"PG" and head[10:11] in b"\x14\x15\x16\x17\x80":
        return "sup", "hdmv_pgs_subtitle"
    if head[3:6] == b"STL" and head[8:11] == b".01":
        return "stl", "ebu_stl"
    return None


def decoded(head: bytes) -> str:
    """Return the text of a head in UTF-8, UTF-16 or what passes for Latin-1; "" if it holds binary data."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if head.startswith(mark):
            return head[2:].decode(encoding, "replace").replace("\r", "\n")
    if b"\0" in head:
        return ""
    return head.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace").replace("\r", "\n")


def text_format(words: str) -> tuple[str, str] | None:
    """Return the container and codec of a subtitle text; None if it is not one."""
    if not words:
        return None
    return next(((container, codec) for container, codec, found in _FORMATS if found.search(words)), None)


def named(name: str) -> tuple[str | None, frozenset[str]]:
    """Return the language and the flags (forced, default, hearing_impaired) at the end of a file's name.

    `Film.2019.en.forced.srt`, `Film.pt-BR.srt`, `2_English.srt` or `English.srt`; a title's only word, such as
    `It.srt`, is none.
    """
    stem = name.rpartition("/")[2].rpartition(".")[0]
    words = stem.split(".")[1:] or re.split(r"[_ ]", stem)
    if len(words) == 1 and len(stem) < 4:
        return None, frozenset()
    return _read_backwards(words)


def _read_backwards(words: Sequence[str]) -> tuple[str | None, frozenset[str]]:
    flags = set()
    for place, word in enumerate(reversed(words)):
        earlier = len(words) - place > 1
        flag = _FLAGS.get(word.lower())
        # "hi" is Hindi, unless a language stands before it.
        if flag and (word.lower() != "hi" or (earlier and language_of(words[-place - 2]))):
            flags.add(flag)
            continue
        return language_of(word), frozenset(flags)
    return None, frozenset(flags)


def header_language(container: str, words: str) -> str | None:
    """Return the language that a subtitle's own header names."""
    pattern = _HEADER_LANGUAGES.get(container)
    found = pattern.search(words) if pattern else None
    return text.fit(found[1], 12) if found else None


def _indexed(words: str) -> list[Stream]:
    return [
        Stream(type="subtitle", codec="dvd_subtitle", language=found[1].lower())
        for found in _INDEX_LANGUAGE.finditer(words)
    ][:100]
