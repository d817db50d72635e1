"""What FFmpeg says of containers, and what it must not be talked into."""

import os
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from scanner.probe import container, source
from scanner.probe.file import MediaFile
from tests.support.media import MediaFolder
from tests.unit.probe.probing import looked, refused

_MIB = 1024 * 1024


@pytest.mark.parametrize(("name", "expected"), [("film.mkv", "matroska"), ("film.mp4", "mp4")])
def test_film_gives_container_streams_languages_chapters_and_tags(
    media: MediaFolder, name: str, expected: str
) -> None:
    film = looked(media[name])
    video, english, german, words = film.streams[:4]
    assert (film.container, film.tags["title"]) == (expected, "A Film")
    assert film.duration_s == pytest.approx(2.0, abs=0.1)
    assert film.bit_rate
    assert (video.type, video.codec, video.width, video.height) == ("video", "h264", 128, 72)
    assert (video.frame_rate, video.pixel_format, video.hdr) == (25.0, "yuv420p", None)
    assert (english.codec, english.channels, english.sample_rate) == ("aac", 2, 44_100)
    assert [(stream.language, stream.default) for stream in (english, german)] == [
        ("eng", True),
        ("ger", False),
    ]
    assert (words.type, words.language, words.forced) == ("subtitle", "ger", True)
    assert [(chapter.start_s, chapter.end_s, chapter.title) for chapter in film.chapters] == [
        (0.0, 1.0, "Opening"),
        (1.0, 2.0, "Ending"),
    ]


@pytest.mark.parametrize(("name", "hdr"), [("hdr10.mkv", "HDR10"), ("hlg.mkv", "HLG")])
def test_transfer_characteristics_tell_the_kind_of_hdr(media: MediaFolder, name: str, hdr: str) -> None:
    assert looked(media[name]).streams[0].hdr == hdr


def test_dolby_vision_is_known_by_its_sample_entry(media: MediaFolder, tmp_path: Path) -> None:
    content = media["film.mp4"].read_bytes()
    assert b"avc1\0" in content
    film = tmp_path / "film.mp4"
    film.write_bytes(content.replace(b"avc1\0", b"dvav\0"))
    assert looked(film).streams[0].hdr == "Dolby Vision"


@pytest.mark.parametrize("name", ["song.mp3", "song.flac"])
def test_song_gives_tags_and_its_cover_as_a_picture(media: MediaFolder, name: str) -> None:
    song = looked(media[name])
    assert {key: song.tags[key] for key in ("title", "artist", "track")} == {
        "title": "Träumerei",
        "artist": "Clara",
        "track": "7/13",
    }
    assert [stream.picture for stream in song.streams] == [False, True]
    assert song.streams[1].frame_rate is None


def test_tags_that_ogg_keeps_with_its_stream_are_the_files(media: MediaFolder) -> None:
    assert looked(media["song.opus"]).tags["artist"] == "Clara"


def test_what_is_read_is_the_file_that_was_opened_even_if_another_took_its_place(
    media: MediaFolder, tmp_path: Path
) -> None:
    place = tmp_path / "film.mkv"
    place.write_bytes(media["film.mkv"].read_bytes())
    descriptor = os.open(place, os.O_RDONLY)
    try:
        place.unlink()
        os.mkfifo(place)
        file = MediaFile(str(place), descriptor, os.fstat(descriptor).st_size, 0, "video", "film.mkv")
        assert container.look(file, hint="mkv").container == "matroska"
    finally:
        os.close(descriptor)


def test_concat_list_named_mkv_does_not_open_the_file_it_names(media: MediaFolder, tmp_path: Path) -> None:
    listing = tmp_path / "list.mkv"
    listing.write_text(f"ffconcat version 1.0\nfile '{media['film.mp4']}'\n")
    said = refused(listing)
    assert said.kind == "unsupported"


def test_playlist_named_mp4_does_not_open_the_file_it_names(media: MediaFolder, tmp_path: Path) -> None:
    listing = tmp_path / "list.mp4"
    listing.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{media['film.mp4']}\n#EXT-X-ENDLIST\n")
    assert refused(listing).kind == "unsupported"


def test_refusal_of_one_file_is_not_held_against_the_next(media: MediaFolder, tmp_path: Path) -> None:
    listing = tmp_path / "list.mkv"
    listing.write_text(f"ffconcat version 1.0\nfile '{media['film.mp4']}'\n")
    for _ in range(3):
        refused(listing)
        assert looked(media["film.mkv"]).container == "matroska"


def test_parser_that_reads_on_and_on_comes_to_an_end(
    media: MediaFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MOST_BYTES", 1_000)
    said = refused(media["film.mkv"])
    assert (said.kind, "its parser found no end" in str(said)) == ("corrupt", True)


def test_mark_and_ten_gigabytes_of_zeros_are_read_no_further_than_a_song_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MOST_BYTES", 16 * _MIB)
    song = tmp_path / "preallocated.mp3"
    song.write_bytes(b"ID3\4\0\0\0\0\0\0")
    os.truncate(song, 10 * 1024 * _MIB)
    assert refused(song).kind == "corrupt"


def test_reading_that_fails_is_the_storages_fault(media: MediaFolder, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)  # read() of a directory fails
    try:
        reader = source.Source(MediaFile("/x.mkv", descriptor, 100, 0, "video", "x.mkv"))
        assert reader.read(10) == b""
        assert reader.failure is not None
        assert reader.failure.kind == "io"
    finally:
        os.close(descriptor)


def test_tags_are_bounded_and_hold_no_control_characters_or_broken_text(
    tmp_path: Path, media: MediaFolder
) -> None:
    song = tmp_path / "song.mp3"
    lyrics = "la\x07 " * 20_000
    song.write_bytes(_id3({b"TIT2": b"\3bad \xff\xfe\xed\xa0\x80 text", b"TPE1": b"\3" + lyrics.encode()}))
    with song.open("ab") as file:
        file.write(media["song.mp3"].read_bytes())
    tags = looked(song).tags
    assert all(value.isprintable() and len(value) <= 1_000 for value in tags.values())
    assert len(tags["artist"]) >= 900
    assert "bad" in tags["title"]


def test_more_tags_than_anyone_reads_are_left_out(tmp_path: Path, media: MediaFolder) -> None:
    metadata = [word for number in range(200) for word in ("-metadata", f"key{number}={number}")]
    command = [
        "ffmpeg",
        "-nostdin",
        "-loglevel",
        "error",
        "-i",
        str(media["film.mkv"]),
        "-c",
        "copy",
        *metadata,
    ]
    subprocess.run([*command, str(tmp_path / "x.mkv")], check=True, timeout=60)
    assert len(looked(tmp_path / "x.mkv").tags) <= 64


@pytest.mark.parametrize("count", [None, 0, -5, 9_223_372_036_854_775_000])
def test_duration_that_cannot_be_is_none(count: int | None) -> None:
    assert container._seconds(count, Fraction(1, 1_000_000)) is None


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_five_gigabytes_are_read_no_more_than_a_small_file(
    media: MediaFolder, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MOST_BYTES", _MIB)
    assert looked(media.huge(tmp_path / f"huge{suffix}")).duration_s == pytest.approx(2.0, abs=0.1)


def _id3(frames: dict[bytes, bytes]) -> bytes:
    body = b"".join(name + _syncsafe(len(content)) + b"\0\0" + content for name, content in frames.items())
    return b"ID3\4\0\0" + _syncsafe(len(body)) + body


def _syncsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
