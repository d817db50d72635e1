"""Which stem a sidecar shares with its video, and the language a subtitle's name ends in."""

import pytest

from scanner.sidecars import FOLDER, sidecar_stem, sidecar_stems, subtitle_language


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("x.srt", "x"),
        ("x.en.srt", "x"),
        ("x.en.forced.srt", "x"),
        ("x.forced.en.srt", "x"),
        ("x.eng.sdh.ass", "x"),
        ("x.en.hi.srt", "x"),
        ("x.cc.vtt", "x"),
        ("x.pt-BR.sdh.srt", "x"),
        ("x.zh-Hans.srt", "x"),
        ("x.es-419.srt", "x"),
        ("x (English).srt", "x"),
        ("x.English [SDH].srt", "x"),
        ("x - Deutsch.srt", "x"),
        ("x_fr.sub", "x"),
        ("Show - Title-eng(1).srt", "Show - Title"),
        ("Film.2010.1080p.BluRay-GRP.eng.srt", "Film.2010.1080p.BluRay-GRP"),
        ("English.srt", FOLDER),
        ("Let.It.Be.srt", "Let.It.Be"),
        ("This.Is.Us.S01E01.srt", "This.Is.Us.S01E01"),
        ("x.nfo", "x"),
        ("x.edl", "x"),
        ("movie.nfo", FOLDER),
        ("tvshow.nfo", FOLDER),
        ("x.jpg", "x"),
        ("x-poster.jpg", "x"),
        ("x-thumb.jpg", "x"),
        ("x.fanart.png", "x"),
        ("x-fanart2.jpg", "x"),
        ("a film - poster.webp", "a film"),
        ("poster.jpg", FOLDER),
        ("Folder.JPG", FOLDER),
        ("backdrop1.jpg", FOLDER),
        ("fanart-3.jpg", FOLDER),
        ("season01-poster.jpg", FOLDER),
        ("season-specials-poster.jpg", FOLDER),
        ("The Poster.jpg", "The Poster"),
        ("x.mkv", None),
        ("x.mp3", None),
        ("x.txt", None),
        (".srt", None),
        ("srt", None),
        ("", None),
    ],
)
def test_sidecar_names_the_video_it_belongs_to(name: str, stem: str | None) -> None:
    assert sidecar_stem(name) == stem


def test_every_stem_a_video_may_have_is_named_longest_first() -> None:
    assert sidecar_stems("Amelie.FRENCH.en.forced.srt") == (
        "Amelie.FRENCH.en.forced", "Amelie.FRENCH.en", "Amelie.FRENCH", "Amelie"
    )  # fmt: skip
    assert sidecar_stems("The.Poster.jpg") == ("The.Poster", "The")


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("x.en.srt", "eng"),
        ("x.forced.GER.srt", "ger"),
        ("x.deu.srt", "ger"),
        ("x.pt-BR.srt", "por"),
        ("x.zh-Hant.ass", "chi"),
        ("x (Français).srt", "fre"),
        ("x.hi.srt", "hin"),
        ("x.hi.en.srt", "eng"),
        ("x.en.hi.srt", "eng"),
        ("en.srt", "eng"),
        ("x.srt", None),
        ("x.sdh.srt", None),
        ("Let.It.Be.srt", None),
    ],
)
def test_language_is_that_of_the_name_s_end(name: str, language: str | None) -> None:
    assert subtitle_language(name) == language


@pytest.mark.parametrize("unit", ["en.", ".", "-", "(", ")", "[", "_", "hi-", " ", "\u0130", "é.", "\x00"])
def test_hostile_repetition_yields_a_handful_of_stems(unit: str) -> None:
    name = unit * (100_000 // len(unit)) + ".srt"
    assert 1 <= len(sidecar_stems(name)) <= 6
    subtitle_language(name)
