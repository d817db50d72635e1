"""What a file is by its name."""

import pytest

from scanner.media import Kind, is_partial, kind_of, parse_kinds


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.mkv", Kind.VIDEO),
        ("A.MKV", Kind.VIDEO),
        ("a.ts", Kind.VIDEO),
        ("a.m2ts", Kind.VIDEO),
        ("a.vob", Kind.VIDEO),
        ("a.rmvb", Kind.VIDEO),
        ("a.ogm", Kind.VIDEO),
        ("a.divx", Kind.VIDEO),
        ("a.opus", Kind.AUDIO),
        ("a.flac", Kind.AUDIO),
        ("a.heic", Kind.IMAGE),
        ("a.srt", Kind.SUBTITLE),
        ("a.nfo", Kind.OTHER),
        ("mkv", Kind.OTHER),
        (".mkv", Kind.OTHER),
        ("a.", Kind.OTHER),
        ("", Kind.OTHER),
    ],
)
def test_kind_is_told_by_the_extension(name: str, kind: Kind) -> None:
    assert kind_of(name) == kind


@pytest.mark.parametrize("name", ["a.mkv.part", "a.CRDOWNLOAD", "a.mkv.!qB", "a.tmp"])
def test_partial_names_are_known(name: str) -> None:
    assert is_partial(name)


def test_kinds_are_parsed_and_wrong_ones_named() -> None:
    assert parse_kinds("video, AUDIO") == {Kind.VIDEO, Kind.AUDIO}
    assert parse_kinds("all") == set(Kind)
    for words in ("", "films", "video,films"):
        with pytest.raises(ValueError, match="not one of audio, image, other, subtitle, video or all"):
            parse_kinds(words)
