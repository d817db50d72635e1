"""Small real media for tests, made once a session by ffmpeg and Pillow, and copied as often as a test likes.

The masters in `VARIED` hold `MARK` in a tag or a comment; a copy has its number there instead, so that no two
copies hold the same bytes though all are valid and of one size.
"""

import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tests.support.services import ServiceMissing
from tests.support.trees import PAST_NS

MARK = b"scanner-test-mark-0000000000"
GIB = 1024**3

_SECONDS = "2"
_PICTURE = ("-f", "lavfi", "-i", f"testsrc2=size=128x72:rate=25:duration={_SECONDS}")
_TONE = ("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=44100:duration={_SECONDS}")
_LOW_TONE = ("-f", "lavfi", "-i", f"sine=frequency=220:sample_rate=44100:duration={_SECONDS}")
_FILM_STREAMS = (
    *("-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:s", "-map_metadata", "4", "-map_chapters", "4"),
    *(
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-b:a",
        "32k",
        "-ac",
        "2",
    ),
    *("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger", "-metadata:s:s:0", "language=ger"),
    *("-metadata:s:a:1", "title=Kommentar", "-disposition:a:0", "default", "-disposition:s:0", "forced"),
)
_BT2020 = ("-color_primaries", "bt2020", "-colorspace", "bt2020nc", "-color_range", "tv")

SRT = "1\n00:00:00,100 --> 00:00:01,000\nHallo, Welt.\n\n2\n00:00:01,100 --> 00:00:01,900\n{mark}\n"
ASS = (
    "[Script Info]\n; {mark}\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
    "Style: Default,Arial,20\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV,"
    " Effect, Text\nDialogue: 0,0:00:00.10,0:00:01.00,Default,,0,0,0,,Hello\n"
)
VTT = "WEBVTT\n\nNOTE {mark}\n\n00:00.100 --> 00:01.000\nHello\n"
CHAPTERS = (
    f";FFMETADATA1\ntitle=A Film\ncomment={MARK.decode()}\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=Opening\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=Ending\n"
)

VARIED = ("film.mkv", "film.mp4", "song.mp3", "song.flac", "photo.jpg", "words.srt", "words.ass", "words.vtt")
"""The masters that `library` takes turns with."""


