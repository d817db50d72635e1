"""What the name parser makes of names: those it reads by patterns, those it leaves to guessit, hostile ones."""

import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.message import Name
from scanner.probe.names import NameParser
from tests.unit.probe.names.examples import EXAMPLES, Example

KINDS = ("video", "audio", "image", "subtitle", "other")
CHEAP = NameParser(use_guessit=False)


@pytest.fixture(scope="module")
def full() -> NameParser:
    return NameParser()


def test_examples_are_many_and_mostly_cheap() -> None:
    assert len(EXAMPLES) >= 150
    assert sum(example.hard for example in EXAMPLES) <= len(EXAMPLES) // 10


@pytest.mark.parametrize(
    "example", [pytest.param(example, id=example.place) for example in EXAMPLES if not example.hard]
)
def test_name_is_read_without_guessit(example: Example) -> None:
    assert example.differences(CHEAP.parse(example.place, "video")) == {}


@pytest.mark.parametrize(
    "example", [pytest.param(example, id=example.place) for example in EXAMPLES if example.hard]
)
def test_doubtful_name_is_left_to_guessit(example: Example, full: NameParser) -> None:
    assert CHEAP.parse(example.place, "video") == Name()
    assert example.differences(full.parse(example.place, "video")) == {}


@pytest.mark.parametrize(
    "place",
    [
        "The Tide - S01E02 - S03E04.mkv",
        "Harbour.Agent.007.720p.WEB.mkv",
        "AGENT-X.077.Storm.1966.720p.WEB.mkv",
        "Tide.05-06-2011.720p.mkv",
        "The Tide Season 2 Season 4 720p.mkv",
        "Show.Tide.300.720p.WEB.mkv",
        "Tide (2011)/Elsewhere.720p.WEB.mkv",
        "Tide/Season 1/Low Water 720p.mkv",
        "Tide.2011.Bonus.720p.mkv",
        "Tide.Part.Two.720p.HDTV.mkv",
        "[NoGrp] Tide - OP02 [1080p].mkv",
        "潮.Tide.720p.mkv",
    ],
)
def test_name_that_may_be_read_in_two_ways_gets_no_cheap_answer(place: str) -> None:
    assert CHEAP.parse(place, "video") == Name()


def test_release_words_are_told_in_guessit_s_words() -> None:
    name = CHEAP.parse("The.Quiet.Harbour.2011.1080p.BluRay.DTS-HD.MA.5.1.x264-NOGRP.mkv", "video")
    assert name.release == {
        "screen_size": "1080p", "source": "Blu-ray", "audio_codec": "DTS-HD", "video_codec": "H.264",
        "release_group": "NOGRP",
    }  # fmt: skip
    assert CHEAP.parse("[NoGrp] Tide - 04 [720p].mkv", "video").release["release_group"] == "NoGrp"
    assert CHEAP.parse("The Tide (US) - S01E02.mkv", "video").release == {"country": "US"}


def test_guessit_s_release_words_are_texts(full: NameParser) -> None:
    release = full.parse("ngr-quiet.harbour.2011.720p.bluray.x264-NOGRP.mkv", "video").release
    assert release["screen_size"] == "720p"
    assert release["release_group"] == "NOGRP"
    assert all(isinstance(text, str) for text in release.values())


