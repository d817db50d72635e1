"""Subtitles: the format by content, the language by name and by header."""

from pathlib import Path

import pytest

from scanner.probe import subtitle
from tests.support.media import MediaFolder
from tests.unit.probe.probing import looked, refused

_CUE = "1\n00:00:01,000 --> 00:00:02,000\nHello\n"


@pytest.mark.parametrize(
    ("text", "container", "codec"),
    [
        (_CUE, "srt", "subrip"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n", "webvtt", "webvtt"),
        ("[Script Info]\nScriptType: v4.00+\n", "ass", "ass"),
        ("[Script Info]\nScriptType: v4.00\n[V4 Styles]\n", "ssa", "ass"),
        ("<SAMI><HEAD></HEAD><BODY></BODY></SAMI>", "sami", "sami"),
        ("{10}{20}Hello|there\n", "microdvd", "microdvd"),
        ("[10][20]Hello\n", "mpl2", "mpl2"),
        ("[INFORMATION]\n[TITLE]x\n", "subviewer", "subviewer"),
        ("0:00:01.000,0:00:02.000\nHello\n", "subviewer", "subviewer"),
        ("# VobSub index file, v7\nid: en, index: 0\nid: de, index: 1\n", "vobsub", "dvd_subtitle"),
        ('<?xml version="1.0"?><tt xmlns="http://www.w3.org/ns/ttml"><body/></tt>', "ttml", "ttml"),
        ("Scenarist_SCC V1.0\n\n00:00:01:00\t9420\n", "scc", "eia_608"),
        ("[ti:Song]\n[00:01.00]La\n", "lrc", "text"),
    ],
)
def test_format_is_known_by_content_whatever_the_name(
    tmp_path: Path, text: str, container: str, codec: str
) -> None:
    (tmp_path / "x.sub").write_text(text)
    found = looked(tmp_path / "x.sub")
    assert (found.container, found.streams[0].codec, found.streams[0].type) == (container, codec, "subtitle")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_format_is_known_in_any_encoding_with_any_line_end(tmp_path: Path, encoding: str, end: str) -> None:
    (tmp_path / "x.srt").write_bytes(_CUE.replace("Hello", "Größe").replace("\n", end).encode(encoding))
    assert looked(tmp_path / "x.srt").container == "srt"


def test_blu_ray_subtitles_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "x.sup").write_bytes(b"PG" + bytes(8) + b"\x16" + bytes(40))
    assert looked(tmp_path / "x.sup").streams[0].codec == "hdmv_pgs_subtitle"


@pytest.mark.parametrize(
    ("name", "language", "flags"),
    [
        ("Film.2019.en.srt", "en", set()),
        ("Film.en.forced.srt", "en", {"forced"}),
        ("Film.ger.sdh.srt", "ger", {"hearing_impaired"}),
        ("Film.pt-BR.srt", "pt-BR", set()),
        ("Film.zh-Hans.default.srt", "zh-Hans", {"default"}),
        ("Film.English.srt", "en", set()),
        ("2_English.srt", "en", set()),
        ("English.srt", "en", set()),
        ("Film.en.hi.srt", "en", {"hearing_impaired"}),
        ("Film.hi.srt", "hi", set()),
        ("Film.forced.srt", None, {"forced"}),
        ("It.srt", None, set()),
        ("Film.1080p.srt", None, set()),
        ("Film.2019.srt", None, set()),
        ("folder.en/Film.srt", None, set()),
        ("Film.the.srt", None, set()),
    ],
)
def test_language_and_flags_come_from_the_end_of_the_name(
    name: str, language: str | None, flags: set[str]
) -> None:
    assert subtitle.named(name) == (language, frozenset(flags))


def test_flags_are_told_of_the_stream(tmp_path: Path) -> None:
    (tmp_path / "Film.en.forced.srt").write_text(_CUE)
    found = looked(tmp_path / "Film.en.forced.srt")
    assert (found.language, found.streams[0].language, found.streams[0].forced) == ("en", "en", True)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("WEBVTT\nLanguage: fr\n\n", "fr"),
        ('<tt xmlns="http://www.w3.org/ns/ttml" xml:lang="sv"><body/></tt>', "sv"),
        ("<SAMI><STYLE>.ENCC {Name: English; lang: en-US;}</STYLE></SAMI>", "en-US"),
    ],
)
def test_language_comes_from_the_header_when_the_name_has_none(
    tmp_path: Path, text: str, language: str
) -> None:
    (tmp_path / "Film.vtt").write_text(text)
    assert looked(tmp_path / "Film.vtt").language == language


def test_index_of_a_dvds_subtitles_has_a_stream_a_language(tmp_path: Path) -> None:
    (tmp_path / "x.idx").write_text("# VobSub index file, v7\nid: en, index: 0\nid: de, index: 1\n")
    assert [stream.language for stream in looked(tmp_path / "x.idx").streams] == ["en", "de"]


def test_text_that_is_no_subtitle_is_unsupported(tmp_path: Path) -> None:
    (tmp_path / "x.srt").write_text("Only words.\n" * 100)
    assert refused(tmp_path / "x.srt").kind == "unsupported"


def test_no_more_than_the_head_is_read(media: MediaFolder, tmp_path: Path) -> None:
    text = "x" * subtitle.HEAD_BYTES + "\n" + _CUE
    (tmp_path / "x.srt").write_text(text)
    assert refused(tmp_path / "x.srt").kind == "unsupported"
