"""What image headers say, without a pixel decoded."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageFile

from tests.support.media import MediaFolder
from tests.unit.probe.probing import looked, refused

_HUGE = 60_000


@pytest.fixture(autouse=True)
def _no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_image: object) -> None:
        pytest.fail("pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)


def _saved(form: str, size: tuple[int, int] = (40, 30), **options: object) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (1, 2, 3)).save(stream, form, **options)
    return stream.getvalue()


def _png(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_photo_gives_format_size_and_the_date_it_was_taken(media: MediaFolder) -> None:
    photo = looked(media["photo.jpg"])
    assert (photo.container, photo.width, photo.height) == ("jpeg", 64, 48)
    assert photo.taken_at == "2020-02-29T12:34:56"
    assert photo.streams == []


def test_date_has_a_zone_only_if_the_photo_names_one(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x9003: "2020:02:29 12:34:56", 0x9011: "+02:00"})
    (tmp_path / "x.jpg").write_bytes(_saved("JPEG", exif=exif))
    assert looked(tmp_path / "x.jpg").taken_at == "2020-02-29T12:34:56+02:00"


@pytest.mark.parametrize("written", ["0000:00:00 00:00:00", "yesterday", ""])
def test_date_that_is_none_is_left_out(tmp_path: Path, written: str) -> None:
    exif = Image.Exif()
    exif[0x0132] = written
    (tmp_path / "x.jpg").write_bytes(_saved("JPEG", exif=exif))
    assert looked(tmp_path / "x.jpg").taken_at is None


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "ICO", "PPM", "TGA", "JPEG2000"])
def test_size_and_format_are_read_without_decoding(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"x.{form.lower()}"
    path.write_bytes(_saved(form))
    image = looked(path, kind="image")
    # Pillow itself keeps an icon's shape in a square.
    assert (image.container, image.width, image.height) in {
        (form.lower(), 40, 30),
        ("ico", 32, 24),
        ("ico", 24, 18),
    }


@pytest.mark.parametrize(
    "options", [{"lossless": True}, {"lossless": False}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}]
)
def test_every_shape_of_webp_gives_its_size(tmp_path: Path, options: dict[str, object]) -> None:
    (tmp_path / "x.webp").write_bytes(_saved("WEBP", (123, 45), **options))
    image = looked(tmp_path / "x.webp")
    assert (image.container, image.width, image.height) == ("webp", 123, 45)


def test_decompression_bomb_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(_png(_HUGE, _HUGE))
    bomb = looked(tmp_path / "bomb.png")
    assert (bomb.width, bomb.height) == (_HUGE, _HUGE)


def test_image_named_like_a_film_is_an_image(media: MediaFolder, tmp_path: Path) -> None:
    (tmp_path / "x.mkv").write_bytes(media["photo.jpg"].read_bytes())
    assert looked(tmp_path / "x.mkv").container == "jpeg"


def test_name_with_a_pattern_reads_no_other_picture(media: MediaFolder, tmp_path: Path) -> None:
    (tmp_path / "x01.png").write_bytes(media["picture.png"].read_bytes())
    (tmp_path / "x%02d.png").write_bytes(b"nothing that is a picture" * 10)
    assert refused(tmp_path / "x%02d.png").kind == "unsupported"


@pytest.mark.parametrize("keep", [3, 9, 20])
def test_truncated_photo_is_corrupt(media: MediaFolder, tmp_path: Path, keep: int) -> None:
    (tmp_path / "x.jpg").write_bytes(media["photo.jpg"].read_bytes()[:keep])
    assert refused(tmp_path / "x.jpg").kind == "corrupt"