@pytest.mark.parametrize(
    ("place", "extra", "title", "year", "season"),
    [
        ("Tide (2011)/trailers/First look.mkv", "trailer", "Tide", 2011, None),
        ("Tide (2011)/Trailers/Tide.mkv", "trailer", "Tide", 2011, None),
        ("Films/Tide (2011)/Behind The Scenes/The Boat.mkv", "behind the scenes", "Tide", 2011, None),
        ("Tide (2011)/deleted scenes/The Gull.mkv", "deleted scene", "Tide", 2011, None),
        ("Tide (2011)/Featurettes/Making of.mkv", "featurette", "Tide", 2011, None),
        ("Tide (2011)/interviews/The Captain.mkv", "interview", "Tide", 2011, None),
        ("Tide (2011)/scenes/Storm.mkv", "scene", "Tide", 2011, None),
        ("Tide (2011)/shorts/Gull.mkv", "short", "Tide", 2011, None),
        ("Tide (2011)/samples/x.mkv", "sample", "Tide", 2011, None),
        ("Tide (2011)/Sample/tide-sample.mkv", "sample", "Tide", 2011, None),
        ("Tide (2011)/extras/Reel.mkv", "other", "Tide", 2011, None),
        ("Tide (2011)/other/Reel.mkv", "other", "Tide", 2011, None),
        ("Tide (2011)/backdrops/1.mkv", "backdrop", "Tide", 2011, None),
        ("Tide/extras/Reel.mkv", "other", "Tide", None, None),
        ("Tide/Season 2/extras/Reel.mkv", "other", "Tide", None, 2),
        ("Tide.S01E02.720p.WEB-NOGRP/Sample/x.mkv", "sample", "Tide", None, 1),
        ("Tide (2011)/Tide (2011)-trailer.mkv", "trailer", "Tide", 2011, None),
        ("Tide (2011)/Tide (2011)-trailer2.mkv", "trailer", "Tide", 2011, None),
        ("Tide (2011)/Tide.trailer.mkv", "trailer", "Tide", 2011, None),
        ("Tide (2011)/Tide_sample.mkv", "sample", "Tide", 2011, None),
        ("Tide (2011)-sample.mkv", "sample", "Tide", 2011, None),
        ("Tide (2011)/Tide-behindthescenes.mkv", "behind the scenes", "Tide", 2011, None),
        ("Tide (2011)/Tide-deleted.mkv", "deleted scene", "Tide", 2011, None),
        ("Tide (2011)/Tide-featurette.mkv", "featurette", "Tide", 2011, None),
        ("Tide (2011)/Tide-interview.mkv", "interview", "Tide", 2011, None),
        ("Tide (2011)/Tide-scene.mkv", "scene", "Tide", 2011, None),
        ("Tide (2011)/Tide-short.mkv", "short", "Tide", 2011, None),
        ("Tide (2011)/Tide-other.mkv", "other", "Tide", 2011, None),
        ("Tide.2011.1080p.BluRay.x264-NOGRP/sample-tide.2011.mkv", "sample", "tide", 2011, None),
        ("Tide (2011)/sample.mkv", "sample", "Tide", 2011, None),
        ("Tide (2011)/trailer.mp4", "trailer", "Tide", 2011, None),
        ("Tide (2011)/Trailer 2.mp4", "trailer", "Tide", 2011, None),
        ("Tide/theme.mp4", "theme", "Tide", None, None),
        ("sample.mkv", "sample", None, None, None),
    ],
)  # fmt: skip
def test_extra_is_recognised_with_the_work_it_belongs_to(
    place: str, extra: str, title: str | None, year: int | None, season: int | None
) -> None:
    name = CHEAP.parse(place, "video")
    assert (name.extra, name.title, name.year, name.season) == (extra, title, year, season)


@pytest.mark.parametrize(
    "place",
    [
        "The Sample (2014).mkv",
        "The.Sample.2014.1080p.mkv",
        "The.Sample.mkv",
        "The-Other.mkv",
        "Trailer Harbour Boys/Season 01/Trailer Harbour Boys - S01E01.mkv",
        "Trailer.Harbour.Boys.S01E01.mkv",
        "Extras/Season 1/Extras - S01E01.mkv",
        "Extras/Extras - S01E01.mkv",
        "TV/Extras/Extras - S01E01.mkv",
        "Shorts/Tide (2011).mkv",
        "Movies/Shorts/Tide (2011).mkv",
        "Interviews/Tide (2011)/Tide (2011).mkv",
        "Interview with a Gull (1994).mkv",
        "The Big Short (2015).mkv",
        "Tide (2011)/Tide (2011).mkv",
    ],
)
def test_work_whose_name_sounds_like_an_extra_is_none(place: str) -> None:
    assert CHEAP.parse(place, "video").extra is None


@pytest.mark.parametrize(
    ("place", "title", "language", "sidecar_of"),
    [
        ("Tide (2011)/Tide (2011).en.forced.srt", "Tide", "eng", "Tide (2011)"),
        ("Tide (2011)/Subs/Tide (2011).de.srt", "Tide", "ger", "Tide (2011)"),
        ("Tide (2011)/Subs/2_English.srt", "Tide", "eng", "2"),
        ("Tide (2011)/English.srt", "Tide", "eng", ""),
        ("Tide.2011.1080p.BluRay-NOGRP.srt", "Tide", None, "Tide.2011.1080p.BluRay-NOGRP"),
        ("Tide/Season 1/Tide - S01E02.pt-BR.srt", "Tide", "por", "Tide - S01E02"),
        ("Mare\u0301e (2011).fr.srt", "Marée", "fre", "Mare\u0301e (2011)"),
    ],
)
def test_subtitle_is_read_by_the_part_of_its_video(
    place: str, title: str, language: str | None, sidecar_of: str
) -> None:
    name = CHEAP.parse(place, "subtitle")
    assert (name.title, name.language, name.sidecar_of) == (title, language, sidecar_of)


@pytest.mark.parametrize(
    ("place", "kind", "expected"),
    [
        ("Tide (2011)/Tide (2011)-poster.jpg", "image", Name(sidecar_of="Tide (2011)")),
        ("Tide (2011)/poster.jpg", "image", Name(sidecar_of="")),
        ("Photos/IMG_0001.jpg", "image", Name()),
        ("Photos/2010 (2011)/S01E01.jpg", "image", Name()),
        ("Tide (2011)/Tide (2011).nfo", "other", Name(sidecar_of="Tide (2011)")),
        ("Tide (2011)/notes.txt", "other", Name()),
        ("Music/Band/2011 - Album/01 - Tide.flac", "audio", Name()),
        ("Tide/theme.mp3", "audio", Name(extra="theme")),
        ("Tide/theme-music/one.mp3", "audio", Name(extra="theme")),
    ],
)
def test_sound_and_pictures_say_no_more_than_what_they_stand_beside(
    place: str, kind: str, expected: Name
) -> None:
    assert NameParser().parse(place, kind) == expected