class MediaFolder:
    """The masters, in a folder of their own: `film.mkv` and `film.mp4` (h264 128x72, two aac languages, a
    subtitle, two chapters, 2 s; the mkv has a cover), `hdr10.mkv`, `hlg.mkv`, `silent.avi`, `clip.webm`,
    `song.mp3` and `song.flac` (tags and cover), `song.opus`, `photo.jpg` (64x48, EXIF date), `picture.png`,
    `words.srt`, `.ass`, `.vtt`.
    """

    def __init__(self, folder: Path) -> None:
        """Make the masters (about 2 s).

        Raises:
            ServiceMissing: there is no ffmpeg.
        """
        if shutil.which("ffmpeg") is None:
            raise ServiceMissing("ffmpeg is not installed (apt-get install ffmpeg)")
        self.folder = folder
        self._make_pictures()
        self._make_subtitles()
        self._make_films()
        self._make_songs()

    def __getitem__(self, name: str) -> Path:
        """Return the path of a master."""
        path = self.folder / name
        assert path.is_file(), f"no master {name}"
        return path

    def copy(self, name: str, target: Path, number: int) -> Path:
        """Write a copy of a master that holds `number`, with an mtime long past; return `target`."""
        content = self[name].read_bytes()
        assert MARK in content, f"{name} cannot be varied"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.replace(MARK, MARK[:-10] + b"%010d" % number))
        os.utime(target, ns=(PAST_NS + number, PAST_NS + number))
        return target

    def library(self, root: Path, files: int, *, masters: Sequence[str] = VARIED, first: int = 0) -> list[Path]:
        """Make `files` distinct valid files below `root`, 50 a folder, the masters in turn; return them."""
        paths = []
        for number in range(first, first + files):
            master = masters[number % len(masters)]
            show, episode = divmod(number, 50)
            target = root / f"Show {show:04d}" / "Season 01" / f"Show.{show:04d}.S01E{episode:02d}.{master}"
            paths.append(self.copy(master, target, number))
        return paths

    def huge(self, target: Path, size_bytes: int = 5 * GIB) -> Path:
        """Make a valid `.mkv` or `.mp4` that large, sparse: the master and then padding that players skip."""
        content = self[f"film{target.suffix}"].read_bytes()
        if target.suffix == ".mkv":
            content = _with_void(content, size_bytes)
        else:
            content += struct.pack(">I4sQ", 1, b"free", size_bytes - len(content))
        target.write_bytes(content)
        os.truncate(target, size_bytes)
        os.utime(target, ns=(PAST_NS, PAST_NS))
        return target

    def _make_pictures(self) -> None:
        picture = Image.new("RGB", (64, 48), (200, 30, 30))
        exif = Image.Exif()
        exif[0x0132] = "2021:07:04 10:20:30"  # DateTime
        exif.get_ifd(0x8769)[0x9003] = "2020:02:29 12:34:56"  # DateTimeOriginal
        picture.save(self.folder / "photo.jpg", exif=exif, comment=MARK)
        picture.save(self.folder / "picture.png")

    def _make_subtitles(self) -> None:
        for suffix, text in (("srt", SRT), ("ass", ASS), ("vtt", VTT)):
            (self.folder / f"words.{suffix}").write_text(text.replace("{mark}", MARK.decode()))

    def _make_films(self) -> None:
        metadata = self.folder / "chapters.txt"
        metadata.write_text(CHAPTERS)
        inputs = (*_PICTURE, *_TONE, *_LOW_TONE, "-i", "words.srt", "-i", metadata.name)
        cover = ("-attach", "photo.jpg", "-metadata:s:t", "mimetype=image/jpeg", "-write_crc32", "0")
        self._ffmpeg(*inputs, *_FILM_STREAMS, "-c:s", "srt", *cover, "film.mkv")
        self._ffmpeg(*inputs, *_FILM_STREAMS, "-c:s", "mov_text", "-movflags", "+faststart", "film.mp4")
        ten_bits = (*_PICTURE, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", *_BT2020)
        self._ffmpeg(*ten_bits, "-color_trc", "smpte2084", "hdr10.mkv")
        self._ffmpeg(*ten_bits, "-color_trc", "arib-std-b67", "hlg.mkv")
        self._ffmpeg(*_PICTURE, "-c:v", "mpeg4", "silent.avi")
        self._ffmpeg(*_PICTURE, *_TONE, "-c:v", "libvpx", "-b:v", "100k", "-c:a", "libopus", "clip.webm")

    def _make_songs(self) -> None:
        tags = (
            "title=Träumerei",
            "artist=Clara",
            "album=Kinderszenen",
            "track=7/13",
            f"comment={MARK.decode()}",
        )
        metadata = [word for tag in tags for word in ("-metadata", tag)]
        with_cover = (*_TONE, "-i", "photo.jpg", "-map", "0", "-map", "1", "-c:v", "copy")
        plain_cover = (*with_cover, "-disposition:v", "attached_pic", *metadata)
        self._ffmpeg(*plain_cover, "-c:a", "libmp3lame", "-id3v2_version", "4", "song.mp3")
        self._ffmpeg(*plain_cover, "-c:a", "flac", "song.flac")
        self._ffmpeg(*_TONE, *metadata, "-c:a", "libopus", "song.opus")

    def _ffmpeg(self, *arguments: str) -> None:
        command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-bitexact", *arguments]
        subprocess.run(command, cwd=self.folder, check=True, timeout=60)


def _with_void(content: bytes, size_bytes: int) -> bytes:
    """Let a Matroska file's segment end in a Void element that fills the file up to `size_bytes` (RFC 8794)."""
    segment = content.index(b"\x18\x53\x80\x67") + 4
    assert content[segment] == 0x01, "ffmpeg writes the segment's size in eight bytes"
    header = segment + 8
    padding = size_bytes - len(content) - 9
    return (
        content[:segment]
        + struct.pack(">Q", (1 << 56) | (size_bytes - header))
        + content[header:]
        + b"\xec"
        + struct.pack(">Q", (1 << 56) | padding)
    )
