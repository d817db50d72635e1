"""Which parser looks at a file, and what is said of one that none can read."""

import os
from pathlib import Path

import pytest

from tests.support.media import VARIED, MediaFolder
from tests.unit.probe.probing import looked, refused


@pytest.mark.parametrize("name", VARIED)
def test_every_copy_of_a_master_is_media_and_no_two_are_alike(
    media: MediaFolder, tmp_path: Path, name: str
) -> None:
    first, second = (media.copy(name, tmp_path / f"{number}-{name}", number) for number in (1, 2))
    assert looked(first).container == looked(second).container is not None
    assert first.read_bytes() != second.read_bytes()
    assert first.stat().st_size == second.stat().st_size


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4", "song.flac", "photo.jpg", "words.srt"])
@pytest.mark.parametrize("kind", ["other", "video", "image", "subtitle"])
def test_content_decides_where_the_name_says_nothing_or_lies(
    media: MediaFolder, tmp_path: Path, name: str, kind: str
) -> None:
    if name == "words.srt" and kind in {"image", "video"}:
        pytest.skip("a text is neither a picture nor a film, whatever it is called")
    plain = tmp_path / "content"
    plain.write_bytes(media[name].read_bytes())
    assert looked(plain, kind).container == looked(media[name]).container


@pytest.mark.parametrize("name", ["setup.mod", "readme.it", "x.mp3", "x.mkv"])
def test_text_that_could_be_lyrics_is_neither_sound_nor_film(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("[description]\nOne line.\n[00:12.00]Another one.\n" * 5)
    assert refused(tmp_path / name).kind == "unsupported"


def test_empty_file_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "x.mkv").touch()
    assert refused(tmp_path / "x.mkv").kind == "corrupt"


@pytest.mark.parametrize("name", ["x.mp3", "x.mkv", "x.jpg", "x.srt"])
def test_preallocated_file_of_ten_gigabytes_is_corrupt(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    os.truncate(tmp_path / name, 10 * 1024**3)
    said = refused(tmp_path / name)
    assert (said.kind, "zeros" in str(said)) == ("corrupt", True)


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4", "song.flac", "picture.png"])
@pytest.mark.parametrize("keep", [12, 20])
def test_file_cut_off_in_its_header_is_corrupt(
    media: MediaFolder, tmp_path: Path, name: str, keep: int
) -> None:
    cut = tmp_path / name
    cut.write_bytes(media[name].read_bytes()[:keep])
    assert refused(cut).kind == "corrupt"


@pytest.mark.parametrize("name", ["x.mkv", "x.mp3", "x.jpg", "x.srt", "x.bin", "x"])
def test_noise_is_unsupported(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(range(1, 256)) * 400)
    assert refused(tmp_path / name).kind == "unsupported"


@pytest.mark.parametrize("name", ["notes.txt", "film.nfo", "archive.zip"])
def test_what_is_no_media_is_unsupported(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\3\4" if name.endswith("zip") else b"Some words.\n" * 50)
    assert refused(tmp_path / name).kind == "unsupported"


def test_container_without_a_stream_is_not_media(tmp_path: Path) -> None:
    # An empty moov: FFmpeg opens it without complaint.
    (tmp_path / "x.mp4").write_bytes(b"\0\0\0\x10ftypisom\0\0\2\0" + b"\0\0\0\x08moov" + b"\0\0\0\x08mdat")
    assert refused(tmp_path / "x.mp4").kind == "corrupt"