@pytest.mark.parametrize(
    ("place", "date"),
    [
        ("Phone/VID_20190102_123456.mp4", "2019-01-02"),
        ("Phone/PXL_20210304_050607089.mp4", "2021-03-04"),
        ("2019-01-02 12.34.56.mp4", "2019-01-02"),
        ("20190102_123456.mp4", "2019-01-02"),
        ("DCIM/GOPR0123.MP4", None),
        ("DCIM/IMG_0123.MOV", None),
    ],
)
def test_camera_s_name_is_no_title(place: str, date: str | None) -> None:
    assert NameParser().parse(place, "video") == Name(date=date)


def test_guessit_is_imported_only_when_a_name_needs_it() -> None:
    script = (
        "import sys; from scanner.probe.names import NameParser; p = NameParser();"
        "p.parse('Tide (2011)/Tide (2011).mkv', 'video'); p.parse('a/b.mp3', 'audio');"
        "assert 'guessit' not in sys.modules; p.parse('Tide - 104.mkv', 'video');"
        "assert 'guessit' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("place", ["", "/", ".mkv", "1080p.mkv"])
def test_name_without_a_title_is_no_film(place: str, full: NameParser) -> None:
    name = full.parse(place, "video")
    assert (name.title, name.type) == (None, None)


def test_failing_guessit_costs_nothing_but_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise RecursionError

    monkeypatch.setattr("guessit.guessit", fail)
    assert NameParser().parse("Tide - 104.mkv", "video") == Name()


def test_answer_changed_by_its_owner_does_not_change_the_next() -> None:
    parser = NameParser()
    first = parser.parse("Tide - 104.mkv", "video")
    expected = msgspec.to_builtins(first)
    first.title = "else"
    first.release["else"] = "else"
    assert msgspec.to_builtins(parser.parse("Tide - 104.mkv", "video")) == expected


HOSTILE = [
    "S01E01", "S01E01 ", "E01", " E01", "-01", "S01", "1x01", "x01x", "01-", "-E02", " - 04 ", "[a]", "[", "]",
    "(", ")", "{", "2010.", "(2010)", "2010-01-01 ", "1080p.", "x264-", "a.", "a.b.c.", ".", "-", "_", " ",
    "The, ", "US ", "(US)", "part ", "Episode ", "sample-", "-trailer", "en.", "é", "e\u0301", "\u0130", "ß",
    "第", "字a", "٣", "\ud800", "\x00", "\n", "\\", "[tmdb-1]", "{edition-", "Season 1", "s", "[a] b - 01 ",
    "\u202e", "🎬",
]  # fmt: skip
FRAMES = [
    "{}", "Tide {}", "{} S01E01x", "S01{}x", "S01E01{}x", "1x01{}z", "Tide - 04 {}!", "[g] Tide - {}",
    "Tide {}(2010", "Tide/Season 1/{}", "{}/{}", "{}/x", "Tide {}1",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.timeout(
    20, method="signal"
)  # a pattern that tries for ever holds the lock, and no thread stops it
def test_hostile_repetition_yields_a_valid_name(unit: str, frame: str) -> None:
    for repeats in (1, 25, 60, 5_000):
        place = frame.replace("{}", unit * repeats) + ".mkv"
        for kind in KINDS:
            _assert_valid(CHEAP.parse(place, kind))


@given(st.text(max_size=400), st.sampled_from(KINDS))
def test_any_text_yields_a_valid_name(place: str, kind: str) -> None:
    _assert_valid(CHEAP.parse(place, kind))


_PIECES = st.sampled_from([*HOSTILE, "/", "Tide", "Season 1/", ".mkv", ".srt", ".jpg"])


@given(st.lists(_PIECES, max_size=60).map("".join), st.sampled_from(KINDS))
def test_any_pile_of_a_name_s_pieces_yields_a_valid_name(place: str, kind: str) -> None:
    _assert_valid(CHEAP.parse(place, kind))


def _assert_valid(name: Name) -> None:
    encoded = msgspec.json.encode(name)
    assert msgspec.json.decode(encoded, type=Name) == name
    assert b"\\u0000" not in encoded
    for text in (name.title, name.episode_title, name.sidecar_of, *name.release.values()):
        assert text is None or len(text) <= 300
    assert len(name.episodes) <= 2_000
    assert all(number >= 0 for number in name.episodes)


def test_guessit_s_time_is_bounded_by_cutting_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def note(place: str) -> dict[str, object]:
        asked.append(place)
        return {}

    monkeypatch.setattr("guessit.guessit", note)
    NameParser().parse("/".join(["Episode 1 " * 100] * 100) + "/" + "Episode 2 " * 100, "video")
    assert [len(place) <= 5 * 256 + len(".mkv") for place in asked] == [True]
